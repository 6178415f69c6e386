package bitbucketsim

import (
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestGitCloneAndPush(t *testing.T) {
	for _, contextPath := range []string{"", "/bitbucket"} {
		t.Run("context path "+contextPath, func(t *testing.T) {
			b := start(t, Options{ContextPath: contextPath})
			rcv := receive(t)
			b.hook(rocket, rcv.URL, "repo:refs_changed")
			b.commit("", "README", "hello\n")
			b.delivered()
			writer := b.newToken("admin", "REPO_WRITE")
			dir := filepath.Join(t.TempDir(), "clone")
			b.mustGit("clone", b.CloneURL(b.repo.ID), dir)
			if got := must(os.ReadFile(filepath.Join(dir, "README"))); string(got) != "hello\n" {
				t.Errorf("README = %q, want hello", got)
			}
			big := must(io.ReadAll(io.LimitReader(rand.Reader, 3<<20))) // above http.postBuffer: git sends it in chunks
			must(0, os.WriteFile(filepath.Join(dir, "big"), big, 0o600))
			b.mustGit("-C", dir, "add", "big")
			b.mustGit("-C", dir, "commit", "-qm", "big")
			b.mustGit("-C", dir, "tag", "v1")
			if out, err := b.git(writer.Text, "-C", dir, "push", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/second", "v1"); err != nil {
				t.Fatalf("push: %v\n%s", err, out)
			}
			b.delivered()
			got := rcv.all()
			if len(got) != 2 {
				t.Fatalf("deliveries = %d, want 2: one for each push", len(got))
			}
			if n := len(got[1].json["changes"].([]any)); n != 3 {
				t.Errorf("changes of the push = %d, want 3", n)
			}
			if actor := got[1].json["actor"].(map[string]any)["name"]; actor != "admin" {
				t.Errorf("actor = %v, want admin", actor)
			}
			b.mustGit("clone", "-q", strings.Replace(b.CloneURL(b.repo.ID), "/prj/", "/PRJ/", 1), filepath.Join(t.TempDir(), "again"))
		})
	}
}

func TestGitWall(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "x")
	info := func(service, token string) answer {
		req := must(http.NewRequest("GET", b.CloneURL(b.repo.ID)+"/info/refs?service=git-"+service, nil))
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return b.do(req)
	}
	must(b.CreateUser(User{Name: "dev"}))
	stranger, reader := b.newToken("dev", "REPO_ADMIN").Text, b.newToken("admin", "REPO_READ").Text
	for _, tc := range []struct {
		name, service, token string
		status               int
	}{
		{"anonymous", "upload-pack", "", 401},
		{"bad token", "upload-pack", "nonsense", 401},
		{"reader fetches", "upload-pack", reader, 200},
		{"reader pushes", "receive-pack", reader, 403},
		{"stranger", "upload-pack", stranger, 404},
		{"admin pushes", "receive-pack", b.token.Text, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := info(tc.service, tc.token)
			if a.status != tc.status {
				t.Errorf("status = %d, want %d", a.status, tc.status)
			}
			challenge := a.header.Get("WWW-Authenticate")
			if want := `Basic realm="Atlassian Bitbucket"`; (challenge == want) != (tc.status == 401) {
				t.Errorf("WWW-Authenticate = %q", challenge)
			}
			if a.header.Get("X-AUSERNAME") != "" {
				t.Error("git answers carry X-AUSERNAME, want it on REST only")
			}
		})
	}
	must(0, b.SetRepoPublic(b.repo.ID, true))
	if a := info("upload-pack", ""); a.status != 200 {
		t.Errorf("anonymous fetch of a public repository = %d, want 200", a.status)
	}
	for _, tc := range []struct {
		name          string
		set           func() error
		fetch, pushes int
	}{
		{"archived", func() error { return b.Archive(b.repo.ID, true) }, 200, 403},
		{"offline", func() error { return b.SetRepoState(b.repo.ID, "OFFLINE") }, 503, 503},
		{"hosting off", func() error { return b.SetRepoHTTPHosting(b.repo.ID, false) }, 404, 404},
	} {
		must(0, tc.set())
		if got := info("upload-pack", b.token.Text).status; got != tc.fetch {
			t.Errorf("%s: fetch = %d, want %d", tc.name, got, tc.fetch)
		}
		if got := info("receive-pack", b.token.Text).status; got != tc.pushes {
			t.Errorf("%s: push = %d, want %d", tc.name, got, tc.pushes)
		}
	}
}

func TestGitProtocol(t *testing.T) {
	for _, tc := range []struct {
		version string
		filter  bool
	}{{"7.6.0", false}, {"7.21.0", true}} {
		t.Run(tc.version, func(t *testing.T) {
			b := start(t, Options{Version: tc.version})
			b.commit("", "f", "x")
			req := must(http.NewRequest("GET", b.CloneURL(b.repo.ID)+"/info/refs?service=git-upload-pack", nil))
			req.Header.Set("Authorization", "Bearer "+b.token.Text)
			req.Header.Set("Git-Protocol", "version=2")
			text := string(b.do(req).body)
			if !strings.Contains(text, "version 2") {
				t.Fatalf("no protocol v2: %q", text)
			}
			if got := strings.Contains(text, "filter"); got != tc.filter {
				t.Errorf("filter offered = %v, want %v", got, tc.filter)
			}
			out := b.mustGit("clone", "--bare", "--filter=blob:none", b.CloneURL(b.repo.ID), filepath.Join(t.TempDir(), "c"))
			if warned := strings.Contains(out, "filtering not recognized"); warned == tc.filter {
				t.Errorf("git warned = %v, want %v: %s", warned, !tc.filter, out)
			}
		})
	}
}

