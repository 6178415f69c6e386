package bitbucketsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	authorisation = "bitbucket.AuthorisationException"
	authRequired  = "plugins.rest.api.security.exception.AuthenticationRequiredException"
	badPassword   = "bitbucket.auth.IncorrectPasswordAuthenticationException"
	noAccess      = "bitbucket.auth.NoAccessAuthenticationException"
)

func TestApplicationProperties(t *testing.T) {
	b := start(t, Options{Version: "7.11.2"})
	const path = "/rest/api/1.0/application-properties"
	want := map[string]any{"version": "7.11.2", "buildNumber": "7011002", "buildDate": "1718000000000", "displayName": "Bitbucket"}
	for _, tc := range []struct{ name, token, user string }{
		{"anonymous", "", ""},
		{"bad token", "nonsense", ""},
		{"good token", b.token.Text, "admin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.ask(tc.token, "GET", path, "")
			if diff := cmp.Diff(want, a.json); a.status != 200 || diff != "" {
				t.Errorf("status %d, body (-want +got):\n%s", a.status, diff)
			}
			if got := a.header.Get("X-AUSERNAME"); got != tc.user {
				t.Errorf("X-AUSERNAME = %q, want %q", got, tc.user)
			}
			who := b.ask(tc.token, "GET", "/plugins/servlet/applinks/whoami", "")
			if got := string(who.body); who.status != 200 || got != tc.user {
				t.Errorf("whoami = %d %q, want 200 %q", who.status, got, tc.user)
			}
		})
	}
	b.SetStrictProbe(true)
	if a := b.ask("nonsense", "GET", path, ""); a.status != 401 {
		t.Errorf("strict probe with a bad token = %d, want 401", a.status)
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, version     string
		token             func(*bench) string
		path              string
		status            int
		exception, header string
	}{
		{"anonymous 9.x", "9.4.0", nobody, rocket, 401, authRequired, ""},
		{"anonymous 8.x", "8.9.0", nobody, rocket, 401, authorisation, ""},
		{"bad token", "9.4.0", func(*bench) string { return "nonsense" }, rocket, 401, badPassword, ""},
		{"expired", "9.4.0", func(b *bench) string { b.ExpireToken(b.token.ID); return b.token.Text }, rocket, 401, badPassword, ""},
		{"revoked", "9.4.0", func(b *bench) string { b.RevokeToken(b.token.ID); return b.token.Text }, rocket, 401, badPassword, ""},
		{"unlicensed", "9.4.0", func(b *bench) string { b.SetLicensed("admin", false); return b.token.Text }, rocket, 401, noAccess, ""},
		{"not allowed", "9.4.0", outsider, rocket, 401, authorisation, "dev"},
		{"no repository", "9.4.0", adminToken, "/projects/PRJ/repos/nope", 404, "bitbucket.repository.NoSuchRepositoryException", "admin"},
		{"no project", "9.4.0", adminToken, "/projects/NOPE", 404, "bitbucket.project.NoSuchProjectException", "admin"},
		{"no commit", "9.4.0", adminToken, rocket + "/commits/" + strings.Repeat("a", 40), 404, "bitbucket.commit.NoSuchCommitException", "admin"},
		{"ref as commit", "9.4.0", adminToken, rocket + "/commits/main", 404, "bitbucket.commit.NoSuchCommitException", "admin"},
		{"no tag", "9.4.0", adminToken, rocket + "/tags/nope", 404, "", "admin"},
		{"admin interface", "9.4.0", adminToken, "/admin/permissions/users", 401, authorisation, "admin"},
		{"read token asks for webhooks", "9.4.0", readToken, rocket + "/webhooks", 401, authorisation, "admin"},
		{"read token asks for activities", "9.4.0", readToken, rocket + "/ref-change-activities", 401, authorisation, "admin"},
		{"bad permission", "9.4.0", adminToken, "/projects?permission=NOPE", 400, "", "admin"},
		{"bad visibility", "9.4.0", adminToken, "/repos?visibility=odd", 400, "", "admin"},
		{"bad start", "9.4.0", adminToken, "/repos?start=x", 400, "", "admin"},
		{"unknown route", "9.4.0", adminToken, "/nope", 404, "", "admin"},
		{"webhook id no number", "9.4.0", adminToken, rocket + "/webhooks/nope", 404, "", "admin"},
		{"project webhooks of 8.5", "8.5.0", adminToken, "/projects/PRJ/webhooks", 404, "", "admin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, Options{Version: tc.version})
			a := b.ask(tc.token(b), "GET", "/rest/api/latest"+tc.path, "")
			if a.status != tc.status || a.exception() != tc.exception {
				t.Errorf("got %d %q, want %d %q; body %s", a.status, a.exception(), tc.status, tc.exception, a.body)
			}
			if got := a.header.Get("X-AUSERNAME"); got != tc.header {
				t.Errorf("X-AUSERNAME = %q, want %q", got, tc.header)
			}
		})
	}
}

