package ui

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/access"
)

// TestEveryRouteForEveryRole calls each route as each kind of visitor. Who lacks the permission is refused before the
// handler looks at anything; who has it gets an answer of the handler, whatever that says about the made-up ids.
func TestEveryRouteForEveryRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	w.found(w.repo("APP", "service", nil), magpie.ScanPush, finding(1, "a"))
	s := &server{}
	for _, r := range s.routes() {
		for _, role := range []magpie.Role{"", magpie.RoleMember, magpie.RoleManager, magpie.RoleOwner} {
			b := w.browser()
			switch role {
			case magpie.RoleMember:
				b = w.as(w.member)
			case magpie.RoleManager:
				b = w.as(w.manager)
			case magpie.RoleOwner:
				b = w.as(w.owner)
			}
			path := fillPath(r.Path)
			got := b.do(r.Method, path, formOf(r))
			switch {
			case r.Permission == public:
				if got.StatusCode == http.StatusForbidden || got.Header.Get("Location") != "" && strings.HasPrefix(got.Header.Get("Location"), "/login?next") {
					t.Errorf("%s %s is public, but answers %q with %d", r.Method, path, role, got.StatusCode)
				}
			case role == "":
				if got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(got.Header.Get("Location"), "/login") {
					t.Errorf("%s %s answers nobody with %d to %q, want the login page", r.Method, path, got.StatusCode, got.Header.Get("Location"))
				}
			case r.Permission == signedIn || access.Allows(role, r.Permission):
				if got.StatusCode == http.StatusForbidden || got.StatusCode >= 500 || strings.HasPrefix(got.Header.Get("Location"), "/login") && path != "/logout" {
					t.Errorf("%s %s answers a %s, who may, with %d: %.300s", r.Method, path, role, got.StatusCode, got.body)
				}
			default:
				if got.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s answers a %s, who may not, with %d", r.Method, path, role, got.StatusCode)
				}
			}
		}
	}
	if log := w.log.String(); log != "" {
		t.Errorf("the log says\n%s", log)
	}
}

var placeholder = regexp.MustCompile(`\{[a-z$]+\}`)

func fillPath(pattern string) string {
	return placeholder.ReplaceAllStringFunc(pattern, func(p string) string {
		switch p {
		case "{$}":
			return ""
		case "{number}":
			return "1"
		case "{file}":
			return strings.TrimPrefix(asset("logo.svg"), "/static/")
		default:
			return "0190a0a0-0000-7000-8000-000000000000"
		}
	})
}

// formOf returns a form that changes nothing, so that each role meets the same installation.
func formOf(r route) url.Values {
	if r.Method == http.MethodGet {
		return nil
	}
	return url.Values{"nothing": {""}}
}

// TestChangesNeedPost holds that no GET changes anything: a path is either read or changed, and the handlers of GET are
// the ones that serve.
func TestChangesNeedPost(t *testing.T) {
	t.Parallel()
	known := []string{http.MethodGet, http.MethodPost}
	for _, r := range (&server{}).routes() {
		if !slices.Contains(known, r.Method) {
			t.Errorf("%s %s has another method", r.Method, r.Path)
		}
		if r.Permission == "" {
			t.Errorf("%s %s names no permission", r.Method, r.Path)
		}
		if r.Method == http.MethodGet && regexp.MustCompile(`/(assign|resolve|ignore|reopen|reveal|cancel|revoke|remove|sync|token|role|expiry|check|compare)$`).MatchString(r.Path) {
			t.Errorf("GET %s looks like a change", r.Path)
		}
	}
	w := newWorld(t).people()
	for _, path := range []string{"/logout", "/incidents/1/reveal", "/perimeter/scan"} {
		if got := w.as(w.owner).get(path).StatusCode; got != http.StatusNotFound {
			t.Errorf("GET %s answered %d, want 404", path, got)
		}
	}
}

