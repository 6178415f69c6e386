package report

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"magpie"
	"magpie/internal/store"
)

// coverageHeader is the first line of the coverage report. Names and order are a contract; new columns come last.
var coverageHeader = []string{
	"instance", "project", "repository", "ref", "scanned_up_to", "scanned_at", "compared_at", "waiting_pushes", "waiting_since",
	"hook", "history", "state", "remedy",
}

// How many rows are read at once, so that memory does not grow with what is watched.
const (
	coverageRepos = 200
	coverageRefs  = 1000
)

// What the column "state" of the coverage report says of a ref.
const (
	coverCurrent       = "current"        // everything known is scanned
	coverEmpty         = "empty"          // as current; the repository has no refs
	coverWaiting       = "waiting"        // a push to the repository has not been dealt with
	coverNotScanned    = "not_scanned"    // known since monitoring began, its past is not scanned
	coverNeverCompared = "never_compared" // its refs were never compared with what was scanned
	coverUnreadable    = "unreadable"     // Bitbucket does not let us read the repository now
)

// WriteCoverageCSV writes as CSV (RFC 4180) how far each monitored repository that the filter chooses has been scanned: one line
// for each ref, or a line without ref for a repository that has none. Times are UTC in RFC 3339, empty where there is none. It
// reads in small parts, each consistent in itself, so what changes meanwhile may be told as before or as after.
func WriteCoverageCSV(ctx context.Context, w io.Writer, db *store.DB, filter store.PerimeterFilter) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(coverageHeader); err != nil {
		return fmt.Errorf("writing the coverage report: %w", err)
	}
	for cursor := ""; ; {
		page, err := store.Query(ctx, db, func(tx *store.Tx) (store.CoveragePage, error) {
			return tx.CoverageRepos(ctx, filter, cursor, coverageRepos)
		})
		if err != nil {
			return fmt.Errorf("reading the coverage: %w", err)
		}
		for _, repo := range page.Repos {
			if err := writeCoverageRepo(ctx, out, db, repo); err != nil {
				return err
			}
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return fmt.Errorf("writing the coverage report: %w", err)
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

func writeCoverageRepo(ctx context.Context, out *csv.Writer, db *store.DB, repo store.CoverageRepo) error {
	for after := ""; ; {
		refs, err := store.Query(ctx, db, func(tx *store.Tx) ([]store.CoverageRef, error) {
			return tx.CoverageRefs(ctx, repo.ID, after, coverageRefs)
		})
		if err != nil {
			return fmt.Errorf("reading the coverage of %s: %w", repo.FullName(), err)
		}
		if len(refs) == 0 && after == "" {
			return out.Write(coverageRow(repo, store.CoverageRef{}))
		}
		for _, ref := range refs {
			if err := out.Write(coverageRow(repo, ref)); err != nil {
				return fmt.Errorf("writing the coverage of %s: %w", repo.FullName(), err)
			}
		}
		if len(refs) < coverageRefs {
			return nil
		}
		after = refs[len(refs)-1].Ref
	}
}

func coverageRow(repo store.CoverageRepo, ref store.CoverageRef) []string {
	upTo := ref.Hash
	if ref.ScannedAt.IsZero() {
		upTo = ""
	}
	state, remedy := coverageState(repo, ref)
	row := []string{
		repo.BaseURL, repo.ProjectKey, repo.Slug, ref.Ref, string(upTo), stamp(ref.ScannedAt), stamp(repo.ComparedAt),
		strconv.FormatInt(repo.Waiting, 10), stamp(repo.WaitingSince), string(repo.Hook), string(repo.History), state, remedy,
	}
	for i := range row {
		row[i] = cell(magpie.Printable(row[i]))
	}
	return row
}

// coverageState says how a ref stands and, where a person can mend something, what to do.
func coverageState(repo store.CoverageRepo, ref store.CoverageRef) (state, remedy string) {
	switch {
	case repo.State == magpie.RepoUnavailable:
		return coverUnreadable, repo.StateReason
	case ref.Ref != "" && ref.ScannedAt.IsZero():
		return coverNotScanned, historyRemedy(repo.History)
	case repo.Waiting > 0:
		return coverWaiting, hookRemedy(repo)
	case repo.ComparedAt.IsZero():
		return coverNeverCompared, hookRemedy(repo)
	case ref.Ref == "":
		return coverEmpty, hookRemedy(repo)
	}
	return coverCurrent, hookRemedy(repo)
}

func historyRemedy(history magpie.HistoryState) string {
	switch history {
	case magpie.HistoryPending:
		return "wait for the scan of its history"
	case magpie.HistoryFailed:
		return "the scan of its history gave up: see why on the page of scans, and start it again"
	}
	return "start a scan of its history"
}

// hookRemedy is about pushes to come, which without a webhook are found by comparison only.
func hookRemedy(repo store.CoverageRepo) string {
	if repo.Hook == magpie.HookFailed {
		return repo.HookReason
	}
	return ""
}

// stamp returns a time for programs, or nothing for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