func nobody(*bench) string       { return "" }
func adminToken(b *bench) string { return b.token.Text }
func readToken(b *bench) string  { return b.newToken("admin", "REPO_READ", "PROJECT_READ").Text }
func outsider(b *bench) string {
	must(b.CreateUser(User{Name: "dev"}))
	return b.newToken("dev", "REPO_ADMIN", "PROJECT_ADMIN").Text
}

func TestBasicAuthentication(t *testing.T) {
	b := start(t, Options{})
	project := must(b.CreateToken(TokenSpec{Project: "PRJ"}))
	for _, tc := range []struct {
		name, user, pass string
		status           int
	}{
		{"password", "admin", adminPassword, 200},
		{"own token", "admin", b.token.Text, 200},
		{"wrong password", "admin", "nope", 401},
		{"project token", project.User, project.Text, 401},
		{"project token as its owner", "x-token-auth", project.Text, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := must(http.NewRequest("GET", b.URL()+"/rest/api/1.0"+rocket, nil))
			req.SetBasicAuth(tc.user, tc.pass)
			if got := b.do(req).status; got != tc.status {
				t.Errorf("status = %d, want %d", got, tc.status)
			}
		})
	}
	if a := b.ask(project.Text, "GET", "/rest/api/1.0"+rocket, ""); a.status != 200 || a.header.Get("X-AUSERNAME") != project.User {
		t.Errorf("project token as Bearer = %d as %q, want 200 as %q", a.status, a.header.Get("X-AUSERNAME"), project.User)
	}
	b.SetBasicAuth(false)
	req := must(http.NewRequest("GET", b.URL()+"/rest/api/1.0"+rocket, nil))
	req.SetBasicAuth("admin", b.token.Text)
	if got := b.do(req).status; got != 401 {
		t.Errorf("with Basic switched off = %d, want 401", got)
	}
}

func TestHeaders(t *testing.T) {
	b := start(t, Options{})
	a := b.get(rocket)
	for name, want := range map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff", "X-Ausername": "admin",
		"Vary": "x-ausername,x-auserid,cookie,accept-encoding",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(a.header.Get("X-AREQUESTID"), "@") || a.header.Get("X-AUSERID") == "" || a.header.Get("Set-Cookie") == "" {
		t.Errorf("request id, user id or cookie is missing: %v", a.header)
	}
	req := must(http.NewRequest("GET", b.URL()+"/rest/api/1.0"+rocket, nil))
	req.Header.Set("Accept", "text/html")
	if a := b.do(req); a.status != http.StatusNotAcceptable || len(a.body) != 0 {
		t.Errorf("Accept text/html = %d %q, want 406 and nothing", a.status, a.body)
	}
}

// walk pages through a list the right way and returns the values' field and all pages.
func (b *bench) walk(path, field string, limit int) (values []string, pages []map[string]any) {
	b.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for start := 0; ; {
		a := b.get(fmt.Sprintf("%s%sstart=%d&limit=%d", path, sep, start, limit))
		if a.status != 200 {
			b.Fatalf("GET %s: %d %s", path, a.status, a.body)
		}
		pages = append(pages, a.json)
		for _, v := range a.json["values"].([]any) {
			values = append(values, fmt.Sprint(v.(map[string]any)[field]))
		}
		if a.json["isLastPage"] == true {
			return values, pages
		}
		start = int(a.json["nextPageStart"].(float64))
	}
}

func TestFilteredPages(t *testing.T) {
	b := start(t, Options{})
	want := []string{"rocket"}
	for i := range 6 {
		want = append(want, must(b.CreateRepo("PRJ", fmt.Sprintf("z%d", i))).Slug)
	}
	for _, sparse := range []bool{false, true} {
		b.SetSparsePages(sparse)
		for _, limit := range []int{1, 2, 5, 100} {
			t.Run(fmt.Sprintf("limit %d sparse %v", limit, sparse), func(t *testing.T) {
				got, pages := b.walk("/repos", "slug", limit)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("slugs (-want +got):\n%s", diff)
				}
				first, last := pages[0], pages[len(pages)-1]
				if _, there := last["nextPageStart"]; there {
					t.Error("the last page has nextPageStart, want none")
				}
				if limit == 1 && !sparse && first["nextPageStart"] != 2.0 {
					t.Errorf("nextPageStart after one value = %v, want 2: the cursor counts hidden rows", first["nextPageStart"])
				}
				if limit == 1 && sparse && pages[1]["size"] != 0.0 {
					t.Errorf("size of the second page = %v, want 0", pages[1]["size"])
				}
			})
		}
	}
}

