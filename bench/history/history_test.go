package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"magpie/bench/measure"
	"magpie/internal/git/gittest"
)

// TestMain lets the test binary be the client of a push, as the program itself is.
func TestMain(m *testing.M) {
	if asked, err := measurePushIfAsked(); asked {
		exit(err)
	}
	os.Exit(m.Run())
}

// historyOfFifty makes a repository of 50 commits on one branch and some beside it, one of which holds a secret.
func historyOfFifty(t *testing.T) *gittest.Repo {
	t.Helper()
	r := gittest.New(t, "sha1")
	r.Generate(3, 30)
	var b strings.Builder
	for i := range 20 {
		text := fmt.Sprintf("line %d\n", i)
		if i == 15 {
			text = "token = \"ghp_" + "R7xK2mQ9vT4wL8nB3cY6zH1jF5dS0a" + "2MaKdg\"\n"
		}
		fmt.Fprintf(&b, "commit refs/heads/line\ncommitter C <c@example.com> %d +0000\ndata 2\nm\nM 100644 inline f\ndata %d\n%s\n", 1_600_000_000+i, len(text), text)
	}
	r.Feed([]byte(b.String()), "fast-import", "--quiet")
	r.Git("symbolic-ref", "HEAD", "refs/heads/line")
	return r
}

func buildMagpie(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "magpie")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/magpie").CombinedOutput(); err != nil {
		t.Fatalf("building magpie: %v\n%s", err, out)
	}
	return program
}

