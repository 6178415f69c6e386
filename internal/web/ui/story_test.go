package ui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/store"
)

// TestSetUpAndSignIn follows a new installation's first minutes.
func TestSetUpAndSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	if got := b.get("/").want(t, http.StatusSeeOther).Header.Get("Location"); got != "/setup" {
		t.Errorf("a new installation leads to %s, want /setup", got)
	}
	if got := b.get("/login").want(t, http.StatusSeeOther).Header.Get("Location"); got != "/setup" {
		t.Errorf("its login page leads to %s, want /setup", got)
	}
	b.get("/setup").want(t, http.StatusOK).has(t, "Create account")
	b.post("/setup", url.Values{"name": {"Olive"}, "email": {"owner@example.com"}, "password": {"tiny8"}}).
		want(t, http.StatusUnprocessableEntity).has(t, `id="password-error"`, `value="Olive"`, `value="owner@example.com"`).lacks(t, "tiny8")
	got := b.post("/setup", url.Values{"name": {"Olive"}, "email": {"owner@example.com"}, "password": {password}}).want(t, http.StatusSeeOther)
	if location := got.Header.Get("Location"); location != "/?note=setup" {
		t.Errorf("after set-up one is sent to %s", location)
	}
	cookie := got.Cookies()[0]
	if cookie.Name != "magpie" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
		t.Errorf("the session cookie is %v", cookie)
	}
	b.get("/?note=setup").want(t, http.StatusOK).has(t, "Welcome to Magpie", "Configure Bitbucket", "Olive")
	w.browser().get("/setup").want(t, http.StatusSeeOther)
	w.browser().post("/setup", url.Values{"name": {"Eve"}, "email": {"eve@example.com"}, "password": {password}}).want(t, http.StatusConflict)

	if got := b.post("/logout", nil).want(t, http.StatusSeeOther).Header.Get("Location"); got != "/login?note=signedout" {
		t.Errorf("signing out leads to %s", got)
	}
	if got := b.get("/incidents?q=x").want(t, http.StatusSeeOther).Header.Get("Location"); got != "/login?next=%2Fincidents%3Fq%3Dx" {
		t.Errorf("without a session one is sent to %s", got)
	}
	b.post("/login", url.Values{"email": {"owner@example.com"}, "password": {"wrong words in a row"}}).want(t, http.StatusUnauthorized).has(t, "owner@example.com")
	got = b.post("/login", url.Values{"email": {"owner@example.com"}, "password": {password}, "next": {"/incidents?q=x"}}).want(t, http.StatusSeeOther)
	if location := got.Header.Get("Location"); location != "/incidents?q=x" {
		t.Errorf("signing in leads to %s", location)
	}
}

// TestSignInLeadsNowhereElse holds against links that would use the login page as a springboard.
func TestSignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	for _, next := range []string{"https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "javascript:alert(1)", "\t//evil.example.com", "evil"} {
		got := w.browser().post("/login", url.Values{"email": {w.member.Email}, "password": {password}, "next": {next}}).want(t, http.StatusSeeOther)
		if location := got.Header.Get("Location"); location != "/" {
			t.Errorf("next=%q leads to %q", next, location)
		}
	}
}

