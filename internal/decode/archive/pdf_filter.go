package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

// maxPDFFilters is how many filters a stream may have.
const maxPDFFilters = 8

// pdfStreamCost is what opening a stream counts, in bytes that come out, for the same one can be opened many times.
const pdfStreamCost = 4 << 10

// pdfFilterError says that a stream has a filter that is not known.
type pdfFilterError struct{ name pdfName }

// Error implements error.
func (e *pdfFilterError) Error() string {
	return fmt.Sprintf("its filter, %.40q, is not known", string(e.name))
}

var errPDFPicture = errors.New("it is a picture")

// open returns a reader of what the stream of o, whose dictionary is d, expands to, and what to call when it is not needed any
// longer. stored says that it stands there as it is.
func (p *pdf) open(o pdfObject, d pdfDict) (r io.Reader, done func(), stored bool, err error) {
	filters, params := p.list(d["Filter"]), p.list(d["DecodeParms"])
	if len(filters) > maxPDFFilters {
		return nil, nil, false, fmt.Errorf("it has %d filters", len(filters))
	}
	r = bytes.NewReader(p.data[o.from:o.to])
	for i, f := range filters {
		name, _ := p.resolve(f).(pdfName)
		var param pdfDict
		if i < len(params) {
			param = p.dict(params[i])
		}
		if r, err = openPDFFilter(name, param, r); err != nil {
			return nil, nil, false, err
		}
	}
	return r, func() {}, len(filters) == 0, nil
}

// list returns v as a list: of itself if it is none.
func (p *pdf) list(v any) pdfArray {
	switch v := p.resolve(v).(type) {
	case nil:
		return nil
	case pdfArray:
		return v
	default:
		return pdfArray{v}
	}
}

func openPDFFilter(name pdfName, param pdfDict, r io.Reader) (io.Reader, error) {
	switch name {
	case "FlateDecode", "Fl":
		return predicted(param, &lateReader{open: func() (io.Reader, error) { return zlib.NewReader(bufio.NewReader(r)) }})
	case "LZWDecode", "LZW":
		early, ok := param["EarlyChange"].(float64)
		return predicted(param, newLZW(r, !ok || early != 0))
	case "ASCIIHexDecode", "AHx":
		return &hexReader{r: bufio.NewReader(r)}, nil
	case "ASCII85Decode", "A85":
		return &base85Reader{r: bufio.NewReader(r)}, nil
	case "RunLengthDecode", "RL":
		return &runReader{r: bufio.NewReader(r)}, nil
	case "DCTDecode", "DCT", "JPXDecode", "CCITTFaxDecode", "CCF", "JBIG2Decode":
		return nil, errPDFPicture
	}
	return nil, &pdfFilterError{name}
}

// read expands a stream that is looked at as a whole, up to the size of a piece. What comes before an error is returned with it.
func (p *pdf) read(o pdfObject, d pdfDict) ([]byte, error) {
	r, done, _, err := p.open(o, d)
	if err != nil {
		return nil, err
	}
	defer done()
	text, err := io.ReadAll(io.LimitReader(r, min(pieceSize+1, max(0, p.w.budget.Bytes))))
	if over := p.w.budget.take(len(text) + pdfStreamCost); over != nil {
		return nil, over
	}
	if len(text) > pieceSize {
		return text[:pieceSize], fmt.Errorf("what is beyond its first %d MiB", pieceSize>>20)
	}
	if err == nil && o.hasBrokenE {
		err = errors.New("it is cut off")
	}
	return text, err
}

// head returns the beginning of what a stream expands to.
func (p *pdf) head(o pdfObject, d pdfDict) ([]byte, error) {
	r, done, _, err := p.open(o, d)
	if err != nil {
		return nil, err
	}
	defer done()
	head := make([]byte, 1024)
	n, _ := io.ReadFull(r, head)
	if over := p.w.budget.take(n + pdfStreamCost); over != nil {
		p.err = over
	}
	return head[:n], nil
}

// lateReader opens what it reads when it is first read, so that an error of the beginning is one of reading.
type lateReader struct {
	open func() (io.Reader, error)
	r    io.Reader
}

