package measure

import "slices"

// number is what medians are taken of.
type number interface {
	~int | ~int64 | ~float64
}

// Median returns the middle of what of gives for each; of an even number of them the mean of the middle two. It is 0 if
// there are none.
func Median[T any, N number](all []T, of func(T) N) N {
	values := make([]N, 0, len(all))
	for _, v := range all {
		values = append(values, of(v))
	}
	slices.Sort(values)
	switch n := len(values); {
	case n == 0:
		return 0
	case n%2 == 1:
		return values[n/2]
	default:
		return values[n/2-1] + (values[n/2]-values[n/2-1])/2
	}
}
