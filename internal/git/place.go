package git

import (
	"context"
	"fmt"
	"time"

	"magpie"
)

// Introduction is one commit that brought a blob to a path where none of the commit's parents has it.
type Introduction struct {
	Path   string // from the root of the repository, as in the tree: not necessarily UTF-8
	Commit magpie.Hash

	Author         string
	Email          string
	AuthorDate     time.Time // zero if the commit has none
	Committer      string
	CommitterEmail string
	CommitterDate  time.Time // zero if the commit has none

	// Previous is what stood at Path in those parents of Commit that the source holds: at most one blob for each
	// parent, without repeats. Empty if the file is new.
	Previous []magpie.Hash
	// ParentUnknown is set if a parent of Commit, or the part of its tree that leads to Path, is not in the source, as at
	// the edge of a push's pack or of a shallow clone. Then Previous may miss something, and the blob may have stood
	// there before.
	ParentUnknown bool
}

// Placement is all that is known about where a blob comes from.
type Placement struct {
	// Introductions are in the order of committer time, then commit id, then path. Empty if no commit of the source holds
	// the blob.
	Introductions []Introduction
	// Truncated is set if there were more introductions than the limits allow; the earliest are kept.
	Truncated bool

	// Refs names refs from whose tip a commit is reached that holds the blob, in order: at most 100 of them, if there are
	// more those that come first in the order of default branch, branches, tags, all else.
	Refs     []string
	RefCount int // all such refs
	// RefsTruncated is set if not all refs could be considered, so that RefCount may be too small: there were too many,
	// or what one points to is not in the source.
	RefsTruncated bool

	// Presence says whether the blob stands in the tree of the default branch's tip.
	Presence magpie.Presence
	// Present holds the paths at which it stands there, in order: at most 100 of them.
	Present      []string
	PresentCount int // all such paths
	// PresentTruncated is set if PresentCount may be too small, because the tree is too large or not all in the source.
	PresentTruncated bool
}

// PlaceOptions tunes Place. The zero value has sensible limits.
type PlaceOptions struct {
	Workers int // as in WalkOptions
	// MaxPerBlob is the largest number of introductions given for one blob; zero is 1000.
	MaxPerBlob int
	// MaxSteps bounds the tree entries compared, which hostile trees can make explode; zero is 200 million.
	MaxSteps int64
	// MaxKept bounds the memory in bytes, counted roughly, that is kept of commits and trees; zero is 2 GiB. From half of
	// it on what stood at a path before is not kept any more, and the introductions say so by ParentUnknown; beyond it,
	// objects are skipped and reported.
	MaxKept int64
	// Refs says what to find out reachability for; tips may be commits or tags. Without it Placements say nothing about
	// refs and presence.
	Refs []magpie.Tip
	// Default is the full name of the default branch's ref, which should be in Refs. Without it Presence is unknown.
	Default string
	// MaxRefs is the largest number of refs that are considered; zero is 50,000.
	MaxRefs int
	// Progress is as in WalkOptions.
	Progress func(done, total int64)
}

// withDefaults fills in the defaults.
func (o PlaceOptions) withDefaults() PlaceOptions {
	if o.MaxPerBlob <= 0 {
		o.MaxPerBlob = 1000
	}
	if o.MaxSteps <= 0 {
		o.MaxSteps = 200_000_000
	}
	if o.MaxKept <= 0 {
		o.MaxKept = maxKept
	}
	if o.MaxRefs <= 0 {
		o.MaxRefs = 50_000
	}
	return o
}

// Place finds, for each of the given blobs, all commits of src that brought it in, and at which paths. A commit
// introduces a blob at a path if none of its parents has that same blob at that path; a root commit introduces all it
// has. So a renamed file is introduced again under its new name, a change of mode introduces nothing, and a merge
// introduces only what is in none of the branches it joins. Submodules are not blobs. Every blob asked for has an entry
// in the result.
//
// src is walked once, without its blobs, and no tree's bytes are kept. The Report is about that walk: a commit or tree
// that could not be read may hide introductions and refs, or make later introductions look like the first. The result
// does not depend on the order of the walk or the number of workers, unless MaxKept was reached.
func Place(ctx context.Context, src Source, blobs []magpie.Hash, opts PlaceOptions) (map[magpie.Hash]Placement, Report, error) {
	opts = opts.withDefaults()
	h, err := newHistory(src.Format(), blobs, opts.MaxKept)
	if err != nil || len(blobs) == 0 {
		return map[magpie.Hash]Placement{}, Report{}, err
	}
	walk := WalkOptions{Kinds: KindsOf(Commit, Tree), Workers: opts.Workers, Progress: opts.Progress}
	if len(opts.Refs) > 0 {
		walk.Kinds |= KindsOf(Tag)
	}
	report, err := h.walk(ctx, src, walk)
	if err != nil {
		return nil, report, fmt.Errorf("reading commits and trees: %w", err)
	}
	h.join(&report)
	h.prepare()
	p := newPlacer(h, opts)
	if err := p.compare(ctx); err != nil {
		return nil, report, err
	}
	placements := p.placements()
	if len(opts.Refs) > 0 {
		if err := p.reach(ctx, placements); err != nil {
			return nil, report, err
		}
		p.present(placements)
	}
	return p.result(placements), report, nil
}