func TestLimitIsClampedAndEchoed(t *testing.T) {
	b := start(t, Options{})
	for _, tc := range []struct {
		limit string
		want  float64
	}{{"", 25}, {"&limit=1000", 1000}, {"&limit=99999", 1000}} {
		if got := b.get("/repos?start=0" + tc.limit).json["limit"]; got != tc.want {
			t.Errorf("limit echoed for %q = %v, want %v", tc.limit, got, tc.want)
		}
	}
	b.SetMaxLimit(7)
	if got := b.get("/repos?limit=50").json["limit"]; got != 7.0 {
		t.Errorf("limit echoed = %v, want 7", got)
	}
}

func TestStreamedPagesEndWithNull(t *testing.T) {
	b := start(t, Options{})
	for i := range 3 {
		b.commit("", "f", fmt.Sprint(i))
	}
	a := b.get(rocket + "/commits?limit=2")
	if a.json["nextPageStart"] != 2.0 {
		t.Errorf("nextPageStart = %v, want 2", a.json["nextPageStart"])
	}
	a = b.get(rocket + "/commits?limit=2&start=2")
	if next, there := a.json["nextPageStart"]; !there || next != nil || a.json["isLastPage"] != true {
		t.Errorf("last page = %s, want nextPageStart null", a.body)
	}
	if !strings.HasPrefix(string(a.body), `{"values":`) {
		t.Errorf("a streamed page starts with %.20s, want the values", a.body)
	}
}

func TestListsByVersionAndKind(t *testing.T) {
	setUp := func(t *testing.T, version string) *bench {
		b := start(t, Options{Version: version})
		must(b.CreateUser(User{Name: "dev"}))
		must(b.CreatePersonalProject("dev"))
		must(b.CreateRepo("~dev", "mine"))
		old := must(b.CreateRepo("PRJ", "old"))
		must(0, b.Archive(old.ID, true))
		return b
	}
	for _, tc := range []struct {
		version, path string
		want          []string
	}{
		{"9.4.0", "/repos", []string{"mine", "rocket"}},
		{"9.4.0", "/repos?archived=ALL", []string{"mine", "old", "rocket"}},
		{"9.4.0", "/repos?archived=ARCHIVED", []string{"old"}},
		{"9.4.0", "/repos?projectkey=PRJ", []string{"rocket"}},
		{"9.4.0", "/repos?permission=REPO_ADMIN&name=ROCK", []string{"rocket"}},
		{"9.4.0", "/repos?visibility=public", nil},
		{"9.4.0", "/repos?state=INITIALISING", nil},
		{"7.6.5", "/repos", []string{"mine", "old", "rocket"}},
		{"7.6.5", "/repos?archived=ARCHIVED&projectkey=PRJ", []string{"mine", "old", "rocket"}},
		{"9.4.0", "/projects/PRJ/repos", []string{"old", "rocket"}},
		{"9.4.0", "/projects/~dev/repos", []string{"mine"}},
	} {
		t.Run(tc.version+tc.path, func(t *testing.T) {
			b := setUp(t, tc.version)
			got, _ := b.walk(tc.path, "slug", 10)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("slugs (-want +got):\n%s", diff)
			}
		})
	}
	b := setUp(t, "9.4.0")
	if got, _ := b.walk("/projects", "key", 10); !cmp.Equal(got, []string{"PRJ"}) {
		t.Errorf("projects = %v, want PRJ without the personal one", got)
	}
	personal := b.get("/projects/~dev").json
	if _, public := personal["public"]; public || personal["type"] != "PERSONAL" || personal["key"] != "~DEV" {
		t.Errorf("personal project = %v, want type PERSONAL, key ~DEV and no public", personal)
	}
}

