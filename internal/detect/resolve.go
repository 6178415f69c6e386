package detect

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"magpie"
)

// Resolve orders candidates by place and, where several claim the same characters, keeps the one that knows most. It
// works in place and depends on nothing but the candidates.
func Resolve(found []Match) []Match {
	slices.SortStableFunc(found, func(a, b Match) int {
		return cmp.Or(a.Start-b.Start, rank(b)-rank(a), b.End-a.End, cmp.Compare(a.Rule.ID, b.Rule.ID),
			cmp.Compare(a.DecodedFrom, b.DecodedFrom))
	})
	kept := found[:0]
	for _, m := range found {
		if !loses(m, kept) {
			kept = append(dropLosers(kept, m), m)
		}
	}
	return kept
}

// loses reports whether a match kept before claims characters of m and is at least as good.
func loses(m Match, kept []Match) bool {
	for i := len(kept) - 1; i >= 0 && kept[i].End > m.Start; i-- {
		if conflict(m, kept[i]) && !better(m, kept[i]) {
			return true
		}
	}
	return false
}

func dropLosers(kept []Match, m Match) []Match {
	i := len(kept)
	for i > 0 && kept[i-1].End > m.Start {
		i--
	}
	tail := slices.DeleteFunc(kept[i:], func(k Match) bool { return conflict(m, k) })
	return kept[:i+len(tail)]
}

// conflict reports whether two matches claim the same characters. Several secrets in one encoded run do not.
func conflict(a, b Match) bool {
	if a.DecodedFrom != "" && b.DecodedFrom != "" && a.Start == b.Start && a.End == b.End && !bytes.Equal(a.Secret, b.Secret) {
		return false
	}
	return a.Start < b.End && b.Start < a.End && !apart(a.member, b.member)
}

// apart reports whether two members of containers, both named by their paths, are such that neither is in the other.
func apart(a, b string) bool {
	return a != "" && b != "" && a != b && !strings.HasPrefix(a, b) && !strings.HasPrefix(b, a)
}

// rank orders matches by how much their rules know. What stands as it is goes before what had to be decoded.
func rank(m Match) int {
	n := 0
	switch {
	case m.Rule.Generic && m.Rule.ByValue() && m.Rule.Filters.Shape == "key":
	case m.Rule.Generic && m.Rule.ByValue():
		n = 1
	case m.Rule.Generic || m.Rule.Filters.Shape != "":
		n = 2
	case m.Rule.Vendor == "":
		n = 3 // a kind that anybody's secret may be of, such as a JWT, is all that it knows
	case m.Confidence == magpie.ConfidenceProven:
		n = 8
	case m.Rule.ByValue():
		n = 4
	default:
		n = 6
	}
	if m.member != "" && m.member == m.DecodedFrom {
		return 4*n + 1 // it tells more than the same that is seen without looking into the container
	}
	if m.DecodedFrom != "" && n > 0 {
		n-- // and more than one layer is
		return 4*n - strings.Count(m.DecodedFrom[len(m.member):], ">")
	}
	return 4 * n
}

func better(a, b Match) bool {
	return rank(a) > rank(b) || rank(a) == rank(b) && a.End-a.Start > b.End-b.Start
}
