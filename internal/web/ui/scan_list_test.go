package ui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/store"
)

func TestPhaseLabel(t *testing.T) {
	for want, p := range map[string]magpie.Progress{
		"Asking Bitbucket":                         {},
		"Receiving":                                {Phase: magpie.PhaseReceiving},
		"Receiving, 25 % · 12 min left":            {Phase: magpie.PhaseReceiving, Objects: 1, ObjectsTotal: 4, Left: 12 * time.Minute},
		"Looking for secrets, 99 % · 75 s left":    {Phase: magpie.PhaseScanning, Objects: 999, ObjectsTotal: 1000, Left: 74 * time.Second},
		"Looking for commits, 100 % · 3 h left":    {Phase: magpie.PhasePlacing, Objects: 11, ObjectsTotal: 10, Left: 3 * time.Hour},
		"Looking for commits · a few seconds left": {Phase: magpie.PhasePlacing, Left: time.Second},
	} {
		if got := strings.ReplaceAll(phaseLabel(p), "\u00a0", " "); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
}

// TestRunningHistoryOnItsPages looks at a history that runs, cancels it from the perimeter, and scans it again from the
// list.
func TestRunningHistoryOnItsPages(t *testing.T) {
	w := newWorld(t).people().bitbucket()
	repo := w.repo("APP", "service", func(r *magpie.Repo) { r.History = magpie.HistoryPending })
	v := w.scan(repo, magpie.ScanHistory, magpie.ScanRunning, magpie.Progress{
		Phase: magpie.PhaseScanning, Left: 90 * time.Second, Objects: 30, ObjectsTotal: 60, Findings: 4,
	})
	cancel := "/scans/" + string(v.ID) + "/cancel"
	for _, path := range []string{"/scans", "/perimeter", "/"} {
		w.as(w.manager).get(path).want(t, http.StatusOK).has(t, "Looking for secrets, 50\u00a0% · 90\u00a0s\u00a0left", `value="30" max="60"`)
	}
	w.as(w.member).get("/perimeter").want(t, http.StatusOK).has(t, "90\u00a0s\u00a0left").lacks(t, cancel)
	b := w.as(w.manager)
	b.get("/perimeter").has(t, cancel, "4 places found")
	got := b.post(cancel, url.Values{"back": {"/perimeter"}}).want(t, http.StatusSeeOther)
	if to := got.Header.Get("Location"); !strings.HasPrefix(to, "/perimeter?") {
		t.Errorf("led to %s, want back to the perimeter", to)
	}
	b.post(cancel, nil).want(t, http.StatusConflict)
	repeat := "/scans/" + string(v.ID) + "/repeat"
	b.get("/scans").want(t, http.StatusOK).has(t, "Canceled", repeat).lacks(t, "90\u00a0s\u00a0left")
	w.as(w.member).get("/scans").lacks(t, repeat)
	w.as(w.member).post(repeat, nil).want(t, http.StatusForbidden)
	b.post(repeat, nil).want(t, http.StatusSeeOther)
	b.post(repeat, nil).want(t, http.StatusConflict) // one is under way
	b.get("/scans").has(t, "Waiting").lacks(t, repeat)
	active, err := store.Query(w.ctx, w.db, func(tx *store.Tx) ([]store.ListedScan, error) { return tx.ActiveScans(w.ctx, 10) })
	if err != nil || len(active) != 1 || active[0].RepoID != repo.ID || active[0].Scan.State != magpie.ScanQueued {
		t.Errorf("active scans %+v, %v; want one that waits", active, err)
	}
}

// TestOnlyBrokenHistoriesAreRepeated has scans that can't be repeated.
func TestOnlyBrokenHistoriesAreRepeated(t *testing.T) {
	w := newWorld(t).people().bitbucket()
	repo := w.repo("APP", "service", nil)
	unwatched := w.repo("APP", "old", func(r *magpie.Repo) { r.Monitored, r.Hook = false, magpie.HookNone })
	b := w.as(w.owner)
	for _, v := range []magpie.Scan{
		w.scan(repo, magpie.ScanHistory, magpie.ScanFinished, magpie.Progress{}),
		w.scan(repo, magpie.ScanPush, magpie.ScanFailed, magpie.Progress{}),
		w.scan(unwatched, magpie.ScanHistory, magpie.ScanFailed, magpie.Progress{}),
	} {
		repeat := "/scans/" + string(v.ID) + "/repeat"
		b.get("/scans").lacks(t, repeat)
		b.post(repeat, nil).want(t, http.StatusConflict)
	}
	b.post("/scans/none/repeat", nil).want(t, http.StatusNotFound)
}
