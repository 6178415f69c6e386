package scan

import (
	"context"
	"slices"

	"magpie/internal/git"
)

// partial returns what was found by an examination that was broken off: with its places if they can be found within the
// grace, or else by blob only.
func (x *examiner) partial(ctx context.Context, source git.Source) Result {
	if ctx.Err() != nil && x.Grace > 0 {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.Grace)
		defer cancel()
		if err := x.place(grace, source); err == nil {
			return x.result
		}
	}
	for _, hits := range x.hits {
		for _, h := range hits {
			x.result.Places = append(x.result.Places, Place{Finding: h.finding})
		}
	}
	slices.SortStableFunc(x.result.Places, comparePlaces)
	return x.result
}
