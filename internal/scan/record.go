package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"magpie"
	"magpie/internal/incident"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// verdict says how a scan ended, for the sweep that asked for it.
type verdict struct {
	behind bool // something was scanned that no event had announced
	failed bool // it was given up
}

// completer completes the job in whose run a transaction is made.
type completer = func(ctx context.Context, tx *store.Tx, v verdict) error

// completes returns the completer of a job that nobody counts.
func completes[J magpie.Job](run *queue.Run[J]) completer {
	return func(ctx context.Context, tx *store.Tx, _ verdict) error { return run.Complete(ctx, tx.Native()) }
}

// record is what a scan leaves behind, stored as a whole or not at all.
type record struct {
	repo       magpie.Repo
	scan       magpie.Scan
	begun      bool // the scan has a row, or gets one when it is stored; a push scan with nothing to fetch has none
	places     []Place
	skipped    []string
	progress   magpie.Progress
	known      []store.Tip  // as they were before
	tips       []magpie.Tip // now looked at
	gone       []string     // refs that exist no more
	deliveries []store.Delivery
	seen       seen // the listing that tips and gone follow from

	unannounced bool // something was fetched that no event had announced
}

// finish stores findings, incidents, alerts, tips and the end of the scan, and completes its job, in one transaction.
// A scan that was canceled a moment before leaves nothing, nor does one whose repository was deselected.
func (s *Service) finish(ctx context.Context, r record, complete completer) error {
	now := time.Now()
	write := s.DB.WriteTogether
	if len(r.places) > fewPlaces {
		write = s.writeAlone
	}
	err := write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if repo, err := tx.Repo(ctx, r.repo.ID); magpie.KindOf(err) == magpie.KindNotFound || err == nil && !repo.Monitored {
			return endCanceled(ctx, tx, r, now, complete)
		} else if err != nil {
			return err
		}
		ended, err := endFinished(ctx, tx, r, now)
		if err != nil {
			return err
		}
		if r.begun && !ended { // canceled
			return complete(ctx, tx, verdict{})
		}
		if err := s.recordFindings(ctx, tx, r, "scan finished"); err != nil {
			return err
		}
		if err := putTips(ctx, tx, r, now); err != nil {
			return err
		}
		if s.OnScanned != nil && len(r.tips) > 0 {
			if err := s.OnScanned(ctx, tx, r.repo, r.tips); err != nil {
				return err
			}
		}
		// The repository's row comes last in every scan: two scans that take rows in different orders would block each
		// other for good.
		if r.scan.Kind == magpie.ScanHistory {
			if err := tx.SetRepoHistory(ctx, r.repo.ID, magpie.HistoryDone); err != nil {
				return err
			}
		}
		if err := tx.SetRepoScanned(ctx, r.repo.ID, now); err != nil {
			return err
		}
		if err := tx.SetRepoCompared(ctx, r.repo.ID, r.seen.at, r.seen.branch); err != nil {
			return err
		}
		if len(r.deliveries) == maxDeliveries { // there may be more
			if err := enqueuePush(ctx, tx, r.repo.ID); err != nil {
				return err
			}
		}
		return complete(ctx, tx, verdict{behind: r.begun && r.unannounced})
	})
	if err != nil {
		return fmt.Errorf("recording the scan of %s: %w", r.repo.FullName(), err)
	}
	return nil
}

// fewPlaces is how many places at most a scan found whose end is stored together with other changes, which must not wait
// for long.
const fewPlaces = 20

func (s *Service) writeAlone(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return fn(ctx, tx) })
}

// keepSlice stores what a slice of a scan brought, and where the next one begins, in one transaction. Tips and events wait
// for the last slice. The error is errCanceled if there is to be no next one.
func (s *Service) keepSlice(ctx context.Context, r record, next Position) error {
	position, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("storing the position of scan %s: %w", r.scan.ID, err)
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		repo, err := tx.Repo(ctx, r.repo.ID)
		switch {
		case magpie.KindOf(err) == magpie.KindNotFound || err == nil && !repo.Monitored:
			return errCanceled
		case err != nil:
			return err
		}
		if err := tx.AddScan(ctx, r.scan); err != nil { // if it has no row yet
			return err
		}
		open, err := tx.SetScanPosition(ctx, r.scan.ID, string(position), next.Progress)
		switch {
		case err != nil:
			return err
		case !open:
			return errCanceled
		}
		return s.recordFindings(ctx, tx, r, "slice scanned")
	})
	if err != nil {
		return fmt.Errorf("recording a slice of %s: %w", r.repo.FullName(), err)
	}
	return nil
}

