package scan

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/git"
	"magpie/internal/rule"
)

// maxHits bounds how many matches of one scan are kept; what is beyond is counted as skipped.
const maxHits = 200_000

// Examination says what Examine is to do.
type Examination struct {
	Engine  *detect.Engine
	Workers int // goroutines; 0 means one a core
	// Context is how many lines before and after a finding its excerpt shows.
	Context int
	// Complete says that the source holds all that its commits lead to, so that whatever stood in a file before has been
	// scanned. Otherwise that is found out for the files that findings stand in, for which all blobs may have to be hashed.
	Complete bool
	// Whole scans each version of a file whole, whatever it was made from: slower, and the same by definition.
	Whole bool
	// Refs and Default, a full name, are the repository's refs and its default branch, for findings to tell which of them
	// reach a secret and whether it is still there. Without them they don't; that it is not there is said only of a complete
	// source that could be looked at without exception.
	Refs    []magpie.Tip
	Default string
	// Own names files that are wanted as they are at the commit OwnAt, if the source holds it: those in which a repository
	// says what to ignore. Where OwnAt is empty, the repository's or bundle's default branch is meant.
	Own   []string
	OwnAt magpie.Hash
	// Progress receives the counts; it must be safe to read concurrently. Nil counts nothing.
	Progress *Meter
	// Grace is how long, after the context has ended, what was found by then is still placed for the partial result.
	Grace time.Duration
}

// Place is a finding in one commit.
type Place struct {
	magpie.Finding
	// Standing is set if the secret stood in the same file in a parent of the commit, which then only changed something
	// else in that file.
	Standing bool
	// ParentUnknown is set if what stood there before is not in the source, so Standing may be wrongly unset.
	ParentUnknown bool
}

// Result is what an examination found and what it could not look at.
type Result struct {
	// Places holds every match in every commit that introduced its blob, ordered by committer date and place. A blob
	// that no commit holds gives one place without commit and file.
	Places []Place
	// Skipped says in words which objects, or parts of them, were not looked at; SkippedCount counts them all.
	Skipped      []string
	SkippedCount int64
	// Own holds the files that Examination.Own names, as far as they are there.
	Own map[string][]byte
}

// maxOwnBytes is the size above which a file of Examination.Own is not read.
const maxOwnBytes = 1 << 20

// skip counts one thing that was not looked at; only the first ones are described.
func (r *Result) skip(why string) {
	r.SkippedCount++
	if len(r.Skipped) < git.MaxReasons {
		r.Skipped = append(r.Skipped, why)
	}
}

// hit is a match in a blob, before it is known where the blob stands.
type hit struct {
	rule    *rule.Rule
	finding magpie.Finding // without place
	key     secretKey
}

// secretKey tells equal secrets, without holding them.
type secretKey [sha256.Size]byte

// Examine finds and places every secret in the source's blobs. The result does not depend on the number of workers.
// The error is about the source as a whole, or ctx's; objects that can't be read are in the result. With an error comes
// what was found so far, without places unless Grace allows for them.
func Examine(ctx context.Context, source git.LineageSource, e Examination) (Result, error) {
	if e.Progress == nil {
		e.Progress = new(Meter)
	}
	x := &examiner{Examination: e, hits: map[magpie.Hash][]hit{}}
	walk := git.WalkOptions{Kinds: git.KindsOf(git.Blob), Workers: e.Workers, Progress: e.Progress.objects}
	report, err := source.WalkLineages(ctx, walk, x.visitor)
	x.skipObjects(report)
	x.Complete = x.Complete && report.Skipped == 0 && err == nil
	if err != nil {
		return x.partial(ctx, source), fmt.Errorf("reading blobs: %w", err)
	}
	if err := x.place(ctx, source); err != nil {
		return x.partial(ctx, source), err
	}
	if err := x.readOwn(ctx, source); err != nil {
		return x.result, err
	}
	e.Progress.Findings.Store(int64(len(x.result.Places)))
	e.Progress.Skipped.Store(x.result.SkippedCount)
	return x.result, nil
}