func TestTokensLimitTheirOwners(t *testing.T) {
	b := start(t, Options{})
	must(b.CreateUser(User{Name: "dev"}))
	must(0, b.GrantRepo("dev", b.repo.ID, "REPO_WRITE"))
	for _, tc := range []struct {
		name        string
		permissions []string
		path        string
		status      int
		count       int // of the values, where there are some
	}{
		{"token above owner", []string{"REPO_ADMIN"}, "/repos?permission=REPO_ADMIN", 200, 0},
		{"owner's own level", []string{"REPO_ADMIN"}, "/repos?permission=REPO_WRITE", 200, 1},
		{"token below owner", []string{"REPO_READ"}, "/repos?permission=REPO_WRITE", 200, 0},
		{"project read missing", []string{"REPO_READ"}, "/projects", 200, 0},
		{"project seen by its repository", []string{"REPO_READ", "PROJECT_READ"}, "/projects", 200, 1},
		{"no admin of the project", []string{"REPO_READ", "PROJECT_ADMIN"}, "/projects?permission=PROJECT_ADMIN", 200, 0},
		{"webhooks", []string{"REPO_ADMIN"}, rocket + "/webhooks", 401, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.ask(b.newToken("dev", tc.permissions...).Text, "GET", "/rest/api/1.0"+tc.path, "")
			if a.status != tc.status {
				t.Fatalf("status = %d, want %d", a.status, tc.status)
			}
			if values, ok := a.json["values"].([]any); ok && len(values) != tc.count {
				t.Errorf("values = %d, want %d", len(values), tc.count)
			}
		})
	}
}

func TestTokenREST(t *testing.T) {
	b := start(t, Options{})
	call := func(method, path, body string) answer {
		req := must(http.NewRequest(method, b.URL()+"/rest/access-tokens/1.0"+path, strings.NewReader(body)))
		req.SetBasicAuth("admin", adminPassword)
		return b.do(req)
	}
	made := call("PUT", "/users/admin", `{"name":"x","permissions":["REPO_READ","PROJECT_READ"],"expiryDays":2}`)
	text, _ := made.json["token"].(string)
	if made.status != 200 || text == "" || made.json["expiryDate"] == nil {
		t.Fatalf("created = %d, token given %v, want 200 and a token with its expiry", made.status, text != "")
	}
	if a := b.ask(text, "GET", "/rest/api/1.0"+rocket, ""); a.status != 200 {
		t.Errorf("using it = %d, want 200", a.status)
	}
	path := fmt.Sprint("/users/admin/", made.json["id"])
	if a := call("GET", path, ""); a.status != 200 || a.json["token"] != nil || a.json["lastAuthenticated"] == nil {
		t.Errorf("reading it = %d %v, want no text and its last use", a.status, a.json)
	}
	if a := call("DELETE", path, ""); a.status != 204 {
		t.Errorf("deleting it = %d, want 204", a.status)
	}
	if a := b.ask(text, "GET", "/rest/api/1.0"+rocket, ""); a.status != 401 {
		t.Errorf("using it afterwards = %d, want 401", a.status)
	}
	for _, p := range []string{"ADMIN", "NOPE"} {
		if a := call("PUT", "/users/admin", `{"name":"x","permissions":["`+p+`"]}`); a.status != 400 {
			t.Errorf("permission %s = %d, want 400", p, a.status)
		}
	}
	if a := b.ask(b.token.Text, "GET", "/rest/access-tokens/1.0/users/admin", ""); a.status != 401 || a.exception() != authorisation {
		t.Errorf("a token listing tokens = %d %s, want 401 %s", a.status, a.exception(), authorisation)
	}
}

func TestTokenExpiresByTheClock(t *testing.T) {
	clock := &fakeClock{now: testDate}
	b := start(t, Options{Now: clock.Now})
	tok := must(b.CreateToken(TokenSpec{User: "admin", Expiry: testDate.Add(time.Hour)}))
	for _, want := range []int{200, 401} {
		if a := b.ask(tok.Text, "GET", "/rest/api/1.0"+rocket, ""); a.status != want || (a.header.Get("X-AUSERNAME") != "") != (want == 200) {
			t.Errorf("at %v: %d as %q, want %d", clock.Now(), a.status, a.header.Get("X-AUSERNAME"), want)
		}
		clock.advance(time.Hour)
	}
}

