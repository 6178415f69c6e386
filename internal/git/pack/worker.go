package pack

import (
	"fmt"
	"sync/atomic"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/inflate"
)

// worker expands the delta trees of one pack for one visitor.
type worker struct {
	run     *run
	visit   git.VersionVisitor
	pack    *packFile
	graph   *graph
	crew    *crew
	spent   *atomic.Int64 // bytes expanded by all workers
	hasher  *git.Hasher
	reader  reader
	buffers buffers
	copies  []magpie.Copy // of the object that was expanded last
	version git.Version   // that is handed out
	holding bool          // the run's lock for big objects

	stack    []frame
	low      int   // frames below this one have no bytes
	retained int64 // bytes held by all frames
	share    int64 // how much of them this worker may hold

	objects, bytes, done int64 // since the run was told
}

// frame is an object on the way down a delta tree.
type frame struct {
	entry int32
	kids  []int32 // that are still to be expanded
	data  []byte  // nil if it is not needed any more, or was dropped to save memory
	note  any     // what the visitor returned for it
	// shared says that other workers may use data as well, so that it is never to be reused.
	shared bool
}

func newWorker(r *run, i int, p *packFile, g *graph, crew *crew, spent *atomic.Int64) *worker {
	return &worker{
		run: r, visit: r.visitors[i], pack: p, graph: g, crew: crew, spent: spent,
		hasher: git.NewHasher(p.format), reader: reader{pack: p},
		share: p.limits.MaxRetained / int64(r.opts.Workers),
	}
}

// flush tells the run what was done.
func (w *worker) flush() {
	w.run.count(w.objects, w.bytes, w.done)
	w.objects, w.bytes, w.done = 0, 0, 0
}

// work expands trees, or parts of them, until there are none left. The error ends the walk.
func (w *worker) work() error {
	for {
		root, p, ok := w.crew.take()
		if !ok || w.run.stop.Load() {
			return nil
		}
		var err error
		if p != nil {
			err = w.part(p)
		} else {
			err = w.tree(root)
		}
		w.letGo()
		if err != nil {
			return err
		}
	}
}

// tree expands an entry that is no delta and, depth first, everything that is built from it.
func (w *worker) tree(root int32) error {
	kind := git.Kind(w.pack.index.entries[root].typ)
	data, skip := w.expandRoot(root)
	if skip != nil {
		return w.skip(root, kind, skip)
	}
	if err := w.hand(root, git.NewVersion(kind, data, w.hasher)); err != nil {
		return err
	}
	return w.descend(kind)
}

// part does the same for a part of a tree that another worker has begun.
func (w *worker) part(p part) error {
	w.stack = append(w.stack, p...)
	w.retained += int64(cap(w.stack[len(p)-1].data))
	w.low = len(p) - 1
	return w.descend(git.Kind(w.pack.index.entries[p[0].entry].typ))
}

// descend expands everything that is built from the objects on the stack.
func (w *worker) descend(kind git.Kind) error {
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		if len(top.kids) == 0 {
			w.drop(top)
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		if w.crew.hungry.Load() > 0 {
			w.giveAway()
		}
		if err := w.child(top, kind); err != nil {
			return err
		}
	}
	return nil
}

// giveAway gives half of the children of the lowest object that has any left to a worker that has nothing to do.
func (w *worker) giveAway() {
	for i := range w.stack {
		f := &w.stack[i]
		if len(f.kids) == 0 {
			continue
		}
		half := len(f.kids) / 2
		if i == len(w.stack)-1 && half == 0 {
			return // it is all that is left for us
		}
		p := make(part, i+1)
		for k := range i {
			p[k] = frame{entry: w.stack[k].entry}
		}
		f.shared = f.data != nil
		p[i] = frame{entry: f.entry, kids: f.kids[half:], data: f.data, note: f.note, shared: f.shared}
		f.kids = f.kids[:half]
		w.crew.give(p)
		return
	}
}

