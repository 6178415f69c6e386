package git

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"

	"magpie"
)

// Limits of what is said about refs.
const (
	maxListed = 100  // names and paths for each blob
	maxPeel   = 64   // tags of tags in a row
	maxReach  = 1e9  // steps: edges of the history for each 64 refs
	minRefs   = 1024 // that are considered however large the history is
)

// refTip is a ref whose tip is a commit of the source.
type refTip struct {
	name   string
	commit int32 // its position
}

// tips finds the commits that refs point to, in the order in which refs are preferred: the default branch, branches,
// tags, all else. complete is false if a ref was left out because there are more than opts.MaxRefs, or because what it
// points to is not in the source.
func (p *placer) tips() (tips []refTip, complete bool) {
	refs := slices.Clone(p.opts.Refs)
	preference := func(name string) int {
		switch {
		case name == p.opts.Default:
			return 0
		case strings.HasPrefix(name, "refs/heads/"):
			return 1
		case strings.HasPrefix(name, "refs/tags/"):
			return 2
		}
		return 3
	}
	slices.SortFunc(refs, func(a, b magpie.Tip) int {
		return cmp.Or(cmp.Compare(preference(a.Ref), preference(b.Ref)), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Hash, b.Hash))
	})
	refs = slices.CompactFunc(refs, func(a, b magpie.Tip) bool { return a.Ref == b.Ref })
	complete = true
	for _, r := range refs {
		if len(tips) == p.opts.MaxRefs {
			return tips, false
		}
		commit, known := p.peel(r.Hash)
		if commit >= 0 {
			tips = append(tips, refTip{r.Ref, commit})
		}
		complete = complete && known
	}
	return tips, complete
}

// peel returns the commit that an object is or, if it is a tag, is of; -1 if that is none. known is false if it can't be
// told, because objects are not in the source.
func (p *placer) peel(hash magpie.Hash) (commit int32, known bool) {
	id, err := ParseID(hash)
	if err != nil {
		return -1, false
	}
	raw := id.raw[:id.n]
	if n := p.commitIDs.known(raw); n >= 0 && p.commitAt[n] >= 0 {
		return p.commitAt[n], true
	}
	if p.wanted.which(raw) >= 0 || p.tree(p.treeIDs.known(raw)) >= 0 {
		return -1, true
	}
	n := p.tagIDs.known(raw)
	for range maxPeel {
		t, ok := p.tags[n]
		switch {
		case !ok:
			return -1, false
		case t.kind == Commit && t.target >= 0:
			at := p.commitAt[t.target]
			return at, at >= 0
		case t.kind != Tag:
			return -1, true
		}
		n = t.target
	}
	return -1, false
}

// graph is the commits from children to parents.
type graph struct {
	order []int32 // commits, each before its parents
	at    []int32 // commit → its place in order
	start []int32 // of each place's parents, in to
	to    []int32 // places
}

// newGraph orders the commits.
func (h *history) newGraph() *graph {
	g := &graph{at: filled(len(h.commits)), order: make([]int32, 0, len(h.commits))}
	children := make([]int32, len(h.commits))
	each := func(c int32, visit func(parent int32)) {
		for n := range h.parentsOf(&h.commits[c]) {
			if n >= 0 && h.commitAt[n] >= 0 {
				visit(h.commitAt[n])
			}
		}
	}
	for c := range h.commits {
		each(int32(c), func(parent int32) { children[parent]++ })
	}
	put := func(c int32) {
		g.at[c] = int32(len(g.order))
		g.order = append(g.order, c)
	}
	for c, n := range children {
		if n == 0 {
			put(int32(c))
		}
	}
	for i := 0; i < len(g.order); i++ {
		each(g.order[i], func(parent int32) {
			if children[parent]--; children[parent] == 0 {
				put(parent)
			}
		})
	}
	g.start = append(make([]int32, 0, len(g.order)+1), 0)
	for i, c := range g.order {
		each(c, func(parent int32) {
			if at := g.at[parent]; at > int32(i) {
				g.to = append(g.to, at)
			}
		})
		g.start = append(g.start, int32(len(g.to)))
	}
	return g
}

