package ui

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/store"
)

// tree fills three projects with so many repositories that the tree is closed by itself.
func (w *world) tree() {
	w.Helper()
	for n := range 60 {
		w.repo("APP", fmt.Sprintf("app-%02d", n), nil)
		w.repo("OPS", fmt.Sprintf("ops-%02d", n), func(r *magpie.Repo) {
			if n == 0 {
				r.Hook, r.HookReason = magpie.HookFailed, "the token may not administer this repository"
			}
		})
	}
}

func TestPerimeterTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	w.tree()
	app, ops := w.projects["APP"].ID, w.projects["OPS"].ID
	b := w.as(w.manager)
	b.get("/perimeter").want(t, http.StatusOK).has(t, "Project APP", "60 of 60 monitored", "60 hooks", "1 hook failed", "1 with trouble", "120 of 120 monitored",
		`aria-expanded="false"`).lacks(t, "app-00", "ops-00")
	b.get("/perimeter?open="+string(ops)).want(t, http.StatusOK).has(t, "ops-00", "ops-59", "Give magpie-bot Admin on the repository",
		"Settings of Project OPS", "Report to Code Insights").lacks(t, "app-00")
	b.get("/perimeter?closed="+string(w.integration.ID)).want(t, http.StatusOK).has(t, "https://bitbucket.example.com", "120 of 120 monitored").lacks(t, `id="project-`+string(app))
	b.get("/perimeter?project="+string(app)).want(t, http.StatusOK).has(t, "app-00", "All projects").lacks(t, "ops-00")
	b.get("/perimeter?hook=failed").want(t, http.StatusOK).has(t, "ops-00").lacks(t, "ops-01", "app-00")
	b.get("/perimeter?q=app-0").want(t, http.StatusOK).has(t, "app-09").lacks(t, "app-10", "ops-00")
	b.get("/perimeter?state=behind").want(t, http.StatusOK).has(t, "app-00")
	w.as(w.member).get("/perimeter?open="+string(ops)).want(t, http.StatusOK).has(t, "ops-00").lacks(t, "Settings of", "Stop monitoring")

	// A whole project, and of a project only what the filter chooses.
	b.post("/perimeter/monitor", url.Values{"monitored": {"no"}, "project": {string(app)}, "back": {"/perimeter"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter").has(t, "0 of 60 monitored", "60 of 120 monitored")
	b.post("/perimeter/monitor", url.Values{"monitored": {"no"}, "project": {string(ops)}, "back": {"/perimeter?q=ops-1"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter").has(t, "50 of 60 monitored")
	b.get("/perimeter?note=unmonitored").has(t, "hooks are being removed, scans that waited are dropped", "Incidents stay")

	// The settings of a project.
	b.post("/perimeter/projects/"+string(app), url.Values{"auto_monitor": {"off"}, "insights": {"on", "off"}, "back": {"/perimeter"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter").has(t, "new ones are not", "Code Insights on")
	b.post("/perimeter/projects/"+string(app), url.Values{"auto_monitor": {"integration"}, "insights": {"off"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter").lacks(t, "new ones are not", "Code Insights on")
	b.post("/perimeter/projects/none", url.Values{"insights": {"off"}}).want(t, http.StatusNotFound)
}

// TestReasonsOnThePerimeter holds that whatever can't be monitored says why and what to do.
func TestReasonsOnThePerimeter(t *testing.T) {
	t.Parallel()
	i := magpie.Integration{TokenUser: "magpie-bot", State: magpie.IntegrationActive}
	dead := i
	dead.State = magpie.IntegrationTokenInvalid
	watched := func(change func(*magpie.Repo)) magpie.Repo {
		r := magpie.Repo{State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone}
		change(&r)
		return r
	}
	out := func(why string) magpie.Repo {
		return watched(func(r *magpie.Repo) { r.State, r.StateReason = magpie.RepoUnavailable, why })
	}
	for name, c := range map[string]struct {
		repo         magpie.Repo
		of           magpie.Integration
		reason, text string
	}{
		"fine":         {watched(func(*magpie.Repo) {}), i, "", ""},
		"archived":     {watched(func(r *magpie.Repo) { r.State = magpie.RepoArchived }), i, "", "nobody can push"},
		"deleted":      {watched(func(r *magpie.Repo) { r.State = magpie.RepoDeleted }), i, "", "Its incidents stay"},
		"initialising": {out("Bitbucket reports: INITIALISING"), i, "INITIALISING", "still creating it"},
		"offline":      {out("Bitbucket reports: OFFLINE"), i, "OFFLINE", "storage"},
		"no http":      {out("HTTP hosting is off"), i, "HTTP hosting", "switch on HTTP(S) hosting"},
		"out of reach": {out("out of the token's reach"), i, "reach", "Give magpie-bot Admin"},
		"other":        {out("something new"), i, "Something new", "looked at again"},
		"dead token":   {watched(func(*magpie.Repo) {}), dead, "", ""}, // the integration's row says it once
		"forbidden hook": {watched(func(r *magpie.Repo) {
			r.Hook, r.HookReason = magpie.HookFailed, "the token may not administer this repository"
		}), i, "may not administer", "Give magpie-bot Admin"},
		"hook limit": {watched(func(r *magpie.Repo) {
			r.Hook, r.HookReason = magpie.HookFailed, "there are too many webhooks"
		}), i, "too many", "tried again by itself"},
		"history": {watched(func(r *magpie.Repo) { r.History = magpie.HistoryFailed }), i, "gave up", "start it again"},
	} {
		reason, remedy := trouble(c.repo, c.of)
		if !strings.Contains(reason, c.reason) || !strings.Contains(remedy, c.text) || (remedy == "") != (c.text == "") || (reason == "") != (c.reason == "") {
			t.Errorf("%s: %q, %q; want %q, %q", name, reason, remedy, c.reason, c.text)
		}
	}
}

// refs gives a repository refs, with when each was scanned.
func (w *world) refs(r magpie.Repo, refs map[string]time.Time) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		for ref, at := range refs {
			if err := tx.PutTip(w.ctx, r.ID, magpie.Tip{Ref: ref, Hash: magpie.Hash(strings.Repeat("ab", 20))}, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	b := w.as(w.manager)
	b.get("/coverage").want(t, http.StatusOK).has(t, "Nothing is watched yet")
	w.bitbucket()
	b.get("/coverage").want(t, http.StatusOK).has(t, "No repository is monitored", "There was none yet")
	app := w.repo("APP", "service", func(r *magpie.Repo) { r.DefaultBranch = "refs/heads/main" })
	w.repo("OPS", "tools", nil)
	w.repo("OPS", "unwatched", func(r *magpie.Repo) { r.Monitored = false })
	w.refs(app, map[string]time.Time{"refs/heads/main": time.Now(), "refs/heads/dev": {}, "refs/tags/v1": time.Now()})
	b.get("/coverage").want(t, http.StatusOK).has(t, "APP/service", "OPS/tools", "2 of 3", "Never compared", "none waits").lacks(t, "OPS/unwatched")
	b.get("/coverage?q=tools").want(t, http.StatusOK).has(t, "OPS/tools").lacks(t, "APP/service")
	b.get("/coverage?q=nothing").want(t, http.StatusOK).has(t, "No monitored repository matches")
	b.get("/coverage/"+string(app.ID)).want(t, http.StatusOK).has(t, "main", "Default branch", "History scan to come", "v1", "Tag", "abababababab",
		"https://bitbucket.example.com/projects/APP/repos/service/browse")
	b.get("/coverage/none").want(t, http.StatusNotFound)
	b.get("/coverage?cursor=broken").want(t, http.StatusUnprocessableEntity)

	got := b.get("/coverage.csv?q=service").want(t, http.StatusOK)
	if kind, name := got.Header.Get("Content-Type"), got.Header.Get("Content-Disposition"); kind != "text/csv; charset=utf-8" || !strings.Contains(name, "attachment; filename=\"magpie-coverage-") {
		t.Errorf("the CSV comes as %q, %q", kind, name)
	}
	lines, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil || len(lines) != 4 {
		t.Errorf("the CSV has %d lines, want a head and 3 refs (%v):\n%s", len(lines), err, got.body)
	}
	b.post("/coverage/compare", nil).want(t, http.StatusSeeOther)
	b.get("/coverage?note=compare").has(t, "are being compared")
	w.as(w.member).get("/coverage").want(t, http.StatusOK).lacks(t, "Compare everything now")
}

// deadlines is a response that counts how often its deadline was moved.
type deadlines struct {
	*httptest.ResponseRecorder
	moved int
}

// SetWriteDeadline is what http.ResponseController calls.
func (d *deadlines) SetWriteDeadline(time.Time) error {
	d.moved++
	return nil
}

// The CSV of a large installation takes longer than a page may.
func TestCoverageCSVTakesItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	w.repo("APP", "service", nil)
	b := w.as(w.member)
	for path, want := range map[string]bool{"/coverage.csv": true, "/coverage": false} {
		r := httptest.NewRequest(http.MethodGet, b.server.URL+path, nil)
		for _, c := range b.client.Jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
		d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		w.server.Config.Handler.ServeHTTP(d, r)
		if d.Code != http.StatusOK || d.moved > 0 != want {
			t.Errorf("%s answers %d and moves its deadline %d times, want that %t", path, d.Code, d.moved, want)
		}
	}
}

func TestSweepsSayWhatTheyCaughtUp(t *testing.T) {
	t.Parallel()
	began := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	row := newSweepRow(store.Sweep{Reason: "start", DownSince: began.Add(-time.Hour), BeganAt: began, EndedAt: began.Add(time.Minute), Repos: 10_000, Compared: 10_000, Behind: 12}, began)
	want := "Magpie was down from 2031-05-06 06:08 UTC to 2031-05-06 07:08 UTC. 10\u202f000 repositories compared in 1 min 00 s, 12 had pushes that no event had announced; they were scanned."
	if row.Text != want {
		t.Errorf("a sweep after an outage says\n%s\nwant\n%s", row.Text, want)
	}
	row = newSweepRow(store.Sweep{BeganAt: began, Repos: 5, Compared: 2, Failed: 1}, began)
	if row.Badge.Label != "Running" || row.Text != "2 of 5 repositories compared so far, none had pushes that no event had announced. 1 repository could not be read." {
		t.Errorf("a running sweep says %q, %q", row.Badge.Label, row.Text)
	}
}
