package git

import (
	"cmp"
	"context"
	"slices"
	"sort"

	"magpie"
)

// history is what Place keeps of all commits, trees and tags: what the collectors found, put together. A tree is a
// number in the order in which trees came, a commit a position in commits.
type history struct {
	format     Format
	blobs      []ID // that are asked for
	wanted     *wanted
	treeIDs    *numbers
	commitIDs  *numbers
	tagIDs     *numbers
	budget     *keeping
	collectors []*collector

	names    texts
	persons  texts
	trees    column[int32]  // their numbers
	treeAt   []int32        // number of a tree → the tree, or -1
	dirs     column[period] // to is the tree, or -1 if it is not in the source
	hits     column[period] // to is a position in blobs
	files    column[file]
	fileIDs  idColumn
	commits  []commitNode
	commitAt []int32 // number of a commit → its position, or -1
	parents  column[int32]
	tags     map[int32]tagNode // by number

	marked  []bool  // trees that have a wanted blob in or below them
	holes   []bool  // trees that have one in or below them that is not in the source
	rank    []int32 // name → its position among the names on the way to wanted blobs, or -1
	ranked  []int32 // those names, in order
	dirsOf  lists   // marked subdirectories, as trees
	hitsOf  lists   // wanted blobs, as positions in blobs
	dirsBy  byName
	filesBy byName // to is a position in files
	cut     bool   // something had to be left out, so any blob may miss something
}

// maxKept is how much memory in bytes, roughly, may go into what is kept of a source's commits and trees.
const maxKept = 2 << 30

func newHistory(format Format, blobs []magpie.Hash, limit int64) (*history, error) {
	h := &history{
		format: format, treeIDs: newNumbers(format), commitIDs: newNumbers(format), tagIDs: newNumbers(format),
		wanted: &wanted{ids: make(map[ID]int32, len(blobs))}, budget: newKeeping(limit),
		fileIDs: idColumn{size: format.Size()},
	}
	for _, b := range blobs {
		id, err := ParseID(b)
		if err != nil {
			return nil, err
		}
		if h.wanted.add(id) {
			h.blobs = append(h.blobs, id)
		}
	}
	return h, nil
}

// filled returns a list of n times -1.
func filled(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = -1
	}
	return list
}

// walk collects everything. Objects that come several times do no harm, so a source that can leave it to us to notice is
// spared to remember which objects it has handed out.
func (h *history) walk(ctx context.Context, src Source, opts WalkOptions) (Report, error) {
	lineages, ok := src.(LineageSource)
	if !ok {
		return src.Walk(ctx, opts, func(int) Visitor { return h.newCollector().visit })
	}
	return lineages.WalkLineages(ctx, opts, func(int) VersionVisitor {
		c := h.newCollector()
		return func(v *Version) (any, error) {
			return nil, c.visit(Object{ID: v.ID(), Kind: v.Kind, Data: v.Data})
		}
	})
}

func (h *history) newCollector() *collector {
	c := &collector{
		treeIDs: newRecent(h.treeIDs), commitIDs: newRecent(h.commitIDs), tagIDs: h.tagIDs, wanted: h.wanted, budget: h.budget,
		fileIDs: idColumn{size: h.format.Size()},
	}
	h.collectors = append(h.collectors, c)
	return c
}

// join puts together what the collectors have, after the walk, and adds to report what they could not use.
func (h *history) join(report *Report) {
	h.tags = map[int32]tagNode{}
	for i, c := range h.collectors {
		c.finish()
		if i == 0 {
			h.names, h.persons, h.trees, h.parents = c.names, c.persons, c.trees, c.parents
			h.dirs, h.hits, h.files, h.fileIDs = c.dirs, c.hits, c.files, c.fileIDs
		}
		h.addCommits(c, i == 0)
		if i > 0 {
			h.addTrees(c)
		}
		for _, chunk := range c.tags.chunks {
			for _, t := range chunk {
				h.tags[t.id] = t
			}
		}
		slices.SortFunc(c.skipped.Why, func(a, b *ObjectError) int { return a.ID.Compare(b.ID) })
		report.Add(c.skipped)
		h.collectors[i] = nil
	}
	h.treeAt = filled(h.treeIDs.end())
	for i := range h.trees.n {
		h.treeAt[*h.trees.at(i)] = int32(i)
	}
	for i := range h.dirs.n {
		p := h.dirs.at(i)
		p.to = h.treeAt[p.to]
	}
	h.commitAt = filled(h.commitIDs.end())
	h.commits = slices.DeleteFunc(h.commits, func(c commitNode) bool {
		again := h.commitAt[c.id] >= 0
		h.commitAt[c.id] = 0
		return again
	})
	for i, c := range h.commits {
		h.commitAt[c.id] = int32(i)
	}
}

