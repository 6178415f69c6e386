package git

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"magpie"
)

// The limits of what hostile trees can make placer do, beside those of PlaceOptions.
const (
	maxStepsPerCommit = 10_000_000
	maxPathDepth      = 4096
)

// placer compares commits with their parents.
type placer struct {
	*history
	opts      PlaceOptions
	found     []place
	count     []int  // places of each blob
	truncated []bool // for each blob

	commit    int32   // being compared
	path      []int32 // names that lead to the tree being compared
	steps     int64   // left in all
	stepsHere int64   // left for this commit
	cut       bool    // the steps ran out, so any blob may miss something

	asked   map[int32][]question // tree → what is asked about it
	answers []ID
	persons map[int32]persons // commit → who and when
}

// place is an introduction in the making.
type place struct {
	blob, commit int32
	path         string
	unknown      bool
	previous     span // of answers
}

// question asks which blob has a name in a tree.
type question struct{ name, answer int32 }

type persons struct{ author, committer Person }

// compare finds all introductions, going through the commits in the order in which they shall be given.
func (p *placer) compare(ctx context.Context) error {
	p.asked = map[int32][]question{}
	p.persons = map[int32]persons{}
	order := p.order()
	p.steps = p.opts.MaxSteps + 1000*int64(len(order))
	var parents []int32
	for i, c := range order {
		if i&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		commit := p.commits[c]
		if !p.trees[commit.tree].marked {
			continue
		}
		unknown := false
		parents = parents[:0]
		for _, n := range p.parentsOf(commit) {
			if parent := p.commits[n]; parent.present {
				parents = append(parents, parent.tree)
			} else {
				unknown = true
			}
		}
		p.commit, p.stepsHere = c, maxStepsPerCommit
		p.tree(commit.tree, parents, unknown)
	}
	return nil
}

// order returns the commits that were read by committer time, then id.
func (p *placer) order() []int32 {
	order := make([]int32, 0, len(p.commits))
	for i, c := range p.commits {
		if c.present {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		ca, cb := &p.commits[a], &p.commits[b]
		return cmp.Or(cmp.Compare(ca.when, cb.when), ca.id.Compare(cb.id))
	})
	return order
}

// tree finds what is introduced in or below a marked tree, given the trees at the same path in the parents that have
// one. unknown says that what another parent has there can't be known.
func (p *placer) tree(tree int32, parents []int32, unknown bool) {
	if slices.Contains(parents, tree) {
		return
	}
	t := p.trees[tree]
	n := int64(1 + len(p.hitsOf(t)) + len(p.dirsOf(t)))
	if p.steps, p.stepsHere = p.steps-n, p.stepsHere-n; p.steps < 0 || p.stepsHere < 0 || len(p.path) > maxPathDepth {
		p.cut = true
		return
	}
	for _, parent := range parents {
		unknown = unknown || !p.isPresent(parent)
	}
	for _, hit := range p.hitsOf(t) {
		if !p.anyHas(parents, hit) {
			p.introduce(hit, parents, unknown)
		}
	}
	for _, dir := range p.dirsOf(t) {
		if !p.trees[dir.to].marked {
			continue
		}
		var below []int32
		for _, parent := range parents {
			for _, l := range p.linksNamed(p.dirsOf(p.trees[parent]), dir.name) {
				below = append(below, l.to)
			}
		}
		p.path = append(p.path, dir.name)
		p.tree(dir.to, below, unknown)
		p.path = p.path[:len(p.path)-1]
	}
}

// anyHas reports whether any of the trees has that very blob under that name.
func (p *placer) anyHas(trees []int32, hit link) bool {
	for _, t := range trees {
		if slices.Contains(p.linksNamed(p.hitsOf(p.trees[t]), hit.name), hit) {
			return true
		}
	}
	return false
}

