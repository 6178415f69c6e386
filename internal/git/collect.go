package git

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"sort"
	"sync/atomic"
)

// A source hands out most trees near others that differ from them in an entry or two, because that is how deltas are
// made. A collector therefore keeps, in place of each tree's entries, one record for each entry and the run of trees
// that it stood in, and of a tree it reads only what is not as in the tree before. All questions about entries are then
// answered from the records, without going through the trees again.

// period is one entry of all the trees from one number to another; trees are numbered in the order in which a worker saw
// them.
type period struct {
	name, to    int32 // to is the number of a tree or which of the blobs asked for it is
	from, until int32 // the first tree that has it, and the next one that has not
}

// file is a period of a blob, whose id is kept beside it.
type file struct{ name, from, until int32 }

// commitNode is what is kept of a commit.
type commitNode struct {
	id                  int32 // its number
	tree                int32 // the number of its tree
	parents             span  // of numbers
	author, committer   int32 // texts, for personText; -1 if it names none
	authored, committed stamp
}

// span is a part of a list.
type span struct{ from, to int32 }

// collector keeps what one worker sees. Collectors share the numbers of ids, and how much memory is left.
type collector struct {
	treeIDs   *recent
	commitIDs *recent
	tagIDs    *numbers
	wanted    *wanted
	budget    *keeping

	names   texts
	trees   column[int32] // their numbers
	dirs    column[period]
	hits    column[period] // those of blobs that are asked for
	files   column[file]   // those of all blobs, as far as they are kept
	fileIDs idColumn
	persons texts
	commits column[commitNode]
	parents column[int32]
	tags    column[tagNode]
	skipped Report // objects that make no sense, or were too much to keep

	last    []byte     // content of the tree that came last, as far as it made sense
	entries []standing // of last
	fresh   []standing // reused
	raw     rawCommit  // reused
	scratch []byte     // reused
}

// standing is an entry of the last tree.
type standing struct {
	at    uint32 // where it starts in the tree
	since int32  // the first tree that had it
	name  int32
	to    int32 // as in period; -1 for all else
	kind  Kind  // 0 for a submodule
}

// keeping is how much memory is left for what comes from the source, counted roughly and for all collectors together.
type keeping struct {
	left atomic.Int64
	half int64       // of what there was
	lost atomic.Bool // files that nobody asked for are not kept any more
}

// The memory that is counted for what one thing leaves behind, in bytes.
const (
	keptEntry  = 64
	keptTree   = 64
	keptCommit = 160
	keptParent = 32
)

func newKeeping(n int64) *keeping {
	k := &keeping{half: n / 2}
	k.left.Store(n)
	return k
}

// take reports whether n more bytes may be kept.
func (k *keeping) take(n int) bool {
	left := k.left.Add(-int64(n))
	if left < k.half {
		k.lost.Store(true)
	}
	return left >= 0
}

// visit is the Visitor of the worker.
func (c *collector) visit(o Object) error {
	switch o.Kind {
	case Tree:
		c.tree(o)
	case Commit:
		c.commit(o)
	case Tag:
		c.tag(o)
	}
	return nil
}

// refuse notes that an object is too much to keep.
func (c *collector) refuse(o Object) {
	c.skipped.Skip(&ObjectError{ID: o.ID, Kind: o.Kind, Offset: -1, Size: int64(len(o.Data)), Reason: ReasonBudget})
}

// breaks notes an object that makes no sense.
func (c *collector) breaks(err error) {
	if e, ok := errors.AsType[*ObjectError](err); ok {
		c.skipped.Skip(e)
	}
}

