package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

var perimeterTime = time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)

// write runs fn in a transaction that must succeed.
func write(t *testing.T, db *store.DB, fn func(context.Context, *store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *store.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func sampleIntegration(url string) magpie.Integration {
	return magpie.Integration{
		ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: url, Version: "9.4.0", TokenUser: "magpie",
		State: magpie.IntegrationActive, Autoscan: true, AutoMonitor: true, CreatedBy: "owner", CreatedAt: perimeterTime,
	}
}

// sampleRepo stores an integration with one project and one repository in it.
func sampleRepo(t *testing.T, db *store.DB) (magpie.Integration, magpie.Repo) {
	t.Helper()
	i := sampleIntegration("https://" + store.NewID[string]() + ".example")
	r := magpie.Repo{
		ID: store.NewID[magpie.RepoID](), IntegrationID: i.ID, RemoteID: 7, ProjectKey: "PRJ", Slug: "rocket", Name: "Rocket",
		CloneURL: i.BaseURL + "/scm/prj/rocket.git", BrowseURL: i.BaseURL + "/x", State: magpie.RepoAvailable,
		Monitored: true, Hook: magpie.HookPending, History: magpie.HistoryNone, CreatedAt: perimeterTime,
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertIntegration(ctx, i, []byte{0, 1, 255}); err != nil {
			return err
		}
		p, err := tx.PutProject(ctx, magpie.Project{IntegrationID: i.ID, RemoteID: 3, Key: "PRJ", Name: "Project", Installed: true}, "s1")
		if err != nil {
			return err
		}
		r.ProjectID = p.ID
		return tx.PutRepo(ctx, r, "s1")
	})
	return i, r
}

func TestPerimeterRowsComeBack(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.Integration(ctx, i.ID)
			if diff := cmp.Diff(i, got); err != nil || diff != "" {
				t.Errorf("integration (-want +got, %v):\n%s", err, diff)
			}
			gotRepo, err := tx.RepoByRemoteID(ctx, i.ID, 7)
			if diff := cmp.Diff(r, gotRepo); err != nil || diff != "" {
				t.Errorf("repository (-want +got, %v):\n%s", err, diff)
			}
			sealed, err := tx.IntegrationToken(ctx, i.ID)
			if diff := cmp.Diff([]byte{0, 1, 255}, sealed); err != nil || diff != "" {
				t.Errorf("token (-want +got, %v):\n%s", err, diff)
			}
			if _, err := tx.Repo(ctx, "none"); magpie.KindOf(err) != magpie.KindNotFound {
				t.Errorf("a repository that is not there: %v", err)
			}
			return nil
		})
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			return tx.InsertIntegration(t.Context(), sampleIntegration(i.BaseURL), []byte{1})
		})
		if magpie.KindOf(err) != magpie.KindConflict {
			t.Errorf("the same instance twice: %v, want a conflict", err)
		}
	})
}

// What a sync stores must not undo what people and jobs stored.
func TestPutRepoKeepsOurs(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		_, r := sampleRepo(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.SetRepoMonitored(ctx, r.ID, false); err != nil {
				return err
			}
			if err := tx.SetRepoScanned(ctx, r.ID, perimeterTime); err != nil {
				return err
			}
			renamed := r
			renamed.ID, renamed.Slug, renamed.Monitored = "other", "moon", true
			if err := tx.PutRepo(ctx, renamed, "s2"); err != nil {
				return err
			}
			got, err := tx.Repo(ctx, r.ID)
			if err != nil || got.Slug != "moon" || got.Monitored || got.Hook != magpie.HookNone || !got.LastScanAt.Equal(perimeterTime) {
				t.Errorf("repository after a rename is %+v (%v)", got, err)
			}
			if err := tx.SetRepoScanned(ctx, r.ID, perimeterTime.Add(-time.Hour)); err != nil {
				return err
			}
			missed, err := tx.ReposMissed(ctx, r.IntegrationID, "s2", "", 10)
			if err != nil || len(missed) != 0 {
				t.Errorf("missed in its own sync: %v (%v)", missed, err)
			}
			if missed, err = tx.ReposMissed(ctx, r.IntegrationID, "s3", "", 10); err != nil || len(missed) != 1 || !missed[0].LastScanAt.Equal(perimeterTime) {
				t.Errorf("missed in a later sync: %v (%v), want it", missed, err)
			}
			return nil
		})
	})
}

