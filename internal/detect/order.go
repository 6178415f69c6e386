package detect

import "slices"

// all appends the occurrences in data that begin outside of its gaps to hits, which is empty, by position, then literal: the
// order in which a naive search would find them.
//
// The prefilter finds them nearly in order, since a literal starts a few bytes before the gram that it is filed under, so they
// are put in order by moving each past the few that belong behind it.
func (p *prefilter) all(data []byte, gaps []gap, longest int, hits []hit) []hit {
	at := 0
	for _, g := range gaps {
		hits = p.scan(data, at, min(g.from+longest, len(data)), hits)
		settle(hits)
		for len(hits) > 0 && hits[len(hits)-1].pos >= g.from {
			hits = hits[:len(hits)-1]
		}
		at = g.to
	}
	hits = p.scan(data, at, len(data), hits)
	settle(hits)
	return hits
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
