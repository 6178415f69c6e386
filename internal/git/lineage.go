package git

import (
	"context"

	"magpie"
)

// Version is an object as a walk of lineages hands it out: with what it was made of, so that a visitor need not look at
// the bytes again that it has seen in the object's base. It is valid only during the call it is handed to.
type Version struct {
	Kind Kind
	// Data is the object's content, as in Object.
	Data []byte
	// Base is what the visitor returned for the object that this one is stored as a delta of; nil if it is stored whole.
	Base any
	// Copies are the parts of Data that were copied from the base, in the order in which they stand in Data. Of two that
	// lie together in both there is only one.
	Copies []magpie.Copy

	hasher *Hasher
	id     ID
}

// NewVersion returns a version that is stored whole, and computes its id by hasher when that is asked for.
func NewVersion(kind Kind, data []byte, hasher *Hasher) Version {
	return Version{Kind: kind, Data: data, hasher: hasher}
}

// ID computes the object's id, at the first call. Most versions are of no interest, and hashing each costs more than
// looking at its new bytes.
func (v *Version) ID() ID {
	if v.id.IsZero() {
		v.id = v.hasher.Sum(v.Kind, v.Data)
	}
	return v.id
}

// VersionVisitor is called for each object, after it has been called for the object's base. What it returns is handed
// back to it, or to the visitor of another worker, with each object that is a delta of this one. An error ends the walk.
type VersionVisitor func(*Version) (note any, err error)

// LineageSource is a source that knows which of its objects are stored as deltas of which.
type LineageSource interface {
	Source
	// WalkLineages is Walk for visitors of versions. An object that the source holds several times may be handed out
	// more than once.
	WalkLineages(ctx context.Context, opts WalkOptions, newVisitor func(worker int) VersionVisitor) (Report, error)
}