// endCanceled ends a scan whose repository is no longer to be looked at.
func endCanceled(ctx context.Context, tx *store.Tx, r record, now time.Time, complete completer) error {
	r.scan.State, r.scan.Error, r.scan.EndedAt = magpie.ScanCanceled, notMonitored, now
	if _, err := tx.EndScan(ctx, r.scan); err != nil {
		return err
	}
	return complete(ctx, tx, verdict{})
}

// endFinished ends the scan's row and reports whether it was still open.
func endFinished(ctx context.Context, tx *store.Tx, r record, now time.Time) (bool, error) {
	if r.begun {
		if err := tx.AddScan(ctx, r.scan); err != nil { // if it has no row yet
			return false, err
		}
	}
	if _, err := tx.SetScanProgress(ctx, r.scan.ID, r.progress, ""); err != nil {
		return false, err
	}
	r.scan.State, r.scan.EndedAt, r.scan.SkippedWhy = magpie.ScanFinished, now, skippedText(r.skipped)
	return tx.EndScan(ctx, r.scan)
}

// recordFindings stores what is fresh of what was found, and logs what came of it.
func (s *Service) recordFindings(ctx context.Context, tx *store.Tx, r record, what string) error {
	findings, err := s.fresh(ctx, tx, r)
	if err != nil {
		return err
	}
	source := incident.Source{Repo: r.repo, ScanID: r.scan.ID, Kind: r.scan.Kind}
	outcome, err := s.Incidents.Record(ctx, tx, source, findings)
	if err != nil {
		return err
	}
	if r.begun {
		s.Log.Info(what, "repo", r.repo.FullName(), "kind", r.scan.Kind, "bytes", r.progress.BytesReceived,
			"blobs", r.progress.Blobs, "skipped", r.progress.Skipped, "findings", len(findings),
			"opened", outcome.Opened, "joined", outcome.Joined, "reopened", outcome.Reopened)
	}
	return nil
}

// fresh returns the findings that a commit of this scan brought: not those that stood in the same file before. Where
// the pack does not tell what stood there, the incidents do.
func (s *Service) fresh(ctx context.Context, tx *store.Tx, r record) ([]magpie.Finding, error) {
	var findings []magpie.Finding
	for _, p := range r.places {
		if p.Standing {
			continue
		}
		p.Finding = storableFinding(p.Finding)
		known, err := s.isKnown(ctx, tx, r.repo.ID, p)
		if err != nil {
			return nil, err
		}
		if !known {
			findings = append(findings, p.Finding)
		}
	}
	return findings, nil
}

// isKnown reports whether the incidents know what the pack does not tell: that a secret stood in the same file before, or,
// where the pack has a file without a commit, as when a tag names it, which commit brought it.
func (s *Service) isKnown(ctx context.Context, tx *store.Tx, repo magpie.RepoID, p Place) (bool, error) {
	switch {
	case p.Commit == "" && p.Blob != "":
		return s.Incidents.KnownIn(ctx, tx, repo, p.Finding)
	case p.ParentUnknown:
		return s.Incidents.KnownAt(ctx, tx, repo, p.Finding)
	}
	return false, nil
}