// tree keeps what makes a tree differ from the one before it.
func (c *collector) tree(o Object) {
	if c.budget.left.Load() < 0 {
		c.refuse(o)
		return
	}
	data := o.Data
	head := commonPrefix(c.last, data)
	first := sort.Search(len(c.entries), func(i int) bool { return c.end(i) > head })
	start := len(c.last)
	if first < len(c.entries) {
		start = int(c.entries[first].at)
	}
	tail := commonSuffix(c.last[start:], data[start:])
	after := first + sort.Search(len(c.entries)-first, func(i int) bool { return int(c.entries[first+i].at) >= len(c.last)-tail })
	d := differ{collector: c, data: data, pos: start, old: first, after: after, end: len(data)}
	if after < len(c.entries) {
		d.end -= len(c.last) - int(c.entries[after].at)
	}
	d.tree = int32(c.trees.n)
	c.fresh = c.fresh[:0]
	err := d.run()
	c.replace(&d, first, start)
	switch {
	case err == errKept || !c.budget.take(keptTree+d.read%takeEvery*keptEntry):
		c.forget(d.tree)
		c.refuse(o)
		return
	case err != nil:
		c.breaks(corrupt(Tree, o.ID, "at byte %d: %w", d.pos, err))
	}
	c.trees.add(c.treeIDs.of(o.ID.raw[:o.ID.n]))
	if len(c.last) > maxLast {
		c.forget(int32(c.trees.n))
		c.last, c.entries, c.fresh = nil, nil, nil
	}
}

// maxLast is the size in bytes of trees beyond which they are not held to compare the next one with.
const maxLast = 16 << 20

// errKept ends the reading of a tree that is too much to keep.
var errKept = errors.New("there is more than can be kept")

// replace makes data the last tree.
func (c *collector) replace(d *differ, first, start int) {
	shift := 0
	before := len(c.last)
	if d.after < len(c.entries) {
		before = int(c.entries[d.after].at)
		shift = d.end - before
	}
	c.last = slices.Replace(c.last, start, before, d.data[start:d.end]...)
	if shift != 0 {
		for i := range c.entries[d.after:] {
			c.entries[d.after+i].at += uint32(shift)
		}
	}
	c.entries = slices.Replace(c.entries, first, d.after, c.fresh...)
}

// forget ends all entries, as after a tree that is not kept.
func (c *collector) forget(tree int32) {
	for i := range c.entries {
		c.drop(i, tree)
	}
	c.last, c.entries = c.last[:0], c.entries[:0]
}

// end returns where entry i of the last tree ends.
func (c *collector) end(i int) int {
	if i+1 < len(c.entries) {
		return int(c.entries[i+1].at)
	}
	return len(c.last)
}

// drop records an entry of the last tree that the tree now read has not.
func (c *collector) drop(i int, tree int32) {
	e := &c.entries[i]
	if e.since == tree {
		return
	}
	switch e.kind {
	case Tree:
		c.dirs.add(period{e.name, e.to, e.since, tree})
	case Blob:
		if e.to >= 0 {
			c.hits.add(period{e.name, e.to, e.since, tree})
		}
		if !c.budget.lost.Load() {
			end := c.end(i)
			c.files.add(file{e.name, e.since, tree})
			c.fileIDs.add(c.last[end-c.fileIDs.size : end])
		}
	}
}

// finish records what still stands.
func (c *collector) finish() {
	c.forget(int32(c.trees.n))
	c.last, c.entries, c.fresh, c.scratch = nil, nil, nil, nil
	c.treeIDs, c.commitIDs = nil, nil
}

// differ compares a tree with the one before it, between what both begin and end with.
type differ struct {
	*collector
	data  []byte
	tree  int32
	pos   int // in data
	end   int // of the part of data that is compared
	old   int // entry of the last tree
	after int // end of the entries that are compared
	read  int // entries that were not as before
}

// run puts the entries of the compared part into fresh. The error says that data makes no sense from pos on, where it
// then ends.
func (d *differ) run() error {
	for d.pos < d.end {
		if d.old < d.after {
			e := &d.entries[d.old]
			n := d.collector.end(d.old) - int(e.at)
			if bytes.HasPrefix(d.data[d.pos:d.end], d.last[e.at:int(e.at)+n]) {
				d.keep(n)
				continue
			}
		}
		mode, name, n := cutEntry(d.data[d.pos:], d.treeIDs.size)
		if n > d.end-d.pos {
			// What looked like common entries at the end is not cut the same way.
			d.end, d.after = len(d.data), len(d.entries)
		}
		err := errTreeEntry
		if n > 0 {
			err = d.add(mode, name, n)
		}
		if err != nil {
			d.end, d.after = d.pos, len(d.entries)
			d.dropTo(d.after)
			return err
		}
	}
	d.dropTo(d.after)
	return nil
}