func TestUsers(t *testing.T) {
	b := start(t, Options{})
	slug := must(b.CreateUser(User{Name: "John.Doe@domain.example.com", DisplayName: "John"}))
	if slug != "john.doe_domain.example.com" {
		t.Errorf("slug = %q, want @ replaced", slug)
	}
	if got := b.get("/users/" + slug).json["name"]; got != "John.Doe@domain.example.com" {
		t.Errorf("name = %v", got)
	}
	if got, _ := b.walk("/users?filter=JOHN", "slug", 10); !cmp.Equal(got, []string{slug}) {
		t.Errorf("users by filter = %v, want %s", got, slug)
	}
	if got, _ := b.walk("/users?permission=SYS_ADMIN", "slug", 10); !cmp.Equal(got, []string{"admin"}) {
		t.Errorf("users with SYS_ADMIN = %v, want admin", got)
	}
	tok := b.newToken(slug, "REPO_READ")
	if got := b.ask(tok.Text, "GET", "/rest/capabilities", "").header.Get("X-AUSERNAME"); got != "John.Doe@domain.example.com" {
		t.Errorf("X-AUSERNAME = %q, want the name, not the slug", got)
	}
}

func TestCloneLinks(t *testing.T) {
	b := start(t, Options{ContextPath: "/bitbucket"})
	other := must(b.CreateRepo("PRJ", "other"))
	for b.repo.ID%2 == other.ID%2 {
		other = must(b.CreateRepo("PRJ", fmt.Sprint("other", other.ID)))
	}
	names := func(slug string) (order string, https string) {
		for _, l := range b.get("/projects/PRJ/repos/" + slug).json["links"].(map[string]any)["clone"].([]any) {
			link := l.(map[string]any)
			order += link["name"].(string) + " "
			if link["name"] == "http" {
				https = link["href"].(string)
			}
		}
		return
	}
	one, href := names("rocket")
	two, _ := names(other.Slug)
	if one == two {
		t.Errorf("both repositories list their clone links as %q, want both orders", one)
	}
	if want := b.URL() + "/scm/prj/rocket.git"; href != want || !strings.Contains(href, "/bitbucket/scm/") {
		t.Errorf("http link = %q, want %q", href, want)
	}
	must(0, b.SetRepoHTTPHosting(b.repo.ID, false))
	if order, _ := names("rocket"); order != "ssh " {
		t.Errorf("links without HTTP hosting = %q, want ssh only", order)
	}
}

func TestFaults(t *testing.T) {
	b := start(t, Options{})
	for _, tc := range []struct {
		name, contains string
		set            func()
		status         int
	}{
		{"maintenance", "<html>", func() { b.SetMaintenance(true) }, 503},
		{"json", `"errors"`, func() { b.SetMaintenance(false); b.FailRequests(1, 500) }, 500},
		{"html", "<html>", func() { b.SetFailures(Failure{Share: 1, Status: 502, Body: BodyHTML}) }, 502},
		{"empty", "", func() { b.SetFailures(Failure{Share: 1, Status: 401, Body: BodyEmpty}) }, 401},
		{"other path", `"slug"`, func() { b.SetFailures(Failure{Share: 1, Status: 500, Path: "/webhooks"}) }, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.set()
			a := b.get(rocket)
			if a.status != tc.status || !strings.Contains(string(a.body), tc.contains) || tc.contains == "" && len(a.body) != 0 {
				t.Errorf("got %d %q, want %d with %q", a.status, a.body, tc.status, tc.contains)
			}
		})
	}
}

func TestHungRequests(t *testing.T) {
	b := start(t, Options{})
	b.HangRequests(1)
	c := b.Client()
	c.Timeout = 50 * time.Millisecond
	if _, err := c.Get(b.URL() + "/rest/api/1.0/application-properties"); err == nil {
		t.Error("a hung request was answered")
	}
	b.HangRequests(0)
	if a := b.get(rocket); a.status != 200 {
		t.Errorf("after hanging = %d, want 200", a.status)
	}
}

func TestRateLimit(t *testing.T) {
	clock := &fakeClock{now: testDate}
	b := start(t, Options{Now: clock.Now})
	b.SetRateLimit(RateLimit{Capacity: 2, FillRate: 0.5})
	statuses := func(n int) (got []int) {
		for range n {
			got = append(got, b.get(rocket).status)
		}
		return
	}
	if got := statuses(3); !cmp.Equal(got, []int{200, 200, 429}) {
		t.Errorf("statuses = %v, want two allowed", got)
	}
	a := b.get(rocket)
	if a.header.Get("Retry-After") != "5" || !strings.Contains(string(a.body), "rate") {
		t.Errorf("Retry-After %q, body %s, want 5 and a word of rate", a.header.Get("Retry-After"), a.body)
	}
	if out, err := b.git(b.token.Text, "ls-remote", b.CloneURL(b.repo.ID)); err == nil || !strings.Contains(out, "429") {
		t.Errorf("git with an empty bucket: %v %s, want 429", err, out)
	}
	if a := b.ask("", "GET", "/rest/api/1.0/application-properties", ""); a.status != 200 {
		t.Errorf("anonymous = %d, want 200", a.status)
	}
	clock.advance(2 * time.Second)
	if got := statuses(2); !cmp.Equal(got, []int{200, 429}) {
		t.Errorf("statuses after two seconds = %v, want one allowed", got)
	}
}

