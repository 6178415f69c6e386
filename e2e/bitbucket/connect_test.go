package bitbucket

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"magpie/internal/bitbucketsim"
)

const settingsPage = "/settings/integrations/bitbucket"

// holds wants every part on a page.
func (w *world) holds(page string, parts ...string) {
	w.Helper()
	for _, part := range parts {
		if !strings.Contains(page, part) {
			w.Errorf("nothing of %q on the page", part)
		}
	}
}

// shown is a page of the Owner's that has to be there.
func (w *world) shown(path string) string {
	w.Helper()
	status, page := w.owner.page(w.T, path)
	if status != http.StatusOK {
		w.Fatalf("%s answers %d", path, status)
	}
	return page
}

func twoWaysOffered(w *world) {
	page := w.shown(settingsPage)
	w.holds(page, "Monitor the entire Bitbucket instance", "Monitor only certain Bitbucket projects")
	if n := strings.Count(page, ">Start<"); n != 2 {
		w.Errorf("%d buttons say Start, want 2", n)
	}
}

func cloudIsRefused(w *world) {
	for _, address := range []string{"https://bitbucket.org", "https://api.bitbucket.org", "https://bitbucket.org/team/repository"} {
		w.saying(w.refused("instance", address, w.token.Text), "Bitbucket Cloud", "magpie scan")
		w.saying(w.refused("project", address, w.token.Text), "Bitbucket Cloud", "magpie scan")
	}
	_, page := w.owner.post(w.T, settingsPage+"/new", url.Values{"mode": {"instance"}, "url": {"https://bitbucket.org"}, "token": {w.token.Text}})
	w.holds(page, "magpie scan")
}

func tokenIsRequired(w *world) {
	for _, mode := range []string{"instance", "project"} {
		w.saying(w.refused(mode, w.sim.URL(), ""), "token is missing")
		w.saying(w.refused(mode, w.sim.URL(), "none of this Bitbucket's"), "not an access token")
	}
}

func permissionsAreNamed(w *world) {
	for _, mode := range []string{"instance", "project"} {
		reader := w.newToken("bot", "PROJECT_READ", "REPO_READ")
		w.saying(w.refused(mode, w.sim.URL(), reader.Text), "Repository admin", "ALPHA/one")
	}
	w.connect("instance")
}

func onlyOwnerAndManager(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	repo := w.repo(i, "ALPHA/one")
	for _, try := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/integrations", w.connectBody("project", w.sim.URL(), w.token.Text)},
		{"PATCH", "/integrations/" + i.ID, map[string]any{"autoscan": false}},
		{"PUT", "/integrations/" + i.ID + "/token", map[string]any{"token": w.token.Text}},
		{"POST", "/integrations/" + i.ID + "/sync", nil},
		{"DELETE", "/integrations/" + i.ID, nil},
		{"POST", "/repositories/deselect", map[string]any{"ids": []string{repo.ID}}},
	} {
		if p := w.member.call(w.T, try.method, try.path, try.body, nil); p == nil || p.Status != http.StatusForbidden {
			w.Errorf("a Member may %s %s: %v", try.method, try.path, p)
		}
	}
	if status, page := w.member.page(w.T, settingsPage+"/new?mode=instance"); status != http.StatusForbidden || strings.Contains(page, `name="token"`) {
		w.Errorf("a Member gets the form, status %d", status)
	}
	if _, page := w.member.page(w.T, settingsPage); strings.Contains(page, ">Start<") || strings.Contains(page, `method="post" action="`+settingsPage) {
		w.Error("a Member is offered what only Owner and Manager may do")
	}
	w.manager.do(w.T, "PATCH", "/integrations/"+i.ID, map[string]any{"autoscan": false}, nil)
}

