package store_test

import (
	"context"
	"testing"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestDeliveryDelays(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		repo := r.ID
		at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for n, sent := range []time.Time{at, {}, at.Add(-time.Hour)} { // the second did not say
				d := store.Delivery{
					ID: store.NewID[magpie.DeliveryID](), RepoID: repo, ReceivedAt: sent.Add(1500 * time.Millisecond),
					Push: magpie.Push{RequestID: string(rune('a' + n)), SentAt: sent},
				}
				if sent.IsZero() {
					d.ReceivedAt = at
				}
				if _, err := tx.AddDelivery(ctx, d); err != nil {
					return err
				}
			}
			return nil
		})
		got, err := store.Query(t.Context(), db, func(tx *store.Tx) ([]store.Delay, error) {
			return tx.DeliveryDelays(t.Context(), i.ID, at.Add(-time.Minute), 10)
		})
		if err != nil || len(got) != 1 || got[0].Received.Sub(got[0].Sent) != 1500*time.Millisecond {
			t.Errorf("delays = %v, %v; want the one of this minute that told when it was sent", got, err)
		}
	})
}
