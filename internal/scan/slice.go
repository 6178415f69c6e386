package scan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/smarthttp"
)

// Want is what a Fetcher is to scan.
type Want struct {
	Tips     []magpie.Hash // everything that these reach
	Optional []magpie.Hash // likewise, as far as they still exist
	Known    []magpie.Hash // and not what these reach, the newest first
	Format   git.Format
	Expect   int64 // bytes, as a guess from an earlier time; 0 if there is none
}

// Mode is how slices are cut.
type Mode string

// The modes, the best first. The zero Mode is one piece.
const (
	// ByCommits needs a server that tells its commits without their files. The slices come oldest first, and what is found
	// in all of them together is what is found in one piece.
	ByCommits Mode = "commits"
	// ByDepth needs a server that sends the newest part of a history only. The slices come newest first; what is found is
	// the same.
	ByDepth Mode = "depth"
	// ByRefs is for all others: some refs at a time. Where a ref branches off from what was scanned before, it is as with a
	// push: what stood there before is known from the incidents only.
	ByRefs Mode = "refs"
)

// Position is how far a scan in slices has come. It is stored, as JSON, with what each slice found. The zero Position is
// the beginning, in one piece.
type Position struct {
	Mode     Mode            `json:"mode,omitempty"`
	Done     []magpie.Hash   `json:"done,omitempty"`  // everything that these reach is scanned
	Open     []magpie.Hash   `json:"open,omitempty"`  // ByDepth: everything that these reach is yet to be scanned
	Loose    []magpie.Hash   `json:"loose,omitempty"` // ByDepth: trees and files that are wanted by themselves, for the end
	Size     int             `json:"size,omitempty"`  // of the next slice: commits, depth or refs; 0 if not known
	Slices   int             `json:"slices,omitempty"`
	Progress magpie.Progress `json:"progress"`
	Skipped  []string        `json:"skipped,omitempty"`
}

// Slice is what was found in a part of what was wanted.
type Slice struct {
	Result
	Next Position // where the scan goes on; not for the last slice
	Last bool
}

// Add adds what the next slice of the same scan found. The descriptions of what was skipped are complete in each slice.
func (r *Result) Add(slice Result) {
	r.Places = append(r.Places, slice.Places...)
	if r.Own == nil {
		r.Own = map[string][]byte{}
	}
	maps.Copy(r.Own, slice.Own)
	slices.SortStableFunc(r.Places, comparePlaces)
	r.Skipped, r.SkippedCount = slice.Skipped, r.SkippedCount+slice.SkippedCount
}

// Scan fetches and examines what is wanted, from a position on, and hands out what it finds, slice by slice; only the last
// is marked so, and there is always one. keep must store what it wants to keep; an error of it ends the scan.
func (f *Fetcher) Scan(ctx context.Context, want Want, from Position, keep func(context.Context, Slice) error) error {
	f.prepare()
	s := &slicer{Fetcher: f, want: want, at: from, keep: keep, placed: map[magpie.Hash]bool{}}
	f.Progress.resume(from.Progress)
	if from.Mode == "" {
		err := s.whole(ctx)
		if err == nil || ctx.Err() != nil || !isTooMuch(err) {
			return err
		}
		mode, featuresErr := s.mode(ctx)
		if featuresErr != nil {
			return featuresErr
		}
		if mode == ByRefs && len(want.Tips)+len(want.Optional) < 2 {
			// Then there is nothing smaller to ask for.
			if isOversize(err) {
				return s.inOne(ctx, 0)
			}
			return err
		}
		f.Log.Info("a repository is scanned in slices", "by", mode, "because", err)
		s.at = Position{Mode: mode, Progress: f.progressAfter()}
	}
	return s.slices(ctx)
}

