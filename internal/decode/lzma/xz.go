package lzma

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
)

const (
	xzMagic = "\xfd7zXZ\x00"
	xzHead  = 12 // bytes of a stream's header and of its footer

	filterDelta = 0x03
	filterLZMA2 = 0x21
)

// xz expands a .xz file.
type xz struct {
	in    *counter
	limit int
	kind  byte // of the check
	block io.Reader
	check hash.Hash
	err   error
}

// counter counts the bytes of a block, which are padded to a multiple of four.
type counter struct {
	*bufio.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// NewXZ returns a reader of what the .xz file r expands to. The window is at most limit bytes. What the filters for the code of
// processors change stays so; they leave text alone.
func NewXZ(r io.Reader, limit int) (io.Reader, error) {
	z := &xz{in: &counter{Reader: bufio.NewReader(r)}, limit: limit}
	return z, z.stream()
}

// Read implements io.Reader.
func (z *xz) Read(p []byte) (int, error) {
	for z.err == nil {
		if z.block == nil {
			z.err = z.next()
			continue
		}
		n, err := z.block.Read(p)
		if z.check != nil {
			z.check.Write(p[:n])
		}
		if err == io.EOF {
			z.block, err = nil, z.endBlock()
		}
		z.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, z.err
}

// stream reads the header of a stream.
func (z *xz) stream() error {
	var head [xzHead]byte
	if _, err := io.ReadFull(z.in, head[:]); err != nil {
		return unexpected(err)
	}
	if string(head[:6]) != xzMagic || head[6] != 0 || head[7] > 15 {
		return fmt.Errorf("%w: no header of xz", ErrFormat)
	}
	if crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return ErrChecksum
	}
	z.kind = head[7]
	return nil
}

// next begins the next block, or else the next stream. The error is io.EOF at the end of the file.
func (z *xz) next() error {
	z.in.n = 0
	var size [1]byte
	if _, err := io.ReadFull(z.in, size[:]); err != nil {
		return unexpected(err)
	}
	if size[0] != 0 {
		return z.begin(size[0])
	}
	if err := z.index(); err != nil {
		return err
	}
	for { // padding, in fours
		four, err := z.in.Peek(4)
		if len(four) == 0 && err == io.EOF {
			return io.EOF
		}
		if len(four) < 4 {
			return unexpected(err)
		}
		if binary.LittleEndian.Uint32(four) != 0 {
			break
		}
		if _, err := z.in.Discard(4); err != nil {
			return err
		}
	}
	if err := z.stream(); err != nil {
		return fmt.Errorf("behind its end stands something else: %w", err)
	}
	return nil
}

// begin reads the header of a block.
func (z *xz) begin(size byte) error {
	head := make([]byte, 4*int(size)+4) // 1 KiB at most
	head[0] = size
	if _, err := io.ReadFull(z.in, head[1:]); err != nil {
		return unexpected(err)
	}
	body := head[:len(head)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(head[len(body):]) {
		return ErrChecksum
	}
	flags := body[1]
	r := bytes.NewReader(body[2:])
	for bit := byte(0x40); bit != 0; bit <<= 1 {
		if flags&bit != 0 {
			if _, err := vli(r); err != nil {
				return err
			}
		}
	}
	filters := int(flags&3) + 1
	z.check = newCheck(z.kind)
	var deltas []int
	for n := range filters {
		id, err := vli(r)
		if err != nil {
			return err
		}
		props, err := filterProperties(r)
		if err != nil {
			return err
		}
		switch {
		case id == filterLZMA2 && n == filters-1 && len(props) == 1:
			if z.block, err = NewReader2(z.in, props[0], z.limit); err != nil {
				return err
			}
		case id == filterDelta && len(props) == 1:
			deltas = append(deltas, int(props[0])+1)
		case id > filterDelta && id < filterLZMA2:
			z.check = nil // it is of what the filter would give
		default:
			return fmt.Errorf("its filter %#x is not known", id)
		}
	}
	if z.block == nil {
		return ErrFormat
	}
	for n := len(deltas) - 1; n >= 0; n-- {
		z.block = NewDelta(z.block, deltas[n])
	}
	return nil
}

func filterProperties(r *bytes.Reader) ([]byte, error) {
	n, err := vli(r)
	if err != nil || n > uint64(r.Len()) {
		return nil, ErrFormat
	}
	props := make([]byte, n)
	_, err = io.ReadFull(r, props)
	return props, err
}

// newCheck returns what checks blocks, or nil for none that is known.
func newCheck(kind byte) hash.Hash {
	switch kind {
	case 1:
		return crc32.NewIEEE()
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		return sha256.New()
	}
	return nil
}

// checkSize is the size in bytes of a check of each kind.
func checkSize(kind byte) int {
	if kind == 0 {
		return 0
	}
	return 4 << ((kind - 1) / 3)
}

// endBlock reads what follows the data of a block.
func (z *xz) endBlock() error {
	for z.in.n%4 != 0 {
		var pad [1]byte
		if _, err := io.ReadFull(z.in, pad[:]); err != nil {
			return unexpected(err)
		}
	}
	said := make([]byte, checkSize(z.kind))
	if _, err := io.ReadFull(z.in, said); err != nil {
		return unexpected(err)
	}
	if z.check == nil {
		return nil
	}
	sum := z.check.Sum(nil)
	if z.kind != 10 { // Go writes those with the high byte first
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	if !bytes.Equal(sum, said) {
		return ErrChecksum
	}
	return nil
}

// index reads over the index and the footer. What they tell was seen already.
func (z *xz) index() error {
	records, err := vli(z.in)
	if err != nil {
		return err
	}
	for range records {
		for range 2 {
			if _, err := vli(z.in); err != nil {
				return err
			}
		}
	}
	for z.in.n%4 != 0 {
		if _, err := z.in.ReadByte(); err != nil {
			return unexpected(err)
		}
	}
	var rest [4 + xzHead]byte
	if _, err := io.ReadFull(z.in, rest[:]); err != nil {
		return unexpected(err)
	}
	if string(rest[len(rest)-2:]) != "YZ" {
		return ErrFormat
	}
	return nil
}

// ReadByte implements io.ByteReader.
func (c *counter) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// vli reads a number of seven bits a byte, low ones first.
func vli(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 9 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, ErrFormat
}

// delta adds to each byte the one that came some bytes before.
type delta struct {
	r    io.Reader
	last [256]byte
	dist int
	at   byte
}

// NewDelta returns a reader that undoes a filter that stored differences from the byte dist before, 1 to 256.
func NewDelta(r io.Reader, dist int) io.Reader { return &delta{r: r, dist: dist} }

// Read implements io.Reader.
func (d *delta) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for i := range p[:n] {
		p[i] += d.last[(int(d.at)-d.dist+256)&255]
		d.last[d.at] = p[i]
		d.at++
	}
	return n, err
}
