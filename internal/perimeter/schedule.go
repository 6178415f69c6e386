package perimeter

import (
	"context"
	"strings"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
)

const (
	sweepSchedule = "perimeter.sweep"
	syncPrefix    = "perimeter.sync:"
	tickEvery     = time.Second
	sweepBatch    = 200 // repositories in one transaction
	// keepDeliveries is for how long an event that was dealt with is kept, which is for how long a replay is noticed.
	keepDeliveries = 30 * 24 * time.Hour
)

func syncSchedule(id magpie.IntegrationID) string { return syncPrefix + string(id) }

// Run starts syncs and sweeps when they are due, until ctx ends; the first sweep at once, since events may have been lost
// while nothing ran. Several instances may run it: each due task is started by one of them.
func (s *Service) Run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		if err := s.Tick(ctx); err != nil && ctx.Err() == nil {
			s.opts.Log.Error("starting due work of the perimeter did not succeed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// prepare makes a sweep due, and repairs schedules that are missing.
func (s *Service) prepare(ctx context.Context) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := tx.Integrations(ctx)
		if err != nil {
			return err
		}
		for _, i := range all {
			if i.Removing {
				continue
			}
			if err := tx.AddSchedule(ctx, syncSchedule(i.ID), s.opts.Now()); err != nil {
				return err
			}
		}
		if err := tx.AddSchedule(ctx, expirySchedule, s.opts.Now()); err != nil {
			return err
		}
		return tx.SetSchedule(ctx, sweepSchedule, s.opts.Now())
	})
}

// Tick starts what is due now. Run calls it every second.
func (s *Service) Tick(ctx context.Context) error {
	now := s.opts.Now()
	due, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]string, error) { return tx.DueSchedules(ctx, now) })
	if err != nil {
		return err
	}
	for _, name := range due {
		if err := s.opts.DB.Write(ctx, func(tx *store.Tx) error { return s.start(ctx, tx, name, now) }); err != nil {
			return err
		}
	}
	return nil
}

// start claims a due task and enqueues its job. Tasks of other stages are left alone.
func (s *Service) start(ctx context.Context, tx *store.Tx, name string, now time.Time) error {
	if name == expirySchedule {
		return s.announceExpiries(ctx, tx, now)
	}
	id, isSync := strings.CutPrefix(name, syncPrefix)
	if !isSync && name != sweepSchedule {
		return nil
	}
	every := s.opts.SweepEvery
	if isSync {
		every = s.opts.SyncEvery
	}
	claimed, err := tx.ClaimSchedule(ctx, name, now, now.Add(every))
	if err != nil || !claimed {
		return err
	}
	if isSync {
		return tx.Enqueue(ctx, syncJob{IntegrationID: magpie.IntegrationID(id)}, magpie.JobOptions{Once: true})
	}
	return tx.Enqueue(ctx, sweepJob{}, magpie.JobOptions{Once: true})
}

// workSweep makes every monitored repository be looked at, in small transactions so that nobody waits long, and forgets
// old events at the end.
func (s *Service) workSweep(ctx context.Context, run *queue.Run[sweepJob]) error {
	after, all := magpie.RepoID(""), 0
	for {
		ids, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]magpie.RepoID, error) {
			return tx.MonitoredRepos(ctx, after, sweepBatch)
		})
		if err != nil {
			return err
		}
		last := len(ids) < sweepBatch
		err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
			for _, id := range ids {
				if err := s.opts.Scans.Look(ctx, tx, id); err != nil {
					return err
				}
			}
			if last {
				if _, err := tx.PruneDeliveries(ctx, s.opts.Now().Add(-keepDeliveries)); err != nil {
					return err
				}
				return run.Complete(ctx, tx.Native())
			}
			return nil
		})
		if err != nil {
			return err
		}
		if all += len(ids); last {
			s.opts.Log.Info("all monitored repositories are being looked at", "repositories", all)
			return nil
		}
		after = ids[len(ids)-1]
	}
}