// addTrees takes over a collector's trees, whose entries and names are numbered anew.
func (h *history) addTrees(c *collector) {
	base := int32(h.trees.n)
	name := h.names.merge(&c.names)
	shift := func(p period) period { return period{name[p.name], p.to, p.from + base, p.until + base} }
	move(&h.dirs, &c.dirs, shift)
	move(&h.hits, &c.hits, shift)
	move(&h.files, &c.files, func(f file) file { return file{name[f.name], f.from + base, f.until + base} })
	for i := range c.fileIDs.n {
		h.fileIDs.add(c.fileIDs.at(i))
		if (i+1)%chunkSize == 0 {
			c.fileIDs.chunks[i/chunkSize] = nil
		}
	}
	move(&h.trees, &c.trees, func(n int32) int32 { return n })
}

// addCommits takes over a collector's commits; first says that parents and persons are numbered as before.
func (h *history) addCommits(c *collector, first bool) {
	base, person := int32(h.parents.n), []int32(nil)
	if !first {
		person = h.persons.merge(&c.persons)
		move(&h.parents, &c.parents, func(n int32) int32 { return n })
	}
	h.commits = slices.Grow(h.commits, c.commits.n)
	for i, chunk := range c.commits.chunks {
		for _, n := range chunk {
			if !first {
				n.parents = span{n.parents.from + base, n.parents.to + base}
				n.author, n.committer = renumbered(person, n.author), renumbered(person, n.committer)
			}
			h.commits = append(h.commits, n)
		}
		c.commits.chunks[i] = nil
	}
}

func renumbered(numbers []int32, n int32) int32 {
	if n < 0 {
		return n
	}
	return numbers[n]
}

// move adds all of from, changed by as, to to. From is empty afterwards.
func move[T any](to, from *column[T], as func(T) T) {
	for i, chunk := range from.chunks {
		for _, v := range chunk {
			to.add(as(v))
		}
		from.chunks[i] = nil
	}
	*from = column[T]{}
}

// parentsOf yields the numbers of a commit's parents.
func (h *history) parentsOf(c *commitNode) func(yield func(int32) bool) {
	return func(yield func(int32) bool) {
		for i := c.parents.from; i < c.parents.to; i++ {
			if !yield(*h.parents.at(int(i))) {
				return
			}
		}
	}
}

// tree returns the tree that has a number, or -1.
func (h *history) tree(number int32) int32 {
	if number < 0 {
		return -1
	}
	return h.treeAt[number]
}

// markedDir returns the tree that a subdirectory is, if it is marked, or -1.
func (h *history) markedDir(p *period) int32 {
	if p.to >= 0 && h.marked[p.to] {
		return p.to
	}
	return -1
}

// prepare finds what is on the way to wanted blobs and gives up what is not.
func (h *history) prepare() {
	up := h.parentDirs()
	h.marked = h.above(up, &h.hits, func(*period) bool { return true })
	h.holes = h.above(up, &h.dirs, func(p *period) bool { return p.to < 0 })
	h.rankNames()
	h.dirsOf = h.newLists(&h.dirs, h.markedDir, h.byTreeID)
	h.hitsOf = h.newLists(&h.hits, func(p *period) int32 { return p.to }, cmp.Compare[int32])
	h.hits = column[period]{}
	h.dirsBy = h.newByName(h.dirs.n, func(i int) period { return *h.dirs.at(i) })
	h.dirs = column[period]{}
	h.filesBy = h.newByName(h.files.n, func(i int) period {
		f := h.files.at(i)
		return period{f.name, int32(i), f.from, f.until}
	})
	h.files = column[file]{}
}

// byTreeID orders trees by their ids.
func (h *history) byTreeID(a, b int32) int {
	return h.treeIDs.id(*h.trees.at(int(a))).Compare(h.treeIDs.id(*h.trees.at(int(b))))
}

