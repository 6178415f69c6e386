package perimeter

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/store"
)

// A sweep compares every monitored repository with what was scanned of it, so that no push is missed whatever became of
// its event. It begins on a schedule, when Magpie starts, when a token works again and when somebody asks for it; one that
// runs goes on, and what was asked for meanwhile follows it. One job for each integration walks its repositories, a page
// at a time: it costs a listing for each, and one transaction for each page of those where nothing is new. Those where
// something is new, or that gave no answer, get a look of their own from the scan stage.
//
// An integration in trouble that passes is waited for, but not for long, since all others would have to wait as well: then
// its walk ends where it stands, and when it is well again the next sweep begins with it.
//
// A page, and each look, is counted in the transaction that ends it. So a walk that dies repeats at most a page, and
// nothing is counted twice.
const (
	sweepSchedule = "perimeter.sweep"   // the recurring one; "perimeter.sweep:<reason>" are wanted once
	sweepPrefix   = sweepSchedule + ":" // begins those names
	sweepPage     = 50                  // repositories compared before that is stored
	sweepAtOnce   = 8                   // comparisons under way
	sweepTries    = 3                   // for a page where nothing answers, before its repositories get looks of their own
	sweepLongest  = 24 * time.Hour      // after which a sweep ends as it stands
	sweepWaits    = 5 * time.Minute     // for how long a walk waits for an integration in trouble
)

// The reasons for a sweep.
const (
	sweepTimer   = "schedule"
	sweepStart   = "start"
	sweepToken   = "token"
	sweepRequest = "request"
)

// sweepJob walks the repositories of one integration for one sweep.
type sweepJob struct {
	Sweep         string               `json:"sweep"`
	IntegrationID magpie.IntegrationID `json:"integration_id"`
}

// Kind implements magpie.Job.
func (sweepJob) Kind() string { return "perimeter_sweep" }

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

// wantSweep makes a sweep begin, for a reason, as soon as none is running.
func (s *Service) wantSweep(ctx context.Context, tx *store.Tx, reason string) error {
	return tx.SetSchedule(ctx, sweepPrefix+reason, s.opts.Now())
}

func isSweep(name string) bool { return name == sweepSchedule || strings.HasPrefix(name, sweepPrefix) }

// beginSweep begins the sweep that is due, unless one is running: then the schedules stay due.
func (s *Service) beginSweep(ctx context.Context, tx *store.Tx, due []string, now time.Time) error {
	v := store.Sweep{ID: store.NewID[string](), Reason: sweepReason(due), BeganAt: now}
	old, err := tx.RunningSweep(ctx)
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
	case err != nil:
		return err
	default:
		// What was walked before an outage of ours must be walked again, so that sweep makes place.
		if down, err := s.downSince(ctx, tx); err != nil || down.IsZero() || v.Reason != sweepStart {
			return err
		}
		if _, _, err := tx.EndSweep(ctx, old.ID, now, true); err != nil {
			return err
		}
	}
	mine := false
	for _, name := range due {
		claimed, err := tx.ClaimSchedule(ctx, name, now, now.Add(s.opts.SweepEvery))
		if err != nil {
			return err
		}
		mine = mine || claimed
		if claimed && name != sweepSchedule {
			if err := tx.DeleteSchedule(ctx, name); err != nil {
				return err
			}
		}
	}
	if !mine { // another instance was faster
		return nil
	}
	if err := tx.SetSchedule(ctx, sweepSchedule, now.Add(s.opts.SweepEvery)); err != nil {
		return err
	}
	if v.Reason == sweepStart {
		if v.DownSince, err = s.downSince(ctx, tx); err != nil {
			return err
		}
		if err := tx.PutSetting(ctx, downSetting, "0"); err != nil {
			return err
		}
	}
	return s.startSweep(ctx, tx, v)
}

// sweepReason returns the one of several reasons that says most.
func sweepReason(due []string) string {
	for _, reason := range []string{sweepStart, sweepToken, sweepRequest} {
		if slices.Contains(due, sweepPrefix+reason) {
			return reason
		}
	}
	return sweepTimer
}

func (s *Service) startSweep(ctx context.Context, tx *store.Tx, v store.Sweep) error {
	parts, err := tx.AddSweep(ctx, v)
	if err != nil {
		return err
	}
	for _, id := range parts {
		if err := tx.Enqueue(ctx, sweepJob{Sweep: v.ID, IntegrationID: id}, magpie.JobOptions{Once: true}); err != nil {
			return err
		}
	}
	return nil
}

