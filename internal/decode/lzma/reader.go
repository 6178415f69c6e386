package lzma

import (
	"encoding/binary"
	"fmt"
	"io"
)

// headerSize is of a .lzma file.
const headerSize = 13

// reader expands an LZMA stream.
type reader struct {
	d    decoder
	left int64 // bytes to come; negative if the stream marks its end
	err  error
}

// NewReader returns a reader of what the .lzma file r expands to. The window is at most limit bytes.
func NewReader(r io.Reader, limit int) (io.Reader, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, unexpected(err)
	}
	return NewRaw(r, head[:5], int64(binary.LittleEndian.Uint64(head[5:])), limit)
}

// NewRaw returns a reader of a stream without a header, whose properties of five bytes stand elsewhere. It gives size bytes, or
// those up to the mark of its end if size is negative. The window is at most limit bytes.
func NewRaw(r io.Reader, props []byte, size int64, limit int) (io.Reader, error) {
	if len(props) < 5 {
		return nil, ErrFormat
	}
	p, err := parseProperties(props[0])
	if err != nil {
		return nil, err
	}
	z := &reader{left: size}
	z.d.in = input{r: r, limit: -1}
	z.d.win = newWindow(binary.LittleEndian.Uint32(props[1:]), limit)
	z.d.setProperties(p)
	z.d.reset()
	return z, z.d.start()
}

// Read implements io.Reader.
func (z *reader) Read(p []byte) (int, error) {
	if z.left == 0 && z.err == nil {
		z.err = io.EOF
	}
	if z.err != nil || len(p) == 0 {
		return 0, z.err
	}
	if z.left > 0 {
		p = p[:min(int64(len(p)), z.left)]
	}
	z.d.win.out = p[:0:len(p)]
	n, err := z.d.decode(len(p))
	z.err = err
	if z.left > 0 {
		if z.left -= int64(n); err == io.EOF {
			z.err = io.ErrUnexpectedEOF
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

// reader2 expands an LZMA2 stream.
type reader2 struct {
	d      decoder
	raw    bool // the chunk at hand is not packed
	left   int  // bytes of it to come
	begun  bool // the window was cleared once
	ready  bool // properties were set once
	err    error
	inner  io.Reader
	copied []byte
}

// NewReader2 returns a reader of what the LZMA2 stream r expands to. It takes nothing from r beyond the end of the stream. size is
// the window that the stream asks for, as its one byte of properties says; it is at most limit bytes.
func NewReader2(r io.Reader, size byte, limit int) (io.Reader, error) {
	bytes, err := windowOf(size)
	if err != nil {
		return nil, err
	}
	z := &reader2{inner: r}
	z.d.win = newWindow(bytes, limit)
	z.d.in = input{r: r}
	return z, nil
}

// windowOf returns the size of the window in bytes.
func windowOf(b byte) (uint32, error) {
	switch {
	case b > 40:
		return 0, ErrFormat
	case b == 40:
		return 1<<32 - 1, nil
	}
	return (2 | uint32(b&1)) << (b/2 + 11), nil
}

// Read implements io.Reader.
func (z *reader2) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.err == nil && z.left == 0 {
		z.err = z.chunk()
	}
	if z.err != nil {
		return 0, z.err
	}
	p = p[:min(len(p), z.left)]
	n, err := z.fill(p)
	if err == io.EOF {
		err = ErrFormat // LZMA2 has no marks of ends
	}
	z.left -= n
	z.err = err
	if z.left == 0 && err == nil && !z.raw {
		z.err = z.drain()
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

// fill expands len(p) bytes of the chunk at hand.
func (z *reader2) fill(p []byte) (int, error) {
	if !z.raw {
		z.d.win.out = p[:0:len(p)]
		return z.d.decode(len(p))
	}
	n, err := z.inner.Read(p)
	z.d.win.out = z.copied[:0]
	z.d.win.add(p[:n])
	z.copied = z.d.win.out
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	if n > 0 {
		return n, nil
	}
	return 0, unexpected(err)
}

// drain passes over what is left of a chunk whose bytes are all there.
func (z *reader2) drain() error {
	for z.d.in.limit > 0 {
		if err := z.d.in.more(); err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// chunk reads the header of the next chunk.
func (z *reader2) chunk() error {
	var head [5]byte
	if _, err := io.ReadFull(z.inner, head[:1]); err != nil {
		return unexpected(err)
	}
	control := head[0]
	if control == 0 {
		return io.EOF
	}
	if control == 1 || control >= 0xe0 {
		z.d.win.clear()
		z.begun = true
	}
	if !z.begun || control > 2 && control < 0x80 {
		return fmt.Errorf("%w: a chunk begins with %#x", ErrFormat, control)
	}
	if z.raw = control < 0x80; z.raw {
		_, err := io.ReadFull(z.inner, head[:2])
		z.left = int(binary.BigEndian.Uint16(head[:])) + 1
		return unexpected(err)
	}
	if _, err := io.ReadFull(z.inner, head[1:]); err != nil {
		return unexpected(err)
	}
	z.left = int(control&0x1f)<<16 + int(binary.BigEndian.Uint16(head[1:])) + 1
	z.d.in.limit = int(binary.BigEndian.Uint16(head[3:])) + 1
	z.d.in.buf, z.d.in.at = nil, 0
	return z.prepare(control)
}

// prepare sets what a packed chunk says is new.
func (z *reader2) prepare(control byte) error {
	if control >= 0xc0 {
		var props [1]byte
		if _, err := io.ReadFull(z.inner, props[:]); err != nil {
			return unexpected(err)
		}
		p, err := parseProperties(props[0])
		if err != nil {
			return err
		}
		if p.lc+p.lp > 4 {
			return ErrFormat
		}
		z.d.setProperties(p)
		z.ready = true
	}
	if !z.ready {
		return ErrFormat
	}
	if control >= 0xa0 {
		z.d.reset()
	}
	z.d.left = 0
	return z.d.start()
}
