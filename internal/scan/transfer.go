package scan

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"magpie"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
)

// Slicing says how persistently a Fetcher fetches, and when and how it does so in slices. In each field zero stands for the
// default.
type Slicing struct {
	// What is more than one of these does not come in one piece, as far as the server lets itself be asked for less.
	AboveObjects int64 // objects in the pack, as its header says; default 3,000,000
	AboveBytes   int64 // bytes, as they were the last time; default 2 GiB
	AboveRefs    int   // different objects that refs name; default 50,000
	// Objects is about how many objects a slice is to have; default 1,000,000. Slices that break are halved.
	Objects int64
	// Depth is how many commits in a row the first slice has where a server does not tell its commits without their files;
	// default 1,000.
	Depth int
	// Tries is how often the same is asked for, before something smaller is; default 2.
	Tries int
	// Backoff is the wait before the first repetition, doubled before each further one, up to a minute; default 1 second.
	Backoff time.Duration
	// Patience is how long in all one transfer waits for a server that is busy; default 15 seconds. A job that fails comes
	// again later by itself.
	Patience time.Duration
}

const (
	longestBackoff = time.Minute
	maxSlices      = 100_000 // of one scan; an honest server needs far fewer
)

// withDefaults fills in the defaults.
func (v Slicing) withDefaults() Slicing {
	set(&v.AboveObjects, 3_000_000)
	set(&v.AboveBytes, 2<<30)
	set(&v.AboveRefs, 50_000)
	set(&v.Objects, 1_000_000)
	set(&v.Depth, 1000)
	set(&v.Tries, 2)
	set(&v.Backoff, time.Second)
	set(&v.Patience, 15*time.Second)
	return v
}