// workSweep walks an integration's repositories from where its walk stands.
func (s *Service) workSweep(ctx context.Context, run *queue.Run[sweepJob]) error {
	sweep, id := run.Args.Sweep, run.Args.IntegrationID
	var blocked time.Time // since when; zero if it is not
	for tries := 0; ; {
		p, err := s.sweepPage(ctx, sweep, id)
		if err != nil {
			return err
		}
		switch now := s.opts.Now(); {
		case !p.blocked:
			blocked = time.Time{}
		case blocked.IsZero():
			blocked = now
		case now.Sub(blocked) > sweepWaits:
			p.over = true
		}
		if p.over {
			return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
				if err := tx.LeaveSweep(ctx, id, sweep); err != nil {
					return err
				}
				return run.Complete(ctx, tx.Native())
			})
		}
		if p.blocked {
			if err := s.pause(ctx); err != nil {
				return err
			}
			continue
		}
		found := s.compare(ctx, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tries++; noneAnswered(found) && tries < sweepTries {
			if err := s.pause(ctx); err != nil {
				return err
			}
			continue
		}
		tries = 0
		if err := s.storePage(ctx, p, found); err != nil {
			return err
		}
	}
}

// page is a part of an integration's walk.
type page struct {
	sweep   store.Sweep
	id      magpie.IntegrationID
	after   magpie.RepoID
	repos   []store.SweepRepo
	over    bool // there is nothing left to walk, or it makes no sense
	blocked bool // the integration is in trouble that passes
}

func (s *Service) sweepPage(ctx context.Context, sweep string, id magpie.IntegrationID) (p page, err error) {
	err = s.opts.DB.Read(ctx, func(tx *store.Tx) error {
		p = page{id: id}
		after, ok, err := tx.SweepPlace(ctx, id, sweep)
		if err != nil || !ok {
			p.over = true
			return err
		}
		p.after = after
		if p.sweep, err = tx.RunningSweep(ctx); magpie.KindOf(err) == magpie.KindNotFound || err == nil && p.sweep.ID != sweep {
			p.over = true
			return nil
		}
		if err != nil {
			return err
		}
		i, err := tx.Integration(ctx, id)
		if err != nil {
			return err
		}
		grace := i.State == magpie.IntegrationActive && !i.AuthFailingSince.IsZero()
		p.blocked = i.State == magpie.IntegrationUnreachable || grace
		if p.repos, err = tx.ReposToSweep(ctx, id, after, sweepPage); err != nil {
			return err
		}
		p.over = len(p.repos) == 0 // also when the token is dead: a new one brings a new sweep
		p.blocked = p.blocked && !p.over
		return nil
	})
	return p, err
}

// finding is what became of one repository of a page.
type finding struct {
	at time.Time // when it was asked; zero if it had been compared since the sweep began
	scan.Comparison
	err error
}

// compare asks each repository of a page. When for a while nothing answers any more, those that did not are given up here,
// so that a few which hang do not hold up the walk.
func (s *Service) compare(ctx context.Context, p page) []finding {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stuck := time.AfterFunc(s.patience, cancel)
	defer stuck.Stop()
	found := make([]finding, len(p.repos))
	turns := make(chan struct{}, sweepAtOnce)
	var group sync.WaitGroup
	for n, r := range p.repos {
		if r.ComparedAt.After(p.sweep.BeganAt) {
			found[n].Current = true
			continue
		}
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			f := finding{at: s.opts.Now()}
			if f.Comparison, f.err = s.opts.Scans.Compare(ctx, r.ID); f.err == nil {
				stuck.Reset(s.patience)
			}
			found[n] = f
		})
	}
	group.Wait()
	return found
}

// noneAnswered reports whether a page says more about the Bitbucket than about its repositories. A refusal is an answer.
func noneAnswered(found []finding) bool {
	asked := 0
	for _, f := range found {
		if f.at.IsZero() {
			continue
		}
		if asked++; f.err == nil || refusedForGood(f.err) {
			return false
		}
	}
	return asked > 0
}

