package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestSyncPlaceIsKept(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, _ := sampleRepo(t, db)
		other, _ := sampleRepo(t, db)
		for _, want := range []string{"", `{"next":7}`, ""} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.SetSyncPlace(ctx, i.ID, want); err != nil {
					return err
				}
				if got, err := tx.SyncPlace(ctx, i.ID); got != want || err != nil {
					t.Errorf("SyncPlace = %q, %v, want %q", got, err, want)
				}
				got, err := tx.SyncPlace(ctx, other.ID)
				if got != "" {
					t.Errorf("the place of another integration = %q", got)
				}
				return err
			})
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.SyncPlace(ctx, "none"); magpie.KindOf(err) != magpie.KindNotFound {
				t.Errorf("the place of no integration: %v", err)
			}
			return nil
		})
	})
}

func TestFoundByRemoteIDs(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		sampleRepo(t, db) // the same ids at another Bitbucket
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			repos, err := tx.ReposByRemoteIDs(ctx, i.ID, []int64{6, 7, 8})
			if diff := cmp.Diff([]magpie.Repo{r}, repos); err != nil || diff != "" {
				t.Errorf("repositories (%v, -want +got):\n%s", err, diff)
			}
			projects, err := tx.ProjectsByRemoteIDs(ctx, i.ID, []int64{3, 4})
			if err != nil || len(projects) != 1 || projects[0].ID != r.ProjectID {
				t.Errorf("projects %v, %v, want the one", projects, err)
			}
			repos, err = tx.ReposByRemoteIDs(ctx, i.ID, nil)
			if err != nil || len(repos) != 0 {
				t.Errorf("repositories with none of the ids: %v, %v", repos, err)
			}
			projects, err = tx.ProjectsByRemoteIDs(ctx, i.ID, nil)
			if err != nil || len(projects) != 0 {
				t.Errorf("projects with none of the ids: %v, %v", projects, err)
			}
			return nil
		})
	})
}

// What a sync saw stays seen by it when an older one comes to its end later.
func TestSeenInSync(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db) // seen in "s1"
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			missed := func(sync string) int {
				repos, err := tx.ReposMissed(ctx, i.ID, sync, "", 10)
				if err != nil {
					t.Error(err)
				}
				return len(repos)
			}
			if n := missed("s3"); n != 1 {
				t.Errorf("%d repositories were missed before the sync saw any, want 1", n)
			}
			for _, sync := range []string{"s3", "s2"} {
				if err := tx.SetReposSeen(ctx, []magpie.RepoID{r.ID}, sync); err != nil {
					return err
				}
				if err := tx.SetProjectsSeen(ctx, []magpie.ProjectID{r.ProjectID}, sync); err != nil {
					return err
				}
			}
			if got, err := tx.RepoSeen(ctx, r.ID); got != "s3" || err != nil {
				t.Errorf("RepoSeen = %q, %v, want s3", got, err)
			}
			if n := missed("s3"); n != 0 {
				t.Errorf("%d repositories were missed by the sync that saw it", n)
			}
			if err := tx.SetReposSeen(ctx, nil, "s9"); err != nil {
				return err
			}
			if err := tx.SetProjectsSeen(ctx, nil, "s9"); err != nil {
				return err
			}
			if got, err := tx.RepoSeen(ctx, r.ID); got != "s3" || err != nil {
				t.Errorf("after nothing was seen RepoSeen = %q, %v, want s3", got, err)
			}
			return nil
		})
	})
}

func TestCountHooks(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, step := range []struct {
				state     magpie.HookState
				monitored bool
				want      int
			}{{magpie.HookPending, true, 0}, {magpie.HookInstalled, true, 1}, {magpie.HookNone, false, 0}} {
				if _, err := tx.SetRepoMonitored(ctx, r.ID, step.monitored); err != nil {
					return err
				}
				if _, err := tx.SetRepoHook(ctx, r.ID, step.monitored, step.state, ""); err != nil {
					return err
				}
				if n, err := tx.CountHooks(ctx, i.ID); n != step.want || err != nil {
					t.Errorf("%d hooks are counted when it is %s (%v), want %d", n, step.state, err, step.want)
				}
			}
			return nil
		})
	})
}

// An integration that leaves a sweep early is counted as far as it came, and takes part in the next one.
func TestLeaveSweepEarly(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetRepoLooked(ctx, r.ID, perimeterTime); err != nil {
				return err
			}
			if _, err := tx.AddSweep(ctx, store.Sweep{ID: "s", Reason: "schedule", BeganAt: perimeterTime}); err != nil {
				return err
			}
			if err := tx.LeaveSweep(ctx, i.ID, "s"); err != nil {
				return err
			}
			v, ended, err := tx.EndSweep(ctx, "s", perimeterTime.Add(time.Minute), false)
			if !ended || err != nil || v.Repos != 0 || v.Compared != 0 {
				t.Errorf("EndSweep = %+v, %t, %v, want an end with nothing compared", v, ended, err)
			}
			parts, err := tx.AddSweep(ctx, store.Sweep{ID: "t", Reason: "schedule", BeganAt: perimeterTime})
			if len(parts) != 1 {
				t.Errorf("%v take part in the next sweep", parts)
			}
			return err
		})
	})
}