// TestIncidentStory follows an incident from the list to its end.
func TestIncidentStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	app := w.repo("APP", "service", nil)
	w.found(app, magpie.ScanPush, finding(1, "config/app.yaml"), finding(2, "deploy/key.env"))
	b := w.as(w.member)
	b.get("/incidents").want(t, http.StatusOK).has(t, "config/app.yaml", "deploy/key.env", "APP/service", "Example access token")
	b.get("/incidents?q=deploy").want(t, http.StatusOK).has(t, "deploy/key.env").lacks(t, "config/app.yaml")
	b.get("/incidents?q=nothing+like+it").want(t, http.StatusOK).has(t, "No incident matches")

	plain := string(secret(1).Reveal())
	page := b.get("/incidents/1").want(t, http.StatusOK).
		has(t, "config/app.yaml", "Ada Author", "How to revoke it", "token: ••••••••", "https://docs.example.com/tokens", "Open in Bitbucket", "Reveal").
		lacks(t, plain, "javascript:")
	if !strings.Contains(page.body, "https://bitbucket.example.com/projects/APP/repos/service/browse/config/app.yaml?at=") {
		t.Error("no link to the line")
	}
	b.post("/incidents/1/assign", url.Values{"assignee": {string(w.manager.ID)}}).want(t, http.StatusSeeOther)
	b.get("/incidents?assignee="+string(w.manager.ID)).want(t, http.StatusOK).has(t, "config/app.yaml").lacks(t, "deploy/key.env")
	w.as(w.manager).get("/incidents?assignee=me").want(t, http.StatusOK).has(t, "config/app.yaml").lacks(t, "deploy/key.env")

	revealed := b.post("/incidents/1/reveal", nil).want(t, http.StatusOK).has(t, plain, "recorded")
	if got := revealed.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a revealed value is cached as %q", got)
	}
	b.get("/incidents/1").want(t, http.StatusOK).has(t, "Secret revealed").lacks(t, plain)
	w.as(w.owner).get("/settings/audit").want(t, http.StatusOK).has(t, "incident.revealed", w.member.Email)

	b.post("/incidents/1/resolve", nil).want(t, http.StatusUnprocessableEntity)
	b.post("/incidents/1/resolve", url.Values{"revoked": {"yes"}}).want(t, http.StatusSeeOther)
	b.get("/incidents/1?note=resolved").want(t, http.StatusOK).has(t, "Resolved", "The secret was revoked", "Reopen")
	b.post("/incidents/1/resolve", url.Values{"revoked": {"yes"}}).want(t, http.StatusConflict)
	b.get("/incidents?status=resolved").want(t, http.StatusOK).has(t, "config/app.yaml")

	w.found(app, magpie.ScanPush, magpie.Finding{
		Rule: "example-token", RuleName: "Example access token", Severity: magpie.SeverityHigh, Confidence: magpie.ConfidenceHigh,
		Secret: secret(1), File: "again.yaml", LineStart: 1, LineEnd: 1, ColumnStart: 1, ColumnEnd: 2, Commit: magpie.Hash(strings.Repeat("e", 40)),
	})
	b.get("/incidents/1").want(t, http.StatusOK).has(t, "Regression", "again.yaml")
	b.post("/incidents/2/ignore", url.Values{"reason": {"test_credential"}}).want(t, http.StatusSeeOther)
	b.get("/incidents/2").want(t, http.StatusOK).has(t, "Test credential", "Ignored")
	b.post("/incidents/2/reopen", nil).want(t, http.StatusSeeOther)
	b.post("/incidents/2/severity", url.Values{"severity": {"critical"}}).want(t, http.StatusSeeOther)
	b.get("/incidents?severity=critical").want(t, http.StatusOK).has(t, "deploy/key.env").lacks(t, "config/app.yaml")
	b.get("/incidents/99").want(t, http.StatusNotFound)
	b.get("/incidents/x").want(t, http.StatusNotFound)
	if log := w.log.String(); strings.Contains(log, plain) {
		t.Error("the log holds a secret")
	}
}

// TestHostileNames renders every page with names that try to be markup.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	const hostile = `"><img src=x onerror=alert(1)><script>alert(2)</script>'`
	repo := w.repo("EVIL", hostile, func(r *magpie.Repo) {
		r.Name, r.BrowseURL, r.State, r.StateReason = hostile, "javascript:alert(3)", magpie.RepoUnavailable, hostile
	})
	f := finding(1, hostile+"/{{.}}/${x}.yaml")
	f.RuleName, f.Provider, f.Author, f.Email, f.Rule = hostile, hostile, hostile, hostile, "unknown-rule"
	f.Excerpt = magpie.Excerpt{FirstLine: 2, Text: "<script>\n" + hostile + "\n</script>\n"}
	w.found(repo, magpie.ScanHistory, f)
	w.scan(repo, magpie.ScanHistory, magpie.ScanRunning, magpie.Progress{BytesReceived: 10})
	w.scan(repo, magpie.ScanHistory, magpie.ScanFailed, magpie.Progress{})
	b := w.as(w.owner)
	for _, path := range []string{
		"/", "/incidents", "/incidents?q=" + url.QueryEscape(hostile), "/incidents/1", "/perimeter", "/perimeter?q=" + url.QueryEscape(hostile), "/scans",
		"/settings/integrations/bitbucket", "/settings/audit", "/login?next=" + url.QueryEscape(hostile), "/?note=" + url.QueryEscape(hostile),
	} {
		got := b.get(path)
		if got.StatusCode != http.StatusOK && got.StatusCode != http.StatusSeeOther {
			t.Errorf("%s answered %d", path, got.StatusCode)
		}
		got.lacks(t, "<img src=x", "<script>", `href="javascript:`, "onerror=alert(1)>")
	}
	b.get("/incidents/1").has(t, "&lt;script&gt;")
	b.post("/incidents/1/reveal", nil).want(t, http.StatusOK).lacks(t, "<script>", "<img src=x")
}

