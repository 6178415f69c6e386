package pack

import (
	"fmt"
	"os"

	"magpie/internal/inflate"
)

// scratch keeps the expanded data of the entries of a pack that arrives, deltas as deltas, in a file without a name, or in
// memory if that is little. It has to be expanded anyway to find where the next entry starts, and reading it again takes a
// fraction of what expanding it again for each walk would. It is a convenience: where it comes to be too much for what the
// pack weighs, or the disk is full, the entries from there on are expanded when they are needed.
//
// It is filled by one goroutine and then read by many.
type scratch struct {
	dir   string
	allow func(n int64) bool // whether n more bytes may go to the disk; nil allows any number

	file    *os.File // nil as long as the buffer holds everything
	flushed int64    // bytes in the file
	buf     []byte   // what comes after
	ends    []int64  // where the data of each entry that is kept ends
	full    bool     // no more entries are kept
}

const (
	scratchBuffer = 1 << 20
	// Expanded data is kept up to so many times the size of the pack, plus some for small packs.
	scratchFactor = 4
	scratchFloor  = 64 << 20
)

// newScratch returns an empty scratch for a file in dir.
func newScratch(dir string, allow func(n int64) bool) *scratch {
	return &scratch{dir: dir, allow: allow, buf: make([]byte, 0, scratchBuffer)}
}

// space returns n bytes, with inflate.Slack more in capacity, into which the next entry's data can be expanded; keep then
// keeps them. It returns nil if the data can't be kept, given that packed bytes of the pack have been read.
func (s *scratch) space(n int, packed int64) []byte {
	if !s.ready(n, packed) {
		return nil
	}
	return s.buf[len(s.buf) : len(s.buf)+n : cap(s.buf)]
}

// keep keeps the n bytes that space has returned.
func (s *scratch) keep(n int) { s.buf = s.buf[:len(s.buf)+n] }

// add keeps a piece of an entry, which must be no larger than half the buffer.
func (s *scratch) add(piece []byte, packed int64) {
	if s.ready(len(piece), packed) {
		s.buf = append(s.buf, piece...)
	}
}

// ready makes room for n more bytes in the buffer.
func (s *scratch) ready(n int, packed int64) bool {
	if s == nil || s.full {
		return false
	}
	total := s.flushed + int64(len(s.buf)+n)
	if total > scratchFactor*packed+scratchFloor || len(s.buf)+n+inflate.Slack > cap(s.buf) && s.flush() != nil {
		s.full = true
	}
	return !s.full
}

// next ends an entry.
func (s *scratch) next() {
	if s != nil && !s.full {
		s.ends = append(s.ends, s.flushed+int64(len(s.buf)))
	}
}

// flush writes the buffer to the file.
func (s *scratch) flush() error {
	if s.allow != nil && !s.allow(int64(len(s.buf))) {
		return os.ErrInvalid
	}
	if s.file == nil {
		f, err := unlinked(s.dir)
		if err != nil {
			return err
		}
		s.file = f
	}
	n, err := s.file.Write(s.buf)
	s.flushed += int64(n)
	s.buf = append(s.buf[:0], s.buf[n:]...)
	return err
}

// finish ends the filling. What is in the file is read from there alone.
func (s *scratch) finish() {
	if s == nil || s.file == nil {
		return
	}
	if s.flush() != nil {
		for len(s.ends) > 0 && s.ends[len(s.ends)-1] > s.flushed {
			s.ends = s.ends[:len(s.ends)-1]
		}
	}
	s.buf = nil
}

// read copies the expanded data of entry i to dst, which is as long, and reports whether it could.
func (s *scratch) read(dst []byte, i int32) bool {
	if s == nil || int(i) >= len(s.ends) {
		return false
	}
	at := s.ends[i] - int64(len(dst))
	if s.file == nil {
		copy(dst, s.buf[at:])
		return true
	}
	n, _ := s.file.ReadAt(dst, at)
	return n == len(dst)
}

// close gives the disk space back.
func (s *scratch) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}

// unlinked creates a file in dir that has no name: it is gone when closed, or when the process dies.
func unlinked(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "magpie-*.pack")
	if err != nil {
		return nil, fmt.Errorf("creating a file for the pack: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("unlinking the pack's file: %w", err)
	}
	return f, nil
}