func certificatesAreVerified(w *world) {
	for kind, says := range map[bitbucketsim.CertKind]string{
		bitbucketsim.CertExpired: "expired", bitbucketsim.CertWrongHost: "another name", bitbucketsim.CertUntrusted: "MAGPIE_CA_FILE",
	} {
		w.check(w.sim.UseCertificate(kind))
		w.saying(w.refused("instance", w.sim.URL(), w.token.Text), says)
	}
	w.check(w.sim.UseCertificate(bitbucketsim.CertValid))
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.check(w.sim.UseCertificate(bitbucketsim.CertExpired))
	w.eventually("the certificate being noticed", func() bool {
		w.sim.DropConnections() // those that were busy a moment ago are still open
		return w.integration(i.ID).State == "unreachable"
	})
	w.check(w.sim.UseCertificate(bitbucketsim.CertValid))
	w.eventually("the integration working again", func() bool { return w.integration(i.ID).State == "active" })
	if help, err := w.try(w.T, "", "serve", "--help"); err != nil || strings.Contains(strings.ToLower(help), "insecure") {
		w.Errorf("there is a way around verification, or no help: %v", err)
	}
}

func oldVersionIsRefused(w *world) {
	i := w.connect("instance")
	if i.Version != w.sim.Version() {
		w.Errorf("version %s, want %s", i.Version, w.sim.Version())
	}
	old := newWorld(w.T, w.server, bitbucketsim.Options{Version: "7.5.2"})
	old.saying(old.refused("instance", old.sim.URL(), old.token.Text), "7.5.2", "7.6")
}

func guideStandsNextToTheForm(w *world) {
	for _, mode := range []string{"instance", "project"} {
		page := w.shown(settingsPage + "/new?mode=" + mode)
		w.holds(page, `name="url"`, `name="token"`, "bot", "Manage account", "Read", "Admin", "Automatic expiry", "revoke")
	}
}

func removalDeletesTheHooks(w *world) {
	foreign := w.foreignHook("ALPHA/one")
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "BETA/two")
	w.disconnect()
	w.ids = nil
	if left := w.sim.Webhooks(); len(left) != 1 || left[0].ID != foreign {
		w.Errorf("left behind: %v", left)
	}
	if v := w.found(w.old); v.Status != "triggered" {
		w.Errorf("the incident is %s after the removal", v.Status)
	}
	// With a dead token it works too, and says what is left behind.
	i = w.connect("instance")
	w.watched(i, "ALPHA/one", "ALPHA/two", "BETA/one", "BETA/two")
	w.check(w.sim.RevokeToken(w.token.ID))
	w.disconnect()
	w.ids = nil
	page := w.shown("/settings/audit")
	w.holds(page, "ALPHA/one", "left")
}

// foreignHook puts another team's webhook on a repository and returns its id.
func (w *world) foreignHook(full string) int {
	w.Helper()
	key, slug, _ := strings.Cut(full, "/")
	status, answer := w.rest("POST", "/rest/api/1.0/projects/"+key+"/repos/"+slug+"/webhooks",
		`{"name":"Magpie","url":"https://ci.example.com/hook","events":["repo:refs_changed"],"active":true}`)
	if status/100 != 2 {
		w.Fatalf("another team's webhook: %d %s", status, answer)
	}
	return w.hooks(full)[0].ID
}

func wholeInstanceIsMonitored(w *world) {
	_, err := w.sim.CreatePersonalProject("dev")
	w.check(err)
	w.newRepo("~dev", "Notes")
	i := w.connect("instance")
	all := []string{"ALPHA/one", "ALPHA/two", "BETA/one", "BETA/two", "~DEV/notes"}
	w.watched(i, all...)
	for _, full := range all {
		if n := len(w.hooks(full)); n != 1 {
			w.Errorf("%s has %d webhooks", full, n)
		}
	}
}

func administratorIsNeeded(w *world) {
	w.check(w.sim.GrantProject("dev", "ALPHA", "PROJECT_ADMIN"))
	token := w.newToken("dev", "PROJECT_READ", "REPO_ADMIN")
	w.saying(w.refused("instance", w.sim.URL(), token.Text), "SYSADMIN")
}

func settingsPathHasTheKnownLabels(w *world) {
	w.holds(w.shown("/settings"), "Workspace", "Integrations")
	w.holds(w.shown("/settings/integrations"), "Bitbucket", "Configure")
	w.holds(w.shown(settingsPage), "Monitor the entire Bitbucket instance", "Start")
}

