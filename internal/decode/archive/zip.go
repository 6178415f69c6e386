package archive

import (
	"bytes"
	"cmp"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// Sizes of a zip's records, without what is of variable length.
const (
	zipLocal   = 30
	zipCentral = 46
	zipEnd     = 22
	zipComment = 1<<16 - 1
)

// How a member of a zip is compressed.
const (
	zipStored   = 0
	zipDeflated = 8
	zipBzip2    = 12
	zipZstd     = 93
)

// zipEntry is a member as the directory tells of it.
type zipEntry struct {
	name      string
	method    int
	encrypted bool
	start     int // of its local header
	packed    int // bytes of its data as they stand there; -1 if the size is of the 64-bit kind
}

// zip emits the members of a zip. Its directory counts, as it does for all who open it.
func (w *walker) zip(data []byte) error {
	entries, err := w.directory(data)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b zipEntry) int { return cmp.Compare(a.start, b.start) })
	last := 0
	for _, e := range entries {
		name := shown(e.name)
		switch {
		case strings.HasSuffix(e.name, "/"):
			continue
		case e.start < last:
			w.skip("zip:" + name + ": it overlaps with another member")
			continue
		case e.encrypted:
			w.skip("zip:" + name + ": it is encrypted")
			continue
		}
		body, err := zipBody(data, e)
		if err == nil {
			last = body.end
			err = w.zipMember(e, data[body.start:body.end], Member{Path: "zip:" + name, Name: e.name, Start: body.start, End: body.end})
		}
		if errors.Is(err, errBudget) {
			return err
		}
		if err != nil {
			w.skip(fmt.Sprintf("zip:%s: %v", name, err))
		}
	}
	return nil
}

// zipMember expands a member and emits it, and its text by itself if it is the markup of a document.
func (w *walker) zipMember(e zipEntry, body []byte, m Member) error {
	var r io.Reader = bytes.NewReader(body)
	switch e.method {
	case zipStored:
		if w.budget.Members--; w.budget.Members < 0 {
			return errBudget
		}
		m.Data, m.Exact = body, true
		if len(body) > 0 {
			w.emit(m)
		}
		return nil
	case zipDeflated:
		r = flate.NewReader(r)
	case zipBzip2:
		r = bzip2.NewReader(r)
	case zipZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	default:
		return fmt.Errorf("its compression, number %d, is not known", e.method)
	}
	if !isDocument(e.name) {
		return w.pieces(r, m)
	}
	emit := w.emit
	defer func() { w.emit = emit }()
	w.emit = func(m Member) {
		markup, text := m, m
		markup.Markup = true
		emit(markup)
		text.Data = textOf(m.Data)
		emit(text)
	}
	return w.pieces(r, m)
}

type zipSpan struct{ start, end int }

// zipBody returns where a member's data stand.
func zipBody(data []byte, e zipEntry) (zipSpan, error) {
	if e.packed < 0 {
		return zipSpan{}, errors.New("its size has 64 bits")
	}
	if e.start < 0 || e.start+zipLocal > len(data) || !bytes.HasPrefix(data[e.start:], []byte("PK\x03\x04")) {
		return zipSpan{}, errors.New("it is not where the directory says")
	}
	h := data[e.start:]
	start := e.start + zipLocal + int(binary.LittleEndian.Uint16(h[26:])) + int(binary.LittleEndian.Uint16(h[28:]))
	if start > len(data) || e.packed > len(data)-start {
		return zipSpan{}, errors.New("it is cut off")
	}
	return zipSpan{start, start + e.packed}, nil
}

// directory reads a zip's list of members.
func (w *walker) directory(data []byte) ([]zipEntry, error) {
	tail := max(0, len(data)-zipEnd-zipComment)
	n := bytes.LastIndex(data[tail:], []byte("PK\x05\x06"))
	if n < 0 || tail+n+zipEnd > len(data) {
		return nil, errors.New("its directory is missing")
	}
	end := tail + n
	size, offset := int(binary.LittleEndian.Uint32(data[end+12:])), int(binary.LittleEndian.Uint32(data[end+16:]))
	start := end - size
	if start < 0 || start < offset {
		return nil, errors.New("its directory is not where it says")
	}
	shift := start - offset // bytes of something else before the zip
	var entries []zipEntry
	for p := start; p+zipCentral <= end && bytes.HasPrefix(data[p:], []byte("PK\x01\x02")); {
		h := data[p:]
		name, more := int(binary.LittleEndian.Uint16(h[28:])), int(binary.LittleEndian.Uint16(h[30:]))+int(binary.LittleEndian.Uint16(h[32:]))
		if p+zipCentral+name > end {
			break
		}
		e := zipEntry{
			name:      string(h[zipCentral : zipCentral+name]),
			encrypted: h[8]&1 != 0,
			method:    int(binary.LittleEndian.Uint16(h[10:])),
			packed:    int(binary.LittleEndian.Uint32(h[20:])),
			start:     shift + int(binary.LittleEndian.Uint32(h[42:])),
		}
		if e.packed == 1<<32-1 {
			e.packed = -1
		}
		if entries = append(entries, e); len(entries) > w.budget.Members {
			w.skip(fmt.Sprintf("zip: members beyond the first %d", len(entries)-1))
			return entries[:len(entries)-1], nil
		}
		p += zipCentral + name + more
	}
	return entries, nil
}
