package scan

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"magpie"
	"magpie/internal/git"
)

// graph is the commits of a history that are still to be scanned, and which of them is the parent of which. It is read
// from a pack of commits without files, and lets a history be fetched in slices that fit together.
//
// A slice is some commits whose parents are all in the slice or in earlier ones. It is asked for by its heads, with its
// parents from earlier slices as roots: so the server sends the slice, and of those parents all files but no past. Each
// commit is then compared with its true parents, as if all had come at once.
type graph struct {
	mu      sync.Mutex
	index   map[git.ID]int32
	commits []graphCommit
	parents []int32 // those of one commit together
	tags    map[git.ID]tagged
	others  map[git.ID]bool // trees and files
}

// graphCommit is a commit of a graph. One that is not present was scanned before, or the server does not have it.
type graphCommit struct {
	id      git.ID
	when    int64 // committer time in seconds
	present bool
	from    int32 // its parents
	to      int32
}

// tagged is what an annotated tag names.
type tagged struct {
	id   git.ID
	kind git.Kind
}

// readGraph reads a pack, of which only the objects of the given kinds count; 0 is all.
func readGraph(ctx context.Context, source git.Source, kinds git.Kinds, workers int) (*graph, error) {
	g := &graph{index: map[git.ID]int32{}, tags: map[git.ID]tagged{}, others: map[git.ID]bool{}}
	report, err := source.Walk(ctx, git.WalkOptions{Kinds: kinds, Workers: workers}, func(int) git.Visitor { return g.add })
	if err != nil {
		return nil, fmt.Errorf("reading commits: %w", err)
	}
	if report.Skipped > 0 {
		// A commit that is left out would be a hole between slices.
		return nil, fmt.Errorf("reading commits: %d can't be read: %w", report.Skipped, report.Why[0])
	}
	return g, nil
}

// add takes an object. A commit that does not parse is one without a past.
func (g *graph) add(o git.Object) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch o.Kind {
	case git.Commit:
		c, _ := git.ParseCommit(o.ID, o.Data)
		at := graphCommit{id: o.ID, present: true, when: math.MaxInt64, from: int32(len(g.parents))}
		if !c.Committer.When.IsZero() {
			at.when = c.Committer.When.Unix()
		}
		for _, p := range c.Parents {
			g.parents = append(g.parents, g.number(p))
		}
		at.to = int32(len(g.parents))
		g.commits[g.number(o.ID)] = at
	case git.Tag:
		if t, err := git.ParseTag(o.ID, o.Data); err == nil {
			g.tags[o.ID] = tagged{t.Object, t.Kind}
		}
	default:
		g.others[o.ID] = true
	}
	return nil
}

// has reports whether a commit is in the graph, and not only named there.
func (g *graph) has(h magpie.Hash) bool {
	id, err := git.ParseID(h)
	n, named := g.index[id]
	return err == nil && named && g.commits[n].present
}

func (g *graph) number(id git.ID) int32 {
	n, ok := g.index[id]
	if !ok {
		n = int32(len(g.commits))
		g.index[id] = n
		g.commits = append(g.commits, graphCommit{id: id})
	}
	return n
}

func (g *graph) parentsOf(n int32) []int32 {
	c := &g.commits[n]
	return g.parents[c.from:c.to]
}

// order returns all commits that are present, parents before children, and else the oldest first.
func (g *graph) order() []int32 {
	waits := make([]int32, len(g.commits))    // for how many parents a commit waits
	starts := make([]int32, len(g.commits)+1) // of each commit's children
	for n := range g.commits {
		for _, p := range g.parentsOf(int32(n)) {
			if g.commits[p].present {
				waits[n]++
				starts[p+1]++
			}
		}
	}
	for n := range g.commits {
		starts[n+1] += starts[n]
	}
	children, next := make([]int32, starts[len(g.commits)]), slices.Clone(starts)
	ready := &commitHeap{graph: g}
	for n := range g.commits {
		for _, p := range g.parentsOf(int32(n)) {
			if g.commits[p].present {
				children[next[p]] = int32(n)
				next[p]++
			}
		}
		if g.commits[n].present && waits[n] == 0 {
			ready.at = append(ready.at, int32(n))
		}
	}
	heap.Init(ready)
	order := make([]int32, 0, len(g.commits))
	for len(ready.at) > 0 {
		n := heap.Pop(ready).(int32)
		order = append(order, n)
		for _, c := range children[starts[n]:starts[n+1]] {
			if waits[c]--; waits[c] == 0 {
				heap.Push(ready, c)
			}
		}
	}
	return order
}