func formTakesAddressAndToken(w *world) {
	status, _ := w.owner.post(w.T, settingsPage+"/new", url.Values{"mode": {"instance"}, "url": {w.sim.URL()}, "token": {w.token.Text}})
	var i integration
	for _, v := range w.integrations() {
		if v.URL == w.sim.URL() {
			i = v
			w.ids = append(w.ids, v.ID)
		}
	}
	if status != http.StatusOK || i.ID == "" {
		w.Fatalf("the form leads to status %d, integration %q", status, i.ID)
	}
	w.watched(i, "ALPHA/one")
}

func httpsIsRequired(w *world) {
	w.saying(w.refused("instance", strings.Replace(w.sim.URL(), "https", "http", 1), w.token.Text), "https")
	_, page := w.owner.post(w.T, settingsPage+"/new", url.Values{"mode": {"instance"}, "url": {"http://bitbucket.example.com"}, "token": {w.token.Text}})
	w.holds(page, "https")
}

func addressIsSchemeAndHost(w *world) {
	host := strings.TrimPrefix(w.sim.URL(), "https://")
	for _, address := range []string{
		"https://user:pass@" + host, w.sim.URL() + "/projects", w.sim.URL() + "?a=b", w.sim.URL() + "#top", host,
	} {
		w.refused("instance", address, w.token.Text)
	}
	var i integration
	w.owner.do(w.T, "POST", "/integrations", w.connectBody("instance", w.sim.URL()+"/", w.token.Text), &i)
	w.ids = append(w.ids, i.ID)
	if i.URL != w.sim.URL() {
		w.Errorf("the address became %s", i.URL)
	}
}

func contextPathWorks(w *world) {
	i := w.connect("instance")
	if !strings.HasSuffix(i.URL, "/bitbucket") {
		w.Fatalf("the address is %s", i.URL)
	}
	w.watched(i, "ALPHA/one")
	w.found(w.pushLeak("ALPHA/one"))
}

func perimeterIsLinked(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "BETA/two")
	page := w.shown(settingsPage)
	before, _, linked := strings.Cut(page, "See my Bitbucket perimeter")
	at := strings.LastIndex(before, "href=\"")
	if !linked || at < 0 || !strings.HasPrefix(before[at:], `href="/perimeter`) {
		w.Fatal("no link to the perimeter")
	}
	w.holds(w.shown("/perimeter?integration="+i.ID), "Project ALPHA", "Project BETA")
}

func hooksSubscribeToTwoEvents(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	hook := w.hooks("ALPHA/one")[0]
	if got := strings.Join(sorted(hook.Events), " "); got != "repo:modified repo:refs_changed" || !hook.Active || !hook.HasSecret {
		w.Errorf("the webhook is %+v", hook)
	}
	r, err := http.NewRequest("POST", hook.URL, strings.NewReader(`{"test":true}`))
	w.check(err)
	r.Header.Set("X-Event-Key", "diagnostics:ping")
	response, err := http.DefaultClient.Do(r)
	w.check(err)
	if readAll(w.T, response); response.StatusCode != http.StatusOK {
		w.Errorf("a ping is answered with %d", response.StatusCode)
	}
}

func severalInstances(w *world) {
	i := w.connect("instance")
	second := newWorld(w.T, w.server, bitbucketsim.Options{Version: w.sim.Version()})
	j := second.connect("instance")
	w.watched(i, "ALPHA/one")
	second.watched(j, "ALPHA/one")
	here, there := w.pushLeak("ALPHA/two"), second.pushLeak("BETA/one")
	w.found(here)
	second.found(there)
	if a, b := w.hooks("ALPHA/one")[0], second.hooks("ALPHA/one")[0]; a.URL == b.URL {
		w.Error("two instances share a webhook address")
	}
	w.check(w.sim.RevokeToken(w.token.ID))
	w.eventually("one token being dead", func() bool { return w.integration(i.ID).State == "token_invalid" })
	if state := w.integration(j.ID).State; state != "active" {
		w.Errorf("the other instance is %s", state)
	}
}

// TestDefaultSync proves that what the servers of the checklist hasten is within the window when nobody sets it.
func TestDefaultSync(t *testing.T) {
	s := startServer(t, "MAGPIE_SYNC_EVERY=")
	w := newWorld(t, s, bitbucketsim.Options{})
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.holds(w.shown(settingsPage), "every 15 minutes")
}
