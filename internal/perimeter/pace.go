package perimeter

import (
	"context"
	"math"
	"time"

	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// pace returns the one pace of a token's user: Bitbucket limits the requests of each user, whichever token and interface
// they come through.
func (s *Service) pace(baseURL, user string) *bitbucket.Pace {
	subject := baseURL + " " + user
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.paces[subject]
	if !ok {
		p = bitbucket.NewPace(bitbucket.PaceOptions{
			Store: paceStore{s.opts.DB, subject}, Shared: !s.opts.DB.Embedded(), Log: s.opts.Log,
		})
		s.paces[subject] = p
	}
	return p
}

// paceStore keeps a pace in the database.
type paceStore struct {
	db      *store.DB
	subject string
}

// Change implements bitbucket.PaceStore.
func (p paceStore) Change(ctx context.Context, change func(time.Time, *bitbucket.PaceState)) error {
	return p.db.Write(ctx, func(tx *store.Tx) error {
		return tx.ChangePace(ctx, p.subject, func(now time.Time, row *store.Pace) {
			before := bitbucket.PaceState{
				Rate: float64(row.Rate) / 1000, Ceiling: float64(row.Ceiling) / 1000,
				FreeAt: row.FreeAt, PausedUntil: row.PausedUntil, ChangedAt: row.ChangedAt,
			}
			after := before
			change(now, &after)
			if after != before {
				*row = store.Pace{
					Rate: int64(math.Round(1000 * after.Rate)), Ceiling: int64(math.Round(1000 * after.Ceiling)),
					FreeAt: after.FreeAt, PausedUntil: after.PausedUntil, ChangedAt: after.ChangedAt,
				}
			}
		})
	})
}
