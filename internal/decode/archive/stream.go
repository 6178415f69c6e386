package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"magpie/internal/decode/lzma"
)

// compressed emits what r, compressed as kind says, expands to.
func (w *walker) compressed(kind string, r io.Reader, m Member) error {
	z, done, err := w.open(kind, r)
	if err != nil {
		return err
	}
	defer done()
	return w.stream(m.Path, z, m)
}

// open returns a reader of what r expands to, and what to call when it is not needed any longer.
func (w *walker) open(kind string, r io.Reader) (z io.Reader, done func(), err error) {
	done = func() {}
	switch kind {
	case "gzip":
		z, err = gzip.NewReader(r)
	case "zlib":
		z, err = zlib.NewReader(r)
	case "bzip2":
		z = bzip2.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			z, done = d, d.Close
		}
	case "xz":
		return w.windowed(func(limit int) (io.Reader, error) { return lzma.NewXZ(r, limit) })
	case "lzma":
		return w.windowed(func(limit int) (io.Reader, error) { return lzma.NewReader(r, limit) })
	default:
		err = fmt.Errorf("%s can't be read", kind)
	}
	return z, done, err
}

// windowed opens a reader whose window grows up to a limit: half of what those that are open already leave of maxWindows.
func (w *walker) windowed(open func(limit int) (io.Reader, error)) (io.Reader, func(), error) {
	limit := (maxWindows - w.budget.windows) / 2
	z, err := open(limit)
	if err != nil {
		return nil, nil, err
	}
	w.budget.windows += limit
	return z, func() { w.budget.windows -= limit }, nil
}

// stream emits what comes out of r, or the members of the tar or cpio that comes out of it.
func (w *walker) stream(path string, r io.Reader, m Member) error {
	b := bufio.NewReaderSize(r, 4*tarBlock)
	head, _ := b.Peek(tarBlock)
	switch {
	case isTar(head):
		return w.tar(path+">tar", nil, b, m)
	case isCpio(head):
		return w.cpio(path+">cpio", nil, b, m)
	}
	m.Path = path
	if kind, n := looseObject(head); n > 0 {
		m.Path += ">git:" + kind
		if _, err := b.Discard(n); err != nil {
			return err
		}
	}
	return w.pieces(b, m)
}

// looseObject returns the kind of the object of Git that head begins, as it does if it lies in a file of its own, and the
// length of what stands before its content.
//
//	kind " " size "\x00" content
func looseObject(head []byte) (kind string, n int) {
	end := bytes.IndexByte(head[:min(len(head), 32)], 0)
	if end < 0 {
		return "", 0
	}
	name, digits, _ := bytes.Cut(head[:end], []byte{' '})
	if _, err := strconv.ParseUint(string(digits), 10, 63); err != nil {
		return "", 0
	}
	switch kind = string(name); kind {
	case "blob", "commit", "tree", "tag":
		return kind, end + 1
	}
	return "", 0
}

// pieces emits what r gives, piece by piece, each with the end of the one before it.
func (w *walker) pieces(r io.Reader, m Member) error {
	if err := w.budget.member(); err != nil {
		return err
	}
	kept := 0
	for {
		n, err := w.fill(r, kept)
		if n > kept {
			m.Data = w.buf[:n]
			w.emit(m)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		kept = copy(w.buf, w.buf[n-overlap:n])
	}
}

// fill reads up to a piece behind the first kept bytes of the buffer and returns how far it is filled. The error is io.EOF
// at the end. The buffer grows with what is read.
func (w *walker) fill(r io.Reader, kept int) (int, error) {
	n := kept
	for n < pieceSize {
		if n == len(w.buf) {
			w.buf = append(w.buf[:n], make([]byte, min(max(n, 32<<10), pieceSize-n))...)
		}
		if w.budget.Bytes <= 0 {
			return n, errBudget
		}
		got, err := r.Read(w.buf[n:min(int64(len(w.buf)), int64(n)+w.budget.Bytes)])
		n += got
		w.budget.Bytes -= int64(got)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
