package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const (
	rpmLead  = 96 // bytes of the lead, which tells nothing that the headers don't
	rpmEntry = 16 // bytes of an entry of a header
)

// rpm emits the files of a package of RPM, and its headers as one member, for they hold the scripts that it runs.
//
//	lead(96) signature, padded to a multiple of 8 bytes; header; a cpio that is compressed
//	signature, header  8e ad e8 01 reserved(4) entries(4) bytes(4) entries store
func (w *walker) rpm(data []byte) error {
	start, err := rpmHeader(data, rpmLead)
	if err != nil {
		return err
	}
	start += (8 - start%8) % 8
	end, err := rpmHeader(data, start)
	if err != nil {
		return err
	}
	if err := w.whole(data, Member{Path: "rpm:header", Start: start, End: end}); err != nil {
		return err
	}
	m := Member{Path: "rpm", Start: end, End: len(data)}
	kind := Detect(data[end:])
	switch kind {
	case "gzip", "bzip2", "xz", "lzma", "zstd":
		m.Path = "rpm>" + kind
		return w.compressed(kind, bytes.NewReader(data[end:]), m)
	case "cpio":
		return w.cpio("rpm>cpio", data, bytes.NewReader(data[end:]), m)
	}
	return errors.New("its payload is of a kind that is not known")
}

// rpmHeader returns where the header that starts at at ends.
func rpmHeader(data []byte, at int) (int, error) {
	if at+16 > len(data) || !bytes.HasPrefix(data[at:], []byte("\x8e\xad\xe8")) {
		return 0, errors.New("a header is not where it belongs")
	}
	size := 16 + rpmEntry*uint64(binary.BigEndian.Uint32(data[at+8:])) + uint64(binary.BigEndian.Uint32(data[at+12:]))
	if size > uint64(len(data)-at) {
		return 0, errors.New("it is cut off")
	}
	return at + int(size), nil
}