// reach finds the refs that reach each blob: those that reach a commit which introduced it, since every commit that
// holds a blob has one before it, or is one, that introduced it.
func (p *placer) reach(ctx context.Context, placements []Placement) error {
	tips, complete := p.tips()
	g := p.newGraph()
	if most := max(minRefs, int(maxReach/float64(len(g.order)+len(g.to)+len(p.held)+1))*64); len(tips) > most {
		tips, complete = tips[:most], false
	}
	words := make([]uint64, len(g.order)) // for each commit, which refs of the block reach it
	reached := make([]uint64, len(p.blobs))
	for block := 0; block < len(tips) && len(p.held) > 0; block += 64 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		clear(words)
		clear(reached)
		refs := tips[block:min(block+64, len(tips))]
		for i, r := range refs {
			if at := g.at[r.commit]; at >= 0 {
				words[at] |= 1 << i
			}
		}
		for i, w := range words {
			if w != 0 {
				for _, parent := range g.to[g.start[i]:g.start[i+1]] {
					words[parent] |= w
				}
			}
		}
		for _, h := range p.held {
			if at := g.at[h.commit]; at >= 0 {
				reached[h.blob] |= words[at]
			}
		}
		for blob, w := range reached {
			placements[blob].addRefs(refs, w)
		}
	}
	for i := range placements {
		slices.Sort(placements[i].Refs)
		placements[i].RefsTruncated = !complete || p.cut || p.heldCut
	}
	return nil
}

// addRefs adds those refs whose bit is set.
func (p *Placement) addRefs(refs []refTip, set uint64) {
	p.RefCount += bits.OnesCount64(set)
	for ; set != 0 && len(p.Refs) < maxListed; set &= set - 1 {
		p.Refs = append(p.Refs, refs[bits.TrailingZeros64(set)].name)
	}
}

// present finds where the blobs stand on the default branch now.
func (p *placer) present(placements []Placement) {
	root := int32(-1)
	for _, r := range p.opts.Refs {
		if r.Ref == p.opts.Default {
			if commit, _ := p.peel(r.Hash); commit >= 0 {
				root = p.tree(p.commits[commit].tree)
			}
		}
	}
	if root < 0 {
		return // all stays unknown
	}
	here := presence{placer: p, placements: placements}
	p.path, p.stepsHere, p.steps = p.path[:0], maxStepsPerCommit, maxStepsPerCommit
	if p.marked[root] {
		here.list(root)
	}
	for i := range placements {
		at := &placements[i]
		// What is not in the source may hold anything.
		at.PresentTruncated = here.cut || p.cut || p.holes[root]
		switch {
		case at.PresentCount > 0:
			at.Presence = magpie.PresencePresent
		case !at.PresentTruncated:
			at.Presence = magpie.PresenceAbsent
		}
		slices.Sort(at.Present)
	}
}

// presence lists the paths of one commit.
type presence struct {
	*placer
	placements []Placement
	cut        bool
}

// list notes the paths in and below a marked tree.
func (p *presence) list(tree int32) {
	hits, dirs := p.hitsOf.at(tree), p.dirsOf.at(tree)
	if !p.step(int64(1+len(hits)+len(dirs))) || len(p.path) > maxPathDepth {
		p.cut = true
		return
	}
	for _, hit := range hits {
		at := &p.placements[hit.to]
		at.PresentCount++
		if len(at.Present) < maxListed {
			at.Present = append(at.Present, p.pathTo(hit.name))
		}
	}
	for _, dir := range dirs {
		p.path = append(p.path, dir.name)
		p.list(dir.to)
		p.path = p.path[:len(p.path)-1]
	}
}
