package scan

import (
	"context"
	"slices"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// lookAttempts is how often a look that a sweep asked for is tried: the next sweep looks again.
const lookAttempts = 4

// Comparison is how a repository stands against what was scanned of it.
type Comparison struct {
	Current bool   // nothing is new, and nothing waits
	Void    bool   // there is nothing to compare: it is not watched any more, or its first look is still to come
	Branch  string // the default branch, a full ref name, where that is not the one on record
}

// Compare asks a repository for its refs and compares them with what was scanned. It stores nothing: what is not
// current needs a Look. It costs one listing.
func (s *Service) Compare(ctx context.Context, id magpie.RepoID) (Comparison, error) {
	r, watched, err := s.open(ctx, id)
	if err != nil || !watched {
		return Comparison{Void: err == nil}, err
	}
	known, deliveries, taken, err := s.known(ctx, r.repo)
	if err != nil {
		return Comparison{}, err
	}
	if !taken {
		err := s.DB.Write(ctx, func(tx *store.Tx) error { return s.FirstLook(ctx, tx, id, r.autoscan) })
		return Comparison{Void: true}, err
	}
	seen, err := s.tips(ctx, r)
	if err != nil {
		return Comparison{}, err
	}
	v := Comparison{Current: len(deliveries) == 0 && len(changed(known, seen.tips)) == 0 && len(gone(known, seen.tips)) == 0}
	if seen.branch != r.repo.DefaultBranch {
		v.Branch = seen.branch
	}
	return v, nil
}

// Look makes a repository be compared with its scanned tips, and what is new be scanned, although no event announced
// anything. If a sweep asks for it, the look counts itself there, once, however it ends.
func (s *Service) Look(ctx context.Context, tx *store.Tx, repo magpie.RepoID, sweep string) error {
	return tx.Enqueue(ctx, lookJob{RepoID: repo, Sweep: sweep, ScanID: store.NewID[magpie.ScanID]()}, magpie.JobOptions{Once: true})
}

// workLook is workPush for a look. Looks have a queue of their own, so that however many there are, no push waits.
func (s *Service) workLook(ctx context.Context, run *queue.Run[lookJob]) error {
	a := attempt{scan: run.Args.ScanID, number: run.Attempt, last: run.Last, complete: counts(run)}
	release, err := s.turns.take(ctx, run.Args.RepoID)
	if err != nil {
		return err
	}
	defer release()
	if run.Args.Sweep == "" {
		return s.scanNew(ctx, run.Args.RepoID, a)
	}
	runs, err := store.Query(ctx, s.DB, func(tx *store.Tx) (bool, error) { return tx.SweepRuns(ctx, run.Args.Sweep) })
	if err != nil {
		return err
	}
	if !runs { // a later one looks again
		return s.end(ctx, magpie.Scan{ID: a.scan}, magpie.ScanCanceled, "the sweep that asked for it has ended", a.complete)
	}
	a.last = a.last || run.Attempt >= lookAttempts
	trouble := s.scanNew(ctx, run.Args.RepoID, a)
	if trouble == nil || ctx.Err() != nil || !a.last && !final(trouble) {
		return trouble
	}
	s.Log.Warn("a look of a sweep is given up; the next sweep looks again", "repo", run.Args.RepoID, "error", trouble)
	return s.DB.Write(ctx, func(tx *store.Tx) error { return a.complete(ctx, tx, verdict{failed: true}) })
}

// final reports whether a sweep need not wait for another attempt at a look.
func final(trouble error) bool {
	return slices.Contains([]magpie.Kind{
		magpie.KindInvalid, magpie.KindNotFound, magpie.KindForbidden, magpie.KindConflict, magpie.KindTooLarge,
		magpie.KindTokenInvalid, magpie.KindNoLicence,
	}, magpie.KindOf(trouble))
}

// counts returns the completer of a look, which adds it to its sweep in the transaction that ends it.
func counts(run *queue.Run[lookJob]) completer {
	return func(ctx context.Context, tx *store.Tx, v verdict) error {
		if err := tx.CountLook(ctx, run.Args.Sweep, v.behind, v.failed); err != nil {
			return err
		}
		return run.Complete(ctx, tx.Native())
	}
}