// child expands the next of top's children and puts it onto the stack.
func (w *worker) child(top *frame, kind git.Kind) error {
	kid := top.kids[0]
	top.kids = top.kids[1:]
	if len(w.stack) > w.pack.limits.MaxDepth {
		return w.skip(kid, kind, &git.ObjectError{Reason: git.ReasonTooDeep})
	}
	if top.data == nil {
		if skip := w.rebuild(); skip != nil {
			skip.Reason = git.ReasonBudget
			return w.skip(kid, kind, skip)
		}
	}
	data, skip := w.expandDelta(kid, top.data)
	note := top.note
	if len(top.kids) == 0 {
		w.drop(top)
	}
	if skip != nil {
		return w.skip(kid, kind, skip)
	}
	v := git.NewVersion(kind, data, w.hasher)
	v.Base, v.Copies = note, w.copies
	return w.hand(kid, v)
}

// hand gives an object to the visitor and puts it onto the stack, from where its deltas are expanded.
func (w *worker) hand(i int32, v git.Version) error {
	if w.done++; w.done&511 == 0 {
		w.flush()
		if err := w.run.ctx.Err(); err != nil {
			return err
		}
		if w.run.stop.Load() {
			return errStopped
		}
	}
	kids := w.graph.children(i)
	if w.run.pending != nil {
		kids = append(append([]int32(nil), kids...), w.run.pending.claim(v.ID(), i)...)
	}
	w.version = v
	note, err := w.visit(&w.version)
	if err != nil {
		return err
	}
	if note != any(repeated{}) {
		w.objects++
		w.bytes += int64(len(v.Data))
	}
	if len(kids) == 0 {
		w.buffers.put(v.Data)
		return nil
	}
	w.stack = append(w.stack, frame{entry: i, kids: kids, data: v.Data, note: note})
	w.retained += int64(cap(v.Data))
	w.evict()
	return nil
}

// drop frees a frame's bytes.
func (w *worker) drop(f *frame) {
	if f.data == nil {
		return
	}
	w.retained -= int64(cap(f.data))
	if !f.shared {
		w.buffers.put(f.data)
	}
	f.data = nil
}

// evict frees bytes at the bottom of the stack, which are needed last, until the worker holds no more than its share.
func (w *worker) evict() {
	top := len(w.stack) - 1
	w.low = min(w.low, top)
	for ; w.low < top && w.retained > w.share; w.low++ {
		w.drop(&w.stack[w.low])
	}
}

// rebuild expands the topmost object again after its bytes were dropped, from the nearest one below that has bytes.
func (w *worker) rebuild() *git.ObjectError {
	top := len(w.stack) - 1
	from := top
	for from > 0 && w.stack[from].data == nil {
		from--
	}
	data, owned := w.stack[from].data, false
	if data == nil {
		var skip *git.ObjectError
		if data, skip = w.expandRoot(w.stack[from].entry); skip != nil {
			return skip
		}
		owned = true
	}
	for i := from + 1; i <= top; i++ {
		next, skip := w.expandDelta(w.stack[i].entry, data)
		if owned {
			w.buffers.put(data)
		}
		if skip != nil {
			return skip
		}
		data, owned = next, true
	}
	w.stack[top].data, w.stack[top].shared = data, false
	w.retained += int64(cap(data))
	w.low = min(w.low, top)
	return nil
}

// skip reports that entry i can't be expanded for the given reason, and with it everything that is built from it.
func (w *worker) skip(i int32, kind git.Kind, why *git.ObjectError) error {
	if why.Err != nil && isIO(why.Err) {
		return fmt.Errorf("reading the pack at offset %d: %w", w.pack.index.entries[i].off, why.Err)
	}
	if w.run.pending != nil {
		return nil
	}
	why.Kind, why.Offset = kind, w.pack.index.entries[i].off
	w.run.skip(why)
	w.done++
	below := append([]int32(nil), w.graph.children(i)...)
	for len(below) > 0 {
		k := below[len(below)-1]
		below = append(below[:len(below)-1], w.graph.children(k)...)
		w.run.skip(&git.ObjectError{Kind: kind, Offset: w.pack.index.entries[k].off, Reason: git.ReasonSkippedBase})
		w.done++
	}
	return nil
}

