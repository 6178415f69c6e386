package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestChangePace(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		change := func(change func(time.Time, *store.Pace)) {
			t.Helper()
			mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.ChangePace(ctx, "https://a.example bot", change)
			})
		}
		want := store.Pace{Rate: 4500, Ceiling: 5000, FreeAt: at, PausedUntil: at.Add(time.Second), ChangedAt: at.Add(time.Microsecond)}
		change(func(now time.Time, p *store.Pace) {
			if diff := cmp.Diff(store.Pace{}, *p); diff != "" {
				t.Errorf("an unknown pace (-want +got):\n%s", diff)
			}
			if off := time.Since(now).Abs(); off > time.Minute || now.Nanosecond()%1000 != 0 {
				t.Errorf("now is %v, %v off", now, off)
			}
			*p = want
		})
		change(func(_ time.Time, p *store.Pace) {
			if diff := cmp.Diff(want, *p); diff != "" {
				t.Errorf("what was stored (-want +got):\n%s", diff)
			}
		})
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.ChangePace(ctx, "https://a.example another", func(_ time.Time, p *store.Pace) {
				if !p.ChangedAt.IsZero() {
					t.Errorf("another subject has %+v, want nothing", *p)
				}
			})
		})
	})
}

// Slots taken by many at once are each taken once, and the clock never goes back between them.
func TestChangePaceAtOnce(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		const takers, times = 8, 10
		var all sync.WaitGroup
		for range takers {
			all.Go(func() {
				for range times {
					err := db.Write(context.Background(), func(tx *store.Tx) error {
						return tx.ChangePace(context.Background(), "x", func(now time.Time, p *store.Pace) {
							if !db.Embedded() && now.Before(p.FreeAt) {
								t.Errorf("now is %v, after somebody saw %v", now, p.FreeAt)
							}
							p.FreeAt = now
							p.Rate++
						})
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.ChangePace(ctx, "x", func(_ time.Time, p *store.Pace) {
				if p.Rate != takers*times {
					t.Errorf("%d slots were taken, want %d", p.Rate, takers*times)
				}
			})
		})
	})
}
