package detect

import "slices"

// all returns the occurrences in data that begin outside of its gaps by position, then literal: the order in which a naive
// search would find them. It appends them to hits, which is empty, and uses spare.
//
// Both halves of the prefilter find occurrences nearly in order, since a literal starts a few bytes before the gram that
// it is filed under, so they are put in order by moving each past the few that belong behind it, and then merged.
func (p *prefilter) all(data []byte, gaps []gap, longest int, hits, spare []hit) (sorted, scratch []hit) {
	hits = outside(data, gaps, longest, hits, p.long.scan)
	if len(p.short.entries) == 0 {
		return hits, spare
	}
	spare = outside(data, gaps, longest, spare[:0], p.short.scan)
	return merge(hits, spare), spare
}

// outside returns in order what scan finds that begins outside of the gaps.
func outside(data []byte, gaps []gap, longest int, hits []hit, scan func([]byte, int, int, []hit) []hit) []hit {
	at := 0
	for _, g := range gaps {
		hits = scan(data, at, min(g.from+longest, len(data)), hits)
		settle(hits)
		for len(hits) > 0 && hits[len(hits)-1].pos >= g.from {
			hits = hits[:len(hits)-1]
		}
		at = g.to
	}
	hits = scan(data, at, len(data), hits)
	settle(hits)
	return hits
}

// merge adds the hits of b to those of a; both are in order.
func merge(a, b []hit) []hit {
	i, j := len(a)-1, len(b)-1
	a = append(a, b...)
	for at := len(a) - 1; j >= 0; at-- {
		if i >= 0 && b[j].comes(a[i]) {
			a[at] = a[i]
			i--
		} else {
			a[at] = b[j]
			j--
		}
	}
	return a
}

// maxMoves is how many places a hit is moved at most for each hit there is, on average, before they are sorted otherwise.
const maxMoves = 32

// settle puts hits in order that nearly are.
func settle(hits []hit) {
	moves := maxMoves * len(hits)
	for i := 1; i < len(hits); i++ {
		h := hits[i]
		at := i
		for at > 0 && h.comes(hits[at-1]) {
			hits[at] = hits[at-1]
			at--
		}
		hits[at] = h
		if moves -= i - at; moves < 0 {
			slices.SortFunc(hits, hit.compare)
			return
		}
	}
}

// comes reports whether h comes before other.
func (h hit) comes(other hit) bool {
	return h.pos < other.pos || h.pos == other.pos && h.lit < other.lit
}

func (h hit) compare(other hit) int {
	if h.pos != other.pos {
		return h.pos - other.pos
	}
	return int(h.lit) - int(other.lit)
}
