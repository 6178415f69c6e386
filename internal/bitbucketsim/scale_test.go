package bitbucketsim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCreateRepos(t *testing.T) {
	b := start(t, Options{})
	const projects, each = 25, 20
	began := time.Now()
	var made []Repo
	for p := range projects {
		key := fmt.Sprintf("M%d", p)
		must(b.CreateProject(key, key))
		made = append(made, must(b.CreateRepos(key, each, Seed{Commits: 2, Branches: []string{"dev", "fix/one"}, Tags: []string{"v1"}}))...)
	}
	t.Logf("created %d repositories in %v", len(made), time.Since(began))
	first, last := made[0], made[len(made)-1]
	if refs := must(b.Refs(first.ID)); len(refs) != 4 || refs["refs/heads/main"] == must(b.Refs(last.ID))["refs/heads/main"] {
		t.Errorf("refs = %v, want four that no other repository has", refs)
	}
	path := fmt.Sprintf("/projects/%s/repos/%s", last.Project, last.Slug)
	if ids, _ := b.walk(path+"/commits", "id", 5); len(ids) != 2 {
		t.Errorf("commits = %v, want 2", ids)
	}
	dir := filepath.Join(t.TempDir(), "clone")
	b.mustGit("clone", "-q", b.CloneURL(last.ID), dir)
	if text := must(os.ReadFile(filepath.Join(dir, "README"))); !strings.Contains(string(text), "version 1") {
		t.Errorf("README = %q, want the newest version", text)
	}
	done := b.push(Push{Repo: last.ID, Commits: []Commit{{Files: map[string]string{"more": "x"}}}, Refs: map[string]string{"refs/heads/dev": ""}})
	if len(done.Changes) != 2 {
		t.Errorf("changes of a push = %v, want an UPDATE and a DELETE", done.Changes)
	}
	must(0, b.GC(last.ID))
	if _, err := os.Stat(alternates(last.Dir)); err == nil {
		t.Error("after GC the repository still needs the shared store")
	}
	b.mustGit("-C", last.Dir, "fsck")
	if empty := must(b.CreateRepos("PRJ", 3, Seed{Prefix: "empty-", Commits: -1})); len(must(b.Refs(empty[2].ID))) != 0 {
		t.Error("a repository without commits has refs")
	}
	if _, err := b.CreateRepos("NONE", 1, Seed{}); err == nil {
		t.Error("a missing project was accepted")
	}
}

// TestListRefsAsGitDoes sends the same requests to git and to the server's own answer.
func TestListRefsAsGitDoes(t *testing.T) {
	b := start(t, Options{})
	empty := must(b.CreateRepo("PRJ", "empty"))
	b.push(Push{
		Repo: b.repo.ID, Commits: []Commit{{Files: map[string]string{"f": "1"}}, {Branch: "dev/a", Files: map[string]string{"f": "2"}}, {Branch: "dev-a"}},
		Tags: []Tag{{Name: "light", Target: ":1"}, {Name: "v1", Target: ":2", Message: "annotated"}},
		Refs: map[string]string{"refs/pull-requests/1/from": ":2"},
	})
	native := func(id int, method, rest, body string) (*httptest.ResponseRecorder, bool) {
		r := gitRequest(method, rest, body)
		w := httptest.NewRecorder()
		return w, b.listed(w, r, &repo{ID: id})
	}
	check := func(name string, id int, method, rest, body string) {
		t.Helper()
		got, ok := native(id, method, rest, body)
		if !ok {
			t.Errorf("%s: left to git", name)
			return
		}
		want := httptest.NewRecorder()
		b.backend(want, gitRequest(method, rest, body), &repo{ID: id}, identity{})
		if diff := cmp.Diff(want.Body.String(), got.Body.String()); diff != "" {
			t.Errorf("%s: body differs from git's (-git +ours):\n%s", name, diff)
		}
		if diff := cmp.Diff(want.Header(), got.Header()); diff != "" {
			t.Errorf("%s: headers differ from git's (-git +ours):\n%s", name, diff)
		}
	}
	all := listRefs("peel", "symrefs", "unborn")
	if _, ok := native(b.repo.ID, "POST", "git-upload-pack", all); ok {
		t.Error("tags that are not packed were answered without git")
	}
	must(b.Server.git(context.Background(), b.repo.ID, nil, "pack-refs", "--all"))
	b.push(Push{Repo: b.repo.ID, Commits: []Commit{{Branch: "dev/a"}, {Branch: "new"}}})
	for _, id := range []int{b.repo.ID, empty.ID} {
		check("advertisement", id, "GET", "info/refs?service=git-upload-pack", "")
		check("all", id, "POST", "git-upload-pack", all)
		check("bare", id, "POST", "git-upload-pack", listRefs())
		check("prefixes", id, "POST", "git-upload-pack", listRefs("symrefs", "peel", "ref-prefix refs/heads/", "ref-prefix refs/tags/v", "ref-prefix refs/heads/dev"))
		check("head", id, "POST", "git-upload-pack", listRefs("unborn", "ref-prefix HEAD"))
		check("pull requests", id, "POST", "git-upload-pack", listRefs("ref-prefix refs/pull-requests/"))
	}
	for name, body := range map[string]string{
		"fetch": "0012command=fetch\n0000", "unknown argument": listRefs("frobnicate"), "cut off": all[:len(all)-3], "not pkt-lines": "zzzz", "empty": "",
		"sha256": "0014command=ls-refs\n0018object-format=sha25600010000",
	} {
		if _, ok := native(b.repo.ID, "POST", "git-upload-pack", body); ok {
			t.Errorf("%s: answered without git", name)
		}
	}
	if out := b.mustGit("-c", "protocol.version=2", "ls-remote", b.CloneURL(b.repo.ID)); strings.Count(out, "\n") != 9 {
		t.Errorf("ls-remote =\n%swant 9 lines", out)
	}
}

