package git

import (
	"context"
	"fmt"
	"strings"
)

// Kind is what an object is. The values are those of the packfile format.
type Kind uint8

// The kinds of object. The zero Kind is unknown.
const (
	Commit Kind = 1
	Tree   Kind = 2
	Blob   Kind = 3
	Tag    Kind = 4
)

var kindNames = [...]string{"unknown", "commit", "tree", "blob", "tag"}

// String returns Git's name of the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// ParseKind returns the kind that Git calls name, or 0.
func ParseKind(name string) Kind {
	for k := Commit; k <= Tag; k++ {
		if kindNames[k] == name {
			return k
		}
	}
	return 0
}

// Kinds is a set of kinds. The zero Kinds stands for all of them wherever it is an option.
type Kinds uint8

// KindsOf returns the set of the given kinds.
func KindsOf(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in s, or s is zero.
func (s Kinds) Has(k Kind) bool { return s == 0 || s&(1<<k) != 0 }

// Object is one object on its way through a visitor.
type Object struct {
	ID   ID
	Kind Kind
	// Data is the object's content, without header. It is valid only during the call it is handed to, and must not be
	// changed: other objects are built from it.
	Data []byte
}

// Visitor is called once for each object. An error ends the walk and is returned by it.
type Visitor func(Object) error

// Source is something that holds objects and can go through all of them.
type Source interface {
	// Format returns the object format of the source.
	Format() Format
	// Walk hands each object of the wanted kinds once to a visitor, in no particular order. newVisitor is called once for
	// each worker before the walk starts, with numbers from 0, so that a visitor can keep state without locks; different
	// visitors run concurrently, one visitor never does. Objects that can't be read are reported, not fatal: the error
	// is for a visitor's error, the context's, or a source that can't be read at all.
	Walk(ctx context.Context, opts WalkOptions, newVisitor func(worker int) Visitor) (Report, error)
}

// WalkOptions tunes a walk. The zero value walks everything on all cores with default limits.
type WalkOptions struct {
	Kinds   Kinds // which kinds to hand out; zero is all
	Workers int   // number of concurrent visitors; zero is one for each core
	// Progress, if not nil, is told now and then, from any goroutine but never two at once, how many of how many objects
	// of the wanted kinds have been dealt with. In a repository on disk total is an estimate until the end.
	Progress func(done, total int64)
	// Skipped, if not nil, is told each object that could not be handed out, never two at once. It is in addition to the
	// Report, which keeps only the first few.
	Skipped func(*ObjectError)
}

// Report says how a walk went.
type Report struct {
	Objects int64 // handed to visitors
	Bytes   int64 // expanded size of those
	Skipped int64 // objects that could not be handed out
	// Why holds the first MaxReasons skipped objects, for people and logs.
	Why []*ObjectError
}

// MaxReasons is the largest number of skipped objects that a Report describes one by one.
const MaxReasons = 100

// Skip counts one skipped object.
func (r *Report) Skip(err *ObjectError) {
	r.Skipped++
	if len(r.Why) < MaxReasons {
		r.Why = append(r.Why, err)
	}
}

// Add counts what another walk did.
func (r *Report) Add(other Report) {
	r.Objects += other.Objects
	r.Bytes += other.Bytes
	r.Skipped += other.Skipped
	r.Why = append(r.Why, other.Why[:min(len(other.Why), MaxReasons-len(r.Why))]...)
}

// Reason says why an object was skipped.
type Reason string

// The reasons to skip an object.
const (
	ReasonCorrupt     Reason = "corrupt"      // its bytes make no sense
	ReasonMissingBase Reason = "missing base" // the object it is a delta of is absent, or the deltas form a circle
	ReasonSkippedBase Reason = "skipped base" // the object it is a delta of was skipped itself
	ReasonTooLarge    Reason = "too large"    // beyond the size limit for one object
	ReasonTooDeep     Reason = "too deep"     // too many deltas on top of each other
	ReasonBudget      Reason = "expansion"    // all objects together expand beyond what their packed size justifies
)

// ObjectError is about one object: one that could not be parsed, or one that a walk skipped.
type ObjectError struct {
	ID     ID    // zero if it could not be computed
	Kind   Kind  // 0 if not known
	Offset int64 // where in its pack the object starts; -1 outside a pack
	Size   int64 // expanded, as far as known; 0 if not
	Reason Reason
	Err    error // the cause, may be nil
}

// Error implements error.
func (e *ObjectError) Error() string {
	var b strings.Builder
	if e.Kind != 0 {
		b.WriteString(e.Kind.String())
	} else {
		b.WriteString("object")
	}
	if !e.ID.IsZero() {
		b.WriteString(" " + e.ID.String())
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at offset %d", e.Offset)
	}
	if e.Size > 0 {
		fmt.Fprintf(&b, " of %d bytes", e.Size)
	}
	b.WriteString(": " + string(e.Reason))
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *ObjectError) Unwrap() error { return e.Err }

// corrupt returns the error of an object of the given kind that could not be parsed.
func corrupt(kind Kind, id ID, format string, args ...any) *ObjectError {
	return &ObjectError{ID: id, Kind: kind, Offset: -1, Reason: ReasonCorrupt, Err: fmt.Errorf(format, args...)}
}
