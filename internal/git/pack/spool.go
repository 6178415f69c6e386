package pack

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"magpie/internal/git"
)

// Spooled is a pack in an unlinked temporary file, checked and ready to be walked. It implements git.Source; walks may
// run at the same time.
type Spooled struct {
	file   *os.File
	pack   *packFile
	size   int64
	format git.Format
}

// Spool reads a pack of the given object format from r to its end, keeps it in a new file in dir that has no name (it
// is gone when closed or when the process dies; dir "" is the system's temporary folder) and checks it: structure,
// count, sizes, checksums. progress, if not nil, is told now and then how many bytes and how many of how many objects
// have arrived. It is memory of about 40 bytes an object, whatever their size. What it has to expand on the way it keeps in a
// second such file, of at most four times the size of the pack and 64 MiB, for walks to come.
//
// The error is an *Error wrapping one of ErrFormat, ErrTruncated, ErrChecksum or ErrTrailing, a *magpie.Error of kind
// KindTooLarge, the context's error or that of r. The caller closes what it gets.
func Spool(ctx context.Context, r io.Reader, dir string, format git.Format, limits Limits, progress func(bytes, done, total int64)) (*Spooled, error) {
	limits = limits.withDefaults()
	if progress == nil {
		progress = func(_, _, _ int64) {}
	}
	f, err := unlinked(dir)
	if err != nil {
		return nil, err
	}
	in := newTee(r, f, format, limits.MaxPackBytes)
	expanded := newScratch(dir, limits.Scratch)
	x, err := scanIndex(ctx, in, format, limits, expanded, progress)
	if err != nil {
		return nil, errors.Join(err, f.Close(), expanded.close())
	}
	p := newPackFile(f, x, format, limits)
	p.checked, p.expanded = true, expanded
	return &Spooled{file: f, size: in.read, format: format, pack: p}, nil
}

// Close gives the disk space back. It must not be called during a walk.
func (s *Spooled) Close() error { return errors.Join(s.file.Close(), s.pack.expanded.close()) }

// Size returns the size of the pack in bytes.
func (s *Spooled) Size() int64 { return s.size }

// Objects returns the number of objects in the pack, duplicates and unreadable ones included.
func (s *Spooled) Objects() int { return len(s.pack.index.entries) }

// Format returns the pack's object format.
func (s *Spooled) Format() git.Format { return s.format }

// tee reads from r, copies what it reads to w and hashes all but the last few bytes, which are the pack's trailer.
type tee struct {
	r     io.Reader
	w     io.Writer // may be nil
	limit int64
	read  int64
	err   error // what r returned last
	h     hash.Hash
	tail  []byte // read, but not hashed yet
	hold  int    // how many bytes the tail holds at most
}

func newTee(r io.Reader, w io.Writer, format git.Format, limit int64) *tee {
	return &tee{r: r, w: w, limit: limit, h: format.New(), hold: format.Size()}
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.err = err
	t.read += int64(n)
	if t.read > t.limit {
		t.err = tooLarge("the packfile is larger than the limit of %d bytes", t.limit)
		return 0, t.err
	}
	if t.w != nil {
		if _, werr := t.w.Write(p[:n]); werr != nil {
			t.err = fmt.Errorf("writing the pack to its temporary file: %w", werr)
			return 0, t.err
		}
	}
	t.hash(p[:n])
	return n, err
}

// hash adds p to what was read.
func (t *tee) hash(p []byte) {
	if len(p) >= t.hold {
		t.h.Write(t.tail)
		t.h.Write(p[:len(p)-t.hold])
		t.tail = append(t.tail[:0], p[len(p)-t.hold:]...)
		return
	}
	if over := len(t.tail) + len(p) - t.hold; over > 0 {
		t.h.Write(t.tail[:over])
		t.tail = append(t.tail[:0], t.tail[over:]...)
	}
	t.tail = append(t.tail, p...)
}

// sum returns the hash of everything but the last bytes.
func (t *tee) sum() []byte { return t.h.Sum(nil) }