// grouped is a list of positions in groups that are numbered from 0.
type grouped struct{ start, items []int32 }

func (g grouped) of(group int32) []int32 { return g.items[g.start[group]:g.start[group+1]] }

// group puts the positions in periods into n groups, each in order; those whose group is -1 are left out.
func group(periods *column[period], n int, of func(*period) int32) grouped {
	g := grouped{start: make([]int32, n+2)}
	for i := range periods.n {
		if k := of(periods.at(i)); k >= 0 {
			g.start[k+2]++
		}
	}
	for k := range n {
		g.start[k+2] += g.start[k+1]
	}
	g.items = make([]int32, g.start[n+1])
	for i := range periods.n {
		if k := of(periods.at(i)); k >= 0 {
			g.items[g.start[k+1]] = int32(i)
			g.start[k+1]++
		}
	}
	return g
}

// parentDirs groups the subdirectories by the tree that they are.
func (h *history) parentDirs() grouped {
	return group(&h.dirs, h.trees.n, func(p *period) int32 { return p.to })
}

// above returns the trees that have one of the given entries in or below them. Trees can't contain themselves, because
// their ids are hashes of their content, but nothing here would mind.
func (h *history) above(up grouped, entries *column[period], given func(*period) bool) []bool {
	in := make([]bool, h.trees.n)
	next := make([]int32, h.trees.n+1) // from each tree a way to the next one that is not in
	for i := range next {
		next[i] = int32(i)
	}
	var queue []int32
	add := func(p *period) {
		for t := follow(next, p.from); t < p.until; t = follow(next, t) {
			in[t], next[t] = true, t+1
			queue = append(queue, t)
		}
	}
	for i := range entries.n {
		if p := entries.at(i); given(p) {
			add(p)
		}
	}
	for len(queue) > 0 {
		t := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, i := range up.of(t) {
			add(h.dirs.at(int(i)))
		}
	}
	return in
}

// follow returns where the way from i ends, and makes it shorter.
func follow(next []int32, i int32) int32 {
	for next[i] != i {
		next[i] = next[next[i]]
		i = next[i]
	}
	return i
}

// rankNames orders the names on the way to wanted blobs, so that the order of everything does not depend on which
// worker saw which tree.
func (h *history) rankNames() {
	h.rank = filled(len(h.names.ends))
	add := func(name int32) {
		if h.rank[name] < 0 {
			h.rank[name] = 0
			h.ranked = append(h.ranked, name)
		}
	}
	for i := range h.dirs.n {
		if p := h.dirs.at(i); h.markedDir(p) >= 0 {
			add(p.name)
		}
	}
	for i := range h.hits.n {
		add(h.hits.at(i).name)
	}
	slices.SortFunc(h.ranked, func(a, b int32) int { return slices.Compare(h.names.text(a), h.names.text(b)) })
	for i, name := range h.ranked {
		h.rank[name] = int32(i)
	}
}

// link is a name in a tree, by its rank, and what it stands for.
type link struct{ name, to int32 }

// lists holds a list of links for each tree. Trees that follow each other share a list if theirs are equal.
type lists struct {
	of    []int32 // tree → list
	start []int32 // list → where it starts in links; list 0 is empty
	links []link
}

// at returns the links of a tree, in order.
func (l *lists) at(tree int32) []link { return l.links[l.start[l.of[tree]]:l.start[l.of[tree]+1]] }