// Read implements io.Reader.
func (l *lateReader) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			l.r = failing{err}
		} else {
			l.r = r
		}
	}
	return l.r.Read(p)
}

// failing gives an error whenever it is read.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// hexReader reads hexadecimal digits up to ">".
type hexReader struct{ r *bufio.Reader }

// Read implements io.Reader.
func (h *hexReader) Read(p []byte) (int, error) {
	for n := range p {
		high, err := h.digit()
		if err != nil {
			return n, err
		}
		low, err := h.digit()
		if err != nil && err != io.EOF {
			return n, err
		}
		p[n] = high<<4 | low
	}
	return len(p), nil
}

func (h *hexReader) digit() (byte, error) {
	for {
		c, err := h.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if c == '>' {
			return 0, io.EOF
		}
		if v, ok := hexDigit(c); ok {
			return v, nil
		}
	}
}

// base85Reader reads groups of five digits, each of which are four bytes, up to "~>".
type base85Reader struct {
	r     *bufio.Reader
	group [4]byte
	have  []byte
	ended bool
}

// Read implements io.Reader.
func (b *base85Reader) Read(p []byte) (int, error) {
	for len(b.have) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.have)
	b.have = b.have[n:]
	return n, nil
}

// next reads one group.
func (b *base85Reader) next() error {
	v, n := uint32(0), 0
	for n < 5 && !b.ended {
		c, err := b.r.ReadByte()
		switch {
		case err == io.EOF || c == '~':
			b.ended = true
		case err != nil:
			return err
		case c == 'z' && n == 0:
			b.group = [4]byte{}
			b.have = b.group[:]
			return nil
		case c >= '!' && c <= 'u':
			v = v*85 + uint32(c-'!')
			n++
		case !isPDFSpace(c):
			return errors.New("it makes no sense as base 85")
		}
	}
	if n < 2 {
		return nil
	}
	for i := n; i < 5; i++ {
		v = v*85 + 84
	}
	b.group = [4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	b.have = b.group[:n-1]
	return nil
}

// runReader reads runs: n below 128 and n+1 bytes as they are, or n above 128 and a byte that comes 257-n times.
type runReader struct {
	r    *bufio.Reader
	left int
	same bool
	c    byte
}

// Read implements io.Reader.
func (r *runReader) Read(p []byte) (int, error) {
	for n := range p {
		if r.left == 0 {
			if err := r.next(); err != nil {
				return n, err
			}
		}
		if !r.same {
			c, err := r.r.ReadByte()
			if err != nil {
				return n, io.ErrUnexpectedEOF
			}
			r.c = c
		}
		p[n] = r.c
		r.left--
	}
	return len(p), nil
}

func (r *runReader) next() error {
	n, err := r.r.ReadByte()
	if err != nil || n == 128 {
		return io.EOF
	}
	if r.same = n > 128; !r.same {
		r.left = int(n) + 1
		return nil
	}
	r.left = 257 - int(n)
	r.c, err = r.r.ReadByte()
	return err
}

// lzwReader reads codes of 9 to 12 bits, high ones first.
type lzwReader struct {
	r     *bufio.Reader
	early int // codes become longer one code earlier
	bits  uint32
	have  uint

	prefix [4096]uint16
	suffix [4096]byte
	first  [4096]byte
	length [4096]uint16
	next   int
	width  uint
	last   int // code; -1 for none
	out    []byte
	buf    [4096]byte
}

const (
	lzwClear = 256
	lzwEnd   = 257
	lzwFirst = 258
)

func newLZW(r io.Reader, early bool) io.Reader {
	z := &lzwReader{r: bufio.NewReader(r)}
	if early {
		z.early = 1
	}
	for c := range 256 {
		z.suffix[c], z.first[c], z.length[c] = byte(c), byte(c), 1
	}
	z.clear()
	return z
}

func (z *lzwReader) clear() { z.next, z.width, z.last = lzwFirst, 9, -1 }

// Read implements io.Reader.
func (z *lzwReader) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		if err := z.code(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

// code reads the next code and expands it.
func (z *lzwReader) code() error {
	for z.have < z.width {
		c, err := z.r.ReadByte()
		if err != nil {
			return err // ends without a mark are common
		}
		z.bits = z.bits<<8 | uint32(c)
		z.have += 8
	}
	z.have -= z.width
	code := int(z.bits >> z.have & (1<<z.width - 1))
	switch {
	case code == lzwClear:
		z.clear()
		return nil
	case code == lzwEnd:
		return io.EOF
	case code > z.next || code == z.next && z.last < 0 || z.last < 0 && code > lzwEnd:
		return errors.New("it makes no sense as LZW")
	}
	if z.last >= 0 && z.next < 4096 {
		first := z.first[code]
		if code == z.next {
			first = z.first[z.last]
		}
		z.prefix[z.next], z.suffix[z.next], z.first[z.next], z.length[z.next] = uint16(z.last), first, z.first[z.last], z.length[z.last]+1
		z.next++
		if z.next+z.early >= 1<<z.width && z.width < 12 {
			z.width++
		}
	} else if code == z.next {
		return errors.New("it makes no sense as LZW")
	}
	z.expand(code)
	z.last = code
	return nil
}

func (z *lzwReader) expand(code int) {
	n := int(z.length[code])
	for i := n - 1; i >= 0; i-- {
		z.buf[i] = z.suffix[code]
		code = int(z.prefix[code])
	}
	z.out = z.buf[:n]
}

// predicted undoes what a predictor of PNG or TIFF did to rows of bytes.
func predicted(param pdfDict, r io.Reader) (io.Reader, error) {
	kind, _ := param["Predictor"].(float64)
	if kind <= 1 {
		return r, nil
	}
	number := func(key pdfName, usual float64) int {
		n, ok := param[key].(float64)
		if !ok || n < 1 || n > 1<<16 {
			n = usual
		}
		return int(n)
	}
	colors, bits, columns := number("Colors", 1), number("BitsPerComponent", 8), number("Columns", 1)
	pixel, row := max(1, colors*bits/8), (colors*bits*columns+7)/8
	if row > 64<<10 || colors > 64 || bits > 32 {
		return nil, errors.New("its rows are too long")
	}
	if kind == 2 {
		if bits != 8 {
			return nil, errPDFPicture
		}
		return &predictor{r: r, pixel: pixel, row: make([]byte, row), last: make([]byte, row)}, nil
	}
	return &predictor{r: r, png: true, pixel: pixel, row: make([]byte, row), last: make([]byte, row)}, nil
}

// predictor undoes prediction row by row.
type predictor struct {
	r         io.Reader
	png       bool
	pixel     int // bytes
	row, last []byte
	out       []byte
}

// Read implements io.Reader.
func (d *predictor) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// next reads a row. The last one may be short.
func (d *predictor) next() error {
	kind := [1]byte{1}
	if d.png {
		if _, err := io.ReadFull(d.r, kind[:]); err != nil {
			return err
		}
	}
	d.row, d.last = d.last, d.row
	n, err := io.ReadFull(d.r, d.row)
	if n == 0 {
		return err
	}
	for i := range d.row[:n] {
		left, up, corner := byte(0), d.last[i], byte(0)
		if i >= d.pixel {
			left, corner = d.row[i-d.pixel], d.last[i-d.pixel]
		}
		switch kind[0] {
		case 1:
			d.row[i] += left
		case 2:
			d.row[i] += up
		case 3:
			d.row[i] += byte((int(left) + int(up)) / 2)
		case 4:
			d.row[i] += paeth(left, up, corner)
		}
	}
	d.out = d.row[:n]
	return nil
}

// paeth returns which of three bytes is nearest to what they foretell together.
func paeth(a, b, c byte) byte {
	near := func(x byte) int {
		d := int(a) + int(b) - int(c) - int(x)
		return max(d, -d)
	}
	switch pa, pb, pc := near(a), near(b), near(c); {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	default:
		return c
	}
}
