package git

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"magpie"
)

// The limits of what hostile trees can make placer do, beside those of PlaceOptions.
const (
	maxStepsPerCommit = 10_000_000
	maxPathDepth      = 4096
	maxHeld           = 4_000_000
)

// placer compares commits with their parents.
type placer struct {
	*history
	opts      PlaceOptions
	found     []place
	count     []int   // places of each blob
	truncated []bool  // for each blob
	previous  []int32 // files

	commit    int32   // being compared
	path      []int32 // ranks of the names that lead to the tree being compared
	below     []int32 // trees in parents on the way there; those of one step together
	steps     int64   // left in all
	stepsHere int64   // left for this commit

	held     []held
	lastHeld []int32 // for each blob, the commit of its last held
	heldCut  bool    // there were too many
}

// place is an introduction in the making.
type place struct {
	blob, commit int32
	path         string
	unknown      bool
	previous     span
}

// held says that a commit introduced a blob. These are kept even where there are too many to be placed.
type held struct{ blob, commit int32 }

func newPlacer(h *history, opts PlaceOptions) *placer {
	return &placer{
		history: h, opts: opts,
		count: make([]int, len(h.blobs)), truncated: make([]bool, len(h.blobs)), lastHeld: filled(len(h.blobs)),
	}
}

// compare finds all introductions, going through the commits in the order in which they shall be given.
func (p *placer) compare(ctx context.Context) error {
	p.steps = p.opts.MaxSteps + 1000*int64(len(p.commits))
	var parents []int32
	for i, c := range p.order() {
		if i&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		commit := &p.commits[c]
		unknown := false
		parents = parents[:0]
		for n := range p.parentsOf(commit) {
			tree := int32(-1)
			if n >= 0 && p.commitAt[n] >= 0 {
				tree = p.tree(p.commits[p.commitAt[n]].tree)
			}
			if tree >= 0 {
				parents = append(parents, tree)
			} else {
				unknown = true
			}
		}
		p.commit, p.stepsHere = c, maxStepsPerCommit
		p.compareTree(p.tree(commit.tree), parents, unknown)
	}
	return nil
}

// order returns the commits in whose trees wanted blobs are, by committer time, then id.
func (p *placer) order() []int32 {
	var order []int32
	for i, c := range p.commits {
		if t := p.tree(c.tree); t >= 0 && p.marked[t] {
			order = append(order, int32(i))
		}
	}
	when := func(c *commitNode) int64 {
		if !c.committed.known {
			return math.MaxInt64
		}
		return c.committed.seconds
	}
	slices.SortFunc(order, func(a, b int32) int {
		ca, cb := &p.commits[a], &p.commits[b]
		if n := cmp.Compare(when(ca), when(cb)); n != 0 {
			return n
		}
		return p.commitIDs.id(ca.id).Compare(p.commitIDs.id(cb.id))
	})
	return order
}

// compareTree finds what is introduced in or below a marked tree, given the trees at the same path in the parents that
// have one. unknown says that what another parent has there can't be known.
func (p *placer) compareTree(tree int32, parents []int32, unknown bool) {
	if slices.Contains(parents, tree) {
		return
	}
	hits, dirs := p.hitsOf.at(tree), p.dirsOf.at(tree)
	if !p.step(int64(1+len(hits)+len(dirs))) || len(p.path) > maxPathDepth {
		p.cut = true
		return
	}
	if sameList(&p.hitsOf, parents, tree) {
		hits = nil
	}
	if sameList(&p.dirsOf, parents, tree) {
		dirs = nil
	}
	for _, hit := range hits {
		if !anyHas(&p.hitsOf, parents, hit) {
			p.introduce(hit, parents, unknown)
		}
	}
	for _, dir := range dirs {
		if anyHas(&p.dirsOf, parents, dir) {
			continue
		}
		from, unknownHere := len(p.below), unknown
		for _, parent := range parents {
			first := len(p.below)
			p.step(p.dirsBy.in(parent, dir.name, func(t int32) {
				if t >= 0 {
					p.below = append(p.below, t)
				} else {
					unknownHere = true
				}
			}))
			if len(p.below) > first+1 { // a broken tree
				slices.SortFunc(p.below[first:], p.byTreeID)
			}
		}
		p.path = append(p.path, dir.name)
		p.compareTree(dir.to, p.below[from:], unknownHere)
		p.path, p.below = p.path[:len(p.path)-1], p.below[:from]
	}
}