// commitHeap has the oldest commit on top.
type commitHeap struct {
	*graph
	at []int32
}

func (h *commitHeap) Len() int      { return len(h.at) }
func (h *commitHeap) Swap(i, j int) { h.at[i], h.at[j] = h.at[j], h.at[i] }
func (h *commitHeap) Less(i, j int) bool {
	a, b := &h.commits[h.at[i]], &h.commits[h.at[j]]
	return cmp.Or(cmp.Compare(a.when, b.when), a.id.Compare(b.id)) < 0
}
func (h *commitHeap) Push(x any) { h.at = append(h.at, x.(int32)) }
func (h *commitHeap) Pop() any {
	last := h.at[len(h.at)-1]
	h.at = h.at[:len(h.at)-1]
	return last
}

// cut returns the heads of a slice, and its parents outside, which are its roots.
func (g *graph) cut(slice []int32) (heads, roots []magpie.Hash) {
	inside := make(map[int32]bool, len(slice))
	for _, n := range slice {
		inside[n] = true
	}
	isParent := map[int32]bool{}
	for _, n := range slice {
		for _, p := range g.parentsOf(n) {
			if !inside[p] && !isParent[p] {
				roots = append(roots, g.commits[p].id.Hash())
			}
			isParent[p] = true
		}
	}
	for _, n := range slice {
		if !isParent[n] {
			heads = append(heads, g.commits[n].id.Hash())
		}
	}
	return heads, roots
}

// done returns the heads of all that is scanned after a slice, given those before it.
func (g *graph) done(before []magpie.Hash, slice []int32) []magpie.Hash {
	isParent := map[magpie.Hash]bool{}
	for _, n := range slice {
		for _, p := range g.parentsOf(n) {
			isParent[g.commits[p].id.Hash()] = true
		}
	}
	var heads []magpie.Hash
	for _, n := range slices.Backward(slice) { // the newest first
		if h := g.commits[n].id.Hash(); !isParent[h] {
			heads = append(heads, h)
		}
	}
	for _, h := range before {
		if !isParent[h] {
			heads = append(heads, h)
		}
	}
	return heads
}

// loose returns those of the wanted objects that are trees and files, by themselves or with a tag. For that, the graph must
// have been read from all kinds of objects.
func (g *graph) loose(wants []magpie.Hash) []magpie.Hash {
	return g.matching(wants, func(id git.ID, kind git.Kind) bool { return g.others[id] || kind == git.Tree || kind == git.Blob })
}

// missing returns those of the wanted objects that neither are commits of the graph nor lead to any by tags.
func (g *graph) missing(wants []magpie.Hash) []magpie.Hash {
	return g.matching(wants, func(id git.ID, kind git.Kind) bool { return kind != git.Commit && !g.has(id.Hash()) })
}

// matching returns the wants whose tags lead to an object with a property. Its kind is 0 where no tag tells it.
func (g *graph) matching(wants []magpie.Hash, is func(git.ID, git.Kind) bool) []magpie.Hash {
	var found []magpie.Hash
	for _, want := range wants {
		id, err := git.ParseID(want)
		if err != nil {
			continue
		}
		kind := git.Kind(0)
		for range len(g.tags) {
			tag, ok := g.tags[id]
			if !ok {
				break
			}
			id, kind = tag.id, tag.kind
		}
		if is(id, kind) {
			found = append(found, want)
		}
	}
	return found
}
