package bitbucketsim

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBusyGit(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "x")
	for _, protocol := range []string{"protocol.version=0", "protocol.version=2"} {
		b.SetBusy(Busy{Share: 1, Wait: 10 * time.Millisecond})
		out, err := b.git(b.token.Text, "-c", protocol, "ls-remote", b.CloneURL(b.repo.ID))
		if err == nil || !strings.Contains(out, "under heavy load") {
			t.Errorf("%s: ls-remote: %v %q, want the server's sentence", protocol, err, out)
		}
		b.SetBusy(Busy{Share: 1, FetchesOnly: true})
		if out, err := b.git(b.token.Text, "-c", protocol, "ls-remote", b.CloneURL(b.repo.ID)); err != nil {
			t.Errorf("%s: listing refs while only fetches are refused: %v %s", protocol, err, out)
		}
		out, err = b.git(b.token.Text, "-c", protocol, "clone", b.CloneURL(b.repo.ID), filepath.Join(t.TempDir(), "x"))
		if err == nil || !strings.Contains(out, "under heavy load") {
			t.Errorf("%s: clone: %v %q, want the server's sentence", protocol, err, out)
		}
		b.SetBusy(Busy{})
		b.mustGit("-c", protocol, "clone", "-q", b.CloneURL(b.repo.ID), filepath.Join(t.TempDir(), "x"))
	}
	if a := b.get(rocket); a.status != 200 {
		t.Errorf("REST while git is busy = %d, want 200", a.status)
	}
}

func TestRepositoriesThatAreNotAvailable(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "x")
	for _, state := range []string{"INITIALISING", "INITIALISATION_FAILED", "OFFLINE"} {
		must(0, b.SetRepoState(b.repo.ID, state))
		if a := b.get(rocket); a.status != 200 || a.json["state"] != state {
			t.Errorf("%s: repository = %d %v", state, a.status, a.json["state"])
		}
		if ids, _ := b.walk("/repos?state=AVAILABLE", "slug", 5); len(ids) != 0 {
			t.Errorf("%s: available = %v, want none", state, ids)
		}
		if _, err := b.git(b.token.Text, "ls-remote", b.CloneURL(b.repo.ID)); err == nil {
			t.Errorf("%s: git works", state)
		}
	}
	must(0, b.SetRepoState(b.repo.ID, "AVAILABLE"))
	for _, on := range []bool{false, true} {
		must(0, b.SetRepoHTTPHosting(b.repo.ID, on))
		if _, err := b.git(b.token.Text, "ls-remote", b.CloneURL(b.repo.ID)); (err == nil) != on {
			t.Errorf("hosting of the repository %v: %v", on, err)
		}
	}
	b.SetHTTPHosting(false)
	if _, err := b.git(b.token.Text, "ls-remote", b.CloneURL(b.repo.ID)); err == nil {
		t.Error("git works with hosting off")
	}
	b.SetHTTPHosting(true)
	b.mustGit("ls-remote", b.CloneURL(b.repo.ID))
}

func TestGitAndRESTMayDifferAtOldAddresses(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "x")
	old := b.CloneURL(b.repo.ID)
	must(b.CreatePersonalProject("admin"))
	must(0, b.Move(b.repo.ID, "~admin"))
	b.SetGitRenameMode(RenameGone)
	if a := b.get(rocket); a.status != 200 || a.json["project"].(map[string]any)["type"] != "PERSONAL" {
		t.Errorf("REST at the old address = %d, want 200 and the personal project", a.status)
	}
	if _, err := b.git(b.token.Text, "ls-remote", old); err == nil {
		t.Error("git at the old address works")
	}
	b.SetGitRenameMode(RenameRedirect)
	b.mustGit("ls-remote", old)
	a := b.ask(b.token.Text, "DELETE", "/rest/api/1.0"+rocket, "")
	if want := b.URL() + "/rest/api/1.0/projects/~ADMIN/repos/rocket"; a.status != 307 || a.header.Get("Location") != want {
		t.Errorf("DELETE at the old address = %d to %q, want 307 to %q", a.status, a.header.Get("Location"), want)
	}
	again := must(b.CreateRepo("PRJ", "rocket"))
	if a := b.get(rocket); a.json["id"] != float64(again.ID) || len(must(b.Refs(again.ID))) != 0 {
		t.Errorf("the address taken again = %v, want the new repository %d", a.json["id"], again.ID)
	}
	must(0, b.Delete(again.ID))
	if a := b.get(rocket); a.status != 404 {
		t.Errorf("after its deletion = %d, want 404: the old alias went", a.status)
	}
}