// putTips stores what is now looked at. A baseline tip that a push moves or deletes before the history scan came to it
// is kept under a name that no ref can have, for that scan to ask for.
func putTips(ctx context.Context, tx *store.Tx, r record, now time.Time) error {
	if err := keepBaseline(ctx, tx, r); err != nil {
		return err
	}
	for _, tip := range r.tips {
		if err := tx.PutTip(ctx, r.repo.ID, tip, now); err != nil {
			return err
		}
	}
	for _, ref := range r.gone {
		if err := tx.DeleteTip(ctx, r.repo.ID, ref); err != nil {
			return err
		}
	}
	for _, d := range r.deliveries {
		if err := tx.SetDeliveryScanned(ctx, d.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// keptBaseline starts the names of baseline tips whose refs are gone. No ref's name holds a colon.
const keptBaseline = "baseline:"

func keepBaseline(ctx context.Context, tx *store.Tx, r record) error {
	lost := map[string]bool{}
	for _, tip := range r.tips {
		lost[tip.Ref] = true
	}
	for _, ref := range r.gone {
		lost[ref] = true
	}
	for _, t := range r.known {
		if r.scan.Kind == magpie.ScanHistory && strings.HasPrefix(t.Ref, keptBaseline) {
			if err := tx.DeleteTip(ctx, r.repo.ID, t.Ref); err != nil {
				return err
			}
		}
		if r.scan.Kind == magpie.ScanHistory || !lost[t.Ref] || !t.ScannedAt.IsZero() || r.repo.History == magpie.HistoryNone {
			continue
		}
		if err := tx.PutTip(ctx, r.repo.ID, magpie.Tip{Ref: keptBaseline + string(t.Hash), Hash: t.Hash}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// failed handles an attempt that did not succeed, of a scan with the progress that is kept of it: the scan stays open for the next attempt, which the error's kind
// decides about, or ends as failed. A history scan waits for what is not found, since nobody would ask for it again: the
// repository was renamed, or a ref was moved between the listing and the fetch. Where it is gone for good, the sync that
// notices ends the scan.
func (s *Service) failed(ctx context.Context, v magpie.Scan, cause error, last bool) error {
	if ctx.Err() != nil { // the process is stopping, or the attempt took too long; nothing to say about the repository
		return cause
	}
	if v.Kind == magpie.ScanHistory && magpie.KindOf(cause) == magpie.KindNotFound {
		cause = &magpie.Error{Kind: magpie.KindUnavailable, Message: magpie.Explain(cause), Err: cause}
	}
	final := last
	switch magpie.KindOf(cause) {
	case magpie.KindInvalid, magpie.KindNotFound, magpie.KindForbidden, magpie.KindConflict, magpie.KindTooLarge:
		final = true
	}
	err := s.DB.WriteTogether(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := addScanOf(ctx, tx, v); err != nil {
			return err
		}
		if !final {
			_, err := tx.SetScanProgress(ctx, v.ID, v.Progress, magpie.Explain(cause))
			return err
		}
		v.State, v.Error, v.EndedAt = magpie.ScanFailed, magpie.Explain(cause), time.Now()
		if _, err := tx.EndScan(ctx, v); err != nil {
			return err
		}
		if v.Kind == magpie.ScanHistory {
			return tx.SetRepoHistory(ctx, v.RepoID, magpie.HistoryFailed)
		}
		return nil
	})
	if err != nil {
		s.Log.Error("storing the failure of a scan", "scan", v.ID, "error", err)
	}
	return cause
}

// addScanOf gives a scan its row, if it has none and its repository is still there.
func addScanOf(ctx context.Context, tx *store.Tx, v magpie.Scan) error {
	_, err := tx.Repo(ctx, v.RepoID)
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return nil
	case err != nil:
		return err
	}
	return tx.AddScan(ctx, v)
}

// end ends a scan that was not carried out, and its job.
func (s *Service) end(ctx context.Context, v magpie.Scan, state magpie.ScanState, why string, complete completer) error {
	v.State, v.Error, v.EndedAt = state, why, time.Now()
	return s.DB.WriteTogether(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.EndScan(ctx, v)
		if err != nil {
			return err
		}
		if ended && v.Kind == magpie.ScanHistory {
			// So that the history is asked for again when the repository comes back.
			if err := tx.SetRepoHistory(ctx, v.RepoID, magpie.HistoryNone); err != nil {
				return err
			}
		}
		return complete(ctx, tx, verdict{})
	})
}

// skippedText sums up what a scan left out.
func skippedText(skipped []string) string {
	const shown = 5
	if len(skipped) <= shown {
		return strings.Join(skipped, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(skipped[:shown], "; "), len(skipped)-shown)
}
