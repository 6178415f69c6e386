package pack

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"magpie"
	"magpie/internal/git"
)

// maxMissingNamed is how many missing objects are named one by one.
const maxMissingNamed = 10

// Missing is what a repository names but does not hold.
type Missing struct {
	Checked bool // the repository was looked through; otherwise only its refs were
	Commits int64
	Trees   int64
	Blobs   int64
	Others  int64 // what tags name, and refs
	// First are those with the lowest ids, so that they are the same each time.
	First []MissingObject
}

// MissingObject is an object that a repository does not hold.
type MissingObject struct {
	ID   magpie.Hash
	Kind git.Kind // 0 if not known
	By   string   // what names it
}

// Total returns how many objects are missing.
func (m Missing) Total() int64 { return m.Commits + m.Trees + m.Blobs + m.Others }

// String says for people which object it is, and where it is named.
func (o MissingObject) String() string {
	kind := "object"
	if o.Kind != 0 {
		kind = o.Kind.String()
	}
	return fmt.Sprintf("%s %s, named by %s", kind, o.ID, o.By)
}

// MissingOptions tunes Missing.
type MissingOptions struct {
	Workers int // as in git.WalkOptions
	// AtMost is how many commits, trees and tags are looked through at most; if there are more, only refs are looked at.
	// Zero is no limit.
	AtMost int64
	// Progress is as in git.WalkOptions.
	Progress func(done, total int64)
}

// Missing finds the objects that commits, trees, tags and refs name and that are not there: it compares what is named with
// the ids in the indexes of packs and the names of loose objects, in one walk over all but the blobs. The parents of a
// shallow clone's boundary and the commits of submodules are not expected to be there.
func (r *Repository) Missing(ctx context.Context, opts MissingOptions) (Missing, error) {
	have, err := r.presence(ctx, opts.Workers)
	if err != nil {
		return Missing{}, err
	}
	m := newMissingFinder(r, have)
	refs, _ := r.Refs() // what can't be read of them is said by Refs
	for _, ref := range refs {
		if id, err := git.ParseID(ref.Hash); err == nil {
			m.want(id, 0, func() string { return ref.Name })
		}
	}
	if opts.AtMost > 0 && r.linking() > opts.AtMost {
		return m.result, nil
	}
	m.result.Checked = true
	walk := git.WalkOptions{Kinds: git.KindsOf(git.Commit, git.Tree, git.Tag), Workers: opts.Workers, Progress: opts.Progress}
	if _, err := r.Walk(ctx, walk, m.visitor); err != nil {
		return Missing{}, fmt.Errorf("looking for missing objects: %w", err)
	}
	return m.result, nil
}

// linking returns how many objects that name others were seen in packs, and how many loose objects there are.
func (r *Repository) linking() int64 {
	loose, _ := r.looseFiles()
	n := int64(len(loose))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.packs {
		n += p.graph.count(git.KindsOf(git.Commit, git.Tree, git.Tag))
	}
	return n
}

// missingFinder notes what is named but not there.
type missingFinder struct {
	have    presence
	format  git.Format
	shallow map[magpie.Hash]bool

	mu     sync.Mutex
	seen   map[uint64]bool // the briefs of what was noted
	result Missing
}

func newMissingFinder(r *Repository, have presence) *missingFinder {
	m := &missingFinder{have: have, format: r.format, shallow: map[magpie.Hash]bool{}, seen: map[uint64]bool{}}
	for _, hash := range r.absent.Shallow {
		m.shallow[hash] = true
	}
	return m
}

// recentNames is how many of the ids that a visitor found present it remembers: trees name mostly the same as those
// before them.
const recentNames = 1 << 14

// visitor looks at what objects name.
func (m *missingFinder) visitor(int) git.Visitor {
	recent := make([]uint64, recentNames)
	check := func(id git.ID, kind git.Kind, by func() string) {
		b := brief(id)
		if slot := &recent[b%recentNames]; *slot != b {
			if m.want(id, kind, by) {
				*slot = b
			}
		}
	}
	return func(o git.Object) error {
		switch o.Kind {
		case git.Commit:
			m.commit(o, check)
		case git.Tag:
			if tag, err := git.ParseTag(o.ID, o.Data); err == nil {
				check(tag.Object, tag.Kind, func() string { return "tag " + o.ID.String() })
			}
		case git.Tree:
			for e, err := range git.ParseTree(o.ID, o.Data, m.format) {
				if err != nil || e.Mode.IsGitlink() {
					continue // what can't be parsed is reported by who needs it
				}
				kind := git.Blob
				if e.Mode.IsTree() {
					kind = git.Tree
				}
				check(e.ID, kind, func() string { return fmt.Sprintf("tree %s as %q", o.ID, e.Name) })
			}
		}
		return nil
	}
}

