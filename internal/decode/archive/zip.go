package archive

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"magpie/internal/decode/lzma"
)

// Sizes of a zip's records, without what is of variable length.
const (
	zipLocal   = 30
	zipCentral = 46
	zipEnd     = 22
	zipComment = 1<<16 - 1

	zip64Locator = 20
	zip64End     = 56
)

var zipEndMark = []byte("PK\x05\x06")

// Flags of a member.
const (
	zipEncrypted = 1 << 0
	zipLZMAEnds  = 1 << 1 // LZMA marks its end
)

// How a member of a zip is compressed.
const (
	zipStored   = 0
	zipDeflated = 8
	zipBzip2    = 12
	zipLZMA     = 14
	zipZstdOld  = 20
	zipZstd     = 93
	zipXZ       = 95
)

// zipEntry is a member as the directory tells of it.
type zipEntry struct {
	name   string
	flags  uint16
	method int
	start  int64 // of its local header
	packed int64 // bytes of its data as they stand there
	size   int64 // that they expand to
}

// zip emits the members of a zip. Its directory counts, as it does for all who open it.
func (w *walker) zip(data []byte) error {
	entries, err := w.directory(data)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b zipEntry) int { return cmp.Compare(a.start, b.start) })
	last := int64(0)
	for _, e := range entries {
		name := shown(e.name)
		switch {
		case strings.HasSuffix(e.name, "/"):
			continue
		case e.start < last:
			w.skip("zip:" + name + ": it overlaps with another member")
			continue
		}
		start, end, err := zipBody(data, e)
		switch {
		case e.flags&zipEncrypted != 0:
			err = errEncrypted
		case err == nil:
			last = int64(end)
			err = w.zipMember(e, data, Member{Path: "zip:" + name, Name: e.name, Start: start, End: end})
		}
		if err := w.tell("zip:"+name, err); err != nil {
			return err
		}
	}
	return nil
}

