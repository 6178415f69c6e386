package pack

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/bits"

	"github.com/klauspost/compress/zlib"

	"magpie/internal/git"
	"magpie/internal/inflate"
)

// readWhole is the largest packed size of an object that is read in one go instead of streamed.
const readWhole = 1 << 20

// maxDeflate is more than deflate can make of one byte.
const maxDeflate = 1040

var (
	errInflateLong  = errors.New("data inflates to more than announced")
	errInflateShort = errors.New("data ends too early")
	errInflateRatio = errors.New("size announced is more than the packed data can hold")
)

// reader expands the entries of a pack. It is not safe for concurrent use.
type reader struct {
	pack   *packFile
	packed []byte
	fast   inflate.Decoder
	slow   inflater
}

// read expands entry i, which lies at off and ends before end and must make exactly len(dst) bytes. Of dst's capacity
// beyond that it may use inflate.Slack bytes.
func (r *reader) read(dst []byte, i int32, off, end int64) error {
	if r.pack.expanded.read(dst, i) {
		return nil
	}
	if n := end - off; n <= readWhole {
		if int64(cap(r.packed)) < n {
			r.packed = make([]byte, 1<<bits.Len64(uint64(n)))
		}
		packed := r.packed[:n]
		if got, err := r.pack.r.ReadAt(packed, off); got < len(packed) {
			return err
		}
		if body := packed[headerLength(packed, r.pack.format):]; len(body) < len(packed) {
			taken, err := r.fast.Zlib(dst, body)
			if err == nil && (r.pack.checked || inflate.Adler32(dst, body, taken)) {
				return nil
			}
		}
	}
	// It is large, unusual or damaged: the general decoder copes, or says what is wrong.
	if err := r.slow.open(r.pack.r, off, end, r.pack.format); err != nil {
		return err
	}
	return r.slow.fill(dst)
}

// copyTo expands the entry that lies at off and ends before end, of size bytes, piece by piece.
func (r *reader) copyTo(w io.Writer, size, off, end int64) error {
	if err := r.slow.open(r.pack.r, off, end, r.pack.format); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(r.slow.zr, size))
	if err == nil && n != size {
		err = errInflateShort
	}
	if err != nil {
		return err
	}
	return r.slow.done()
}

// inflater expands zlib streams of any length by a general decoder. It is not safe for concurrent use.
type inflater struct {
	packed []byte
	mem    bytes.Reader
	disk   *bufio.Reader
	zr     io.ReadCloser
}

// byteReader is what both ways of reading an entry have in common.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// open positions the inflater at the zlib stream of the entry that lies at r[off:end].
func (f *inflater) open(r io.ReaderAt, off, end int64, format git.Format) error {
	var src byteReader
	if end-off <= readWhole {
		if int64(cap(f.packed)) < end-off {
			f.packed = make([]byte, 1<<bits.Len64(uint64(end-off)))
		}
		packed := f.packed[:end-off]
		if n, err := r.ReadAt(packed, off); n < len(packed) {
			return err
		}
		f.mem.Reset(packed)
		src = &f.mem
	} else {
		if f.disk == nil {
			f.disk = bufio.NewReaderSize(nil, 256<<10)
		}
		f.disk.Reset(io.NewSectionReader(r, off, end-off))
		src = f.disk
	}
	if _, err := readHeader(src, format); err != nil {
		return err
	}
	return f.reset(src)
}

// reset positions the inflater at the start of the zlib stream src.
func (f *inflater) reset(src byteReader) error {
	var err error
	if f.zr == nil {
		f.zr, err = zlib.NewReader(src)
		return err
	}
	return f.zr.(zlib.Resetter).Reset(src, nil)
}

// fill inflates exactly len(dst) bytes, no more and no less, and checks their checksum.
func (f *inflater) fill(dst []byte) error {
	if _, err := io.ReadFull(f.zr, dst); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errInflateShort
		}
		return err
	}
	return f.done()
}

// done fails unless the stream ends here with the right checksum.
func (f *inflater) done() error {
	var one [1]byte
	for {
		n, err := f.zr.Read(one[:])
		if n > 0 {
			return errInflateLong
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// buffers keeps byte slices for reuse, by power of two. It is not safe for concurrent use.
type buffers struct {
	free [25][][]byte
}

// get returns an empty slice with room for n bytes.
func (b *buffers) get(n int64) []byte {
	class := bits.Len64(uint64(n))
	if class >= len(b.free) {
		return make([]byte, 0, n)
	}
	if k := len(b.free[class]); k > 0 {
		buf := b.free[class][k-1]
		b.free[class] = b.free[class][:k-1]
		return buf
	}
	return make([]byte, 0, 1<<class)
}

// put takes a slice back that get has given out, or one of nil. Nobody may use it any more.
func (b *buffers) put(buf []byte) {
	class := bits.Len(uint(cap(buf))) - 1
	if class < 0 || class >= len(b.free) || cap(buf) != 1<<class || len(b.free[class]) >= 1+(1<<22)/cap(buf) {
		return
	}
	b.free[class] = append(b.free[class], buf[:0])
}
