package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestRefusals(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		write := func(fn func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(ctx, fn); err != nil {
				t.Fatal(err)
			}
		}
		i := magpie.Integration{ID: "i", Mode: magpie.ModeInstance, BaseURL: "https://bitbucket.example", State: magpie.IntegrationActive, CreatedAt: began}
		other := magpie.Integration{ID: "o", Mode: magpie.ModeInstance, BaseURL: "https://other.example", State: magpie.IntegrationActive, CreatedAt: began}
		write(func(tx *store.Tx) error {
			if err := tx.InsertIntegration(ctx, i, []byte("sealed")); err != nil {
				return err
			}
			return tx.InsertIntegration(ctx, other, []byte("sealed"))
		})
		refuse := func(at, wantCounted time.Duration, wantSince time.Duration) {
			t.Helper()
			write(func(tx *store.Tx) error {
				since, counted, err := tx.NoteRefusal(ctx, "i", began.Add(at), 3*time.Minute)
				if !since.Equal(began.Add(wantSince)) || counted != wantCounted {
					t.Errorf("after %s: since %s, counted %s; want since %s, counted %s", at, since, counted, began.Add(wantSince), wantCounted)
				}
				return err
			})
		}
		m := time.Minute
		refuse(0, 0, 0)
		refuse(m, m, 0)
		refuse(11*m, 4*m, 0) // no more than the longest stretch
		refuse(10*m, 4*m, 0) // a clock that was set back
		refuse(11*m, 5*m, 0) // goes on from there
		write(func(tx *store.Tx) error { return tx.NoteSilence(ctx, "i") })
		refuse(60*m, 5*m, 0)
		refuse(61*m, 6*m, 0)
		write(func(tx *store.Tx) error { return tx.ForgetRefusals(ctx, "i") })
		refuse(70*m, 0, 70*m)
		expires := began.Add(time.Hour)
		write(func(tx *store.Tx) error { return tx.SetTokenExpiry(ctx, "i", expires) })
		all, err := store.Query(ctx, db, func(tx *store.Tx) ([]magpie.Integration, error) { return tx.Integrations(ctx) })
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		if got := all[0]; !got.AuthFailingSince.Equal(began.Add(70*m)) || !got.TokenExpiresAt.Equal(expires) {
			t.Errorf("integration %+v", got)
		}
		if got := all[1]; !got.AuthFailingSince.IsZero() || !got.TokenExpiresAt.IsZero() {
			t.Errorf("the other integration is %+v, want it untouched", got)
		}
	})
}

func TestMonitored(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		i := magpie.Integration{ID: "i", Mode: magpie.ModeInstance, BaseURL: "https://bitbucket.example", State: magpie.IntegrationActive, CreatedAt: at}
		err := db.Write(ctx, func(tx *store.Tx) error {
			if err := tx.InsertIntegration(ctx, i, []byte("sealed")); err != nil {
				return err
			}
			for n, p := range []magpie.Project{{RemoteID: 7, Key: "A", Name: "A"}, {RemoteID: 8, Key: "~b", Name: "b", Personal: true}, {RemoteID: 9, Key: "C", Name: "C"}} {
				p.IntegrationID, p.Installed = "i", true
				p, err := tx.PutProject(ctx, p, "")
				if err != nil {
					return err
				}
				for k, r := range []magpie.Repo{
					{State: magpie.RepoAvailable, Hook: magpie.HookFailed},
					{State: magpie.RepoArchived, Hook: magpie.HookInstalled},
					{State: magpie.RepoDeleted},
					{State: magpie.RepoAvailable, Hook: magpie.HookInstalled},
				} {
					r.ID, r.IntegrationID, r.ProjectID = magpie.RepoID(string(rune('a'+n))+string(rune('0'+k))), "i", p.ID
					r.RemoteID, r.Slug, r.Monitored, r.CreatedAt, r.History = int64(10*n+k+1), string(r.ID), p.Key != "C", at, magpie.HistoryNone
					if err := tx.PutRepo(ctx, r, ""); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Read(ctx, func(tx *store.Tx) error {
			sample, err := tx.MonitoredSample(ctx, "i", 5)
			if err != nil {
				return err
			}
			var names []string
			for _, r := range sample {
				names = append(names, r.Slug)
			}
			equal(t, "sample", names, []string{"a1", "a3", "b1", "b3", "a0"})
			projects, err := tx.MonitoredProjects(ctx, "i")
			if err != nil {
				return err
			}
			equal(t, "projects", projects, map[int64]bool{7: false, 8: true})
			ids, err := tx.MonitoredRemoteIDs(ctx, "i")
			slices.Sort(ids)
			equal(t, "ids", ids, []int64{1, 4, 11, 14})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
