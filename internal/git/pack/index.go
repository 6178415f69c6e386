package pack

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/klauspost/compress/zlib"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/inflate"
)

// entry is what is kept in memory of each object of a pack.
type entry struct {
	off  int64 // of its header
	size int64 // of its inflated data: the object's, or the delta's
	base int32 // the entry it is a delta of; noBase if it is none, absentBase if that is not known
	typ  uint8 // as in the header
}

const (
	noBase     = -1
	absentBase = -2
)

// index is the table of contents of a pack: its entries in the order of their offsets.
type index struct {
	entries []entry
	end     int64 // where the last entry ends and the trailer starts
	// refs holds, for the entries that name their base by id, that id. It is complete before any walk.
	refs map[int32]git.ID
	// bad holds the entries whose headers could not be read, with the reason.
	bad map[int32]error
}

// find returns the entry that starts at off, or absentBase.
func (x *index) find(off int64) int32 {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].off >= off })
	if i < len(x.entries) && x.entries[i].off == off {
		return int32(i)
	}
	return absentBase
}

// add appends the entry with header h at off.
func (x *index) add(off int64, h header) {
	e := entry{off: off, size: h.size, base: noBase, typ: h.typ}
	switch h.typ {
	case typeOfsDelta:
		e.base = absentBase
		if h.distance > 0 && h.distance <= off {
			e.base = x.find(off - h.distance)
		}
	case typeRefDelta:
		e.base = absentBase
		if x.refs == nil {
			x.refs = map[int32]git.ID{}
		}
		x.refs[int32(len(x.entries))] = h.base
	}
	x.entries = append(x.entries, e)
}

// scanner reads a pack from start to end to make its index.
type scanner struct {
	in     *tee
	br     *bufio.Reader
	format git.Format
	limits Limits
	fast   inflate.Decoder
	zr     io.ReadCloser // reused between entries
	buf    []byte        // receives what is inflated and not kept
	keep   *scratch      // may be nil
}

// oneShot is the largest expanded size of an entry that is expanded in one go while a pack arrives. Such an entry's packed
// form fits into the buffer twice, so that it can be looked at as a whole.
const oneShot = 256 << 10

// offset returns how many bytes of the pack have been consumed.
func (s *scanner) offset() int64 { return s.in.read - int64(s.br.Buffered()) }

// scanIndex reads the pack in from start to end, inflating each entry to find the next, and checks everything that can
// be checked on the way: header, count, sizes, zlib checksums, trailer, and that nothing follows. With an error it returns the
// entries that come before what is wrong, if the pack began as one.
func scanIndex(ctx context.Context, in *tee, format git.Format, limits Limits, keep *scratch, progress func(bytes, done, total int64)) (*index, error) {
	s := &scanner{in: in, br: bufio.NewReaderSize(in, 4*oneShot), format: format, limits: limits, keep: keep, buf: make([]byte, oneShot+inflate.Slack)}
	count, err := s.start()
	if err != nil {
		return nil, s.fail(-1, err)
	}
	x := &index{entries: make([]entry, 0, min(count, 1<<16))}
	for i := range count {
		if i&255 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress(s.offset(), i, count)
		}
		off := s.offset()
		if err := s.entry(ctx, x); err != nil {
			x.end = off
			return x, &Error{Offset: off, Object: i, Err: s.cause(err)}
		}
	}
	x.end = s.offset()
	progress(x.end, count, count)
	if err := s.finish(); err != nil {
		return x, s.fail(-1, err)
	}
	keep.finish()
	return x, nil
}

// start reads the pack's header and returns the number of objects.
func (s *scanner) start() (int64, error) {
	var head [12]byte
	if _, err := io.ReadFull(s.br, head[:]); err != nil {
		return 0, err
	}
	if string(head[:4]) != "PACK" {
		return 0, fmt.Errorf("%w: it does not start with PACK", ErrFormat)
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
		return 0, fmt.Errorf("%w: version %d is not known", ErrFormat, v)
	}
	count := int64(binary.BigEndian.Uint32(head[8:]))
	if count > s.limits.MaxObjects {
		return 0, tooLarge("the packfile announces %d objects, more than the limit of %d", count, s.limits.MaxObjects)
	}
	return count, nil
}

// entry reads one entry and adds it to x.
func (s *scanner) entry(ctx context.Context, x *index) error {
	off := s.offset()
	h, err := readHeader(s.br, s.format)
	if err != nil {
		return formatError(err)
	}
	if !s.inOneGo(h.size) {
		if err := s.piecewise(ctx, h); err != nil {
			return err
		}
	}
	s.keep.next()
	x.add(off, h)
	return nil
}

// inOneGo expands the entry of size bytes whose stream begins here, and reports whether it could. If not, nothing was
// consumed. Its checksum is not looked at, since the pack's own covers it.
func (s *scanner) inOneGo(size int64) bool {
	if size > oneShot {
		return false
	}
	dst := s.keep.space(int(size), s.in.read)
	kept := dst != nil
	if !kept {
		dst = s.buf[:size]
	}
	for _, want := range [...]int{s.br.Buffered(), int(size + size>>8 + 64)} {
		packed, _ := s.br.Peek(want) // fewer bytes at the end of the stream
		taken, err := s.fast.Zlib(dst, packed)
		if err == nil {
			_, err = s.br.Discard(taken)
			if kept {
				s.keep.keep(int(size))
			}
			return err == nil
		}
		if !errors.Is(err, inflate.ErrInput) {
			return false
		}
	}
	return false
}

// piecewise expands the entry with header h whose stream begins here by the general decoder.
func (s *scanner) piecewise(ctx context.Context, h header) error {
	var err error
	if s.zr == nil {
		s.zr, err = zlib.NewReader(s.br)
	} else {
		err = s.zr.(zlib.Resetter).Reset(s.br, nil)
	}
	if err != nil {
		return formatError(err)
	}
	var n int64
	for turn := 0; ; turn++ {
		m, err := s.zr.Read(s.buf)
		n += int64(m)
		s.keep.add(s.buf[:m], s.in.read)
		if n > h.size {
			return fmt.Errorf("%w: data inflates to more than the %d bytes announced", ErrFormat, h.size)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return formatError(err)
		}
		if turn&1023 == 1023 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if n != h.size {
		return fmt.Errorf("%w: data inflates to %d bytes, not the %d announced", ErrFormat, n, h.size)
	}
	return nil
}

// finish checks the trailer and that the stream ends there.
func (s *scanner) finish() error {
	trailer := make([]byte, s.format.Size())
	if _, err := io.ReadFull(s.br, trailer); err != nil {
		return err
	}
	if _, err := s.br.ReadByte(); err == nil {
		return ErrTrailing
	} else if err != io.EOF {
		return err
	}
	if sum := s.in.sum(); string(sum) != string(trailer) {
		return fmt.Errorf("%w: it says %x, its content gives %x", ErrChecksum, trailer, sum)
	}
	return nil
}

// fail says where the scanner stands with err.
func (s *scanner) fail(object int64, err error) error {
	return &Error{Offset: s.offset(), Object: object, Err: s.cause(err)}
}

// cause prefers the error of the stream itself over what the inflater made of it, and calls an early end by its name.
func (s *scanner) cause(err error) error {
	if s.in.err != nil && s.in.err != io.EOF {
		return s.in.err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// formatError marks an error of the bytes as ErrFormat and leaves ends, limits and cancellation as they are.
func formatError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || magpie.KindOf(err) != magpie.KindInternal {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}
