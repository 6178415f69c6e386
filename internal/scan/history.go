package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/smarthttp"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// workFirstLook takes the baseline of a repository, or, if it has one, looks at what was missed.
func (s *Service) workFirstLook(ctx context.Context, run *queue.Run[firstLookJob]) error {
	r, watched, err := s.open(ctx, run.Args.RepoID)
	if err != nil {
		return err
	}
	if !watched {
		return complete(ctx, s.DB, run)
	}
	taken, err := store.Query(ctx, s.DB, func(tx *store.Tx) (bool, error) { return tx.BaselineTaken(ctx, r.repo.ID) })
	if err != nil {
		return err
	}
	var seen seen
	if !taken {
		if seen, err = s.tips(ctx, r); err != nil {
			return err
		}
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if taken {
			err = s.Look(ctx, tx, r.repo.ID, "")
		} else {
			err = takeBaseline(ctx, tx, r.repo.ID, seen)
		}
		if err != nil {
			return err
		}
		if run.Args.History && r.repo.History == magpie.HistoryNone {
			if _, err := s.RequestHistory(ctx, tx, r.repo.ID); err != nil && magpie.KindOf(err) != magpie.KindConflict {
				return err
			}
		}
		return run.Complete(ctx, tx.Native())
	})
}

func takeBaseline(ctx context.Context, tx *store.Tx, repo magpie.RepoID, seen seen) error {
	for _, tip := range seen.tips {
		if err := tx.PutTip(ctx, repo, tip, time.Time{}); err != nil {
			return err
		}
	}
	if err := tx.SetRepoCompared(ctx, repo, seen.at, seen.branch); err != nil {
		return err
	}
	return tx.SetBaselineTaken(ctx, repo, seen.at)
}

// workHistory scans everything reachable from all refs.
func (s *Service) workHistory(ctx context.Context, run *queue.Run[historyJob]) error {
	v, err := store.Query(ctx, s.DB, func(tx *store.Tx) (magpie.Scan, error) { return tx.Scan(ctx, run.Args.ScanID) })
	if magpie.KindOf(err) == magpie.KindNotFound || err == nil && !v.EndedAt.IsZero() {
		return complete(ctx, s.DB, run) // canceled, or its repository is gone
	}
	if err != nil {
		return err
	}
	r, watched, err := s.open(ctx, run.Args.RepoID)
	if err != nil {
		return err
	}
	if r.unavailable() {
		return magpie.Errorf(magpie.KindUnavailable, "the history of %s waits until it can be read: %s", r.repo.FullName(), r.repo.StateReason)
	}
	if !watched {
		return s.end(ctx, v, magpie.ScanCanceled, notMonitored, completes(run))
	}
	if err := s.begin(ctx, v); err != nil {
		return err
	}
	return s.scanHistory(ctx, run, r, v)
}

func (s *Service) scanHistory(ctx context.Context, run *queue.Run[historyJob], r remote, v magpie.Scan) error {
	baseline, seen, err := s.baseline(ctx, r)
	if err != nil {
		return err
	}
	var required []magpie.Hash // those of a recent baseline are in there, and may be gone since
	if seen.at.IsZero() {
		if seen, err = s.tips(ctx, r); err != nil {
			return s.failed(ctx, v, err, run.Last)
		}
		required = distinct(seen.tips)
	}
	// A baseline tip that no ref reaches any more is part of the past that was promised to be looked at.
	want := fetch{request: smarthttp.Request{Wants: required, Format: seen.format}, since: v.CreatedAt}
	asked := map[magpie.Hash]bool{}
	for _, hash := range want.request.Wants {
		asked[hash] = true
	}
	for _, t := range baseline {
		if !asked[t.Hash] {
			asked[t.Hash] = true
			want.optional = append(want.optional, t.Hash)
		}
	}
	record := record{repo: r.repo, scan: v, begun: true, known: baseline, tips: seen.tips, seen: seen}
	if want.empty() {
		return s.finish(ctx, record, completes(run))
	}
	return s.scan(ctx, r, want, record, attempt{scan: v.ID, number: run.Attempt, last: run.Last, complete: completes(run)})
}

// baselineAge is how long after the baseline was taken a history scan makes do with it instead of listing the refs again.
const baselineAge = time.Minute

