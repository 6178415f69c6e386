package scan

import (
	"context"

	"magpie"
	"magpie/internal/git"
)

// Matches returns the secrets of each blob as Examine finds them before it places them, so that a test can compare
// them without regard to paths.
func Matches(ctx context.Context, source git.Source, e Examination) (map[magpie.Hash][][]byte, error) {
	e.Progress = new(Meter)
	x := &examiner{Examination: e, hits: map[magpie.Hash][]hit{}}
	if _, err := source.Walk(ctx, git.WalkOptions{Kinds: git.KindsOf(git.Blob), Workers: e.Workers}, x.visitor); err != nil {
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
