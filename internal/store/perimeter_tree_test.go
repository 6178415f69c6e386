package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// treeRepo stores a repository of some project.
func treeRepo(t *testing.T, db *store.DB, i magpie.Integration, project int64, slug string, change func(*magpie.Repo)) magpie.Repo {
	t.Helper()
	r := magpie.Repo{
		ID: store.NewID[magpie.RepoID](), IntegrationID: i.ID, RemoteID: project*100 + int64(len(slug)), Slug: slug, Name: slug,
		State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone, CreatedAt: perimeterTime,
	}
	if change != nil {
		change(&r)
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		p, err := tx.PutProject(ctx, magpie.Project{IntegrationID: i.ID, RemoteID: project, Key: fmt.Sprint("P", project), Name: "Project", Installed: true}, "")
		if err != nil {
			return err
		}
		r.ProjectID, r.ProjectKey = p.ID, p.Key
		return tx.PutRepo(ctx, r, "")
	})
	return r
}

// TestPerimeterTree holds the sums of a project against the lists that the same filter gives.
func TestPerimeterTree(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i := sampleIntegration("https://tree.example")
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertIntegration(ctx, i, []byte("x")); err != nil {
				return err
			}
			_, err := tx.PutProject(ctx, magpie.Project{IntegrationID: i.ID, RemoteID: 3, Key: "P3", Name: "Empty", Installed: true}, "")
			return err
		})
		newest := perimeterTime.Add(time.Hour)
		treeRepo(t, db, i, 1, "a", func(r *magpie.Repo) { r.LastPushAt, r.LastScanAt = perimeterTime, newest })
		treeRepo(t, db, i, 1, "bb", func(r *magpie.Repo) {
			r.Hook, r.LastPushAt, r.LastScanAt = magpie.HookFailed, newest, perimeterTime
		})
		treeRepo(t, db, i, 1, "ccc", func(r *magpie.Repo) { r.Hook, r.History = magpie.HookPending, magpie.HistoryPending })
		treeRepo(t, db, i, 1, "dddd", func(r *magpie.Repo) { r.Monitored, r.Hook = false, magpie.HookNone })
		treeRepo(t, db, i, 1, "eeeee", func(r *magpie.Repo) { r.State = magpie.RepoDeleted })
		treeRepo(t, db, i, 2, "f", nil)

		read := func(f store.PerimeterFilter) []store.PerimeterNode {
			got, err := store.Query(t.Context(), db, func(tx *store.Tx) ([]store.PerimeterNode, error) { return tx.PerimeterTree(t.Context(), f) })
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		want := []store.PerimeterNode{
			{
				Repos: 4, Monitored: 3, Hooked: 1, HookFailed: 1, HookPending: 1, HistoryDone: 2, Trouble: 1, Pending: 1, Behind: 3,
				Deleted: 1, LastPushAt: newest, LastScanAt: newest, BaseURL: i.BaseURL,
			},
			{Repos: 1, Monitored: 1, Hooked: 1, HistoryDone: 1, Behind: 1, BaseURL: i.BaseURL},
			{BaseURL: i.BaseURL},
		}
		if diff := cmp.Diff(want, read(store.PerimeterFilter{}), cmpopts.IgnoreFields(store.PerimeterNode{}, "Project")); diff != "" {
			t.Errorf("the tree (-want +got):\n%s", diff)
		}
		for name, f := range map[string]store.PerimeterFilter{
			"text":           {Text: "p2/"},
			"hook":           {Hook: magpie.HookFailed},
			"everything":     {},
			"no integration": {Integration: "none"},
		} {
			var all, behind, trouble int64
			for _, p := range read(f) {
				all, behind, trouble = all+p.Repos, behind+p.Behind, trouble+p.Trouble
			}
			for state, got := range map[store.PerimeterState]int64{store.PerimeterAll: all, store.PerimeterBehind: behind, store.PerimeterTrouble: trouble} {
				f.State = state
				ids, err := store.Query(t.Context(), db, func(tx *store.Tx) ([]magpie.RepoID, error) { return tx.ReposOfFilter(t.Context(), f) })
				if err != nil {
					t.Fatal(err)
				}
				if int64(len(ids)) != got {
					t.Errorf("%s: the tree counts %d in state %q, the list %d", name, got, state, len(ids))
				}
			}
		}
	})
}