// step takes n from what may still be done, and reports whether it may.
func (p *placer) step(n int64) bool {
	p.steps, p.stepsHere = p.steps-n, p.stepsHere-n
	return p.steps >= 0 && p.stepsHere >= 0
}

// sameList reports whether any of others has all the links of a tree because they share a list.
func sameList(l *lists, others []int32, tree int32) bool {
	return slices.ContainsFunc(others, func(other int32) bool { return l.of[other] == l.of[tree] })
}

// anyHas reports whether any of the trees has that very link.
func anyHas(l *lists, trees []int32, want link) bool {
	for _, t := range trees {
		if l.has(t, want) {
			return true
		}
	}
	return false
}

// introduce notes an introduction, and what was there before.
func (p *placer) introduce(hit link, parents []int32, unknown bool) {
	p.hold(hit.to)
	if p.count[hit.to] >= p.opts.MaxPerBlob {
		p.truncated[hit.to] = true
		return
	}
	p.count[hit.to]++
	at := place{blob: hit.to, commit: p.commit, path: p.pathTo(hit.name)}
	at.unknown = unknown || len(parents) > 0 && p.budget.lost.Load()
	at.previous.from = int32(len(p.previous))
	for _, parent := range parents {
		before := int32(-1)
		p.step(p.filesBy.in(parent, hit.name, func(file int32) {
			if before < 0 || bytes.Compare(p.fileIDs.at(int(file)), p.fileIDs.at(int(before))) < 0 {
				before = file
			}
		}))
		if before >= 0 {
			p.previous = append(p.previous, before)
		}
	}
	at.previous.to = int32(len(p.previous))
	p.found = append(p.found, at)
}

// hold notes that the commit being compared introduced a blob.
func (p *placer) hold(blob int32) {
	switch {
	case len(p.opts.Refs) == 0 || p.lastHeld[blob] == p.commit:
	case len(p.held) == maxHeld:
		p.heldCut = true
	default:
		p.lastHeld[blob] = p.commit
		p.held = append(p.held, held{blob, p.commit})
	}
}

// pathTo returns the path of a name in the tree being compared.
func (p *placer) pathTo(name int32) string {
	var b strings.Builder
	for _, dir := range p.path {
		b.Write(p.names.text(p.ranked[dir]))
		b.WriteByte('/')
	}
	b.Write(p.names.text(p.ranked[name]))
	return b.String()
}

// placements puts everything about the history together, in the order of blobs.
func (p *placer) placements() []Placement {
	placements := make([]Placement, len(p.blobs))
	persons := map[int32]Person{}
	person := func(text int32) Person {
		who, ok := persons[text]
		if !ok && text >= 0 {
			who = personText(p.persons.text(text))
			persons[text] = who
		}
		return who
	}
	for _, f := range p.found {
		c := &p.commits[f.commit]
		author, committer := person(c.author), person(c.committer)
		in := Introduction{
			Path: f.path, Commit: p.commitIDs.id(c.id).Hash(), ParentUnknown: f.unknown,
			Author: author.Name, Email: author.Email, AuthorDate: c.authored.time(),
			Committer: committer.Name, CommitterEmail: committer.Email, CommitterDate: c.committed.time(),
		}
		for _, file := range p.previous[f.previous.from:f.previous.to] {
			if h := IDFromBytes(p.fileIDs.at(int(file))).Hash(); !slices.Contains(in.Previous, h) {
				in.Previous = append(in.Previous, h)
			}
		}
		placements[f.blob].Introductions = append(placements[f.blob].Introductions, in)
	}
	for i := range placements {
		placements[i].Truncated = p.truncated[i] || p.cut
		sortIntroductions(placements[i].Introductions)
		// Only trees that hold a name twice have a path twice.
		placements[i].Introductions = slices.CompactFunc(placements[i].Introductions, func(a, b Introduction) bool {
			return a.Commit == b.Commit && a.Path == b.Path
		})
	}
	return placements
}

// sortIntroductions sorts by committer time, unknown ones last, then commit, then path.
func sortIntroductions(in []Introduction) {
	slices.SortStableFunc(in, func(a, b Introduction) int {
		return cmp.Or(compareTimes(a.CommitterDate, b.CommitterDate), cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Path, b.Path))
	})
}

func compareTimes(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// result gives each blob its placement.
func (p *placer) result(placements []Placement) map[magpie.Hash]Placement {
	out := make(map[magpie.Hash]Placement, len(p.blobs))
	for i, id := range p.blobs {
		out[id.Hash()] = placements[i]
	}
	return out
}