// prepare fills in what may be left out.
func (f *Fetcher) prepare() {
	f.Slicing = f.Slicing.withDefaults()
	if f.Progress == nil {
		f.Progress = new(Meter)
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
}

// progressAfter is the progress after a transfer of which nothing is kept.
func (f *Fetcher) progressAfter() magpie.Progress {
	f.Progress.discard()
	return f.Progress.Progress()
}

// slicer is one call of Scan.
type slicer struct {
	*Fetcher
	want Want
	at   Position
	keep func(context.Context, Slice) error

	total  int64                // objects in the pack of everything, from the attempt at one piece; 0 if not known
	size   ceiling              // of slices
	wants  ceiling              // ByDepth: of how many commits are wanted at once
	placed map[magpie.Hash]bool // files with a finding whose commit is known
}

// whole tries it in one piece, unless that is known to be too much.
func (s *slicer) whole(ctx context.Context) error {
	switch v := s.Slicing; {
	case len(s.want.Tips) > v.AboveRefs:
		return &oversizeError{why: fmt.Sprintf("%d refs", len(s.want.Tips))}
	case s.want.Expect > v.AboveBytes:
		return &oversizeError{why: fmt.Sprintf("%d bytes the last time", s.want.Expect)}
	}
	return s.inOne(ctx, s.Slicing.AboveObjects)
}

// inOne scans everything in one piece, of so many objects at most; 0 is any number.
func (s *slicer) inOne(ctx context.Context, most int64) error {
	request := smarthttp.Request{Wants: s.want.Tips, Haves: s.want.Known, Format: s.want.Format}
	d, err := s.bring(ctx, order{Request: request, optional: s.want.Optional, expect: s.want.Expect, most: most})
	if err != nil {
		s.total = s.Progress.ObjectsTotal.Load()
		if large, ok := errors.AsType[*oversizeError](err); ok {
			s.total = large.objects
		}
		return err
	}
	return s.deliver(ctx, d, nil, Position{}, true)
}

// ask asks for a slice, of which some of the wants may be gone.
func (s *slicer) ask(ctx context.Context, wants []magpie.Hash, request smarthttp.Request) (*delivery, error) {
	if len(wants) == 0 {
		return nil, nil
	}
	isOptional := setOf(s.want.Optional)
	o := order{Request: request}
	o.Format = s.want.Format
	for _, h := range wants {
		if isOptional[h] {
			o.optional = append(o.optional, h)
		} else {
			o.Wants = append(o.Wants, h)
		}
	}
	return s.bring(ctx, o)
}

// mode chooses how to cut, by what the server can do.
func (s *slicer) mode(ctx context.Context) (Mode, error) {
	can, err := s.Client.Features(ctx)
	switch {
	case err != nil:
		return "", err
	case can.AnyHash && can.Shallow && can.Filter:
		return ByCommits, nil
	case can.AnyHash && can.Shallow:
		return ByDepth, nil
	}
	return ByRefs, nil
}

// slices scans from the present position on.
func (s *slicer) slices(ctx context.Context) error {
	var err error
	switch s.at.Mode {
	case ByCommits:
		err = s.byCommits(ctx)
	case ByDepth:
		err = s.byDepth(ctx)
	default:
		return s.byRefs(ctx)
	}
	refused, ok := errors.AsType[*smarthttp.NotOurRefError](err)
	if !ok || slices.Contains(s.want.Tips, refused.Hash) {
		return err
	}
	// The server hands out no commits but what its refs show, although it did not say so.
	s.Log.Info("the server refuses commits within a history; it is scanned by refs", "error", err)
	s.at.Mode, s.at.Size, s.at.Open, s.at.Loose, s.size = ByRefs, 0, nil, nil, 0
	return s.byRefs(ctx)
}

// deliver examines what came and hands it on, with the position after it. Of the commits at the edge only the files are of
// interest. A nil delivery is an empty one.
func (s *slicer) deliver(ctx context.Context, d *delivery, edge []magpie.Hash, next Position, last bool) error {
	var result Result
	if d != nil {
		var err error
		result, err = s.examine(ctx, d, setOf(slices.Concat(edge, d.roots)))
		closeErr := d.Close()
		if err = errors.Join(err, closeErr); err != nil {
			return err
		}
	}
	result.Places = s.placedOnce(result.Places)
	s.Progress.Findings.Store(int64(len(result.Places)))
	s.forgetRepeated(&result)
	s.Progress.fold()
	next.Slices, next.Progress = s.at.Slices+1, s.Progress.Progress()
	next.Skipped = result.Skipped
	if err := s.keep(ctx, Slice{Result: result, Next: next, Last: last}); err != nil {
		return err
	}
	s.at = next
	if next.Slices >= maxSlices && !last {
		return magpie.Errorf(magpie.KindTooLarge, "the history comes in more than %d slices", maxSlices)
	}
	return nil
}

// placedOnce leaves out what has no commit if an earlier slice told the commit of the same file: it came once more because a
// tag names it, or a folder that it is in.
func (s *slicer) placedOnce(places []Place) []Place {
	for _, p := range places {
		if p.Commit != "" {
			s.placed[p.Blob] = true
		}
	}
	return slices.DeleteFunc(places, func(p Place) bool { return p.Commit == "" && s.placed[p.Blob] })
}

// forgetRepeated makes the result tell what was left out in earlier slices too, but not twice: the same file may be in
// several.
func (s *slicer) forgetRepeated(result *Result) {
	all := slices.Clone(s.at.Skipped)
	for _, why := range result.Skipped {
		switch {
		case slices.Contains(s.at.Skipped, why):
			result.SkippedCount--
		case len(all) < git.MaxReasons:
			all = append(all, why)
		}
	}
	s.Progress.Skipped.Store(result.SkippedCount)
	result.Skipped = all
}

// tooMuch notes that a slice of a size did not come over and returns the next size to try, or false if there is none.
func (s *slicer) tooMuch(err error, c *ceiling, size, least int) (int, bool) {
	if !isTooMuch(err) || size <= least {
		return size, false
	}
	*c = ceiling(size)
	smaller := max(size/2, least)
	s.Log.Warn("a slice is too much and is made smaller", "by", s.at.Mode, "size", size, "next", smaller, "error", err)
	s.Progress.discard()
	return smaller, true
}

// ceiling is the last size of a slice that was too much; 0 if none was.
type ceiling int

// larger is the size after a slice that came over, at most most. It stays well below what did not.
func (c ceiling) larger(size, least, most int) int {
	size = min(2*size, most)
	if c > 0 {
		size = min(size, max(int(c)*3/4, least))
	}
	return size
}

// byCommits scans the oldest commits first.
func (s *slicer) byCommits(ctx context.Context) error {
	g, optional, err := s.fetchGraph(ctx)
	if isTooMuch(err) {
		s.Log.Warn("even the commits without their files are too much in one piece; the history is scanned by depth", "error", err)
		s.at.Mode, s.at.Size = ByDepth, 0
		return s.byDepth(ctx)
	}
	if err != nil {
		return err
	}
	commits := g.order()
	total := len(commits)
	most := s.commitsPerSlice(total)
	size := most
	if s.at.Size > 0 {
		size = min(s.at.Size, most)
	}
	loose := g.loose(slices.Concat(s.want.Tips, optional))
	for first := true; first || len(commits) > 0; {
		size = min(size, max(len(commits), 1))
		part, rest := commits[:min(size, len(commits))], commits[min(size, len(commits)):]
		s.Progress.slice(s.at.Slices+1, int64(total-len(commits)), int64(total))
		heads, roots := g.cut(part)
		if len(rest) == 0 {
			heads = append(heads, loose...)
		}
		d, err := s.ask(ctx, heads, smarthttp.Request{Shallow: roots})
		if err != nil {
			var ok bool
			if size, ok = s.tooMuch(err, &s.size, len(part), 1); ok {
				continue
			}
			if d, err = s.bare(ctx, heads, roots, err); err != nil {
				return err
			}
			roots = nil
		}
		grown := s.size.larger(size, 1, most)
		next := Position{Mode: ByCommits, Done: g.done(s.at.Done, part), Size: grown}
		if err := s.deliver(ctx, d, roots, next, len(rest) == 0); err != nil {
			return err
		}
		first, commits, size = false, rest, grown
	}
	return nil
}

// bare is the last resort for a commit that does not come over with all files of its parents: it comes without them, as in
// a push, and what stood there before is known from the incidents only.
func (s *slicer) bare(ctx context.Context, heads, roots []magpie.Hash, err error) (*delivery, error) {
	if !isTooMuch(err) || len(roots) == 0 {
		return nil, err
	}
	s.Log.Warn("a commit is fetched without its parents' files", "commit", heads[0], "error", err)
	s.Progress.discard()
	return s.ask(ctx, heads, smarthttp.Request{Haves: roots})
}

// fetchGraph fetches the commits that are still to be scanned, and returns the optional wants that exist.
func (s *slicer) fetchGraph(ctx context.Context) (*graph, []magpie.Hash, error) {
	request := smarthttp.Request{
		Wants: s.want.Tips, Haves: slices.Concat(s.at.Done, s.want.Known), Format: s.want.Format, CommitsOnly: true,
	}
	d, err := s.bring(ctx, order{Request: request, optional: s.want.Optional})
	if err != nil {
		return nil, nil, fmt.Errorf("fetching the commits: %w", err)
	}
	s.Progress.discard()
	if d == nil {
		return new(graph), nil, nil
	}
	defer d.Close()
	g, err := readGraph(ctx, d, 0, s.Workers)
	optional := slices.DeleteFunc(slices.Clone(s.want.Optional), func(h magpie.Hash) bool { return slices.Contains(d.dropped, h) })
	return g, optional, err
}

// commitsPerSlice guesses how many commits have as many objects as a slice is to have.
func (s *slicer) commitsPerSlice(commits int) int {
	const objectsPerCommit = 10 // where nothing better is known
	objects := max(s.total, int64(commits))
	if s.total == 0 {
		objects = int64(commits) * objectsPerCommit
	}
	n := max(1, (objects+s.Slicing.Objects-1)/s.Slicing.Objects)
	if s.at.Slices == 0 && s.at.Size == 0 {
		n = max(n, 2) // one piece was too much
	}
	return max(1, int((int64(commits)+n-1)/n))
}

// byDepth scans the newest commits first.
func (s *slicer) byDepth(ctx context.Context) error {
	open := s.at.Open // empty only at the start
	if len(open) == 0 && len(s.at.Loose) == 0 {
		open = slices.Concat(s.want.Tips, s.want.Optional)
	}
	asked := setOf(open)
	most, depth, wants := s.Slicing.Depth, s.Slicing.Depth, max(len(open), 1)
	if s.at.Size > 0 {
		depth = min(s.at.Size, most)
	}
	for first := len(s.at.Loose) == 0; first || len(open) > 0; {
		wants = min(wants, max(len(open), 1))
		part, rest := open[:min(wants, len(open))], slices.Clone(open[min(wants, len(open)):])
		s.Progress.slice(s.at.Slices+1, 0, 0)
		d, err := s.ask(ctx, part, smarthttp.Request{Haves: slices.Concat(s.at.Done, s.want.Known), Depth: depth})
		if err != nil {
			var ok bool
			if depth, ok = s.tooMuch(err, &s.size, depth, leastDepth); ok {
				continue
			}
			if wants, ok = s.tooMuch(err, &s.wants, len(part), 1); ok {
				continue
			}
			return err
		}
		edge, loose, err := openEdge(ctx, d, part, s.Workers)
		if err != nil {
			return err
		}
		for _, h := range edge {
			if !asked[h] {
				asked[h] = true
				rest = append(rest, h)
			}
		}
		next := Position{Mode: ByDepth, Open: rest, Done: s.at.Done, Loose: s.at.Loose, Size: s.size.larger(depth, leastDepth, most)}
		aside := edge
		if last := len(rest) == 0 && len(next.Loose) == 0; !last && len(loose) > 0 {
			// What has no commit here may have one in a later slice.
			next.Loose = slices.Concat(next.Loose, loose)
			aside = append(aside, "")
		}
		if err := s.deliver(ctx, d, aside, next, len(rest) == 0 && len(next.Loose) == 0); err != nil {
			return err
		}
		first, open, depth = false, rest, next.Size
		wants = s.wants.larger(max(wants, len(edge)), 1, math.MaxInt32)
	}
	if len(s.at.Loose) == 0 {
		return nil
	}
	d, err := s.ask(ctx, s.at.Loose, smarthttp.Request{Depth: 1})
	if err != nil {
		return err
	}
	return s.deliver(ctx, d, s.at.Loose, Position{}, true)
}

// leastDepth is the smallest depth of a slice: of one commit with its parents.
const leastDepth = 2

// openEdge returns the commits in a delivery whose past is still to be fetched, and those of the wanted objects that are no
// commits, or did not come because they are known. A commit that was itself wanted and came without its parents, although a depth of two was asked for, has none at
// the server.
func openEdge(ctx context.Context, d *delivery, wanted []magpie.Hash, workers int) (edge, loose []magpie.Hash, err error) {
	if d == nil {
		return nil, nil, nil
	}
	g, err := readGraph(ctx, d, git.KindsOf(git.Commit, git.Tag), workers)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	isWanted := setOf(wanted)
	for _, h := range d.edge {
		if !isWanted[h] && g.has(h) {
			edge = append(edge, h)
		}
	}
	return edge, g.missing(wanted), nil
}

// byRefs scans some refs at a time, as far as they reach beyond those before.
func (s *slicer) byRefs(ctx context.Context) error {
	done := setOf(s.at.Done)
	var open []magpie.Hash
	for _, h := range slices.Concat(s.want.Tips, s.want.Optional) {
		if !done[h] {
			open = append(open, h)
		}
	}
	size := max(len(open), 1)
	if s.total > s.Slicing.Objects {
		size = max(1, int(int64(len(open))*s.Slicing.Objects/s.total))
	}
	if size = min(size, s.Slicing.AboveRefs); s.at.Size > 0 {
		size = s.at.Size
	}
	for first := true; first || len(open) > 0; {
		part, rest := open[:min(size, len(open))], open[min(size, len(open)):]
		s.Progress.slice(s.at.Slices+1, 0, 0)
		d, err := s.ask(ctx, part, smarthttp.Request{Haves: slices.Concat(s.at.Done, s.want.Known)})
		if err != nil {
			var ok bool
			if size, ok = s.tooMuch(err, &s.size, len(part), 1); !ok {
				return err
			}
			continue
		}
		grown := s.size.larger(size, 1, s.Slicing.AboveRefs)
		next := Position{Mode: ByRefs, Done: slices.Concat(part, s.at.Done), Size: grown}
		if err := s.deliver(ctx, d, nil, next, len(rest) == 0); err != nil {
			return err
		}
		first, open, size = false, rest, grown
	}
	return nil
}

func setOf(hashes []magpie.Hash) map[magpie.Hash]bool {
	set := make(map[magpie.Hash]bool, len(hashes))
	for _, h := range hashes {
		set[h] = true
	}
	return set
}
