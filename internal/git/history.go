package git

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"magpie"
)

// history is what Place keeps of all commits and trees: numbers instead of ids and names, and of each tree only its
// subdirectories and the wanted blobs.
type history struct {
	format Format
	wanted map[ID]int32 // blob → its number
	blobs  []ID

	mu      sync.Mutex // guards everything below during a walk
	treeOf  map[ID]int32
	trees   []treeNode
	dirs    []link // subdirectories, those of one tree together and by name
	hits    []link // wanted blobs, likewise
	nameOf  map[string]int32
	names   []string
	nodeOf  map[ID]int32
	commits []commitNode
	parents []int32 // commits, those of one commit together
	broken  []*ObjectError
}

// span is a part of a slice.
type span struct{ from, to int32 }

// treeNode is a tree that was read, or is only known from a commit or tree that names it.
type treeNode struct {
	present bool
	marked  bool // a wanted blob is in it or below
	dirs    span
	hits    span
}

// link is a name in a tree, and what it stands for: the number of a tree or of a wanted blob.
type link struct{ name, to int32 }

// commitNode is a commit that was read, or is only known from one that names it as a parent.
type commitNode struct {
	id      ID
	present bool
	tree    int32
	parents span
	when    int64 // committer time in seconds; the largest number if unknown
}

func newHistory(format Format, blobs []magpie.Hash) (*history, error) {
	h := &history{
		format: format, wanted: map[ID]int32{},
		treeOf: map[ID]int32{}, nameOf: map[string]int32{}, nodeOf: map[ID]int32{},
	}
	for _, b := range blobs {
		id, err := ParseID(b)
		if err != nil {
			return nil, err
		}
		if _, ok := h.wanted[id]; !ok {
			h.wanted[id] = int32(len(h.blobs))
			h.blobs = append(h.blobs, id)
		}
	}
	return h, nil
}

// visitor collects commits and trees.
func (h *history) visitor(int) Visitor {
	var dirs, hits []TreeEntry // reused
	return func(o Object) error {
		if o.Kind == Commit {
			h.addCommit(o)
			return nil
		}
		dirs, hits = dirs[:0], hits[:0]
		var broken error
		for e, err := range ParseTree(o.ID, o.Data, h.format) {
			switch {
			case err != nil:
				broken = err
			case e.Mode.IsTree():
				dirs = append(dirs, e)
			case e.Mode.IsBlob():
				if _, ok := h.wanted[e.ID]; ok {
					hits = append(hits, e)
				}
			}
		}
		h.addTree(o.ID, dirs, hits, broken)
		return nil
	}
}

// addCommit keeps the links of a commit.
func (h *history) addCommit(o Object) {
	c, err := ParseCommit(o.ID, o.Data)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.breaks(err)
		return
	}
	n := commitNode{id: o.ID, present: true, tree: h.tree(c.Tree), when: math.MaxInt64}
	if !c.Committer.When.IsZero() {
		n.when = c.Committer.When.Unix()
	}
	n.parents.from = int32(len(h.parents))
	for _, p := range c.Parents {
		h.parents = append(h.parents, h.commit(p))
	}
	n.parents.to = int32(len(h.parents))
	h.commits[h.commit(o.ID)] = n
}

// addTree keeps what matters of a tree.
func (h *history) addTree(id ID, dirs, hits []TreeEntry, broken error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if broken != nil {
		h.breaks(broken)
	}
	t := treeNode{present: true, marked: len(hits) > 0}
	t.dirs.from = int32(len(h.dirs))
	for _, e := range dirs {
		h.dirs = append(h.dirs, link{h.name(e.Name), h.tree(e.ID)})
	}
	t.dirs.to = int32(len(h.dirs))
	t.hits.from = int32(len(h.hits))
	for _, e := range hits {
		h.hits = append(h.hits, link{h.name(e.Name), h.wanted[e.ID]})
	}
	t.hits.to = int32(len(h.hits))
	byName := func(a, b link) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.to, b.to)) }
	slices.SortFunc(h.dirsOf(t), byName)
	slices.SortFunc(h.hitsOf(t), byName)
	h.trees[h.tree(id)] = t
}

// breaks notes an object that could not be parsed.
func (h *history) breaks(err error) {
	if e, ok := err.(*ObjectError); ok {
		h.broken = append(h.broken, e)
	}
}

func (h *history) dirsOf(t treeNode) []link       { return h.dirs[t.dirs.from:t.dirs.to] }
func (h *history) hitsOf(t treeNode) []link       { return h.hits[t.hits.from:t.hits.to] }
func (h *history) parentsOf(c commitNode) []int32 { return h.parents[c.parents.from:c.parents.to] }
func (h *history) nameText(name int32) string     { return h.names[name] }
func (h *history) isPresent(tree int32) bool      { return h.trees[tree].present }
func (h *history) linksNamed(l []link, name int32) []link {
	i, _ := slices.BinarySearchFunc(l, name, func(l link, name int32) int { return cmp.Compare(l.name, name) })
	j := i
	for j < len(l) && l[j].name == name {
		j++
	}
	return l[i:j]
}

// tree returns the number of a tree.
func (h *history) tree(id ID) int32 {
	n, ok := h.treeOf[id]
	if !ok {
		n = int32(len(h.trees))
		h.treeOf[id] = n
		h.trees = append(h.trees, treeNode{})
	}
	return n
}

// commit returns the number of a commit.
func (h *history) commit(id ID) int32 {
	n, ok := h.nodeOf[id]
	if !ok {
		n = int32(len(h.commits))
		h.nodeOf[id] = n
		h.commits = append(h.commits, commitNode{id: id})
	}
	return n
}

// name returns the number of a name.
func (h *history) name(b []byte) int32 {
	n, ok := h.nameOf[string(b)]
	if !ok {
		n = int32(len(h.names))
		h.names = append(h.names, string(b))
		h.nameOf[h.names[n]] = n
	}
	return n
}

// mark finds all trees that have a wanted blob in or below them. Trees can't contain themselves, because their ids are
// hashes of their content, but they can be nested deeper than a call stack likes, so this keeps its own.
func (h *history) mark() {
	type visit struct{ tree, next int32 }
	seen := make([]bool, len(h.trees))
	var stack []visit
	for root := range h.trees {
		if seen[root] {
			continue
		}
		seen[root] = true
		stack = append(stack, visit{int32(root), h.trees[root].dirs.from})
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			t := &h.trees[top.tree]
			if top.next == t.dirs.to {
				stack = stack[:len(stack)-1]
				if t.marked && len(stack) > 0 {
					h.trees[stack[len(stack)-1].tree].marked = true
				}
				continue
			}
			child := h.dirs[top.next].to
			top.next++
			switch {
			case !seen[child]:
				seen[child] = true
				stack = append(stack, visit{child, h.trees[child].dirs.from})
			case h.trees[child].marked:
				t.marked = true
			}
		}
	}
}