func TestRouteWithoutPermissionDoesNotStart(t *testing.T) {
	t.Parallel()
	if _, err := (&server{}).guard(route{Method: "GET", Path: "/x", Handler: serveStatic}); err == nil {
		t.Error("a route without a permission is served")
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.owner)
	for name, value := range map[string]string{"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"} {
		r, err := http.NewRequest(http.MethodPost, w.server.URL+"/settings/tokens", strings.NewReader("name=x&days=30"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(name, value)
		got, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("a POST with %s: %s answered %d, want 403", name, value, got.StatusCode)
		}
	}
	b.get("/settings/tokens").want(t, http.StatusOK).has(t, "No tokens")
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.owner)
	first, second := b.get("/"), b.get("/nowhere")
	want := map[string]string{
		"Cross-Origin-Opener-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "Strict-Transport-Security": "",
	}
	for name, value := range want {
		for _, got := range []answer{first, second} {
			if got.Header.Get(name) != value {
				t.Errorf("%s has %s: %q, want %q", got.Request.URL.Path, name, got.Header.Get(name), value)
			}
		}
	}
	policy := regexp.MustCompile(`^default-src 'none'; script-src 'nonce-([A-Z2-7]{26})'; style-src 'self'; img-src 'self' data:; ` +
		`connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx$`)
	nonces := map[string]bool{}
	for _, got := range []answer{first, second} {
		match := policy.FindStringSubmatch(got.Header.Get("Content-Security-Policy"))
		if match == nil {
			t.Fatalf("the policy is %q", got.Header.Get("Content-Security-Policy"))
		}
		nonces[match[1]] = true
		got.has(t, `nonce="`+match[1]+`"`)
	}
	if len(nonces) != 2 {
		t.Error("two answers share a nonce")
	}
	static := b.get(asset("magpie.css")).want(t, http.StatusOK)
	if got := static.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("a static file is cached as %q", got)
	}
	b.get("/static/magpie.css").want(t, http.StatusNotFound)
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	w.opts.Secure = true
	handler, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	w.server.Config.Handler = handler
	got := w.browser().post("/login", url.Values{"email": {w.owner.Email}, "password": {password}}).want(t, http.StatusSeeOther)
	if c := got.Cookies()[0]; c.Name != "__Host-magpie" || !c.Secure || !c.HttpOnly || c.Domain != "" || c.Path != "/" {
		t.Errorf("the session cookie is %v", c)
	}
	if got.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

// TestLiveRequestWithoutSession makes the whole page go to the login page, not a part of it.
func TestLiveRequestWithoutSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	r, err := http.NewRequest(http.MethodGet, w.server.URL+"/incidents", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("HX-Request", "true")
	got, err := w.browser().client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode != http.StatusUnauthorized || got.Header.Get("HX-Redirect") != "/login?next=%2Fincidents" {
		t.Errorf("answered %d, HX-Redirect %q", got.StatusCode, got.Header.Get("HX-Redirect"))
	}
}

func TestLogHasIDOfShownError(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.owner)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	page := b.get("/").want(t, http.StatusInternalServerError).has(t, "Something went wrong on our side").lacks(t, "sql")
	_, rest, _ := strings.Cut(page.body, "Error id <code>")
	id, _, _ := strings.Cut(rest, "<")
	if id == "" || !strings.Contains(w.log.String(), id) {
		t.Errorf("the log lacks the id %q:\n%s", id, w.log.String())
	}
}

// TestMembersChangeNoSettings says in its own words what a Member may not reach, so that a slip in the list of routes
// does not carry its own test along.
func TestMembersChangeNoSettings(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`^(GET|POST) /settings/(members|audit)|^POST /settings/integrations|/bitbucket/new$|/projects$|^POST /(perimeter|scans|coverage)`)
	open := regexp.MustCompile(`^(GET|POST) /(setup|login|static/\{file\})$|^POST /(theme|logout)$`)
	for _, r := range (&server{}).routes() {
		name := r.Method + " " + r.Path
		if forbidden.MatchString(name) && (r.Permission == signedIn || r.Permission == public || access.Allows(magpie.RoleMember, r.Permission)) {
			t.Errorf("a Member may %s", name)
		}
		if !forbidden.MatchString(name) && r.Permission != public && r.Permission != signedIn && !access.Allows(magpie.RoleMember, r.Permission) {
			t.Errorf("a Member may not %s", name)
		}
		if (r.Permission == public) != open.MatchString(name) {
			t.Errorf("%s is open to everybody: %t", name, r.Permission == public)
		}
	}
}
