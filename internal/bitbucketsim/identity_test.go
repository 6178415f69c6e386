package bitbucketsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWaysToLoseAccess has one case for each way in which credentials that worked stop to.
func TestWaysToLoseAccess(t *testing.T) {
	const (
		badLogin   = "bitbucket.auth.IncorrectPasswordAuthenticationException"
		noAccess   = "bitbucket.auth.NoAccessAuthenticationException"
		twoStepped = "bitbucket.auth.TwoStepVerificationRequiredException"
	)
	for _, tc := range []struct {
		name   string
		lose   func(*bench, Token) error
		class  string
		text   string
		regain func(*bench, Token) error // nil when it can't be undone
	}{
		{"expired", func(b *bench, k Token) error { return b.ExpireToken(k.ID) }, badLogin, "Authentication failed", func(b *bench, k Token) error { return b.SetTokenExpiry(k.ID, time.Time{}) }},
		{"revoked", func(b *bench, k Token) error { return b.RevokeToken(k.ID) }, badLogin, "Authentication failed", nil},
		{"owner disabled", func(b *bench, _ Token) error { return b.SetActive("dev", false) }, badLogin, "", func(b *bench, _ Token) error { return b.SetActive("dev", true) }},
		{"owner deleted", func(b *bench, _ Token) error { return b.DeleteUser("dev") }, badLogin, "", nil},
		{"owner without a licence", func(b *bench, _ Token) error { return b.SetLicensed("dev", false) }, noAccess, "not currently licensed", func(b *bench, _ Token) error { return b.SetLicensed("dev", true) }},
		{"instance without a licence", func(b *bench, _ Token) error { b.SetLicenceValid(false); return nil }, noAccess, "not currently licensed", func(b *bench, _ Token) error { b.SetLicenceValid(true); return nil }},
		{"two-step verification", func(b *bench, _ Token) error { return b.SetTwoStep("dev", true) }, twoStepped, "Two-step verification", func(b *bench, _ Token) error { return b.SetTwoStep("dev", false) }},
		{"permission withdrawn", func(b *bench, _ Token) error { return b.GrantRepo("dev", b.repo.ID, "") }, authorisation, "not permitted", func(b *bench, _ Token) error { return b.GrantRepo("dev", b.repo.ID, "REPO_READ") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := start(t, Options{})
			b.commit("", "f", "x")
			must(b.CreateUser(User{Name: "dev"}))
			must(0, b.GrantRepo("dev", b.repo.ID, "REPO_READ"))
			k := b.newToken("dev", "REPO_READ")
			get := func() answer { return b.ask(k.Text, "GET", "/rest/api/1.0"+rocket, "") }
			if a := get(); a.status != 200 {
				t.Fatalf("before: %d, want 200", a.status)
			}
			must(0, tc.lose(b, k))
			a := get()
			if a.status != 401 || a.exception() != tc.class || !strings.Contains(string(a.body), tc.text) {
				t.Errorf("answer = %d %s, want 401 %s", a.status, a.body, tc.class)
			}
			if stays := tc.class == authorisation; (a.header.Get("X-AUSERNAME") == "dev") != stays {
				t.Errorf("X-AUSERNAME = %q", a.header.Get("X-AUSERNAME"))
			}
			probe := b.ask(k.Text, "GET", "/rest/api/1.0/application-properties", "")
			if probe.status != 200 || (probe.header.Get("X-AUSERNAME") == "dev") != (tc.class == authorisation) {
				t.Errorf("application-properties = %d as %q, want 200, anonymous unless only the permission went", probe.status, probe.header.Get("X-AUSERNAME"))
			}
			if _, err := b.git(k.Text, "ls-remote", b.CloneURL(b.repo.ID)); err == nil {
				t.Error("git still works")
			}
			if tc.regain == nil {
				return
			}
			must(0, tc.regain(b, k))
			if a := get(); a.status != 200 {
				t.Errorf("afterwards: %d, want 200", a.status)
			}
		})
	}
}

func TestFormsOfRefusal(t *testing.T) {
	b := start(t, Options{})
	for _, tc := range []struct {
		name   string
		form   Refusal
		status int
		body   string
	}{
		{"document", RefuseJSON, 401, `{"errors":`},
		{"empty", RefuseEmpty, 401, ""},
		{"page", RefuseHTML, 401, "<!DOCTYPE html>"},
		{"login page", RefuseLogin, 200, "<!DOCTYPE html>"},
	} {
		b.SetRefusal(tc.form)
		a := b.ask("nonsense", "GET", "/rest/api/1.0"+rocket, "")
		if a.status != tc.status || !strings.HasPrefix(string(a.body), tc.body) || tc.body == "" && len(a.body) > 0 {
			t.Errorf("%s: %d %q, want %d %q", tc.name, a.status, a.body, tc.status, tc.body)
		}
		if a := b.get(rocket); a.status != 200 || a.json["slug"] != "rocket" {
			t.Errorf("%s: a good token gets %d", tc.name, a.status)
		}
	}
}

