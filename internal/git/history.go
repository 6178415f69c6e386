package git

import (
	"cmp"
	"slices"

	"magpie"
)

// history is what Place keeps of all commits, trees and tags: what the collectors found, put together. A tree is a
// number in the order in which trees came, a commit a position in commits.
type history struct {
	format     Format
	blobs      []ID    // that are asked for
	wanted     []int32 // number of a blob → position in blobs, or -1; numbers beyond its end are not wanted
	objects    *numbers
	commitIDs  *numbers
	tagIDs     *numbers
	budget     *keeping
	collectors []*collector

	names    texts
	persons  texts
	trees    column[int32]  // their numbers as objects
	treeAt   []int32        // number of an object → tree, or -1
	dirs     column[period] // to is the tree, or -1 if it is not in the source
	files    column[period]
	commits  []commitNode
	commitAt []int32 // number of a commit → its position, or -1
	parents  column[int32]
	tags     map[int32]tagNode // by number

	marked  []bool  // trees that have a wanted blob in or below them
	rank    []int32 // name → its position among the names on the way to wanted blobs, or -1
	ranked  []int32 // those names, in order
	dirsOf  lists   // marked subdirectories, as trees
	hitsOf  lists   // wanted blobs, as positions in blobs
	dirsBy  byName
	filesBy byName
	cut     bool // something had to be left out, so any blob may miss something
}

// maxKept is how much memory in bytes, roughly, may go into what is kept of a source's commits and trees.
const maxKept = 2 << 30

func newHistory(format Format, blobs []magpie.Hash, limit int64) (*history, error) {
	h := &history{
		format: format, objects: newNumbers(format), commitIDs: newNumbers(format), tagIDs: newNumbers(format),
		budget: newKeeping(limit),
	}
	seen := make(map[ID]bool, len(blobs))
	var numbered []int32
	for _, b := range blobs {
		id, err := ParseID(b)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			h.blobs = append(h.blobs, id)
			numbered = append(numbered, h.objects.of(id.raw[:id.n]))
		}
	}
	h.wanted = filled(h.objects.end())
	for i, n := range numbered {
		if n >= 0 {
			h.wanted[n] = int32(i)
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

// visitor returns a new collector's.
func (h *history) visitor(int) Visitor {
	c := &collector{
		objects: newRecent(h.objects), commitIDs: h.commitIDs, tagIDs: h.tagIDs, wanted: h.wanted, budget: h.budget,
	}
	h.collectors = append(h.collectors, c)
	return c.visit
}

// join puts together what the collectors have, after the walk, and adds to report what they could not use.
func (h *history) join(report *Report) {
	h.tags = map[int32]tagNode{}
	for i, c := range h.collectors {
		c.finish()
		if i == 0 {
			h.names, h.persons, h.trees, h.dirs, h.files, h.parents = c.names, c.persons, c.trees, c.dirs, c.files, c.parents
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
	h.treeAt = filled(h.objects.end())
	for i := range h.trees.n {
		h.treeAt[*h.trees.at(i)] = int32(i)
	}
	for i := range h.dirs.n {
		p := h.dirs.at(i)
		p.to = h.treeAt[p.to]
	}
	h.commitAt = filled(h.commitIDs.end())
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
	move(&h.files, &c.files, shift)
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

// tree returns the tree that has a number as an object, or -1.
func (h *history) tree(object int32) int32 {
	if object < 0 {
		return -1
	}
	return h.treeAt[object]
}

// hit returns which of the blobs asked for a file is, or -1.
func (h *history) hit(p *period) int32 {
	if !isWanted(h.wanted, p.to) {
		return -1
	}
	return h.wanted[p.to]
}

// markedDir returns the tree that a subdirectory is, if it is marked, or -1.
func (h *history) markedDir(p *period) int32 {
	if p.to >= 0 && h.marked[p.to] {
		return p.to
	}
	return -1
}

// prepare finds what is on the way to wanted blobs.
func (h *history) prepare() {
	up := h.parentDirs()
	h.marked = h.above(up, &h.files, func(p *period) bool { return h.hit(p) >= 0 })
	h.rankNames()
	h.dirsOf = h.newLists(&h.dirs, h.markedDir, func(a, b int32) int {
		return h.objects.id(*h.trees.at(int(a))).Compare(h.objects.id(*h.trees.at(int(b))))
	})
	h.hitsOf = h.newLists(&h.files, h.hit, cmp.Compare[int32])
	h.dirsBy, h.filesBy = h.newByName(&h.dirs), h.newByName(&h.files)
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
	for i := range h.files.n {
		if p := h.files.at(i); h.hit(p) >= 0 {
			add(p.name)
		}
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
	order func(a, b link) int
}

// at returns the links of a tree, in order.
func (l *lists) at(tree int32) []link { return l.links[l.start[l.of[tree]]:l.start[l.of[tree]+1]] }

// has reports whether a tree has a link.
func (l *lists) has(tree int32, want link) bool {
	_, ok := slices.BinarySearchFunc(l.at(tree), want, l.order)
	return ok
}

// maxLinks bounds the memory for lists, to 8 bytes times this.
const maxLinks = 1 << 27

// newLists makes the lists of the entries for which to does not return -1, of all trees. Equal names, which only broken
// trees have, are in the order that tie says.
func (h *history) newLists(periods *column[period], to func(*period) int32, tie func(a, b int32) int) lists {
	l := lists{of: make([]int32, h.trees.n), start: []int32{0, 0}}
	l.order = func(a, b link) int {
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
			at, _ := slices.BinarySearchFunc(now, a, func(x, y active) int { return l.order(x.link, y.link) })
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
	grouped
	periods *column[period]
	reach   []int32 // for each item, the latest end of those of its group up to it
}

func (h *history) newByName(periods *column[period]) byName {
	b := byName{periods: periods, grouped: group(periods, len(h.ranked), func(p *period) int32 { return h.rank[p.name] })}
	b.reach = make([]int32, len(b.items))
	for name := range int32(len(h.ranked)) {
		items := b.of(name)
		byStart := func(x, y int32) int { return cmp.Compare(periods.at(int(x)).from, periods.at(int(y)).from) }
		if !slices.IsSortedFunc(items, byStart) {
			slices.SortStableFunc(items, byStart)
		}
		latest := int32(0)
		for i, item := range items {
			latest = max(latest, periods.at(int(item)).until)
			b.reach[int(b.start[name])+i] = latest
		}
	}
	return b
}

// in calls found with all that have a name in a tree, and returns how many entries it looked at.
func (b *byName) in(tree, name int32, found func(to int32)) int64 {
	first := b.start[name]
	items := b.of(name)
	n, _ := slices.BinarySearchFunc(items, tree, func(item, tree int32) int {
		if b.periods.at(int(item)).from <= tree {
			return -1
		}
		return 1
	})
	steps := int64(1)
	for i := n - 1; i >= 0 && b.reach[int(first)+i] > tree; i-- {
		steps++
		if p := b.periods.at(int(items[i])); p.until > tree {
			found(p.to)
		}
	}
	return steps
}