// readOwn reads the files in which the repository speaks for itself. Nobody needs them where nothing was found, unless
// another part of the same history is still to come.
func (x *examiner) readOwn(ctx context.Context, source git.Source) error {
	if len(x.Own) == 0 || x.OwnAt == "" || x.Complete && len(x.result.Places) == 0 {
		return nil
	}
	files, whole, err := git.ReadFiles(ctx, source, x.OwnAt, x.Own, maxOwnBytes)
	if err != nil {
		return err
	}
	if !whole && x.Complete {
		x.skip(fmt.Sprintf("what commit %s says to ignore can't be read, or not all of it", x.OwnAt.Short()))
	}
	x.result.Own = files
	return nil
}

type examiner struct {
	Examination
	hitCount atomic.Int64

	mu     sync.Mutex
	hits   map[magpie.Hash][]hit
	held   map[magpie.Hash]bool // blobs without a hit that are in the source; not if it is complete
	result Result
}

// holds reports whether the source holds a blob that stood in a file before a finding did.
func (x *examiner) holds(blob magpie.Hash) bool {
	return x.Complete || x.hits[blob] != nil || x.held[blob]
}

// findHeld finds out which of the blobs that stood in a file before a finding did are in the source. Few scans need to
// know, and for those that do it costs less to hash all blobs then than it would for every scan to do so.
func (x *examiner) findHeld(ctx context.Context, source git.Source, placements map[magpie.Hash]git.Placement) error {
	asked := map[git.ID]bool{}
	for _, p := range placements {
		for _, in := range p.Introductions {
			for _, blob := range in.Previous {
				if id, err := git.ParseID(string(blob)); err == nil && !x.holds(blob) {
					asked[id] = true
				}
			}
		}
	}
	if len(asked) == 0 {
		return nil
	}
	x.held = make(map[magpie.Hash]bool, len(asked))
	walk := git.WalkOptions{Kinds: git.KindsOf(git.Blob), Workers: x.Workers}
	_, err := source.Walk(ctx, walk, func(int) git.Visitor {
		return func(o git.Object) error {
			if asked[o.ID] {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.held[o.ID.Hash()] = true
			}
			return nil
		}
	})
	if err != nil {
		return fmt.Errorf("looking for what stood in files before: %w", err)
	}
	return nil
}

// visitor returns the scanning function of one worker. Its note on a blob is the trace of the scan, which the scans of
// the versions that are stored as deltas of the blob go on from.
func (x *examiner) visitor(int) git.VersionVisitor {
	scanner := x.Engine.NewScanner()
	return func(v *git.Version) (any, error) {
		trace := x.trace(scanner, v)
		matches := scanner.Matches(trace, v.Data)
		x.Progress.Blobs.Add(1)
		x.Progress.BlobBytes.Add(int64(len(v.Data)))
		for _, why := range scanner.Skipped() {
			x.skip(fmt.Sprintf("blob %s: %s", v.ID().Hash(), why))
		}
		if len(matches) > 0 {
			x.keep(git.Object{ID: v.ID(), Kind: v.Kind, Data: v.Data}, matches, scanner.Covered())
		}
		return trace, nil
	}
}

// trace scans a version, from what is known of its base if there is one.
func (x *examiner) trace(scanner *detect.Scanner, v *git.Version) *detect.Trace {
	if base, ok := v.Base.(*detect.Trace); ok && !x.Whole {
		return scanner.Derive(base, v.Data, v.Copies)
	}
	return scanner.Trace(v.Data)
}

// keep copies what the matches of a blob hold, since its bytes are gone after the call.
func (x *examiner) keep(o git.Object, matches []detect.Match, covered []detect.Span) {
	if x.hitCount.Add(int64(len(matches))) > maxHits {
		x.skip(fmt.Sprintf("blob %s: %d matches beyond the %d that one scan keeps", o.ID.Hash(), len(matches), maxHits))
		return
	}
	x.Progress.Findings.Add(int64(len(matches)))
	hits := newHits(o, matches, covered, x.Context)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hits[o.ID.Hash()] = hits
}

func (x *examiner) skip(why string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.skip(why)
}