// introduce notes an introduction, and asks what its predecessors are.
func (p *placer) introduce(hit link, parents []int32, unknown bool) {
	if p.count[hit.to] >= p.opts.MaxPerBlob {
		p.truncated[hit.to] = true
		return
	}
	p.count[hit.to]++
	at := place{blob: hit.to, commit: p.commit, path: p.pathTo(hit.name), unknown: unknown}
	at.previous.from = int32(len(p.answers))
	for _, parent := range parents {
		if p.isPresent(parent) {
			p.asked[parent] = append(p.asked[parent], question{hit.name, int32(len(p.answers))})
			p.answers = append(p.answers, ID{})
		}
	}
	at.previous.to = int32(len(p.answers))
	p.found = append(p.found, at)
	p.persons[p.commit] = persons{}
}

// pathTo returns the path of a name in the tree being compared.
func (p *placer) pathTo(name int32) string {
	var b strings.Builder
	for _, dir := range p.path {
		b.WriteString(p.nameText(dir))
		b.WriteByte('/')
	}
	b.WriteString(p.nameText(name))
	return b.String()
}

// describe walks src again for what was not worth keeping the first time: who made the commits that introduced
// something, and what stood at those paths before.
func (p *placer) describe(ctx context.Context, src Source, walk WalkOptions) error {
	if len(p.found) == 0 {
		return nil
	}
	if len(p.asked) == 0 {
		walk.Kinds = KindsOf(Commit)
	}
	var mu sync.Mutex
	_, err := src.Walk(ctx, walk, func(int) Visitor {
		return func(o Object) error {
			switch o.Kind {
			case Commit:
				if n, ok := p.nodeOf[o.ID]; ok {
					mu.Lock()
					defer mu.Unlock()
					p.describeCommit(n, o)
				}
			case Tree:
				n, ok := p.treeOf[o.ID]
				if questions := p.asked[n]; ok && len(questions) > 0 {
					p.answer(questions, o)
				}
			}
			return nil
		}
	})
	return err
}

// describeCommit keeps who made a commit, if that is needed.
func (p *placer) describeCommit(n int32, o Object) {
	if _, ok := p.persons[n]; ok {
		if c, err := ParseCommit(o.ID, o.Data); err == nil {
			p.persons[n] = persons{c.Author, c.Committer}
		}
	}
}

// answer answers all questions about one tree. Each question has its own place for the answer, and each tree comes
// once, so this needs no lock.
func (p *placer) answer(questions []question, o Object) {
	blobs := map[string]ID{}
	for e, err := range ParseTree(o.ID, o.Data, p.format) {
		if err == nil && e.Mode.IsBlob() {
			blobs[string(e.Name)] = e.ID
		}
	}
	for _, q := range questions {
		p.answers[q.answer] = blobs[p.nameText(q.name)]
	}
}

// result puts everything together.
func (p *placer) result() map[magpie.Hash]Placement {
	placements := make([]Placement, len(p.blobs))
	for _, f := range p.found {
		who := p.persons[f.commit]
		in := Introduction{
			Path: f.path, Commit: p.commits[f.commit].id.Hash(), ParentUnknown: f.unknown,
			Author: who.author.Name, Email: who.author.Email,
			AuthorDate: who.author.When, CommitterDate: who.committer.When,
		}
		for _, id := range p.answers[f.previous.from:f.previous.to] {
			if h := id.Hash(); !id.IsZero() && !slices.Contains(in.Previous, h) {
				in.Previous = append(in.Previous, h)
			}
		}
		placements[f.blob].Introductions = append(placements[f.blob].Introductions, in)
	}
	out := make(map[magpie.Hash]Placement, len(p.blobs))
	for i, id := range p.blobs {
		pl := placements[i]
		pl.Truncated = p.truncated[i] || p.cut
		sortIntroductions(pl.Introductions)
		out[id.Hash()] = pl
	}
	return out
}

// sortIntroductions sorts by committer time, unknown ones last, then commit, then path.
func sortIntroductions(in []Introduction) {
	slices.SortFunc(in, func(a, b Introduction) int {
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