// expandRoot returns the content of an entry that is no delta.
func (w *worker) expandRoot(i int32) ([]byte, *git.ObjectError) {
	e := w.pack.index.entries[i]
	if e.size > w.pack.limits.MaxObjectBytes {
		return nil, w.tooLarge(i, e)
	}
	return w.inflated(i, e)
}

// inflated returns the inflated data of an entry.
func (w *worker) inflated(i int32, e entry) ([]byte, *git.ObjectError) {
	end := w.pack.end(i)
	if e.size/maxDeflate > end-e.off {
		return nil, &git.ObjectError{Size: e.size, Reason: git.ReasonCorrupt, Err: errInflateRatio}
	}
	if skip := w.spend(e.size); skip != nil {
		return nil, skip
	}
	buf := w.buffers.get(e.size + inflate.Slack)[:e.size]
	if err := w.reader.read(buf, i, e.off, end); err != nil {
		w.buffers.put(buf)
		return nil, &git.ObjectError{Size: e.size, Reason: git.ReasonCorrupt, Err: err}
	}
	return buf, nil
}

// expandDelta returns the content that the delta entry i makes of base.
func (w *worker) expandDelta(i int32, base []byte) ([]byte, *git.ObjectError) {
	e := w.pack.index.entries[i]
	if e.size > w.pack.limits.MaxObjectBytes {
		return nil, &git.ObjectError{Reason: git.ReasonTooLarge}
	}
	delta, skip := w.inflated(i, e)
	if skip != nil {
		skip.Size = 0 // the delta's, not the object's
		return nil, skip
	}
	defer w.buffers.put(delta)
	baseSize, size, ops, err := deltaSizes(delta)
	if err == nil && baseSize != int64(len(base)) {
		err = errDeltaBase
	}
	if err == nil {
		err = checkDelta(ops, baseSize, size)
	}
	if err != nil {
		return nil, &git.ObjectError{Reason: git.ReasonCorrupt, Err: err}
	}
	if size > w.pack.limits.MaxObjectBytes {
		return nil, &git.ObjectError{Size: size, Reason: git.ReasonTooLarge}
	}
	if skip := w.spend(size); skip != nil {
		return nil, skip
	}
	var data []byte
	data, w.copies = applyDelta(w.buffers.get(size), base, ops, w.copies[:0])
	return data, nil
}

// spend takes n bytes from what the walk may expand, and makes workers with big objects take turns.
func (w *worker) spend(n int64) *git.ObjectError {
	if w.spent.Add(n) > w.pack.budget() {
		w.spent.Add(-n)
		return &git.ObjectError{Size: n, Reason: git.ReasonBudget}
	}
	if n > bigObject && !w.holding {
		w.run.big.Lock()
		w.holding = true
	}
	return nil
}

// letGo ends a tree: the stack is emptied and others may have big objects.
func (w *worker) letGo() {
	for i := range w.stack {
		w.drop(&w.stack[i])
	}
	w.stack, w.low, w.retained = w.stack[:0], 0, 0
	if w.holding {
		w.run.big.Unlock()
		w.holding = false
	}
}

// tooLarge describes an entry beyond the size limit. Its id is computed piece by piece, so that it can still be said
// which file was not looked at.
func (w *worker) tooLarge(i int32, e entry) *git.ObjectError {
	skip := &git.ObjectError{Size: e.size, Reason: git.ReasonTooLarge}
	if w.run.pending != nil || w.spend(e.size) != nil {
		return skip
	}
	w.hasher.Start(git.Kind(e.typ), e.size)
	if skip.Err = w.reader.copyTo(w.hasher, e.size, e.off, w.pack.end(i)); skip.Err == nil {
		skip.ID = w.hasher.Finish()
	}
	return skip
}
