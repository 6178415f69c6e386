package git

import (
	"context"
	"fmt"
	"time"

	"magpie"
)

// Introduction is one commit that brought a blob to a path where none of the commit's parents has it.
type Introduction struct {
	Path          string // from the root of the repository, as in the tree: not necessarily UTF-8
	Commit        magpie.Hash
	Author        string
	Email         string
	AuthorDate    time.Time // zero if the commit has none
	CommitterDate time.Time // zero if the commit has none
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
}

// PlaceOptions tunes Place. The zero value has sensible limits.
type PlaceOptions struct {
	Workers int // as in WalkOptions
	// MaxPerBlob is the largest number of introductions given for one blob; zero is 1000.
	MaxPerBlob int
	// MaxSteps bounds the tree entries compared, which hostile trees can make explode; zero is 200 million.
	MaxSteps int64
	// Progress is as in WalkOptions; the total covers both passes.
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
	return o
}

// Place finds, for each of the given blobs, all commits of src that brought it in, and at which paths. A commit
// introduces a blob at a path if none of its parents has that same blob at that path; a root commit introduces all it
// has. So a renamed file is introduced again under its new name, a change of mode introduces nothing, and a merge
// introduces only what is in none of the branches it joins. Submodules are not blobs. Every blob asked for has an entry
// in the result.
//
// src is walked twice at most, without its blobs, and no tree's bytes are kept. The Report is about the first walk: a
// commit or tree that could not be read may hide introductions, or make later ones look like the first.
func Place(ctx context.Context, src Source, blobs []magpie.Hash, opts PlaceOptions) (map[magpie.Hash]Placement, Report, error) {
	opts = opts.withDefaults()
	h, err := newHistory(src.Format(), blobs)
	if err != nil || len(blobs) == 0 {
		return map[magpie.Hash]Placement{}, Report{}, err
	}
	walk := WalkOptions{Kinds: KindsOf(Commit, Tree), Workers: opts.Workers}
	if opts.Progress != nil {
		walk.Progress = func(done, total int64) { opts.Progress(done, 2*total) }
	}
	report, err := src.Walk(ctx, walk, h.visitor)
	if err != nil {
		return nil, report, fmt.Errorf("reading commits and trees: %w", err)
	}
	for _, e := range h.broken {
		report.Skip(e)
	}
	h.mark()
	p := &placer{history: h, opts: opts, count: make([]int, len(h.blobs)), truncated: make([]bool, len(h.blobs))}
	if err := p.compare(ctx); err != nil {
		return nil, report, err
	}
	if opts.Progress != nil {
		seen := report.Objects + report.Skipped
		walk.Progress = func(done, _ int64) { opts.Progress(seen+done, 2*seen) }
	}
	if err := p.describe(ctx, src, walk); err != nil {
		return nil, report, fmt.Errorf("reading commits and trees again: %w", err)
	}
	return p.result(), report, nil
}