// zipMember expands a member and emits it, and its text by itself if it is the markup of a document.
func (w *walker) zipMember(e zipEntry, data []byte, m Member) error {
	if e.method == zipStored {
		return w.whole(data, m)
	}
	body := data[m.Start:m.End]
	r, done, err := w.openZip(e, body)
	if err != nil {
		return err
	}
	defer done()
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

// openZip returns a reader of what a member's body expands to.
func (w *walker) openZip(e zipEntry, body []byte) (io.Reader, func(), error) {
	r := bytes.NewReader(body)
	switch e.method {
	case zipDeflated:
		return flate.NewReader(r), func() {}, nil
	case zipBzip2:
		return w.open("bzip2", r)
	case zipZstd, zipZstdOld:
		return w.open("zstd", r)
	case zipXZ:
		return w.open("xz", r)
	case zipLZMA: // version(2) size of properties(2) properties
		if len(body) < 9 || binary.LittleEndian.Uint16(body[2:]) != 5 {
			return nil, nil, errors.New("it makes no sense as LZMA")
		}
		size := e.size
		if e.flags&zipLZMAEnds != 0 {
			size = -1
		}
		return w.windowed(func(limit int) (io.Reader, error) {
			return lzma.NewRaw(bytes.NewReader(body[9:]), body[4:9], size, limit)
		})
	}
	return nil, nil, fmt.Errorf("its compression, number %d, is not known", e.method)
}

// zipBody returns where a member's data stand.
func zipBody(data []byte, e zipEntry) (start, end int, err error) {
	if e.start < 0 || e.start > int64(len(data)-zipLocal) || !bytes.HasPrefix(data[e.start:], []byte("PK\x03\x04")) {
		return 0, 0, errors.New("it is not where the directory says")
	}
	h := data[e.start:]
	start = int(e.start) + zipLocal + int(binary.LittleEndian.Uint16(h[26:])) + int(binary.LittleEndian.Uint16(h[28:]))
	if start > len(data) || e.packed < 0 || e.packed > int64(len(data)-start) {
		return 0, 0, errors.New("it is cut off")
	}
	return start, start + int(e.packed), nil
}

// findZipEnd returns where the record stands that ends a zip's directory.
func findZipEnd(data []byte) (at int, ok bool) {
	tail := max(0, len(data)-zipEnd-zipComment)
	n := bytes.LastIndex(data[tail:], zipEndMark)
	return tail + n, n >= 0 && tail+n+zipEnd <= len(data)
}

// zipDirectory is where a zip's list of members stands, and how many bytes of something else stand before the zip.
type zipDirectory struct{ start, end, shift int64 }

// findZipDirectory finds the list of members. A zip that is large has a second record of its end, with numbers of 64 bits:
//
//	end      "PK\x05\x06" disks(4) members(4) size(4) offset(4) comment
//	locator  "PK\x06\x07" disk(4) offset(8) disks(4), before the end
//	end64    "PK\x06\x06" more(8) versions(4) disks(8) members(16) size(8) offset(8)
func findZipDirectory(data []byte) (zipDirectory, error) {
	end, ok := findZipEnd(data)
	if !ok {
		return zipDirectory{}, errors.New("its directory is missing")
	}
	d := zipDirectory{end: int64(end)}
	size, offset := int64(binary.LittleEndian.Uint32(data[end+12:])), int64(binary.LittleEndian.Uint32(data[end+16:]))
	if at := findZip64(data, end); at >= 0 {
		d.end = int64(at)
		size, offset = int64(binary.LittleEndian.Uint64(data[at+40:])), int64(binary.LittleEndian.Uint64(data[at+48:]))
	}
	if size < 0 || size > d.end || offset < 0 || d.end-size < offset {
		return zipDirectory{}, errors.New("its directory is not where it says")
	}
	d.start = d.end - size
	d.shift = d.start - offset
	return d, nil
}

// findZip64 returns where the record of 64 bits stands that belongs to the end at end, or -1.
func findZip64(data []byte, end int) int {
	locator := end - zip64Locator
	if locator < 0 || !bytes.HasPrefix(data[locator:], []byte("PK\x06\x07")) {
		return -1
	}
	mark := []byte("PK\x06\x06")
	said := binary.LittleEndian.Uint64(data[locator+8:])
	if said <= uint64(locator) && locator-int(said) >= zip64End && bytes.HasPrefix(data[said:], mark) {
		return int(said)
	}
	// Something else stands before the zip. The record is next to its locator, unless it has fields of its own.
	if at := locator - zip64End; at >= 0 && bytes.HasPrefix(data[at:], mark) {
		return at
	}
	return -1
}

// directory reads a zip's list of members.
func (w *walker) directory(data []byte) ([]zipEntry, error) {
	d, err := findZipDirectory(data)
	if err != nil {
		return nil, err
	}
	var entries []zipEntry
	for p := int(d.start); p+zipCentral <= int(d.end) && bytes.HasPrefix(data[p:], []byte("PK\x01\x02")); {
		h := data[p:d.end]
		name, extra := int(binary.LittleEndian.Uint16(h[28:])), int(binary.LittleEndian.Uint16(h[30:]))
		more := extra + int(binary.LittleEndian.Uint16(h[32:]))
		if zipCentral+name > len(h) {
			break
		}
		e := zipEntry{
			name:   string(h[zipCentral : zipCentral+name]),
			flags:  binary.LittleEndian.Uint16(h[8:]),
			method: int(binary.LittleEndian.Uint16(h[10:])),
			packed: int64(binary.LittleEndian.Uint32(h[20:])),
			size:   int64(binary.LittleEndian.Uint32(h[24:])),
			start:  int64(binary.LittleEndian.Uint32(h[42:])),
		}
		e.read64(h[zipCentral+name : min(zipCentral+name+extra, len(h))])
		if e.start >= 0 {
			e.start += d.shift
		}
		if entries = append(entries, e); len(entries) > w.budget.Members {
			w.skip(fmt.Sprintf("zip: members beyond the first %d", len(entries)-1))
			return entries[:len(entries)-1], nil
		}
		p += zipCentral + name + more
	}
	return entries, nil
}

// read64 reads the numbers of 64 bits that stand in a member's extra fields for those that are all ones.
//
//	{id(2) size(2) field}; of id 1: [size(8)] [packed(8)] [start(8)], as far as they are needed
func (e *zipEntry) read64(extra []byte) {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		field := extra[4:min(4+n, len(extra))]
		extra = extra[4+len(field):]
		if id != 1 {
			continue
		}
		for _, v := range []*int64{&e.size, &e.packed, &e.start} {
			if *v == 1<<32-1 && len(field) >= 8 {
				*v = int64(binary.LittleEndian.Uint64(field))
				field = field[8:]
			}
		}
	}
}