func TestServiceUsers(t *testing.T) {
	b := start(t, Options{})
	other := must(b.CreateRepo("PRJ", "other"))
	for _, tc := range []struct {
		spec  TokenSpec
		other int
	}{{TokenSpec{Project: "PRJ", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}}, 200}, {TokenSpec{Repo: b.repo.ID, Permissions: []string{"REPO_ADMIN"}}, 401}} {
		k := must(b.CreateToken(tc.spec))
		a := b.ask(k.Text, "GET", "/rest/api/1.0"+rocket, "")
		if name := a.header.Get("X-AUSERNAME"); a.status != 200 || !strings.HasPrefix(name, "access-token-user/") {
			t.Errorf("own repository = %d as %q, want 200 as a service user", a.status, name)
		}
		if a := b.ask(k.Text, "GET", "/rest/api/1.0/projects/PRJ/repos/"+other.Slug, ""); a.status != tc.other {
			t.Errorf("another repository = %d, want %d", a.status, tc.other)
		}
		user := b.ask(k.Text, "GET", "/rest/api/1.0/users/"+userSlug(k.User), "")
		if user.json["type"] != "SERVICE" || user.json["emailAddress"] != nil || !strings.Contains(string(user.body), "/bots/access-token-user_") {
			t.Errorf("service user = %s", user.body)
		}
		req := must(http.NewRequest("GET", b.URL()+"/rest/api/1.0"+rocket, nil))
		req.SetBasicAuth(k.User, k.Text)
		if got := b.do(req).status; got != 401 {
			t.Errorf("Basic = %d, want 401: Bearer only", got)
		}
	}
	if _, err := b.CreateToken(TokenSpec{Repo: b.repo.ID, Permissions: []string{"PROJECT_READ"}}); err == nil {
		t.Error("a repository token with a project permission was accepted")
	}
	if _, err := b.CreateToken(TokenSpec{User: "admin", Permissions: []string{"REPO_READ", "REPO_ADMIN"}}); err == nil {
		t.Error("two permissions of a family were accepted")
	}
}

func TestTokensByOwner(t *testing.T) {
	b := start(t, Options{})
	expires := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	k := must(b.CreateToken(TokenSpec{User: "admin", Name: "magpie", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}, Expiry: expires}))
	read := func(token, path string) answer { return b.ask(token, "GET", "/rest/access-tokens/latest"+path, "") }
	if a := read(k.Text, "/users/admin"); a.status != 401 || a.exception() != authorisation {
		t.Errorf("a token reads = %d %s, want 401", a.status, a.exception())
	}
	b.SetTokensSeeTokens(true)
	a := read(k.Text, "/users/admin/"+k.ID)
	if a.status != 200 || a.json["expiryDate"] != float64(expires.UnixMilli()) || a.json["id"] != k.ID || a.json["lastAuthenticated"] == nil || a.json["token"] != nil {
		t.Errorf("token = %d %s, want its expiry and not itself", a.status, a.body)
	}
	if a := read(b.token.Text, "/users/admin"); len(a.json["values"].([]any)) != 2 || strings.Count(string(a.body), "expiryDate") != 1 {
		t.Errorf("list = %s, want two, of which one expires", a.body)
	}
	must(b.CreateUser(User{Name: "dev", Password: "also made up"}))
	if a := read(b.newToken("dev", "REPO_READ").Text, "/users/admin"); a.status != 401 {
		t.Errorf("somebody else's tokens = %d, want 401", a.status)
	}
	if a := read(k.Text, "/users/nobody"); a.status != 404 {
		t.Errorf("tokens of nobody = %d, want 404", a.status)
	}
	if a := b.ask(k.Text, "DELETE", "/rest/access-tokens/latest/users/admin/"+k.ID, ""); a.status != 401 {
		t.Errorf("a token deletes = %d, want 401", a.status)
	}
	req := must(http.NewRequest("POST", b.URL()+"/rest/access-tokens/latest/users/admin/"+k.ID, strings.NewReader(`{"name":"new","permissions":["REPO_READ"]}`)))
	req.SetBasicAuth("admin", adminPassword)
	if a := b.do(req); a.status != 200 || a.json["name"] != "new" || fmt.Sprint(a.json["permissions"]) != "[REPO_READ]" {
		t.Errorf("update = %d %s", a.status, a.body)
	}
}

func TestRenamedUser(t *testing.T) {
	b := start(t, Options{})
	must(b.CreateUser(User{Name: "dev"}))
	must(b.CreatePersonalProject("dev"))
	r := must(b.CreateRepo("~dev", "mine"))
	k := b.newToken("dev", "REPO_ADMIN")
	must(0, b.RenameUser("dev", "John.Doe@example.com"))
	a := b.ask(k.Text, "GET", "/rest/api/1.0/projects/~dev/repos/mine", "")
	if a.status != 200 || a.header.Get("X-AUSERNAME") != "John.Doe@example.com" {
		t.Errorf("old address = %d as %q", a.status, a.header.Get("X-AUSERNAME"))
	}
	if got := a.json["project"].(map[string]any)["key"]; got != "~JOHN.DOE_EXAMPLE.COM" || !strings.HasSuffix(b.CloneURL(r.ID), "/scm/~john.doe_example.com/mine.git") {
		t.Errorf("key = %v, clone %s", got, b.CloneURL(r.ID))
	}
}