func TestCounts(t *testing.T) {
	b := start(t, Options{ContextPath: "/stash"})
	b.ResetCounts()
	b.get(rocket)
	b.get(rocket + "/webhooks")
	b.get(rocket + "/webhooks")
	b.mustGit("ls-remote", b.CloneURL(b.repo.ID))
	got := b.Counts()
	want := map[string]int{
		"GET /projects/{key}/repos/{slug}": 1, "GET /projects/{key}/repos/{slug}/webhooks": 2, "git info/refs": 1, "git upload-pack": 1,
	}
	if diff := cmp.Diff(want, got.Endpoints); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if got.Total != 5 || got.Statuses[200] != 5 || got.WithCookies != 0 {
		t.Errorf("total %d, 200s %d, with cookies %d; want 5, 5, 0", got.Total, got.Statuses[200], got.WithCookies)
	}
}

func TestContent(t *testing.T) {
	b := start(t, Options{})
	if got := b.get(rocket + "/default-branch").status; got != 204 {
		t.Errorf("default branch of an empty repository = %d, want 204", got)
	}
	done := b.push(Push{Repo: b.repo.ID, Commits: []Commit{
		{Date: testDate, Message: "first", Files: map[string]string{"a.txt": "one\ntwo\n", "dir/b.bin": "\x00\x01"}},
		{Date: testDate.Add(time.Hour), Branch: "topic", Parents: []string{":1"}, Author: "Eve", Email: "eve@else.example.com", Files: map[string]string{"c": "c"}},
		{Date: testDate.Add(2 * time.Hour), Message: "merge", Parents: []string{":1", "topic"}, Delete: []string{"a.txt"}},
	}, Tags: []Tag{{Name: "light", Target: ":1"}, {Name: "annotated", Target: ":1", Message: "tag", Date: testDate}}})
	tags, _ := b.walk(rocket+"/tags", "hash", 10)
	if len(tags) != 2 || tags[1] != "<nil>" || tags[0] == done.Commits[0] {
		t.Errorf("tag hashes = %v, want the tag object and nil", tags)
	}
	if got := b.get(rocket + "/commits/" + tags[0]).json["id"]; got != done.Commits[0] {
		t.Errorf("commit by a tag object = %v, want the peeled %s", got, done.Commits[0])
	}
	if got, _ := b.walk(rocket+"/commits", "message", 10); !cmp.Equal(got, []string{"merge", "change", "first"}) {
		t.Errorf("messages = %v", got)
	}
	if got, _ := b.walk(rocket+"/commits?merges=exclude&until=main", "id", 10); len(got) != 2 {
		t.Errorf("commits without merges = %v, want 2", got)
	}
	eve := b.get(rocket + "/commits/" + done.Commits[1]).json["author"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"name": "Eve", "emailAddress": "eve@else.example.com"}, eve); diff != "" {
		t.Errorf("an author nobody knows (-want +got):\n%s", diff)
	}
	if got := b.get(rocket + "/raw/a.txt?at=refs/tags/light").body; string(got) != "one\ntwo\n" {
		t.Errorf("raw = %q", got)
	}
	if a := b.get(rocket + "/raw/a.txt"); a.status != 404 {
		t.Errorf("raw of a deleted file = %d, want 404", a.status)
	}
	if got := b.get(rocket + "/browse/a.txt?at=light&start=1").json["lines"]; !cmp.Equal(got, []any{map[string]any{"text": "two"}}) {
		t.Errorf("lines = %v, want the second", got)
	}
	if got := b.get(rocket + "/browse/dir/b.bin").json["binary"]; got != true {
		t.Errorf("binary = %v, want true", got)
	}
	var files struct{ Values []string }
	json.Unmarshal(b.get(rocket+"/files").body, &files)
	if diff := cmp.Diff([]string{"dir/b.bin"}, files.Values); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	must(0, b.SetDefaultBranch(b.repo.ID, "nope"))
	if got := b.get(rocket + "/branches/default").status; got != 404 {
		t.Errorf("missing default branch = %d, want 404", got)
	}
}
