package perimeter

import (
	"context"

	"magpie"
	"magpie/internal/store"
)

// SweepNow makes every monitored repository be compared with what was scanned, at once or, if that is being done already,
// as soon as it is done.
func (s *Service) SweepNow(ctx context.Context, actor magpie.User) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.Audit(ctx, actor, "sweep.requested", "all monitored repositories", ""); err != nil {
			return err
		}
		return s.wantSweep(ctx, tx, sweepRequest)
	})
}

// The reasons for a sweep.
const (
	sweepTimer   = "schedule"
	sweepStart   = "start"
	sweepToken   = "token"
	sweepRequest = "request"
)

// wantSweep makes a sweep begin as soon as none is running, for a reason.
func (s *Service) wantSweep(ctx context.Context, tx *store.Tx, reason string) error {
	return tx.SetSchedule(ctx, sweepSchedule, s.opts.Now())
}