func TestPerimeterAndScans(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.manager)
	b.get("/perimeter").want(t, http.StatusOK).has(t, "Nothing is watched yet")
	b.get("/scans").want(t, http.StatusOK).has(t, "Nothing to scan yet")
	w.bitbucket()
	b.get("/perimeter").want(t, http.StatusOK).has(t, "Looking around at Bitbucket")
	app := w.repo("APP", "service", nil)
	w.repo("APP", "broken", func(r *magpie.Repo) { r.Hook, r.HookReason = magpie.HookFailed, "Bitbucket answered 409" })
	w.repo("~mia", "dotfiles", func(r *magpie.Repo) { r.Monitored, r.Hook, r.History = false, magpie.HookNone, magpie.HistoryNone })
	w.found(app, magpie.ScanPush, finding(1, "a"), finding(2, "b"))
	b.get("/perimeter").want(t, http.StatusOK).has(t, "service", "Hook installed", "Bitbucket answered 409", "tried again", "dotfiles", "Not monitored", "Project ~mia")
	b.get("/perimeter?state=trouble").want(t, http.StatusOK).has(t, "broken").lacks(t, "dotfiles")
	b.get("/perimeter?q=dotf").want(t, http.StatusOK).has(t, "dotfiles").lacks(t, ">broken<")
	b.post("/perimeter/monitor", url.Values{"monitored": {"yes"}}).want(t, http.StatusUnprocessableEntity)
	got := b.post("/perimeter/monitor", url.Values{"monitored": {"no"}, "repo": {string(app.ID)}, "back": {"/perimeter?q=service"}}).want(t, http.StatusSeeOther)
	if location := got.Header.Get("Location"); location != "/perimeter?note=unmonitored&q=service" {
		t.Errorf("deselecting leads to %s", location)
	}
	b.get("/perimeter?state=unmonitored").want(t, http.StatusOK).has(t, `id="repo-`+string(app.ID))
	b.post("/perimeter/monitor", url.Values{"monitored": {"yes"}, "scope": {"all"}, "back": {"/perimeter?state=unmonitored"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter?state=unmonitored").want(t, http.StatusOK).lacks(t, `id="repo-`)
	b.post("/perimeter/scan", url.Values{"scan": {string(app.ID)}, "back": {"/perimeter"}}).want(t, http.StatusSeeOther)
	b.post("/perimeter/scan", url.Values{"scan": {string(app.ID)}, "back": {"/perimeter"}}).want(t, http.StatusConflict)
	page := b.get("/scans").want(t, http.StatusOK).has(t, "APP/service", "Waiting", "Cancel")
	_, rest, _ := strings.Cut(page.body, `action="/scans/`)
	id, _, _ := strings.Cut(rest, "/")
	b.post("/scans/"+id+"/cancel", nil).want(t, http.StatusSeeOther)
	b.get("/scans").want(t, http.StatusOK).has(t, "Canceled")
	w.as(w.member).get("/perimeter").want(t, http.StatusOK).lacks(t, "Stop monitoring", "Scan history")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.manager)
	b.get("/settings").want(t, http.StatusOK).has(t, "MAGPIE_MAIL_HOST", "SQLite")
	b.get("/settings/integrations").want(t, http.StatusOK).has(t, "Bitbucket", "Configure")
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, "Monitor the entire Bitbucket instance", "Monitor only certain Bitbucket projects",
		"Start", "See my Bitbucket perimeter", "plugin.webhooks.io.threads", "plugin.webhooks.http.connection.host.max", "Default 3", "Default 5",
		"Never revoke the token", "bot account")
	b.get("/settings/integrations/bitbucket/new?mode=instance").want(t, http.StatusOK).has(t, "Bitbucket instance URL", "Access token")
	b.get("/settings/integrations/bitbucket/new?mode=other").want(t, http.StatusNotFound)
	for address, text := range map[string]string{
		"http://bitbucket.example.com":  `id="url-error"`,
		"https://bitbucket.org":         `id="url-error"`,
		"https://u:p@b.example.com":     `id="url-error"`,
		"https://b.example.com/?q=1":    `id="url-error"`,
		"https://b.example.com/#/login": `id="url-error"`,
	} {
		b.post("/settings/integrations/bitbucket/new", url.Values{"mode": {"instance"}, "url": {address}, "token": {"made-up"}}).
			want(t, http.StatusUnprocessableEntity).has(t, text).lacks(t, "made-up")
	}
	for _, address := range []string{"https://bitbucket.org", "https://api.bitbucket.org/2.0", "bitbucket.org"} {
		b.post("/settings/integrations/bitbucket/new", url.Values{"mode": {"instance"}, "url": {address}, "token": {"made-up"}}).
			want(t, http.StatusUnprocessableEntity).has(t, "bitbucket-pipelines.yml", "magpie scan")
	}
	b.post("/settings/integrations/bitbucket/new", url.Values{"mode": {"instance"}, "url": {"https://b.example.com"}, "token": {""}}).
		want(t, http.StatusUnprocessableEntity).has(t, `id="token-error"`)

	w.bitbucket()
	base := "/settings/integrations/bitbucket/" + string(w.integration.ID)
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, "https://bitbucket.example.com", "Token valid", "9.4.3", "Sync now", `aria-checked="true"`)
	b.post(base+"/switches", url.Values{"autoscan": {"off"}}).want(t, http.StatusSeeOther)
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, `aria-checked="false"`, `aria-checked="true"`)
	b.post(base+"/sync", nil).want(t, http.StatusSeeOther)
	b.get("/settings/integrations/bitbucket").has(t, "magpie-bot")
	b.post("/settings/integrations/bitbucket/none/sync", nil).want(t, http.StatusNotFound)
	w.write(func(tx *store.Tx) error {
		_, err := tx.SetIntegrationState(w.ctx, w.integration.ID, magpie.IntegrationTokenInvalid, "Bitbucket answered 401", w.integration.CreatedAt)
		return err
	})
	b.get("/").want(t, http.StatusOK).has(t, "refuses the token of https://bitbucket.example.com", "Replace the token")
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, "Token invalid", "Bitbucket answered 401")
	b.post(base+"/remove", nil).want(t, http.StatusSeeOther)
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, "Being removed")
	w.as(w.member).get("/settings/integrations/bitbucket").want(t, http.StatusOK).lacks(t, "Sync now", ">Start<")
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.manager)
	b.get("/settings/members").want(t, http.StatusOK).has(t, w.owner.Email, w.manager.Email, w.member.Email, "(you)")
	b.post("/settings/members", url.Values{"name": {"Ned"}, "email": {"not an address"}, "role": {"member"}, "password": {password}}).
		want(t, http.StatusUnprocessableEntity).has(t, `id="email-error"`, `value="Ned"`)
	b.post("/settings/members", url.Values{"name": {"Ned"}, "email": {"ned@example.com"}, "role": {"member"}, "password": {password}}).want(t, http.StatusSeeOther)
	mia := w.as(w.member)
	b.post("/settings/members/"+string(w.member.ID)+"/disabled", url.Values{"disabled": {"yes"}}).want(t, http.StatusSeeOther)
	mia.get("/").want(t, http.StatusSeeOther)
	b.post("/settings/members/"+string(w.member.ID)+"/disabled", url.Values{"disabled": {"no"}}).want(t, http.StatusSeeOther)
	b.post("/settings/members/"+string(w.member.ID)+"/role", url.Values{"role": {"manager"}}).want(t, http.StatusSeeOther)
	b.post("/settings/members/"+string(w.owner.ID)+"/role", url.Values{"role": {"member"}}).want(t, http.StatusForbidden)
	b.post("/settings/members/"+string(w.member.ID)+"/password", url.Values{"password": {"other plain words in a row"}}).want(t, http.StatusSeeOther)

	b.get("/settings/tokens").want(t, http.StatusOK).has(t, "No tokens")
	created := b.post("/settings/tokens", url.Values{"name": {"script"}, "days": {"30"}}).want(t, http.StatusOK).has(t, "mgp_", "shown this once")
	_, rest, _ := strings.Cut(created.body, `id="new-token">`)
	token, _, _ := strings.Cut(rest, "<")
	if _, err := w.access.AuthenticateBearer(w.ctx, magpie.NewSecret(token)); err != nil {
		t.Errorf("the new token does not work: %v", err)
	}
	page := b.get("/settings/tokens").want(t, http.StatusOK).has(t, "script").lacks(t, token)
	_, rest, _ = strings.Cut(page.body, `action="/settings/tokens/`)
	id, _, _ := strings.Cut(rest, "/")
	b.post("/settings/tokens/"+id+"/revoke", nil).want(t, http.StatusSeeOther)
	b.get("/settings/tokens").want(t, http.StatusOK).has(t, "No tokens")
	b.post("/settings/tokens", url.Values{"name": {"script"}, "days": {"100000"}}).want(t, http.StatusUnprocessableEntity)

	b.get("/account").want(t, http.StatusOK).has(t, w.manager.Email)
	b.post("/account/password", url.Values{"old_password": {"wrong words in a row"}, "password": {"other plain words in a row"}}).
		want(t, http.StatusUnprocessableEntity).has(t, `id="old_password-error"`)
	b.post("/account/password", url.Values{"old_password": {password}, "password": {"other plain words in a row"}}).want(t, http.StatusSeeOther)
	b.get("/account?note=password").want(t, http.StatusOK).has(t, "Your password was changed")
}