// commit looks at what a commit names.
func (m *missingFinder) commit(o git.Object, check func(git.ID, git.Kind, func() string)) {
	c, err := git.ParseCommit(o.ID, o.Data)
	if err != nil {
		return
	}
	by := func() string { return "commit " + o.ID.String() }
	check(c.Tree, git.Tree, by)
	if len(m.shallow) > 0 && m.shallow[o.ID.Hash()] {
		return
	}
	for _, parent := range c.Parents {
		check(parent, git.Commit, by)
	}
}

// want notes an object unless it is there, and reports whether it is. An object of the zero id is never there.
func (m *missingFinder) want(id git.ID, kind git.Kind, by func() string) bool {
	b := brief(id)
	if m.have.has(b) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen[b] {
		return false
	}
	m.seen[b] = true
	switch kind {
	case git.Commit:
		m.result.Commits++
	case git.Tree:
		m.result.Trees++
	case git.Blob:
		m.result.Blobs++
	default:
		m.result.Others++
	}
	m.result.first(MissingObject{ID: id.Hash(), Kind: kind, By: by()})
	return false
}

// first keeps the object if it is one of those with the lowest ids.
func (m *Missing) first(o MissingObject) {
	i, _ := slices.BinarySearchFunc(m.First, o, func(a, b MissingObject) int { return cmp.Compare(a.ID, b.ID) })
	m.First = slices.Insert(m.First, i, o)
	m.First = m.First[:min(len(m.First), maxMissingNamed)]
}

// brief is the beginning of an id. That two objects of a repository share it is next to impossible, and would only let one
// that is missing seem to be there.
func brief(id git.ID) uint64 { return binary.BigEndian.Uint64(id.Bytes()) }

// presence is the set of the briefs of all objects that are there, sorted.
type presence struct {
	briefs []uint64
	start  []int32 // where the briefs with these first two bytes start
}

func newPresence(briefs []uint64) presence {
	slices.Sort(briefs)
	p := presence{briefs: slices.Compact(briefs), start: make([]int32, 1<<16+1)}
	next := 0
	for i, b := range p.briefs {
		for ; next <= int(b>>48); next++ {
			p.start[next] = int32(i)
		}
	}
	for ; next < len(p.start); next++ {
		p.start[next] = int32(len(p.briefs))
	}
	return p
}

// has reports whether an object with that brief is there.
func (p presence) has(b uint64) bool {
	_, found := slices.BinarySearch(p.briefs[p.start[b>>48]:p.start[b>>48+1]], b)
	return found
}

// presence collects the ids of all objects: from the indexes of packs and the names of loose objects, or, where a pack has
// no good index, by reading everything.
func (r *Repository) presence(ctx context.Context, workers int) (presence, error) {
	var briefs []uint64
	loose, _ := r.looseFiles() // what can't be listed is reported by Walk
	for _, file := range loose {
		if id, err := file.id(); err == nil {
			briefs = append(briefs, brief(id))
		}
	}
	paths, _ := r.packPaths()
	for _, path := range paths {
		table, err := loadIdx(idxPath(path), r.format, r.limits)
		if err != nil {
			return r.walkedPresence(ctx, workers)
		}
		for i := range table.count {
			briefs = append(briefs, binary.BigEndian.Uint64(table.id(i)))
		}
	}
	return newPresence(briefs), nil
}

// walkedPresence collects the ids of all objects by expanding them.
func (r *Repository) walkedPresence(ctx context.Context, workers int) (presence, error) {
	var mu sync.Mutex
	var all []*[]uint64
	_, err := r.Walk(ctx, git.WalkOptions{Workers: workers}, func(int) git.Visitor {
		briefs := new([]uint64)
		mu.Lock()
		all = append(all, briefs)
		mu.Unlock()
		return func(o git.Object) error {
			*briefs = append(*briefs, brief(o.ID))
			return nil
		}
	})
	var briefs []uint64
	for _, some := range all {
		briefs = append(briefs, *some...)
	}
	return newPresence(briefs), err
}