func TestMeasuresAGeneratedRepository(t *testing.T) {
	r := historyOfFifty(t)
	file := filepath.Join(t.TempDir(), "figures.json")
	o := options{magpie: buildMagpie(t), runs: 1, peerRuns: 1, limit: 5 * time.Minute, push: 10, json: file, temp: t.TempDir()}
	var out bytes.Buffer
	if err := run(t.Context(), &out, o, []string{r.Dir}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, line := range []string{
		`(?m)^ *magpie-stream +1 +\d+\.\d\d +\d+\.\d\d +\d+ +\d+ +\d+ +1\.00 +\d`, `(?m)^ *git-index-pack +1 `, `(?m)^ *git-cat-file +1 `, `(?m)^ *git-log-p +1 `,
		`the server of magpie-stream, not counted: \d`, `(?m)^ *magpie-local -j 1 .* 1\.00$`, `(?m)^ *push of 10 commits: \d+ objects`, `(?m)^ *after the pack is here +\d`,
	} {
		if !regexp.MustCompile(line).MatchString(out.String()) {
			t.Errorf("no line matches %s in\n%s", line, out.String())
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []result
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	checkResult(t, r, got)
	if left, err := os.ReadDir(o.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func checkResult(t *testing.T, r *gittest.Repo, got []result) {
	t.Helper()
	if len(got) != 1 || got[0].Facts.objects() != len(r.Objects()) {
		t.Fatalf("got %+v, want the %d objects of one repository", got, len(r.Objects()))
	}
	for _, name := range []string{magpieStream, magpieLocal} {
		s := find(got[0].Series, name)
		if len(s.Runs) != 1 || s.Runs[0].Found == nil || s.Runs[0].Found.Secrets != 1 || s.Runs[0].CPU <= 0 || s.Runs[0].Peak <= 0 {
			t.Errorf("%s: got %+v, want one run that found the secret", name, s.Runs)
		}
	}
	if s := find(got[0].Series, magpieStream); s.Runs[0].Server <= 0 {
		t.Error("the server took no time")
	}
	if p := got[0].Pushes; len(p) != 1 || p[0].Findings != 1 || p[0].Objects < 30 || p[0].Examine <= 0 || p[0].Receive <= 0 {
		t.Errorf("push: got %+v, want the one finding among the objects of 10 commits", p)
	}
}

func TestAFailingMagpieIsReportedAndFailsTheRun(t *testing.T) {
	r := gittest.New(t, "sha1")
	r.Generate(1, 5)
	magpie := filepath.Join(t.TempDir(), "magpie")
	if err := os.WriteFile(magpie, []byte("#!/bin/sh\necho 'magpie: no such thing' >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := options{magpie: magpie, runs: 2, peerRuns: 2, limit: time.Minute, push: 1, only: []string{magpieLocal, "git-cat-file"}, temp: t.TempDir()}
	err := run(t.Context(), &out, o, []string{r.Dir})
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v, want what magpie said", err)
	}
	for _, line := range []string{`(?m)^ *magpie-local +0 +failed`, `(?m)^ *git-cat-file +2 `} {
		if !regexp.MustCompile(line).MatchString(out.String()) {
			t.Errorf("no line matches %s in\n%s", line, out.String())
		}
	}
}

func TestAFailingPeerFailsNothing(t *testing.T) {
	r := gittest.New(t, "sha1")
	r.Generate(1, 5)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gitleaks"), []byte("#!/bin/sh\n[ \"$1\" = version ] && exec echo 8.0.0\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	var out bytes.Buffer
	o := options{magpie: "/bin/true", runs: 2, peerRuns: 2, peers: true, limit: time.Second, push: 1, only: []string{"gitleaks"}, temp: t.TempDir()}
	if err := run(t.Context(), &out, o, []string{r.Dir}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`(?m)^ *gitleaks: 8\.0\.0$`, `(?m)^ *gitleaks +0 +failed`, `gitleaks: longer than 1s`} {
		if !regexp.MustCompile(line).MatchString(out.String()) {
			t.Errorf("no line matches %s in\n%s", line, out.String())
		}
	}
}

func TestACopyWithAbsentObjectsIsServedAndPacked(t *testing.T) {
	r := historyOfFifty(t)
	r.Git("repack", "-adq")
	makeAbsent(t, r, strings.TrimSpace(r.Git("rev-parse", "line~3:f")))
	b, err := newBench(options{temp: t.TempDir(), limit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	target, err := openTarget(t.Context(), r.Dir, b.env)
	if err != nil {
		t.Fatal(err)
	}
	f, err := describe(t.Context(), target, b.env)
	if err != nil {
		t.Fatal(err)
	}
	size, err := makePack(t.Context(), target, filepath.Join(b.temp, "pack"), b.env)
	if err != nil || size == 0 {
		t.Fatalf("packing: %d, %v", size, err)
	}
	s, err := serve(t.Context(), target.gitDir, b.temp, b.env)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := measure.Git(t.Context(), append(b.env, "GIT_SSL_CAINFO="+s.caFile), nil, "ls-remote", s.url)
	if err != nil || strings.Contains(string(refs), "refs/replace/") || !strings.Contains(string(refs), "refs/heads/line") {
		t.Errorf("the server shows %q, %v; want all refs but replacements", refs, err)
	}
	push, err := b.pushOnce(t.Context(), s, mustFindPush(t, b, target, 10))
	if err != nil || push.Objects == 0 || push.Objects >= f.objects() {
		t.Errorf("got %+v, %v; want fewer objects than the %d there are", push, err, f.objects())
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// makeAbsent removes a loose object, in whose place git reads an empty file.
func makeAbsent(t *testing.T, r *gittest.Repo, id string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(r.Dir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("got packs %v, %v; want one", packs, err)
	}
	data, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{".pack", ".idx", ".rev"} {
		if err := os.Remove(strings.TrimSuffix(packs[0], ".pack") + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	r.Feed(data, "unpack-objects", "-q")
	empty := strings.TrimSpace(string(r.Feed(nil, "hash-object", "-w", "-t", "blob", "--stdin")))
	r.Git("replace", id, empty)
	if err := os.Remove(filepath.Join(r.Dir, "objects", id[:2], id[2:])); err != nil {
		t.Fatal(err)
	}
}

func mustFindPush(t *testing.T, b *bench, target target, n int) pushed {
	t.Helper()
	p, err := findPush(t.Context(), target, n, b.env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFindsThePush(t *testing.T) {
	r := historyOfFifty(t)
	b, err := newBench(options{temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	target, err := openTarget(t.Context(), r.Dir, b.env)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 7, 19} {
		p := mustFindPush(t, b, target, n)
		if want := strings.TrimSpace(r.Git("rev-parse", fmt.Sprintf("HEAD~%d", n))); p.Have != want || p.Commits != n {
			t.Errorf("%d commits: got %+v, want have %s", n, p, want)
		}
	}
	if _, err := findPush(t.Context(), target, 20, b.env); !errors.Is(err, errTooFewCommits) {
		t.Errorf("20 commits of 20: got %v, want %v", err, errTooFewCommits)
	}
	merged := fmt.Sprintf("commit refs/heads/line\ncommitter C <c@example.com> 1700000000 +0000\ndata 2\nm\nfrom %s\nmerge %s\n",
		strings.TrimSpace(r.Git("rev-parse", "line")), strings.TrimSpace(r.Git("rev-parse", "main")))
	r.Feed([]byte(merged), "fast-import", "--quiet")
	count := strings.TrimSpace(r.Git("rev-list", "--count", "line~1..line"))
	if p := mustFindPush(t, b, target, 2); fmt.Sprint(p.Commits) != count || p.Have != strings.TrimSpace(r.Git("rev-parse", "line~1")) {
		t.Errorf("a push of a merge: got %+v, want the %s commits that it brought", p, count)
	}
}

func TestRefusesWrongFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-runs", "0", "x"}, {"-only", "nothing", "x"}, {"-limit", "-1s", "x"}, {"-push", "0", "x"}, {"-peer-runs", "-1", "x"}, {"-what"}} {
		if _, _, err := parseFlags(args, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	o, repositories, err := parseFlags([]string{"-only", "push,gitleaks", "-runs", "3", "a", "b"}, io.Discard)
	if err != nil || len(repositories) != 2 || o.peerRuns != 3 || !o.wants("push") || !o.wants("gitleaks") || o.wants(magpieLocal) {
		t.Errorf("got %+v, %q, %v", o, repositories, err)
	}
}

func TestCountsObjectsByKind(t *testing.T) {
	var f facts
	if err := f.count(strings.NewReader("commit 200\nblob 5\ntree 30\nblob 7\ntag 1\n")); err != nil {
		t.Fatal(err)
	}
	if want := (facts{Commits: 1, Trees: 1, Blobs: 2, Tags: 1, Expanded: 12}); f != want {
		t.Errorf("got %+v, want %+v", f, want)
	}
	for _, bad := range []string{"blob", "blob x", "thing 3"} {
		if err := new(facts).count(strings.NewReader(bad + "\n")); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