func TestForcedAwayCommitsLiveUntilGC(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "base")
	base := b.commit("", "f", "kept").Commits[0]
	lost := b.commit("", "secret", "pushed by mistake").Commits[0]
	b.push(Push{Repo: b.repo.ID, Refs: map[string]string{"refs/heads/main": base}})
	if got := must(b.Refs(b.repo.ID))["refs/heads/main"]; got != base {
		t.Fatalf("main = %s, want it forced back to %s", got, base)
	}
	dir := filepath.Join(t.TempDir(), "c.git")
	b.mustGit("init", "-q", "--bare", dir)
	fetch := func(version string) error {
		_, err := b.git(b.token.Text, "-C", dir, "-c", "protocol.version="+version, "fetch", "-q", b.CloneURL(b.repo.ID), lost)
		return err
	}
	if fetch("0") == nil {
		t.Error("protocol v0 served an object no ref shows")
	}
	if err := fetch("2"); err != nil {
		t.Errorf("protocol v2 before GC: %v", err)
	}
	must(0, b.GC(b.repo.ID))
	b.mustGit("init", "-q", "--bare", dir+"2")
	dir += "2"
	if fetch("2") == nil {
		t.Error("the object survived GC")
	}
	if got := must(b.Refs(b.repo.ID))["refs/heads/main"]; got != base {
		t.Errorf("main after GC (packed refs) = %q, want %s", got, base)
	}
}

func TestHiddenRefsAreFetchable(t *testing.T) {
	b := start(t, Options{})
	done := b.commit("", "f", "x")
	b.push(Push{Repo: b.repo.ID, Refs: map[string]string{"refs/pull-requests/7/from": done.Commits[0]}})
	if out := b.mustGit("ls-remote", b.CloneURL(b.repo.ID), "refs/pull-requests/*"); !strings.Contains(out, done.Commits[0]) {
		t.Errorf("ls-remote = %q, want the pull request's ref", out)
	}
}

func TestPersonalRepositoryOverGit(t *testing.T) {
	b := start(t, Options{})
	must(b.CreateUser(User{Name: "dev"}))
	must(b.CreatePersonalProject("dev"))
	mine := must(b.CreateRepo("~dev", "mine"))
	must(b.Push(Push{Repo: mine.ID, By: "dev", Commits: []Commit{{Files: map[string]string{`odd "name"`: "x", "with space": "y"}}}}))
	url := b.CloneURL(mine.ID)
	if !strings.HasSuffix(url, "/scm/~dev/mine.git") {
		t.Errorf("clone URL = %s, want ~dev", url)
	}
	dir := filepath.Join(t.TempDir(), "c")
	if out, err := b.git(b.newToken("dev", "REPO_READ").Text, "clone", "-q", url, dir); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	if got := must(os.ReadFile(filepath.Join(dir, `odd "name"`))); string(got) != "x" {
		t.Errorf("file with quotes = %q, want x", got)
	}
}

func TestPushMistakes(t *testing.T) {
	b := start(t, Options{})
	for _, tc := range []struct {
		name string
		push Push
	}{
		{"no repository", Push{Repo: 999}},
		{"no user", Push{Repo: b.repo.ID, By: "nobody"}},
		{"no parent", Push{Repo: b.repo.ID, Commits: []Commit{{Parents: []string{"nope"}}}}},
		{"short ref", Push{Repo: b.repo.ID, Refs: map[string]string{"main": ""}}},
		{"unknown mark", Push{Repo: b.repo.ID, Tags: []Tag{{Name: "v", Target: ":7"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := b.Push(tc.push); err == nil {
				t.Error("no error")
			}
			if refs := must(b.Refs(b.repo.ID)); len(refs) != 0 {
				t.Errorf("refs = %v, want none", refs)
			}
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed", "repo:modified")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 5 {
				name := string(rune('a' + i))
				if _, err := b.Push(Push{Repo: b.repo.ID, Commits: []Commit{{Branch: name, Files: map[string]string{name: name}}}}); err != nil {
					t.Error(err)
				}
				b.get("/repos?archived=ALL")
				b.get(rocket + "/branches")
				if out, err := b.git(b.token.Text, "ls-remote", b.CloneURL(b.repo.ID)); err != nil {
					t.Errorf("ls-remote: %v %s", err, out)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 10 {
			if err := b.Rename(b.repo.ID, "rocket"+string(rune('a'+i))); err != nil {
				t.Error(err)
			}
			b.SetDefaultBranch(b.repo.ID, "a")
			b.SetGlobalPermission("admin", "SYS_ADMIN")
		}
	})
	all.Wait()
	b.delivered()
	if got := len(rcv.all()); got != 30 {
		t.Errorf("received %d, want 20 pushes and 10 renames", got)
	}
}