// has reports whether a tree has a link.
func (l *lists) has(tree int32, want link) bool {
	links := l.at(tree)
	low, high := 0, len(links)
	for low < high {
		if mid := (low + high) / 2; links[mid].name < want.name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for ; low < len(links) && links[low].name == want.name; low++ {
		if links[low].to == want.to {
			return true
		}
	}
	return false
}

// maxLinks bounds the memory for lists, to 8 bytes times this.
const maxLinks = 1 << 27

// newLists makes the lists of the entries for which to does not return -1, of all trees. Equal names, which only broken
// trees have, are in the order that tie says.
func (h *history) newLists(periods *column[period], to func(*period) int32, tie func(a, b int32) int) lists {
	l := lists{of: make([]int32, h.trees.n), start: []int32{0, 0}}
	order := func(a, b link) int {
		if a.name != b.name || a.to == b.to {
			return cmp.Compare(a.name, b.name)
		}
		return tie(a.to, b.to)
	}
	from := group(periods, h.trees.n, func(p *period) int32 {
		if to(p) < 0 {
			return -1
		}
		return p.from
	})
	type active struct {
		link
		until int32
	}
	var now []active
	soonest := int32(0) // no later than the first end in now
	for t := range int32(h.trees.n) {
		begins := from.of(t)
		if len(begins) == 0 && t < soonest && t > 0 {
			l.of[t] = l.of[t-1]
			continue
		}
		now = slices.DeleteFunc(now, func(a active) bool { return a.until <= t })
		for _, i := range begins {
			p := periods.at(int(i))
			a := active{link{h.rank[p.name], to(p)}, p.until}
			at, _ := slices.BinarySearchFunc(now, a, func(x, y active) int { return order(x.link, y.link) })
			now = slices.Insert(now, at, a)
		}
		soonest = int32(h.trees.n)
		if len(now) == 0 {
			continue
		}
		if len(l.links)+len(now) > maxLinks {
			h.cut = true
			return l
		}
		l.of[t] = int32(len(l.start) - 1)
		for _, a := range now {
			soonest = min(soonest, a.until)
			l.links = append(l.links, a.link)
		}
		l.start = append(l.start, int32(len(l.links)))
	}
	return l
}

// byName finds entries of trees by their name, for ranked names.
type byName struct {
	start           []int32 // of each name in what follows, where those of one name are ordered by from
	from, until, to []int32
	reach           []int32 // the latest until of those of the same name up to here; nil if they follow each other
}

// newByName makes a byName of n entries.
func (h *history) newByName(n int, at func(int) period) byName {
	b := byName{start: make([]int32, len(h.ranked)+2)}
	for i := range n {
		if r := h.rank[at(i).name]; r >= 0 {
			b.start[r+2]++
		}
	}
	for r := range h.ranked {
		b.start[r+2] += b.start[r+1]
	}
	m := b.start[len(h.ranked)+1]
	b.from, b.until, b.to = make([]int32, m), make([]int32, m), make([]int32, m)
	for i := range n {
		p := at(i)
		if r := h.rank[p.name]; r >= 0 {
			k := b.start[r+1]
			b.start[r+1]++
			b.from[k], b.until[k], b.to[k] = p.from, p.until, p.to
		}
	}
	b.overlap()
	return b
}

// overlap looks for entries of one name whose periods overlap, which only broken trees have. The others came in order,
// because a period is recorded when it ends.
func (b *byName) overlap() {
	broken := false
	for name := 0; name+1 < len(b.start); name++ {
		for k := int(b.start[name]) + 1; k < int(b.start[name+1]); k++ {
			broken = broken || b.from[k] < b.until[k-1]
		}
	}
	if !broken {
		return
	}
	b.reach = make([]int32, len(b.from))
	for name := 0; name+1 < len(b.start); name++ {
		first, last := int(b.start[name]), int(b.start[name+1])
		sort.Stable(byFrom{b.from[first:last], b.until[first:last], b.to[first:last]})
		latest := int32(0)
		for k := first; k < last; k++ {
			latest = max(latest, b.until[k])
			b.reach[k] = latest
		}
	}
}

// byFrom sorts the columns of a byName.
type byFrom struct{ from, until, to []int32 }

func (s byFrom) Len() int           { return len(s.from) }
func (s byFrom) Less(i, j int) bool { return s.from[i] < s.from[j] }
func (s byFrom) Swap(i, j int) {
	s.from[i], s.from[j] = s.from[j], s.from[i]
	s.until[i], s.until[j] = s.until[j], s.until[i]
	s.to[i], s.to[j] = s.to[j], s.to[i]
}

// in calls found with all that have a name in a tree, and returns how many entries it looked at.
func (b *byName) in(tree, name int32, found func(to int32)) int64 {
	first := int(b.start[name])
	at, here := slices.BinarySearch(b.from[first:b.start[name+1]], tree)
	if here {
		at++
		for first+at < int(b.start[name+1]) && b.from[first+at] == tree {
			at++
		}
	}
	steps := int64(1)
	for k := first + at - 1; k >= first && (b.reach == nil || b.reach[k] > tree); k-- {
		if steps++; b.until[k] > tree {
			found(b.to[k])
		}
		if b.reach == nil {
			break
		}
	}
	return steps
}