// keep takes over the next old entry, which is n bytes long.
func (d *differ) keep(n int) {
	e := d.entries[d.old]
	e.at = uint32(d.pos)
	d.fresh = append(d.fresh, e)
	d.old++
	d.pos += n
}

// dropTo drops the old entries before i.
func (d *differ) dropTo(i int) {
	for ; d.old < i; d.old++ {
		d.drop(d.old, d.tree)
	}
}

// add takes up the entry of n bytes at pos, which differs from the next old one.
func (d *differ) add(mode Mode, name []byte, n int) error {
	e := standing{at: uint32(d.pos), since: d.tree, name: -1, to: -1}
	for d.old < d.after {
		order := bytes.Compare(d.oldName(), name)
		if order > 0 {
			break
		}
		if order == 0 {
			if bytes.HasPrefix(d.data[d.pos:d.end], d.last[d.entries[d.old].at:d.collector.end(d.old)]) {
				d.keep(n)
				return nil
			}
			e.name = d.entries[d.old].name
			d.drop(d.old, d.tree)
			d.old++
			break
		}
		d.drop(d.old, d.tree)
		d.old++
	}
	if e.name < 0 {
		known := len(d.names.ends)
		if e.name = d.names.of(name); int(e.name) == known && !d.budget.take(len(name)) {
			return errKept
		}
	}
	id := d.data[d.pos+n-d.treeIDs.size : d.pos+n]
	switch {
	case mode.IsTree():
		e.kind, e.to = Tree, d.treeIDs.of(id)
	case mode.IsBlob():
		e.kind, e.to = Blob, d.wanted.which(id)
	}
	d.fresh = append(d.fresh, e)
	d.pos += n
	if d.read++; d.read%takeEvery == 0 && !d.budget.take(takeEvery*keptEntry) {
		return errKept
	}
	return nil
}

// takeEvery is how many entries are counted at a time.
const takeEvery = 64

// oldName returns the name of the next old entry.
func (d *differ) oldName() []byte {
	entry := d.last[d.entries[d.old].at : d.collector.end(d.old)-d.treeIDs.size-1]
	return entry[bytes.IndexByte(entry, ' ')+1:]
}

// commit keeps the links of a commit and who made it.
func (c *collector) commit(o Object) {
	c.raw.read(o.Data)
	c.scratch = c.scratch[:0]
	good := c.unhex(c.raw.tree) && !allZero(c.scratch)
	for _, p := range c.raw.parents {
		good = good && c.unhex(p)
	}
	if !good {
		_, err := ParseCommit(o.ID, o.Data)
		c.breaks(err)
		return
	}
	if !c.budget.take(keptCommit + keptParent*len(c.raw.parents)) {
		c.refuse(o)
		return
	}
	var n commitNode
	n.id = c.commitIDs.of(o.ID.raw[:o.ID.n])
	ids := c.scratch
	n.tree = c.treeIDs.of(ids[:len(c.raw.tree)/2])
	ids = ids[len(c.raw.tree)/2:]
	n.parents.from = int32(c.parents.n)
	for _, p := range c.raw.parents {
		c.parents.add(c.commitIDs.of(ids[:len(p)/2]))
		ids = ids[len(p)/2:]
	}
	n.parents.to = int32(c.parents.n)
	n.author, n.authored = c.person(c.raw.author)
	n.committer, n.committed = c.person(c.raw.committer)
	c.commits.add(n)
}

