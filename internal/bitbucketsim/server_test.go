package bitbucketsim

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCertificates(t *testing.T) {
	b := start(t, Options{})
	for _, tc := range []struct {
		name string
		kind CertKind
		bad  func(error) bool
	}{
		{"valid", CertValid, func(err error) bool { return err == nil }},
		{"expired", CertExpired, func(err error) bool {
			bad, ok := errors.AsType[x509.CertificateInvalidError](err)
			return ok && bad.Reason == x509.Expired
		}},
		{"wrong host", CertWrongHost, func(err error) bool { _, ok := errors.AsType[x509.HostnameError](err); return ok }},
		{"untrusted", CertUntrusted, func(err error) bool { _, ok := errors.AsType[x509.UnknownAuthorityError](err); return ok }},
		{"valid again", CertValid, func(err error) bool { return err == nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must(0, b.UseCertificate(tc.kind))
			c := b.Client()
			defer c.CloseIdleConnections()
			resp, err := c.Get(b.URL() + "/rest/api/1.0/application-properties")
			if err == nil {
				resp.Body.Close()
			}
			if !tc.bad(err) {
				t.Errorf("error = %v", err)
			}
		})
	}
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{}}}
	if _, err := plain.Get(b.URL()); err == nil {
		t.Error("a client without the authority was content")
	}
}

func TestStateSurvives(t *testing.T) {
	dir := t.TempDir()
	first := must(New(Options{DataDir: dir}))
	must(first.CreateUser(User{Name: "admin", Permission: "SYS_ADMIN"}))
	must(first.CreateProject("PRJ", "Project"))
	repo := must(first.CreateRepo("PRJ", "Rocket"))
	token := must(first.CreateToken(TokenSpec{User: "admin", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}}))
	done := must(first.Push(Push{Repo: repo.ID, Commits: []Commit{{Files: map[string]string{"f": "x"}}}}))
	must(0, first.Rename(repo.ID, "Missile"))
	ca := string(first.CACertificate())
	addr := first.ln.Addr().String()
	old := &bench{T: t, Server: first, repo: repo, token: token}
	old.hook("/projects/PRJ/repos/missile", "https://example.com/", "repo:refs_changed")
	must(0, first.Close())
	if err := first.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}

	second := must(New(Options{DataDir: dir, Addr: addr}))
	defer second.Close()
	b := &bench{T: t, Server: second, repo: repo, token: token}
	if string(second.CACertificate()) != ca {
		t.Error("the authority changed")
	}
	if a := b.get(rocket); a.status != 200 || a.json["slug"] != "missile" {
		t.Errorf("the old address of the repository = %d %v, want missile", a.status, a.json["slug"])
	}
	if ids, _ := b.walk(rocket+"/commits", "id", 5); !cmp.Equal(ids, done.Commits) {
		t.Errorf("commits = %v, want %v", ids, done.Commits)
	}
	if ids, _ := b.walk(rocket+"/ref-change-activities", "trigger", 5); len(ids) != 1 {
		t.Errorf("activities = %v, want 1", ids)
	}
	if hooks := second.Webhooks(); len(hooks) != 1 || !hooks[0].HasSecret {
		t.Errorf("webhooks = %+v, want one with its secret", hooks)
	}
	if next := must(second.CreateRepo("PRJ", "next")); next.ID <= repo.ID {
		t.Errorf("id of the next repository = %d, want it above %d", next.ID, repo.ID)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, opt := range []Options{{Version: "nine"}, {Version: "9"}, {Addr: "0.0.0.0:0"}, {WebhookRoots: []byte("no PEM")}} {
		if s, err := New(opt); err == nil {
			s.Close()
			t.Errorf("New(%+v) was content", opt)
		}
	}
}

func TestDeleteAndProjects(t *testing.T) {
	b := start(t, Options{})
	b.hook(rocket, "https://example.com/", "repo:refs_changed")
	other := must(b.CreateRepo("PRJ", "other"))
	must(0, b.RenameProject("PRJ", "NEW", "Renamed"))
	if got := b.get(rocket).json["project"].(map[string]any)["key"]; got != "NEW" {
		t.Errorf("project at the old key = %v, want NEW", got)
	}
	if a := b.ask(b.token.Text, "DELETE", "/rest/api/1.0/projects/NEW/repos/rocket", ""); a.status != 202 {
		t.Errorf("DELETE = %d, want 202", a.status)
	}
	if a := b.ask(b.token.Text, "DELETE", "/rest/api/1.0/projects/NEW/repos/rocket", ""); a.status != 204 {
		t.Errorf("DELETE of what is gone = %d, want 204", a.status)
	}
	if n := len(b.Webhooks()); n != 0 {
		t.Errorf("webhooks after deletion = %d, want 0", n)
	}
	again := must(b.CreateRepo("NEW", "Rocket"))
	if again.ID == b.repo.ID || again.Slug != b.repo.Slug {
		t.Errorf("re-created %+v, want another id with the same slug", again)
	}
	must(0, b.DeleteProject("NEW"))
	if a := b.get("/projects/NEW"); a.status != 404 {
		t.Errorf("deleted project = %d, want 404", a.status)
	}
	if _, err := filepath.Glob(other.Dir); err != nil || len(b.Repos()) != 0 {
		t.Errorf("repositories left: %v", b.Repos())
	}
}

func TestEditsOverREST(t *testing.T) {
	b := start(t, Options{})
	must(b.CreateRepo("PRJ", "taken"))
	put := func(body string) answer { return b.ask(b.token.Text, "PUT", "/rest/api/1.0"+rocket, body) }
	if a := put(`{"name":"Taken"}`); a.status != 409 || a.exception() != "bitbucket.IntegrityException" {
		t.Errorf("rename to a taken name = %d %s, want 409", a.status, a.exception())
	}
	if a := put(`{"archived":true}`); a.status != 200 || a.json["archived"] != true {
		t.Errorf("archive = %d %v", a.status, a.json["archived"])
	}
	if a := put(`{"name":"Missile"}`); a.status != 200 || a.json["slug"] != "missile" {
		t.Errorf("rename = %d %v, want the new slug", a.status, a.json["slug"])
	}
	a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket, `{"name":"copy","project":{"key":"PRJ"}}`)
	if a.status != 201 || a.header.Get("Location") == "" || a.json["slug"] != "copy" {
		t.Errorf("fork = %d at %q, want 201", a.status, a.header.Get("Location"))
	}
}

func TestManyRepositories(t *testing.T) {
	b := start(t, Options{})
	began := time.Now()
	for p := range 10 {
		key := fmt.Sprintf("P%d", p)
		must(b.CreateProject(key, key))
		for r := range 20 {
			must(b.CreateRepo(key, fmt.Sprintf("r%d", r)))
		}
	}
	t.Logf("created 200 repositories in %v", time.Since(began))
	got, pages := b.walk("/repos", "id", 100)
	if len(got) != 201 || len(pages) != 3 {
		t.Errorf("%d repositories on %d pages, want 201 on 3", len(got), len(pages))
	}
}
