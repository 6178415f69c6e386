package git

import (
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