func (x *examiner) skipObjects(report git.Report) {
	x.result.SkippedCount += report.Skipped
	for _, why := range report.Why {
		if len(x.result.Skipped) < git.MaxReasons {
			x.result.Skipped = append(x.result.Skipped, why.Error())
		}
	}
}

// place finds the commits and paths of all blobs with a hit and makes the places.
func (x *examiner) place(ctx context.Context, source git.Source) error {
	if len(x.hits) == 0 {
		return nil
	}
	blobs := make([]magpie.Hash, 0, len(x.hits))
	for blob := range x.hits {
		blobs = append(blobs, blob)
	}
	slices.Sort(blobs)
	placements, report, err := git.Place(ctx, source, blobs, git.PlaceOptions{
		Workers: x.Workers, Progress: x.Progress.placed, Refs: x.Refs, Default: x.Default,
	})
	if err != nil {
		return fmt.Errorf("placing findings: %w", err)
	}
	x.skipObjects(report)
	if err := x.findHeld(ctx, source, placements); err != nil {
		return err
	}
	secrets := x.secretsOfBlobs()
	presence := x.presence(placements)
	for _, blob := range blobs {
		placement := placements[blob]
		if placement.Truncated {
			x.skip(fmt.Sprintf("blob %s: it stands in more places than are listed", blob))
		}
		for _, h := range x.hits[blob] {
			h.finding.Refs, h.finding.Presence = placement.Refs, presence[h.key]
			x.result.Places = append(x.result.Places, x.placesOf(h, placement, secrets)...)
		}
	}
	slices.SortStableFunc(x.result.Places, comparePlaces)
	return nil
}

// presence says of each secret whether it stands on the default branch, in whatever version of whatever file. It is absent
// only if all files there were looked at.
func (x *examiner) presence(placements map[magpie.Hash]git.Placement) map[secretKey]magpie.Presence {
	sure := x.Complete && x.result.SkippedCount == 0
	presence := map[secretKey]magpie.Presence{}
	for blob, hits := range x.hits {
		for _, h := range hits {
			switch p := placements[blob].Presence; {
			case p == magpie.PresencePresent:
				presence[h.key] = p
			case p == magpie.PresenceAbsent && sure && presence[h.key] == magpie.PresenceUnknown:
				presence[h.key] = p
			}
		}
	}
	return presence
}

func (x *examiner) secretsOfBlobs() map[magpie.Hash]map[secretKey]bool {
	secrets := make(map[magpie.Hash]map[secretKey]bool, len(x.hits))
	for blob, hits := range x.hits {
		secrets[blob] = make(map[secretKey]bool, len(hits))
		for _, h := range hits {
			secrets[blob][h.key] = true
		}
	}
	return secrets
}

// placesOf makes one place for every introduction of the hit's blob in which the rule may speak.
func (x *examiner) placesOf(h hit, placement git.Placement, secrets map[magpie.Hash]map[secretKey]bool) []Place {
	if len(placement.Introductions) == 0 {
		return []Place{{Finding: h.finding}}
	}
	var places []Place
	for _, in := range placement.Introductions {
		if !x.Engine.Allowed(h.rule, in.Path) {
			continue
		}
		f := h.finding
		f.File, f.Commit, f.Author, f.Email, f.Date = in.Path, in.Commit, in.Author, in.Email, in.AuthorDate
		place := Place{Finding: f, ParentUnknown: in.ParentUnknown}
		for _, blob := range in.Previous {
			place.Standing = place.Standing || secrets[blob][h.key]
			// A push's pack lists the files of a commit that it holds, but not those that were there before.
			place.ParentUnknown = place.ParentUnknown || !x.holds(blob)
		}
		places = append(places, place)
	}
	return places
}

// comparePlaces orders by date, then by everything that makes two places differ, so that the order is the same on
// every run.
func comparePlaces(a, b Place) int {
	return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.File, b.File),
		cmp.Compare(a.Blob, b.Blob), cmp.Compare(a.LineStart, b.LineStart), cmp.Compare(a.ColumnStart, b.ColumnStart),
		cmp.Compare(a.Rule, b.Rule), bytes.Compare(a.Secret.Reveal(), b.Secret.Reveal()))
}