func TestOpenIncidentsOfProjects(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i := sampleIntegration("https://open.example")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertIntegration(ctx, i, []byte("x")) })
		a, b := treeRepo(t, db, i, 1, "a", nil), treeRepo(t, db, i, 1, "bb", nil)
		c := treeRepo(t, db, i, 2, "c", nil)
		put := func(n int, status magpie.IncidentStatus, repos ...magpie.Repo) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				v := magpie.Incident{ID: store.NewID[magpie.IncidentID](), Number: int64(n), Status: status, Severity: magpie.SeverityLow}
				if err := tx.AddIncident(ctx, v, fmt.Sprint("f", n), []byte("s")); err != nil {
					return err
				}
				for _, r := range repos {
					_, err := tx.AddOccurrence(ctx, magpie.Occurrence{ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: r.ID, File: "x"}, []byte("s"))
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		put(1, magpie.IncidentTriggered, a, b)
		put(2, magpie.IncidentAssigned, b, c)
		put(3, magpie.IncidentResolved, a, c)
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			got, err := tx.OpenIncidents(t.Context(), []magpie.ProjectID{a.ProjectID, c.ProjectID})
			if err != nil {
				return err
			}
			if diff := cmp.Diff(map[magpie.ProjectID]int64{a.ProjectID: 2, c.ProjectID: 1}, got); diff != "" {
				t.Errorf("open incidents by project (-want +got):\n%s", diff)
			}
			if none, err := tx.OpenIncidents(t.Context(), nil); err != nil || len(none) != 0 {
				t.Errorf("no projects have %v, %v", none, err)
			}
			if all, err := tx.CountOpen(t.Context()); err != nil || all != 2 {
				t.Errorf("there are %d open incidents, want 2 (%v)", all, err)
			}
			total, err := tx.OpenIncidentsOf(t.Context(), i.ID)
			if total != 2 {
				t.Errorf("the integration has %d open incidents, want 2", total)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// An integration counts what is open in its own repositories, whatever others there are or were.
func TestOpenIncidentsOfIntegrations(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		one, two := sampleIntegration("https://one.example"), sampleIntegration("https://two.example")
		want := func(when string, i magpie.Integration, n int64) {
			t.Helper()
			got, err := store.Query(t.Context(), db, func(tx *store.Tx) (int64, error) { return tx.OpenIncidentsOf(t.Context(), i.ID) })
			if err != nil || got != n {
				t.Errorf("%s: %s has %d open incidents, want %d (%v)", when, i.BaseURL, got, n, err)
			}
		}
		put := func(n int, repos ...magpie.Repo) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				v := magpie.Incident{ID: store.NewID[magpie.IncidentID](), Number: int64(n), Status: magpie.IncidentTriggered, Severity: magpie.SeverityLow}
				if err := tx.AddIncident(ctx, v, fmt.Sprint("f", n), []byte("s")); err != nil {
					return err
				}
				for _, r := range repos {
					o := magpie.Occurrence{ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: r.ID, File: "x"}
					if _, err := tx.AddOccurrence(ctx, o, []byte("s")); err != nil {
						return err
					}
				}
				return nil
			})
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertIntegration(ctx, one, []byte("x")) })
		a := treeRepo(t, db, one, 1, "a", nil)
		put(1, a)
		want("alone", one, 1)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertIntegration(ctx, two, []byte("x")) })
		b := treeRepo(t, db, two, 1, "b", nil)
		put(2, b)
		put(3, a, b)
		want("both", one, 2)
		want("both", two, 2)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteIntegration(ctx, two.ID) })
		want("one is left", one, 2)
	})
}

func TestRemovedIntegrations(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, action := range []string{"integration.removed", "integration.removing", "integration.removed"} {
				if err := tx.Audit(ctx, magpie.User{}, action, "https://one.example", "left on A/b"); err != nil {
					return err
				}
			}
			return nil
		})
		for since, want := range map[time.Duration]int{-time.Hour: 2, time.Hour: 0} {
			got, err := store.Query(t.Context(), db, func(tx *store.Tx) ([]store.AuditEntry, error) {
				return tx.RemovedIntegrations(t.Context(), time.Now().Add(since), 5)
			})
			if err != nil || len(got) != want {
				t.Errorf("since %v: %d entries, want %d (%v)", since, len(got), want, err)
			}
			for _, e := range got {
				if e.Action != "integration.removed" || e.Detail != "left on A/b" {
					t.Errorf("an entry is %+v", e)
				}
			}
		}
	})
}