func TestFailuresWithHeaders(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "x")
	b.SetFailures(Failure{Share: 1, Status: 429, Body: BodyEmpty, Path: "/scm/", Header: http.Header{"Retry-After": {"3"}}})
	req := must(http.NewRequest("GET", b.CloneURL(b.repo.ID)+"/info/refs?service=git-upload-pack", nil))
	if a := b.do(req); a.status != 429 || a.header.Get("Retry-After") != "3" {
		t.Errorf("git = %d, Retry-After %q, want 429 and 3", a.status, a.header.Get("Retry-After"))
	}
	if a := b.get(rocket); a.status != 200 {
		t.Errorf("REST = %d, want 200", a.status)
	}
}

func TestStuckPages(t *testing.T) {
	b := start(t, Options{})
	must(b.CreateRepos("PRJ", 5, Seed{Commits: -1}))
	b.SetStuckPages(true)
	for _, path := range []string{"/repos", "/projects/PRJ/repos"} {
		a := b.get(path + "?start=2&limit=2")
		if a.json["isLastPage"] != false || a.json["nextPageStart"] != 2.0 {
			t.Errorf("%s = %s, want a next page that starts where this one did", path, a.body)
		}
	}
}

func TestFormsNeedAToken(t *testing.T) {
	b := start(t, Options{})
	for _, tc := range []struct {
		kind, check string
		status      int
	}{{"application/x-www-form-urlencoded", "", 403}, {"multipart/form-data; boundary=x", "", 403}, {"application/x-www-form-urlencoded", "no-check", 200}, {"application/json", "", 200}} {
		req := must(http.NewRequest("PUT", b.URL()+"/rest/api/1.0"+rocket, strings.NewReader(`{"archived":false}`)))
		req.Header.Set("Authorization", "Bearer "+b.token.Text)
		req.Header.Set("Content-Type", tc.kind)
		req.Header.Set("X-Atlassian-Token", tc.check)
		if a := b.do(req); a.status != tc.status {
			t.Errorf("%s, X-Atlassian-Token %q = %d, want %d", tc.kind, tc.check, a.status, tc.status)
		}
	}
}

func TestISOTimesOverREST(t *testing.T) {
	b := start(t, Options{Version: "10.1.0"})
	b.commit("", "f", "x")
	stamp := func() any {
		return b.get(rocket + "/commits").json["values"].([]any)[0].(map[string]any)["authorTimestamp"]
	}
	if got := stamp(); got != float64(testDate.UnixMilli()) {
		t.Errorf("authorTimestamp = %v, want milliseconds", got)
	}
	b.SetISOTimes(true)
	if got := stamp(); got != "2024-05-06T07:08:09.000Z" {
		t.Errorf("authorTimestamp = %v, want text", got)
	}
}

func TestTokenUser(t *testing.T) {
	b := start(t, Options{})
	k := must(b.CreateToken(TokenSpec{Project: "PRJ"}))
	for _, on := range []bool{true, false} {
		b.SetTokenUser(on)
		req := must(http.NewRequest("GET", b.URL()+"/rest/api/1.0"+rocket, nil))
		req.SetBasicAuth("x-token-auth", k.Text)
		if got := b.do(req).status; (got == 200) != on {
			t.Errorf("x-token-auth with the switch %v = %d", on, got)
		}
	}
}
