package pack

import (
	"errors"
	"io"

	"magpie/internal/git"
)

// The types an entry of a pack can have beside the kinds of object.
const (
	typeOfsDelta = 6
	typeRefDelta = 7
)

// header is the start of an entry.
type header struct {
	typ      uint8
	size     int64  // of the inflated data: the object's, or the delta's
	distance int64  // back to the base, for typeOfsDelta
	base     git.ID // for typeRefDelta
}

var (
	errSizeOverflow = errors.New("size is too large to be real")
	errBadType      = errors.New("type is not known")
	errBadDistance  = errors.New("distance to the delta base is too large to be real")
)

// readHeader reads an entry's header from r.
func readHeader(r io.ByteReader, format git.Format) (header, error) {
	var h header
	c, err := r.ReadByte()
	if err != nil {
		return h, err
	}
	h.typ = c >> 4 & 7
	h.size = int64(c & 15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = r.ReadByte(); err != nil {
			return h, err
		}
		if shift > 53 {
			return h, errSizeOverflow
		}
		h.size |= int64(c&0x7f) << shift
	}
	switch h.typ {
	case uint8(git.Commit), uint8(git.Tree), uint8(git.Blob), uint8(git.Tag):
	case typeOfsDelta:
		h.distance, err = readDistance(r)
	case typeRefDelta:
		h.base, err = readBase(r, format)
	default:
		err = errBadType
	}
	return h, err
}

// readDistance reads the distance to the base of a typeOfsDelta.
func readDistance(r io.ByteReader) (int64, error) {
	c, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	d := int64(c & 0x7f)
	for c&0x80 != 0 {
		if d >= 1<<54 {
			return 0, errBadDistance
		}
		if c, err = r.ReadByte(); err != nil {
			return 0, err
		}
		d = (d+1)<<7 | int64(c&0x7f)
	}
	return d, nil
}

// readBase reads the id of the base of a typeRefDelta.
func readBase(r io.ByteReader, format git.Format) (git.ID, error) {
	var raw [32]byte
	for i := range format.Size() {
		c, err := r.ReadByte()
		if err != nil {
			return git.ID{}, err
		}
		raw[i] = c
	}
	return git.IDFromBytes(raw[:format.Size()]), nil
}

// headerLength returns the length of the header at the start of b, or len(b) if it does not end there. What readHeader
// refuses may pass.
func headerLength(b []byte, format git.Format) int {
	n := varintLength(b)
	if len(b) == 0 || n == len(b) {
		return len(b)
	}
	switch b[0] >> 4 & 7 {
	case typeOfsDelta:
		n += varintLength(b[n:])
	case typeRefDelta:
		n += format.Size()
	}
	return min(n, len(b))
}

// varintLength returns the length of the number at the start of b, whose last byte is the first without the high bit.
func varintLength(b []byte) int {
	for i, c := range b {
		if c&0x80 == 0 {
			return i + 1
		}
	}
	return len(b)
}