// storePage counts a page and moves the walk on.
func (s *Service) storePage(ctx context.Context, p page, found []finding) error {
	var current, looks []magpie.RepoID
	at := s.opts.Now()
	for n, f := range found {
		switch id := p.repos[n].ID; {
		case f.err != nil || !f.Void && !f.Current:
			looks = append(looks, id)
		case f.Current && !f.at.IsZero():
			current = append(current, id)
			if f.at.Before(at) {
				at = f.at
			}
		}
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		last := p.repos[len(p.repos)-1].ID
		moved, err := tx.MoveSweep(ctx, p.id, p.sweep.ID, p.after, last, len(found), len(found)-len(looks))
		if err != nil || !moved {
			return err
		}
		if err := tx.SetReposCompared(ctx, current, at); err != nil {
			return err
		}
		for n, f := range found {
			if f.Branch != "" {
				if err := tx.SetRepoBranch(ctx, p.repos[n].ID, f.Branch); err != nil {
					return err
				}
			}
		}
		for _, id := range looks {
			if err := s.opts.Scans.Look(ctx, tx, id, p.sweep.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// pause waits a while for trouble to pass.
func (s *Service) pause(ctx context.Context) error {
	t := time.NewTimer(s.patience)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endSweep ends the running sweep when all is compared, and says what it caught up.
func (s *Service) endSweep(ctx context.Context, now time.Time) error {
	running, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) (store.Sweep, error) { return tx.RunningSweep(ctx) })
	if magpie.KindOf(err) == magpie.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	overdue := now.Sub(running.BeganAt) > sweepLongest
	var v store.Sweep
	var ended bool
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) (err error) {
		if v, ended, err = tx.EndSweep(ctx, running.ID, now, overdue); err != nil || !ended || v.Behind == 0 && v.DownSince.IsZero() {
			return err
		}
		return tx.Audit(ctx, magpie.User{}, "sweep.finished", "all monitored repositories", describeSweep(v))
	})
	if ended && err == nil && v.Repos > 0 {
		s.opts.Log.Info("all monitored repositories were compared with what was scanned", "reason", v.Reason, "repositories", v.Repos,
			"behind", v.Behind, "failed", v.Failed, "took", v.EndedAt.Sub(v.BeganAt).Round(time.Second), "down_since", v.DownSince)
	}
	return err
}

func describeSweep(v store.Sweep) string {
	var text strings.Builder
	if !v.DownSince.IsZero() {
		fmt.Fprintf(&text, "Magpie did not run from %s to %s; ", v.DownSince.UTC().Format(time.DateTime), v.BeganAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	fmt.Fprintf(&text, "%d repositories were compared, %d had pushes that no event had announced and that are scanned now", v.Compared, v.Behind)
	if v.Failed > 0 {
		fmt.Fprintf(&text, ", %d could not be compared", v.Failed)
	}
	return text.String()
}

const (
	aliveSetting = "perimeter.alive"      // when Magpie last said that it runs, in microseconds
	downSetting  = "perimeter.down_since" // the same before an outage that no sweep has made good yet; 0 = none
	aliveEvery   = time.Minute
	outage       = 2 * aliveEvery // a silence that is longer than this was one
)

// beat says once a minute that Magpie runs.
func (s *Service) beat(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	due := now.Sub(s.beaten) >= aliveEvery
	if due {
		s.beaten = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error { return putInstant(ctx, tx, aliveSetting, now) })
}

// wake notes for how long nothing ran before now, and makes a sweep due, since events may have been lost.
func (s *Service) wake(ctx context.Context, tx *store.Tx, now time.Time) error {
	alive, err := instant(ctx, tx, aliveSetting)
	if err != nil {
		return err
	}
	down, err := s.downSince(ctx, tx)
	if err != nil {
		return err
	}
	if down.IsZero() && !alive.IsZero() && now.Sub(alive) > outage {
		if err := putInstant(ctx, tx, downSetting, alive); err != nil {
			return err
		}
	}
	if err := putInstant(ctx, tx, aliveSetting, now); err != nil {
		return err
	}
	return s.wantSweep(ctx, tx, sweepStart)
}

func (s *Service) downSince(ctx context.Context, tx *store.Tx) (time.Time, error) {
	return instant(ctx, tx, downSetting)
}

func instant(ctx context.Context, tx *store.Tx, name string) (time.Time, error) {
	text, err := tx.Setting(ctx, name)
	var micros int64
	if err != nil || text == "" || json.Unmarshal([]byte(text), &micros) != nil || micros == 0 {
		return time.Time{}, err
	}
	return time.UnixMicro(micros), nil
}

func putInstant(ctx context.Context, tx *store.Tx, name string, at time.Time) error {
	return tx.PutSetting(ctx, name, fmt.Sprint(at.UnixMicro()))
}
