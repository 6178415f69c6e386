package ui

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"magpie"
	"magpie/internal/store"
)

// BenchmarkPages builds the lists of an installation with 10 000 repositories in 500 projects and 20 000 incidents.
func BenchmarkPages(b *testing.B) {
	w := newWorld(b).people().bitbucket()
	w.crowd(500, 20, 20_000)
	for name, build := range map[string]func() error{
		"overview":         func() error { _, err := w.pages().overview(w.ctx, w.owner); return err },
		"incidents":        func() error { _, err := w.pages().incidentList(w.ctx, w.owner, url.Values{}); return err },
		"incidents/search": func() error { _, err := w.pages().incidentList(w.ctx, w.owner, url.Values{"q": {"r4999"}}); return err },
		"incidents/worst": func() error {
			_, err := w.pages().incidentList(w.ctx, w.owner, url.Values{"sort": {"severity"}})
			return err
		},
		"perimeter": func() error { _, err := w.pages().perimeter(w.ctx, w.owner, url.Values{}); return err },
		"perimeter/open": func() error {
			_, err := w.pages().perimeter(w.ctx, w.owner, url.Values{"open": {string(w.firstProject())}})
			return err
		},
		"perimeter/search": func() error {
			_, err := w.pages().perimeter(w.ctx, w.owner, url.Values{"q": {"r499"}})
			return err
		},
		"coverage": func() error { _, err := w.pages().coverage(w.ctx, w.owner, url.Values{}); return err },
		"perimeter/trouble": func() error {
			_, err := w.pages().perimeter(w.ctx, w.owner, url.Values{"state": {"trouble"}})
			return err
		},
		"scans": func() error { _, err := w.pages().scanList(w.ctx, w.owner, url.Values{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := build(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPerimeterAnswer is a whole answer over HTTP: page, frame and all.
func BenchmarkPerimeterAnswer(b *testing.B) {
	w := newWorld(b).people().bitbucket()
	w.crowd(500, 20, 20_000)
	who := w.as(w.owner)
	for _, path := range []string{"/perimeter", "/perimeter?open=" + string(w.firstProject()), "/perimeter?q=r499", "/perimeter?state=trouble", "/perimeter?state=monitored", "/perimeter?hook=installed", "/perimeter?q=r", "/coverage", "/coverage?q=r499"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				who.get(path).want(b, 200)
			}
		})
	}
}

func (w *world) firstProject() magpie.ProjectID {
	w.Helper()
	all, err := store.Query(w.ctx, w.db, func(tx *store.Tx) ([]magpie.Project, error) { return tx.Projects(w.ctx, w.integration.ID) })
	if err != nil {
		w.Fatal(err)
	}
	return all[0].ID
}

func (w *world) pages() Pages {
	w.opts.Now = time.Now
	return newPages(w.opts)
}

// crowd adds many projects, repositories and incidents by the store alone.
func (w *world) crowd(projects, repos, incidents int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		var all []magpie.Repo
		for p := range projects {
			project, err := tx.PutProject(w.ctx, magpie.Project{IntegrationID: w.integration.ID, RemoteID: int64(p), Key: fmt.Sprintf("P%03d", p), Name: "Project", Installed: true}, "")
			if err != nil {
				return err
			}
			for n := range repos {
				r := magpie.Repo{
					ID: store.NewID[magpie.RepoID](), IntegrationID: w.integration.ID, ProjectID: project.ID, RemoteID: int64(len(all)), ProjectKey: project.Key,
					Slug: fmt.Sprintf("r%d", p*repos+n), State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone,
				}
				if err := tx.PutRepo(w.ctx, r, ""); err != nil {
					return err
				}
				all = append(all, r)
			}
		}
		for n := range incidents {
			if err := w.addIncident(tx, n+1, all[n*7%len(all)]); err != nil {
				return err
			}
		}
		return w.addRefs(tx, all)
	})
}

// addRefs gives each repository two refs and compares it; of some repositories a ref is still to be scanned, or an event
// waits.
func (w *world) addRefs(tx *store.Tx, repos []magpie.Repo) error {
	ids := make([]magpie.RepoID, len(repos))
	for n, r := range repos {
		ids[n] = r.ID
		scanned := time.Now()
		if n%100 == 0 {
			scanned = time.Time{}
		}
		for _, t := range []magpie.Tip{{Ref: "refs/heads/main"}, {Ref: "refs/tags/v1"}} {
			t.Hash = magpie.Hash(fmt.Sprintf("%040x", n+1))
			if err := tx.PutTip(w.ctx, r.ID, t, scanned); err != nil {
				return err
			}
		}
		if n%10 != 0 {
			continue
		}
		d := store.Delivery{
			ID: store.NewID[magpie.DeliveryID](), RepoID: r.ID, ReceivedAt: time.Now(),
			Push: magpie.Push{RequestID: fmt.Sprint("request-", n), EventKey: "repo:refs_changed", SentAt: time.Now().Add(-time.Second)},
		}
		if _, err := tx.AddDelivery(w.ctx, d); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(ids, 500) {
		if err := tx.SetReposCompared(w.ctx, chunk, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) addIncident(tx *store.Tx, n int, r magpie.Repo) error {
	v := magpie.Incident{
		ID: store.NewID[magpie.IncidentID](), Number: int64(n), Rule: magpie.RuleID(fmt.Sprint("rule-", n%40)), Title: "Some access token",
		Severity: magpie.Severities()[n%5], Status: magpie.IncidentTriggered, Occurrences: 2, FirstSeenAt: time.Now().Add(-time.Duration(n) * time.Minute),
		LastSeenAt: time.Now(), FirstRepoID: r.ID, FirstRepo: r.FullName(), FirstFile: "config/app.yaml",
	}
	if n%3 == 0 {
		v.Status = magpie.IncidentResolved
	}
	if err := tx.AddIncident(w.ctx, v, fmt.Sprint("f", n), []byte("sealed")); err != nil {
		return err
	}
	for line := range 2 {
		_, err := tx.AddOccurrence(w.ctx, magpie.Occurrence{
			ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: r.ID, File: "config/app.yaml", LineStart: line, ColumnStart: 1,
		}, []byte("sealed"))
		if err != nil {
			return err
		}
	}
	return nil
}
