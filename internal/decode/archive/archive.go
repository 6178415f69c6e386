// Package archive expands what is compressed or packed together: zip and all that is built on it (jar, war, apk, docx, xlsx,
// pptx, odt), tar, gzip, zlib, bzip2 and zstd. A container is known by its first bytes, or by the end of a zip's directory,
// so that text costs a comparison.
//
// Everything in a container may be a lie: names, sizes, places. So nothing is allocated by what it says of itself; what comes
// out is counted, in pieces of a bounded size, against a Budget that all that is nested in one file shares. What is left
// out is told in words. It looks one container deep, but for a tar that is compressed, which is one thing to people;
// callers that want what is in a member give it the member again.
package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"magpie"
)

// Sizes in bytes.
const (
	pieceSize = 8 << 20  // of a member that is looked at at once
	overlap   = 16 << 10 // of two pieces of a member
	maxWindow = 16 << 20 // of zstd
	maxName   = 200      // of a member's name that is told
	block     = 512      // of tar
)

// Member is a file in a container, or a piece of one.
type Member struct {
	Path string // the container's kind and the name in it, such as "zip:conf/app.properties" or "gzip>tar:a"
	Name string // in the container, as it stands there; empty if it has none
	Data []byte // valid until the next member
	// Start and End bound where in the container it stands, as it is there: all of it if that can't be told.
	Start, End int
	Exact      bool // Data is that very part of the container
	Markup     bool // Data is the markup of a document whose text is a member of its own
}

// Budget is what all containers in one file may come to. Each Walk takes from it.
type Budget struct {
	Bytes   int64 // that come out
	Members int
}

// Limits of a file of any size.
const (
	floorBytes = 64 << 20
	mostBytes  = 2 << 30
	ratio      = 64 // times the file's size that may come out of it, beyond floorBytes
	maxMembers = 100_000
)

// NewBudget returns the budget of a file of size bytes.
func NewBudget(size int) Budget {
	return Budget{Bytes: min(floorBytes+ratio*int64(size), mostBytes), Members: maxMembers}
}

// errBudget says that the budget is used up.
var errBudget = errors.New("it expands to more than is looked at")

// Detect returns the kind of container that data is, or "".
func Detect(data []byte) string {
	if len(data) < 4 {
		return ""
	}
	switch {
	case data[0] == 'P' && data[1] == 'K' && data[2] == 3 && data[3] == 4:
		return "zip"
	case data[0] == 0x1f && data[1] == 0x8b && data[2] == 8:
		return "gzip"
	case data[0] == 'B' && bytes.HasPrefix(data, []byte("BZh")) && len(data) > 10 && (string(data[4:10]) == "1AY&SY" || string(data[4:10]) == "\x17\x72\x45\x38\x50\x90"):
		return "bzip2"
	case data[0] == 0x28 && data[1] == 0xb5 && data[2] == 0x2f && data[3] == 0xfd:
		return "zstd"
	case data[0] == 0x78 && (int(data[0])<<8|int(data[1]))%31 == 0 && isZlib(data):
		return "zlib"
	case isTar(data):
		return "tar"
	case len(data) > zipEnd && bytes.HasPrefix(data[len(data)-zipEnd:], []byte("PK\x05\x06")):
		return "zip" // behind something else, such as a script that starts it
	}
	return ""
}

// isZlib reports whether something comes out of data, which is no text: x^2 might begin a stream too.
func isZlib(data []byte) bool {
	if !bytes.ContainsFunc(data[:min(len(data), 16)], func(r rune) bool { return r < '\t' || r > '~' }) {
		return false
	}
	r, err := zlib.NewReader(bytes.NewReader(data[:min(len(data), 512)]))
	if err != nil {
		return false
	}
	var one [1]byte
	n, _ := r.Read(one[:])
	return n == 1
}

// walker expands one container.
type walker struct {
	budget *Budget
	emit   func(Member)
	skip   func(why string)
	buf    []byte
}

// Walk expands the container data, of the kind that Detect says, and calls emit for each of its members, and skip for what
// is left out.
func Walk(kind string, data []byte, budget *Budget, emit func(Member), skip func(why string)) {
	w := &walker{budget: budget, emit: emit, skip: skip}
	whole := Member{Path: kind, End: len(data)}
	var err error
	switch kind {
	case "zip":
		err = w.zip(data)
	case "tar":
		err = w.tar("tar", data, bytes.NewReader(data), whole)
	default:
		var r io.Reader
		if r, err = open(kind, bytes.NewReader(data)); err == nil {
			err = w.stream(kind, r, whole)
		}
		if c, ok := r.(*zstd.Decoder); ok {
			c.Close()
		}
	}
	if err != nil {
		skip(fmt.Sprintf("%s: %v", kind, err))
	}
}

// open returns a reader of what r expands to.
func open(kind string, r io.Reader) (io.Reader, error) {
	switch kind {
	case "gzip":
		return gzip.NewReader(r)
	case "zlib":
		return zlib.NewReader(r)
	case "bzip2":
		return bzip2.NewReader(r), nil
	case "zstd":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}
	return nil, fmt.Errorf("%s can't be read", kind)
}

// stream emits what comes out of r, or the members of the tar that comes out of it.
func (w *walker) stream(path string, r io.Reader, m Member) error {
	b := bufio.NewReaderSize(r, 4*block)
	if head, _ := b.Peek(block); isTar(head) {
		return w.tar(path+">tar", nil, b, m)
	}
	m.Path = path
	return w.pieces(b, m)
}

// pieces emits what r gives, piece by piece, each with the end of the one before it.
func (w *walker) pieces(r io.Reader, m Member) error {
	if w.budget.Members--; w.budget.Members < 0 {
		return errBudget
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

// shown is a member's name as it may be shown anywhere.
func shown(name string) string {
	name = magpie.Printable(strings.ToValidUTF8(name, "\uFFFD"))
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "…"
	}
	return name
}
