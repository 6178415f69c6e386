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

func TestSweepCountsOnce(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		began := perimeterTime.Add(time.Hour)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetRepoLooked(ctx, r.ID, perimeterTime) })
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			parts, err := tx.AddSweep(ctx, store.Sweep{ID: "s", Reason: "start", DownSince: perimeterTime, BeganAt: began})
			if diff := cmp.Diff([]magpie.IntegrationID{i.ID}, parts); err != nil || diff != "" {
				t.Errorf("AddSweep (%v, -want +got):\n%s", err, diff)
			}
			if after, ok, err := tx.SweepPlace(ctx, i.ID, "s"); after != "" || !ok || err != nil {
				t.Errorf("SweepPlace = %q, %t, %v", after, ok, err)
			}
			if _, ok, err := tx.SweepPlace(ctx, i.ID, "other"); ok || err != nil {
				t.Errorf("the place in another sweep = %t, %v", ok, err)
			}
			repos, err := tx.ReposToSweep(ctx, i.ID, "", 10)
			if diff := cmp.Diff([]store.SweepRepo{{ID: r.ID}}, repos); err != nil || diff != "" {
				t.Errorf("ReposToSweep (%v, -want +got):\n%s", err, diff)
			}
			for n, want := range []bool{true, false} { // the same page twice
				if moved, err := tx.MoveSweep(ctx, i.ID, "s", "", r.ID, 2, 1); moved != want || err != nil {
					t.Errorf("MoveSweep %d = %t, %v", n, moved, err)
				}
			}
			if _, ended, err := tx.EndSweep(ctx, "s", began, false); ended || err != nil {
				t.Errorf("a sweep with a part at work ended (%v)", err)
			}
			if err := tx.LeaveSweep(ctx, i.ID, "s"); err != nil {
				return err
			}
			if _, ended, err := tx.EndSweep(ctx, "s", began, false); ended || err != nil {
				t.Errorf("a sweep with a look to come ended (%v)", err)
			}
			if err := tx.CountLook(ctx, "s", true, false); err != nil {
				return err
			}
			v, ended, err := tx.EndSweep(ctx, "s", began.Add(time.Minute), false)
			want := store.Sweep{ID: "s", Reason: "start", DownSince: perimeterTime, BeganAt: began, EndedAt: began.Add(time.Minute), Repos: 2, Compared: 2, Behind: 1}
			if diff := cmp.Diff(want, v); !ended || err != nil || diff != "" {
				t.Errorf("EndSweep = %t (%v, -want +got):\n%s", ended, err, diff)
			}
			if err := tx.CountLook(ctx, "s", true, true); err != nil { // too late
				return err
			}
			all, err := tx.Sweeps(ctx, 10)
			if diff := cmp.Diff([]store.Sweep{want}, all); err != nil || diff != "" {
				t.Errorf("Sweeps (%v, -want +got):\n%s", err, diff)
			}
			if n, err := tx.PruneSweeps(ctx, began.Add(time.Hour)); n != 1 || err != nil {
				t.Errorf("PruneSweeps = %d, %v", n, err)
			}
			return nil
		})
	})
}