// baseline returns the known tips and, if they are all there was a moment ago, the listing that they came from.
func (s *Service) baseline(ctx context.Context, r remote) (known []store.Tip, recent seen, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		if known, err = tx.Tips(ctx, r.repo.ID); err != nil {
			return err
		}
		recent.at, err = tx.BaselineAt(ctx, r.repo.ID)
		return err
	})
	if err != nil || time.Since(recent.at) > baselineAge || len(known) == 0 {
		return known, seen{}, err
	}
	for _, t := range known {
		id, err := git.ParseID(string(t.Hash))
		if err != nil || !t.ScannedAt.IsZero() || strings.HasPrefix(t.Ref, keptBaseline) {
			return known, seen{}, nil // pushed to since
		}
		recent.format = id.Format()
		recent.tips = append(recent.tips, t.Tip)
	}
	recent.branch = r.repo.DefaultBranch
	return known, recent, nil
}

// begin marks a scan as running; one that an earlier attempt began goes on.
func (s *Service) begin(ctx context.Context, v magpie.Scan) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.StartScan(ctx, v.ID, time.Now())
		return err
	})
}

// scan fetches, examines and records, from where an earlier attempt came to. It ends early, without recording more, when
// somebody cancels the scan.
func (s *Service) scan(ctx context.Context, r remote, want fetch, record record, a attempt) error {
	at, expect, err := s.position(ctx, record.scan)
	if err != nil {
		return err
	}
	record.scan.Progress = at.Progress
	meter := new(Meter)
	meter.resume(at.Progress)
	watchCtx, stop := context.WithCancelCause(ctx)
	reported := make(chan struct{})
	reports := record.scan // a copy, since its progress is changed below
	go func() {
		defer close(reported)
		s.report(watchCtx, reports, meter, stop)
	}()
	// What is stored is stored whole: the watch, which ends when the scan's row does, must not cut it short.
	keep := func(_ context.Context, slice Slice) error {
		now := record
		now.places, now.skipped, now.progress = slice.Places, slice.Skipped, slice.Next.Progress
		if slice.Last {
			return s.finish(ctx, now, a.complete)
		}
		at, record.scan.Progress = slice.Next, slice.Next.Progress
		return s.keepSlice(ctx, now, slice.Next)
	}
	look := func() error {
		f := s.fetcher(r, meter)
		if record.scan.Kind == magpie.ScanHistory {
			f.Examination.Refs, f.Examination.Default = record.seen.tips, record.seen.branch
		}
		err := f.Scan(watchCtx, want.want(expect), at, keep)
		return s.noteRefusal(ctx, r, err)
	}
	err = look()
	if err != nil && watchCtx.Err() == nil && makesDo(err, a.number, want) {
		s.Log.Warn("hashes that may be gone are given up", "repo", r.repo.FullName(), "objects", len(want.optional), "error", err)
		want.optional = nil
		err = look()
	}
	stop(nil)
	<-reported
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errCanceled) || errors.Is(context.Cause(watchCtx), errCanceled):
		return s.end(ctx, record.scan, magpie.ScanCanceled, notMonitored, a.complete) // unless somebody ended it
	}
	return s.failed(ctx, record.scan, fmt.Errorf("scanning %s: %w", r.repo.FullName(), err), a.last)
}

// position returns how far earlier attempts at a scan came, and how many bytes the last history scan of the repository
// received.
func (s *Service) position(ctx context.Context, v magpie.Scan) (at Position, expect int64, err error) {
	var stored string
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		stored, err = tx.ScanPosition(ctx, v.ID)
		if magpie.KindOf(err) == magpie.KindNotFound { // it has no row yet
			err = nil
		}
		if err != nil || v.Kind != magpie.ScanHistory {
			return err
		}
		expect, err = tx.LastHistoryBytes(ctx, v.RepoID)
		return err
	})
	if err != nil || stored == "" {
		return Position{}, expect, err
	}
	if err := json.Unmarshal([]byte(stored), &at); err != nil {
		return Position{}, 0, fmt.Errorf("reading the position of scan %s: %w", v.ID, err)
	}
	return at, expect, nil
}

// errCanceled ends a scan whose row says that somebody canceled it.
var errCanceled = errors.New("the scan was canceled")

// report stores a scan's progress every second until ctx ends, and stops the scan if it was canceled meanwhile. A scan that
// takes less than a second, as most scans of a push do, is seen when it has ended.
func (s *Service) report(ctx context.Context, v magpie.Scan, meter *Meter, stop context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var wanted bool
		err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			if err := addScanOf(ctx, tx, v); err != nil {
				return err
			}
			wanted, err = tx.SetScanProgress(ctx, v.ID, meter.Progress(), "")
			return err
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Log.Warn("storing the progress of a scan", "scan", v.ID, "error", err)
		case !wanted:
			stop(errCanceled)
			return
		}
	}
}