// Of many transactions that would be the first, exactly one is.
func TestOneIsFirst(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSchedule(ctx, "task", perimeterTime) })
		for name, try := range map[string]func(context.Context, *store.Tx) (bool, error){
			"claim a schedule": func(ctx context.Context, tx *store.Tx) (bool, error) {
				return tx.ClaimSchedule(ctx, "task", perimeterTime, perimeterTime.Add(time.Minute))
			},
			"change a state": func(ctx context.Context, tx *store.Tx) (bool, error) {
				return tx.SetIntegrationState(ctx, i.ID, magpie.IntegrationTokenInvalid, "dead", perimeterTime)
			},
			"deselect": func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.SetRepoMonitored(ctx, r.ID, false) },
			"remove":   func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.SetIntegrationRemoving(ctx, i.ID) },
		} {
			var firsts atomic.Int32
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					first := false
					err := db.Write(t.Context(), func(tx *store.Tx) (err error) { first, err = try(t.Context(), tx); return err })
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if first {
						firsts.Add(1)
					}
				})
			}
			group.Wait()
			if got := firsts.Load(); got != 1 {
				t.Errorf("%s: %d were first, want 1", name, got)
			}
		}
	})
}

func TestFinishSync(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, _ := sampleRepo(t, db)
		for _, step := range []struct {
			wantedNow, began time.Time
			trouble          string
			done             bool
			syncedAt         time.Time
		}{
			{perimeterTime, perimeterTime, "", true, perimeterTime},
			{perimeterTime.Add(2), perimeterTime.Add(2), "down", true, perimeterTime},
			{perimeterTime.Add(time.Second), perimeterTime, "", false, perimeterTime}, // asked for again meanwhile
		} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.WantSync(ctx, i.ID, step.wantedNow); err != nil {
					return err
				}
				done, err := tx.FinishSync(ctx, i.ID, step.began, perimeterTime, step.trouble)
				if err != nil || done != step.done {
					t.Errorf("%v: done is %t (%v), want %t", step, done, err, step.done)
				}
				got, err := tx.Integration(ctx, i.ID)
				if err != nil || !got.SyncedAt.Equal(step.syncedAt) || done && got.SyncError != step.trouble {
					t.Errorf("%v: integration is %+v (%v)", step, got, err)
				}
				return nil
			})
		}
	})
}

func TestDeleteIntegrationKeepsNames(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		_, other := sampleRepo(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			h := store.Hook{ID: "h", RepoID: r.ID, SecretSealed: []byte{1}, URL: "u"}
			if err := tx.InsertHook(ctx, h); err != nil {
				return err
			}
			if got, repo, err := tx.LiveHook(ctx, "h"); err != nil || got.RepoID != r.ID || repo.ID != r.ID {
				return fmt.Errorf("live hook is %v %v: %w", got, repo, err)
			}
			return tx.DeleteIntegration(ctx, i.ID)
		})
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.HookOf(ctx, r.ID); magpie.KindOf(err) != magpie.KindNotFound {
				t.Errorf("the hook of a deleted integration: %v", err)
			}
			for _, repo := range []magpie.Repo{r, other} {
				if name, page, err := tx.RepoName(ctx, repo.ID); err != nil || name != "PRJ/rocket" || page != repo.BrowseURL {
					t.Errorf("repository reads %q %q (%v)", name, page, err)
				}
			}
			return nil
		})
	})
}
