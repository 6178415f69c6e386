package scan

import (
	"context"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/store"
)

// Matches returns the secrets of each blob as Examine finds them before it places them, so that a test can compare
// them without regard to paths.
func Matches(ctx context.Context, source git.LineageSource, e Examination) (map[magpie.Hash][][]byte, error) {
	e.Progress = new(Meter)
	x := &examiner{Examination: e, hits: map[magpie.Hash][]hit{}}
	if _, err := source.WalkLineages(ctx, git.WalkOptions{Kinds: git.KindsOf(git.Blob), Workers: e.Workers}, x.visitor); err != nil {
		return nil, err
	}
	found := map[magpie.Hash][][]byte{}
	for blob, hits := range x.hits {
		for _, h := range hits {
			found[blob] = append(found[blob], h.finding.Secret.Reveal())
		}
	}
	return found, nil
}

// ScanNewAt scans what is new as the given attempt of a job does.
func (s *Service) ScanNewAt(ctx context.Context, repo magpie.RepoID, number int) error {
	done := func(context.Context, *store.Tx, verdict) error { return nil }
	return s.scanNew(ctx, repo, attempt{scan: store.NewID[magpie.ScanID](), number: number, complete: done})
}