func set[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Fetcher fetches what is new in a repository and examines it: in one piece if possible, in slices if that is too much for
// the server, the connection, the disk, or for being begun again.
type Fetcher struct {
	Client *smarthttp.Client
	Dir    string // where packs are spooled; empty is the system's for temporary files
	Pack   pack.Limits
	Room   *Room // nil does not look at the free space
	Examination
	Slicing Slicing
	Log     *slog.Logger // nil logs nothing
}

// oversizeError says that a pack is larger than what is to come in one piece.
type oversizeError struct {
	objects int64 // in the pack; 0 if not known
	why     string
}

// Error implements error.
func (e *oversizeError) Error() string { return "this is more than comes in one piece: " + e.why }

// order is what one transfer is to bring.
type order struct {
	smarthttp.Request
	optional []magpie.Hash // wants that may be gone
	expect   int64         // bytes; 0 if unknown
	most     int64         // objects, above which the pack is not taken; 0 is any number
}

// delivery is what one transfer brought.
type delivery struct {
	*pack.Spooled
	edge    []magpie.Hash // commits that are in it without their parents, as the server says
	roots   []magpie.Hash // commits that are in it without their parents, as was asked for
	dropped []magpie.Hash // optional wants that are gone
	whole   bool          // everything that its commits lead to was asked for
}

// bring carries out a transfer, again if it breaks or the server is busy. It returns nil without an error if nothing of what
// was asked for exists any more.
func (f *Fetcher) bring(ctx context.Context, o order) (*delivery, error) {
	patience := f.Slicing.Patience
	for broken, n := 1, 0; ; n++ {
		d, err := f.once(ctx, o)
		if err == nil || ctx.Err() != nil {
			return d, err
		}
		wait := f.backoff(n)
		if after, busy := smarthttp.Busy(err); busy {
			// A server that names a time means it; waiting less only makes it busier.
			if wait = max(wait, after); wait > patience {
				return nil, err
			}
			patience -= wait
		} else if broken++; !isBroken(err) || broken > f.Slicing.Tries {
			return nil, err
		}
		f.Progress.discard()
		f.Progress.enter(magpie.PhaseWaiting)
		f.Log.Warn("a transfer is repeated", "wait", wait.String(), "error", err)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// backoff is how long to wait before the nth repetition, from 0, give or take a quarter.
func (f *Fetcher) backoff(n int) time.Duration {
	d := min(f.Slicing.Backoff<<min(n, 16), longestBackoff)
	return d*3/4 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isBroken reports whether the same transfer may succeed when it is tried again.
func isBroken(err error) bool {
	return smarthttp.Broken(err) || errors.Is(err, pack.ErrTruncated) || errors.Is(err, pack.ErrChecksum) ||
		errors.Is(err, pack.ErrFormat) || errors.Is(err, pack.ErrTrailing)
}

// isTooMuch reports whether a smaller transfer may succeed where this one did not.
func isTooMuch(err error) bool {
	_, full := errors.AsType[*NoSpaceError](err)
	return full || isBroken(err) || isOversize(err) || magpie.KindOf(err) == magpie.KindTooLarge
}

func isOversize(err error) bool {
	_, ok := errors.AsType[*oversizeError](err)
	return ok
}

// once is one try of a transfer. A server of an old protocol that does not like what we have is asked in another way: with
// what we have for roots, whose files it then sends once more.
func (f *Fetcher) once(ctx context.Context, o order) (*delivery, error) {
	d, err := f.ask(ctx, o)
	said, ok := errors.AsType[*smarthttp.ServerError](err)
	if !ok || said.Busy || len(o.Haves) == 0 || len(o.Shallow) > 0 || o.Depth > 0 {
		return d, err
	}
	if can, featuresErr := f.Client.Features(ctx); featuresErr != nil || can.Version == 2 || !can.Shallow {
		return d, err
	}
	f.Log.Info("the server is told what is known as the edge of the history", "error", err)
	o.Shallow, o.Haves = o.Haves, nil
	if d, err = f.ask(ctx, o); d != nil {
		d.roots = o.Shallow
	}
	return d, err
}

// ask is one request for a pack.
func (f *Fetcher) ask(ctx context.Context, o order) (*delivery, error) {
	room, err := f.Room.claim(o.expect)
	if err != nil {
		return nil, err
	}
	defer room.release()
	f.Progress.enter(magpie.PhaseAsking)
	o.Progress = f.Progress.told
	stream, dropped, err := f.Client.FetchAvailable(ctx, o.Request, o.optional)
	if len(dropped) > 0 {
		f.Log.Info("objects that were asked for in case they are there are gone at the server", "objects", len(dropped))
	}
	if magpie.KindOf(err) == magpie.KindNotFound && len(o.Wants) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	in, err := withHeader(stream, o.most)
	if err != nil {
		return nil, err
	}
	limits := f.Pack
	limits.Scratch = room.spare
	spooled, err := pack.Spool(ctx, room.reader(in), f.Dir, o.Format, limits, f.Progress.received)
	if err != nil {
		return nil, fmt.Errorf("receiving the pack: %w", err)
	}
	whole := len(o.Haves) == 0 && len(o.Shallow) == 0 && o.Depth == 0
	return &delivery{Spooled: spooled, edge: stream.Edge(), dropped: dropped, whole: whole}, nil
}

// withHeader looks at how many objects a pack announces and returns its stream from the beginning, or an *oversizeError.
func withHeader(stream io.Reader, most int64) (io.Reader, error) {
	const size = len("PACK") + 4 + 4
	header := make([]byte, size)
	n, err := io.ReadFull(stream, header)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if n == size && most > 0 && int64(binary.BigEndian.Uint32(header[size-4:])) > most {
		objects := int64(binary.BigEndian.Uint32(header[size-4:]))
		return nil, &oversizeError{objects, fmt.Sprintf("%d objects", objects)}
	}
	return io.MultiReader(bytes.NewReader(header[:n]), stream), nil
}

// examine scans a delivery. What the given commits brought, which are there without their parents, is left out: it is found
// where they have them.
func (f *Fetcher) examine(ctx context.Context, d *delivery, aside map[magpie.Hash]bool) (Result, error) {
	f.Progress.enter(magpie.PhaseScanning)
	e := f.Examination
	if e.Complete = d.whole && len(d.edge) == 0; !e.Complete {
		e.Refs, e.Default = nil, "" // a part of a history does not tell what reaches what
	}
	result, err := Examine(ctx, d, e)
	if err != nil {
		return Result{}, err
	}
	// While blobs are scanned the counts are about them; what stays is how many objects the pack had.
	f.Progress.objects(int64(d.Objects()), int64(d.Objects()))
	if len(aside) > 0 {
		result.Places = without(result.Places, aside)
		f.Progress.Findings.Store(int64(len(result.Places)))
	}
	return result, nil
}

func without(places []Place, commits map[magpie.Hash]bool) []Place {
	var kept []Place
	for _, p := range places {
		if !commits[p.Commit] {
			kept = append(kept, p)
		}
	}
	return kept
}
