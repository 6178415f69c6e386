package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"magpie/internal/git"
)

// errStopped makes workers leave after another one has failed.
var errStopped = errors.New("walk was stopped")

// packFile is a pack that can be read at any position, with its index.
type packFile struct {
	r      io.ReaderAt
	index  *index
	format git.Format
	limits Limits
	// checked says that the whole pack was found to match its trailer, so that the checksums of entries add nothing.
	checked bool
	// expanded holds the data of the first entries, or of all; nil if none is kept.
	expanded *scratch

	mu    sync.Mutex
	graph *graph // nil until a walk needed it
}

func newPackFile(r io.ReaderAt, x *index, format git.Format, limits Limits) *packFile {
	return &packFile{r: r, index: x, format: format, limits: limits}
}

// prepare makes the graph, at the first walk. Entries that name their base by id can be put in their place only when
// the ids of all others are known, which takes a walk of its own.
func (p *packFile) prepare(ctx context.Context) (*graph, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.graph != nil {
		return p.graph, nil
	}
	g := newGraph(p.index.entries)
	if len(p.index.refs) == 0 || !p.anyAbsent() {
		p.graph = g
		return g, nil
	}
	pending := newPending(p.index)
	run := newRun(ctx, git.WalkOptions{Workers: 1}, func(int) git.VersionVisitor {
		return func(*git.Version) (any, error) { return nil, nil }
	})
	run.pending = pending
	run.walkPack(p, g)
	if err := run.failure(); err != nil {
		return nil, err
	}
	for i, base := range pending.found {
		p.index.entries[i].base = base
	}
	p.graph = newGraph(p.index.entries)
	return p.graph, nil
}

// anyAbsent reports whether the base of any entry named by id is not known yet.
func (p *packFile) anyAbsent() bool {
	for i := range p.index.refs {
		if p.index.entries[i].base == absentBase {
			return true
		}
	}
	return false
}

// end returns where the packed data of entry i ends.
func (p *packFile) end(i int32) int64 {
	if int(i)+1 < len(p.index.entries) {
		return p.index.entries[i+1].off
	}
	return p.index.end
}

// budget returns how many bytes a walk of the pack may expand.
func (p *packFile) budget() int64 {
	limit := p.limits.MaxExpansion
	if p.index.end > (1<<62)/limit {
		return 1 << 62
	}
	return p.index.end*limit + 256<<20
}

// Walk implements git.Source. Which objects were skipped is the same for every walk, unless the expansion limit was
// reached. Objects whose kind could not be found out are reported whatever kinds are asked for.
func (s *Spooled) Walk(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.Visitor) (git.Report, error) {
	return s.WalkLineages(ctx, opts, distinct(newVisitor))
}

// WalkLineages implements git.LineageSource, as Walk does git.Source.
func (s *Spooled) WalkLineages(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) (git.Report, error) {
	return s.pack.walk(ctx, opts, newVisitor)
}

// walk hands out what is in the pack.
func (p *packFile) walk(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) (git.Report, error) {
	g, err := p.prepare(ctx)
	if err != nil {
		return git.Report{}, err
	}
	run := newRun(ctx, opts, newVisitor)
	run.total.Store(g.count(opts.Kinds))
	run.walkPack(p, g)
	return run.finish()
}

// run is one walk, over one pack or everything a repository has.
type run struct {
	ctx      context.Context
	opts     git.WalkOptions
	visitors []git.VersionVisitor
	pending  *pending // only while bases named by id are searched
	stop     atomic.Bool
	total    atomic.Int64
	done     atomic.Int64

	mu     sync.Mutex // guards what follows, and calls of Progress and Skipped
	err    error
	report git.Report

	big sync.Mutex // held by the worker that deals with objects larger than bigObject
}

// bigObject is the size in bytes from which objects are expanded by one worker at a time.
const bigObject = 32 << 20

func newRun(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) *run {
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	r := &run{ctx: ctx, opts: opts}
	for i := range opts.Workers {
		r.visitors = append(r.visitors, newVisitor(i))
	}
	return r
}

// fail ends the walk with err, unless something else has.
func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.stop.Store(true)
}

// failure returns why the walk ended early, or nil.
func (r *run) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		return r.ctx.Err()
	}
	return r.err
}

// finish reports the last progress and returns the results.
func (r *run) finish() (git.Report, error) {
	err := r.failure()
	if err == nil && r.opts.Progress != nil {
		r.opts.Progress(r.done.Load(), r.done.Load())
	}
	return r.report, err
}

// skip reports an object that can't be handed out.
func (r *run) skip(e *git.ObjectError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Skip(e)
	if r.opts.Skipped != nil {
		r.opts.Skipped(e)
	}
}

// count adds what a worker has done since it last told.
func (r *run) count(objects, bytes, done int64) {
	r.done.Add(done)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Objects += objects
	r.report.Bytes += bytes
	if r.opts.Progress != nil {
		d := r.done.Load()
		r.opts.Progress(d, max(d, r.total.Load()))
	}
}

// walkPack goes through one pack with all visitors and returns when all are done.
func (r *run) walkPack(p *packFile, g *graph) {
	roots := make([]int32, 0, len(g.roots))
	for _, root := range g.roots {
		if r.opts.Kinds.Has(git.Kind(p.index.entries[root].typ)) {
			roots = append(roots, root)
		}
	}
	var spent atomic.Int64
	crew := newCrew(roots, len(r.visitors))
	var wg sync.WaitGroup
	for i := range r.visitors {
		wg.Go(func() {
			w := newWorker(r, i, p, g, crew, &spent)
			defer w.flush()
			if err := w.work(); err != nil {
				r.fail(err)
				crew.end()
			}
		})
	}
	wg.Wait()
	if r.pending == nil && !r.stop.Load() {
		r.reportLost(p, g)
	}
}

// reportLost reports the entries that no walk reaches.
func (r *run) reportLost(p *packFile, g *graph) {
	for _, i := range g.lost {
		e := p.index.entries[i]
		lost := &git.ObjectError{Offset: e.off, Reason: git.ReasonSkippedBase}
		if e.base == absentBase {
			lost.Reason = git.ReasonMissingBase
			if id, ok := p.index.refs[i]; ok {
				lost.Err = fmt.Errorf("base %s is not in the pack", id)
			}
			if err, ok := p.index.bad[i]; ok {
				lost.Reason, lost.Err = git.ReasonCorrupt, err
			}
		}
		r.skip(lost)
	}
}

// pending finds the bases of entries that name them by id, while a walk computes ids.
type pending struct {
	mu      sync.Mutex
	waiting map[git.ID][]int32
	found   map[int32]int32 // entry → its base
}

func newPending(x *index) *pending {
	p := &pending{waiting: map[git.ID][]int32{}, found: map[int32]int32{}}
	for i, id := range x.refs {
		if x.entries[i].base == absentBase {
			p.waiting[id] = append(p.waiting[id], i)
		}
	}
	return p
}

// claim returns the entries that wait for the object id, which is entry base.
func (p *pending) claim(id git.ID, base int32) []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	kids := p.waiting[id]
	delete(p.waiting, id)
	for _, k := range kids {
		p.found[k] = base
	}
	return kids
}

// isIO reports whether err says that the file can't be read, as opposed to its bytes making no sense.
func isIO(err error) bool {
	_, ok := errors.AsType[*os.PathError](err)
	return ok
}