func gitRequest(method, rest, body string) *http.Request {
	r := httptest.NewRequest(method, "/scm/prj/rocket.git/"+rest, strings.NewReader(body))
	r.Header.Set("Git-Protocol", "version=2")
	r.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	path, _, _ := strings.Cut(rest, "?")
	r.SetPathValue("rest", path)
	return r
}

func listRefs(arguments ...string) string {
	var out bytes.Buffer
	packet := func(line string) { fmt.Fprintf(&out, "%04x%s", len(line)+4, line) }
	packet("command=ls-refs\n")
	packet("agent=test/1")
	packet("object-format=sha1")
	out.WriteString("0001")
	for _, a := range arguments {
		packet(a + "\n")
	}
	out.WriteString("0000")
	return out.String()
}

func TestLivesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rcv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
		door := NewPipe()
		rcv.Listener = door
		rcv.Start()
		s := must(New(Options{Listener: NewPipe(), Host: "bitbucket.example.org", ContextPath: "/bitbucket", WebhookDial: door.DialContext}))
		if got, want := s.URL(), "https://bitbucket.example.org/bitbucket"; got != want {
			t.Errorf("URL = %s, want %s", got, want)
		}
		must(s.CreateUser(User{Name: "admin", Permission: "SYS_ADMIN"}))
		must(s.CreateProject("PRJ", "Project"))
		b := &bench{T: t, Server: s, repo: must(s.CreateRepo("PRJ", "Rocket"))}
		b.token = b.newToken("admin", "REPO_ADMIN", "PROJECT_READ")
		b.hook(rocket, "http://receiver.example.com/", "repo:refs_changed")
		b.commit("", "f", "x")
		b.delivered()
		if log := s.Deliveries(); len(log) != 1 || log[0].Outcome != Success {
			t.Errorf("deliveries = %+v, want one success", log)
		}
		before := time.Now()
		s.SetDeliveries(DeliveryMode{Delay: 20 * time.Second})
		b.commit("", "f", "y")
		b.delivered()
		if waited := time.Since(before); waited < 20*time.Second {
			t.Errorf("the delayed delivery took %v of the bubble's time, want 20s", waited)
		}
		b.commit("", "f", "z") // its timer is not to outlive Close
		must(0, s.Close())
		rcv.Close()
	})
}

func TestListenerAndHost(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	b := start(t, Options{Listener: ln})
	if want := "https://" + ln.Addr().String(); b.URL() != want {
		t.Errorf("URL = %s, want %s", b.URL(), want)
	}
	named := start(t, Options{Host: "code.example.org:8443"})
	c := named.Client()
	defer c.CloseIdleConnections()
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, named.ln.Addr().String())
	}
	resp, err := c.Get(named.URL() + "/rest/api/1.0/application-properties")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(named.CACertificate())
	if err := resp.TLS.PeerCertificates[0].VerifyHostname("code.example.org"); err != nil || !strings.HasPrefix(named.CloneURL(named.repo.ID), "https://code.example.org:8443/scm/") {
		t.Errorf("clone URL = %s, certificate: %v", named.CloneURL(named.repo.ID), err)
	}
	if _, err := tls.Dial("tcp", named.ln.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "elsewhere.example.org"}); err == nil {
		t.Error("the certificate is good for another host")
	}
}

func TestRateLimitOnGit(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "x")
	must(b.CreateUser(User{Name: "dev"}))
	must(0, b.GrantRepo("dev", b.repo.ID, "REPO_READ"))
	dev := b.newToken("dev", "REPO_READ")
	info := func(token string) answer {
		req := must(http.NewRequest("GET", b.CloneURL(b.repo.ID)+"/info/refs?service=git-upload-pack", nil))
		req.Header.Set("Authorization", "Bearer "+token)
		return b.do(req)
	}
	for _, tc := range []struct {
		name  string
		limit RateLimit
		want  int
		after string
	}{
		{"counted", RateLimit{Capacity: 2, RetryAfter: 7}, 429, "7"},
		{"without Retry-After", RateLimit{Capacity: 2, NoAfter: true}, 429, ""},
		{"spared", RateLimit{Capacity: 2, SpareGit: true}, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.SetRateLimit(tc.limit)
			b.get(rocket)
			info(b.token.Text)
			a := info(b.token.Text)
			if a.status != tc.want || a.header.Get("Retry-After") != tc.after {
				t.Errorf("third request = %d, Retry-After %q, want %d, %q", a.status, a.header.Get("Retry-After"), tc.want, tc.after)
			}
			if a := info(dev.Text); a.status != 200 {
				t.Errorf("another user's request = %d, want 200: the buckets are one each", a.status)
			}
		})
	}
}