// unhex appends an id to scratch and reports whether it is one.
func (c *collector) unhex(digits []byte) bool {
	if len(digits) != 40 && len(digits) != 64 {
		return false
	}
	for i := 0; i < len(digits); i += 2 {
		hi, lo := unhex[digits[i]], unhex[digits[i+1]]
		if hi|lo > 15 {
			return false
		}
		c.scratch = append(c.scratch, hi<<4|lo)
	}
	return true
}

func allZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// maxPerson is the length in bytes of a name with its e-mail address beyond which they are not kept.
const maxPerson = 4096

// person keeps who is named in a commit's line, as the text that personText reads, and returns when that was.
func (c *collector) person(line []byte) (int32, stamp) {
	if line == nil {
		return -1, stamp{}
	}
	end := bytes.LastIndexByte(line, '>')
	who, when := line[:end+1], stamp{}
	if open := bytes.IndexByte(line, '<'); open < 0 || end < open {
		who = line
	} else {
		when = parseStamp(line[end+1:])
	}
	if len(who)+len(c.raw.encoding) > maxPerson {
		return -1, when
	}
	if len(c.raw.encoding) > 0 {
		c.scratch = append(append(append(c.scratch[:0], who...), '\n'), c.raw.encoding...)
		who = c.scratch
	}
	known := len(c.persons.ends)
	text := c.persons.of(who)
	if int(text) == known {
		c.budget.take(len(who))
	}
	return text, when
}

// personText reads a text that person made.
func personText(text []byte) Person {
	who, encoding, _ := bytes.Cut(text, []byte{'\n'})
	return parsePerson(who, string(encoding))
}

// tagNode is what is kept of an annotated tag.
type tagNode struct {
	id     int32 // its number
	target int32 // the number of a commit or tag; -1 if it is of something else
	kind   Kind  // of the target
}

// tag keeps what a tag is of.
func (c *collector) tag(o Object) {
	t, err := ParseTag(o.ID, o.Data)
	if err != nil {
		c.breaks(err)
		return
	}
	if !c.budget.take(keptCommit) {
		c.refuse(o)
		return
	}
	n := tagNode{id: c.tagIDs.of(o.ID.raw[:o.ID.n]), target: -1, kind: t.Kind}
	switch t.Kind {
	case Commit:
		n.target = c.commitIDs.of(t.Object.raw[:t.Object.n])
	case Tag:
		n.target = c.tagIDs.of(t.Object.raw[:t.Object.n])
	}
	c.tags.add(n)
}

// wanted is the blobs that are asked for.
type wanted struct {
	which16 [1 << 16 / 64]uint64 // the first 16 bits of their ids
	ids     map[ID]int32
}

// which returns which of the blobs asked for has an id, or -1.
func (w *wanted) which(id []byte) int32 {
	if k := binary.LittleEndian.Uint16(id); w.which16[k/64]>>(k%64)&1 == 0 {
		return -1
	}
	if i, ok := w.ids[IDFromBytes(id)]; ok {
		return i
	}
	return -1
}

// add asks for a blob and reports whether it was not asked for yet.
func (w *wanted) add(id ID) bool {
	k := binary.LittleEndian.Uint16(id.raw[:])
	w.which16[k/64] |= 1 << (k % 64)
	n := len(w.ids)
	if _, ok := w.ids[id]; !ok {
		w.ids[id] = int32(n)
	}
	return len(w.ids) > n
}

// commonPrefix returns how many bytes a and b have in common at their start.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; n-i >= 64 && bytes.Equal(a[i:i+64], b[i:i+64]); i += 64 {
	}
	for ; n-i >= 8; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// commonSuffix returns how many bytes a and b have in common at their end.
func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	i := n
	for ; i >= 64 && bytes.Equal(a[i-64:i], b[i-64:i]); i -= 64 {
	}
	for ; i >= 8; i -= 8 {
		if x := binary.LittleEndian.Uint64(a[i-8:]) ^ binary.LittleEndian.Uint64(b[i-8:]); x != 0 {
			return n - i + bits.LeadingZeros64(x)/8
		}
	}
	for i > 0 && a[i-1] == b[i-1] {
		i--
	}
	return n - i
}
