package pack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

func open(t *testing.T, path string) *pack.Repository {
	t.Helper()
	r, err := pack.Open(path, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpenNothing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "absent")} {
		if _, err := pack.Open(path, pack.Limits{}); magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestRefs(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 120)
	repo.Git("pack-refs", "--all")
	repo.Git("update-ref", "refs/heads/later", "main~1")
	repo.Git("update-ref", "refs/heads/main", "main~2") // loose wins over packed
	repo.Git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/heads/main")
	repo.Git("symbolic-ref", "refs/heads/dangling", "refs/heads/absent")
	want := map[string]pack.Ref{"HEAD": {Name: "HEAD", Hash: rev(repo, "HEAD"), Target: "refs/heads/main"}}
	for line := range strings.Lines(repo.Git("for-each-ref", "--format=%(refname) %(objectname) %(symref)")) {
		f := append(strings.Fields(line), "")
		want[f[0]] = pack.Ref{Name: f[0], Hash: magpie.Hash(f[1]), Target: f[2]}
	}
	want["refs/heads/dangling"] = pack.Ref{Name: "refs/heads/dangling", Target: "refs/heads/absent"}
	for name, text := range map[string]string{"rubbish": "not a ref\n", "empty": "", "taken.lock": ""} {
		if err := os.WriteFile(filepath.Join(repo.Dir, "refs/heads", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"refs/heads/rubbish", "refs/heads/empty"} {
		want[name] = pack.Ref{Name: name, Broken: "its file holds no object id"}
	}
	list, err := open(t, repo.Dir).Refs()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]pack.Ref{}
	for _, r := range list {
		got[r.Name] = r
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-git +ours):\n%s", diff)
	}
}

func rev(repo *gittest.Repo, name string) magpie.Hash {
	return magpie.Hash(strings.TrimSpace(repo.Git("rev-parse", name)))
}

func TestRefsOfNewRepository(t *testing.T) {
	list, err := open(t, gittest.New(t, "sha1").Dir).Refs()
	if diff := gocmp.Diff([]pack.Ref{{Name: "HEAD", Target: "refs/heads/main"}}, list); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestRefsOfWorktree(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 30)
	dir := filepath.Join(t.TempDir(), "tree")
	repo.Git("worktree", "add", "-q", "--no-checkout", "-b", "side", dir, "main~3")
	list, err := open(t, dir).Refs()
	if err != nil || list[0] != (pack.Ref{Name: "HEAD", Hash: rev(repo, "main~3"), Target: "refs/heads/side"}) {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestAbsent(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 60)
	repo.Git("config", "uploadpack.allowFilter", "true")
	if got := open(t, repo.Dir).Absent(); got.Partial || len(got.Shallow) != 0 {
		t.Errorf("complete: got %+v", got)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	repo.Git("clone", "-q", "--bare", "--depth=3", "file://"+repo.Dir, shallow)
	if got := open(t, shallow).Absent(); got.Partial || len(got.Shallow) == 0 {
		t.Errorf("shallow: got %+v", got)
	}
	partial := filepath.Join(t.TempDir(), "partial")
	repo.Git("clone", "-q", "--bare", "--filter=blob:none", "file://"+repo.Dir, partial)
	r := open(t, partial)
	if got := r.Absent(); !got.Partial {
		t.Errorf("partial: got %+v", got)
	}
	if _, report := collect(t, r, git.WalkOptions{}); report.Skipped != 0 || report.Objects == 0 {
		t.Errorf("partial: got %+v", report)
	}
}

// TestConfigRunsNothing gives the repository a configuration full of commands, and one that includes another file.
func TestConfigRunsNothing(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 10)
	mark := filepath.Join(t.TempDir(), "ran")
	for _, key := range []string{"core.fsmonitor", "core.sshCommand", "core.pager", "core.alternateRefsCommand", "uploadpack.packObjectsHook"} {
		repo.Git("config", key, "touch "+mark)
	}
	repo.Git("config", "include.path", mark)
	r := open(t, repo.Dir)
	collect(t, r, git.WalkOptions{})
	if _, err := r.Refs(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command from the configuration was run")
	}
}

// TestAlternatesInCircles has two repositories that are each other's alternates, and a pipe where a file should be.
func TestAlternatesInCircles(t *testing.T) {
	a, b := gittest.New(t, "sha1"), gittest.New(t, "sha1")
	a.Generate(1, 10)
	b.Generate(2, 10)
	want := a.Objects()
	for id, o := range b.Objects() {
		want[id] = o
	}
	for from, to := range map[*gittest.Repo]*gittest.Repo{a: b, b: a} {
		text := "# comment\n\n" + filepath.Join(to.Dir, "objects") + "\n/absent\n"
		if err := os.WriteFile(filepath.Join(from.Dir, "objects/info/alternates"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := collect(t, open(t, a.Dir), git.WalkOptions{})
	compare(t, got, want)
}
