package pack

import "magpie/internal/git"

// graph holds the trees of deltas of a pack: which entries are built from which.
type graph struct {
	roots []int32 // entries that are no deltas, in pack order
	kids  []int32 // the deltas of entry i are kids[start[i]:start[i+1]], the one with most deltas below it last
	start []uint32
	lost  []int32 // entries that no root leads to: their base is absent, or they go in circles
	total [5]int64
}

// children returns the deltas of entry i.
func (g *graph) children(i int32) []int32 { return g.kids[g.start[i]:g.start[i+1]] }

// count returns the number of entries of the given kinds.
func (g *graph) count(kinds git.Kinds) int64 {
	var n int64
	for k, c := range g.total {
		if kinds.Has(git.Kind(k)) {
			n += c
		}
	}
	return n
}

// newGraph finds the trees of deltas. Only what roots lead to is in them, so a circle of bases can't be walked into.
func newGraph(entries []entry) *graph {
	g := &graph{start: make([]uint32, len(entries)+1)}
	linked := 0
	for i, e := range entries {
		if e.base >= 0 {
			g.start[e.base+1]++
			linked++
		} else if e.base == noBase {
			g.roots = append(g.roots, int32(i))
		}
	}
	for i := range entries {
		g.start[i+1] += g.start[i]
	}
	g.kids = make([]int32, linked)
	fill := make([]uint32, len(entries))
	for i, e := range entries {
		if e.base >= 0 {
			g.kids[g.start[e.base]+fill[e.base]] = int32(i)
			fill[e.base]++
		}
	}
	g.measure(entries, fill)
	return g
}

// measure counts the entries by kind, finds the lost ones, and puts the child with the largest tree last everywhere:
// its parent's bytes can then be dropped before going down the longest way, so that few bases are held at any time.
// weight is scratch space of one number for each entry.
func (g *graph) measure(entries []entry, weight []uint32) {
	clear(weight)
	order := make([]int32, 0, len(entries))
	order = append(order, g.roots...)
	for i := 0; i < len(order); i++ {
		order = append(order, g.children(order[i])...)
	}
	for i := len(order) - 1; i >= 0; i-- {
		e := order[i]
		weight[e]++
		if base := entries[e].base; base >= 0 {
			weight[base] += weight[e]
		} else {
			g.total[entries[e].typ] += int64(weight[e])
		}
	}
	for i := range entries {
		if weight[i] == 0 {
			g.lost = append(g.lost, int32(i))
		}
		kids := g.children(int32(i))
		for k := range kids {
			last := len(kids) - 1
			if weight[kids[k]] > weight[kids[last]] {
				kids[k], kids[last] = kids[last], kids[k]
			}
		}
	}
}
