package perimeter

import (
	"context"
	"errors"
	"strings"
	"time"

	"magpie"
	"magpie/internal/store"
)

const (
	syncPrefix    = "perimeter.sync:"
	pruneSchedule = "perimeter.prune"
	pruneEvery    = time.Hour
	tickEvery     = time.Second
	// keep is for how long traces of what is dealt with are kept: events, which is for how long a replay is noticed, push
	// scans that found nothing, and sweeps.
	keep = 30 * 24 * time.Hour
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
			return s.rest(context.WithoutCancel(ctx))
		case <-tick.C:
		}
	}
}

// rest notes when Magpie last ran.
func (s *Service) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tickEvery)
	defer cancel()
	if err := s.opts.DB.Write(ctx, func(tx *store.Tx) error { return putInstant(ctx, tx, aliveSetting, s.opts.Now()) }); err != nil {
		s.opts.Log.Warn("noting the time of the stop did not succeed", "error", err)
	}
	return nil
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
		for _, name := range []string{sweepSchedule, pruneSchedule} {
			if err := tx.AddSchedule(ctx, name, s.opts.Now().Add(time.Minute)); err != nil {
				return err
			}
		}
		return s.wake(ctx, tx, s.opts.Now())
	})
}

// Tick starts what is due now. Run calls it every second.
func (s *Service) Tick(ctx context.Context) error {
	now := s.opts.Now()
	if err := errors.Join(s.beat(ctx, now), s.endSweep(ctx, now)); err != nil {
		return err
	}
	due, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]string, error) { return tx.DueSchedules(ctx, now) })
	if err != nil {
		return err
	}
	var sweeps []string
	for _, name := range due {
		if isSweep(name) {
			sweeps = append(sweeps, name)
			continue
		}
		if err := s.opts.DB.Write(ctx, func(tx *store.Tx) error { return s.start(ctx, tx, name, now) }); err != nil {
			return err
		}
	}
	if len(sweeps) == 0 {
		return nil
	}
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) error { return s.beginSweep(ctx, tx, sweeps, now) })
	if magpie.KindOf(err) == magpie.KindConflict { // another instance began one in the same moment
		return nil
	}
	return err
}

// start claims a due task and enqueues its job. Tasks of other stages are left alone.
func (s *Service) start(ctx context.Context, tx *store.Tx, name string, now time.Time) error {
	if name == expirySchedule {
		return s.announceExpiries(ctx, tx, now)
	}
	id, isSync := strings.CutPrefix(name, syncPrefix)
	every := s.opts.SyncEvery
	if !isSync {
		every = pruneEvery
	}
	if !isSync && name != pruneSchedule {
		return nil
	}
	claimed, err := tx.ClaimSchedule(ctx, name, now, now.Add(every))
	if err != nil || !claimed {
		return err
	}
	if isSync {
		return tx.Enqueue(ctx, syncJob{IntegrationID: magpie.IntegrationID(id)}, magpie.JobOptions{Once: true})
	}
	return prune(ctx, tx, now.Add(-keep))
}

// prune forgets what was dealt with before a time and is of no use to anybody.
func prune(ctx context.Context, tx *store.Tx, before time.Time) error {
	for _, forget := range []func(context.Context, time.Time) (int64, error){tx.PruneDeliveries, tx.PruneScans, tx.PruneSweeps} {
		if _, err := forget(ctx, before); err != nil {
			return err
		}
	}
	return nil
}
