package archive

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"math/bits"
)

// magics are the beginnings of containers that are known by them alone.
var magics = []struct{ head, kind string }{
	{"PK\x03\x04", "zip"},
	{"\x1f\x8b\x08", "gzip"},
	{"\x28\xb5\x2f\xfd", "zstd"},
	{"\xfd7zXZ\x00", "xz"},
	{"7z\xbc\xaf\x27\x1c", "7z"},
	{"!<arch>\n", "ar"},
	{"\xed\xab\xee\xdb", "rpm"},
	{"%PDF-", "pdf"},
	{"PACK\x00\x00\x00\x02", "pack"},
	{"PACK\x00\x00\x00\x03", "pack"},
	{sqliteMagic, "sqlite"},
	{"bplist00", "plist"},
	{"\xa1\xb2\xc3\xd4", "pcap"},
	{"\xd4\xc3\xb2\xa1", "pcap"},
	{"\xa1\xb2\x3c\x4d", "pcap"},
	{"\x4d\x3c\xb2\xa1", "pcap"},
	{"\x0a\x0d\x0d\x0a", "pcap"},
	{"\x37\x7f\x06\x82", "sqlite-wal"},
	{"\x37\x7f\x06\x83", "sqlite-wal"},
	{"# v2 git bundle\n", "bundle"},
	{"# v3 git bundle\n", "bundle"},
	{"070701", "cpio"},
	{"070702", "cpio"},
	{"070707", "cpio"},
	{"\xc7\x71", "cpio"},
	{"\x71\xc7", "cpio"},
}

// probes are the beginnings of containers whose first bytes may also be something else, with what tells them apart.
var probes = []struct {
	head, kind string
	is         func(data []byte) bool
}{
	{"BZh", "bzip2", isBzip2},
	{"\x78", "zlib", isZlib},
	{"\x5d\x00\x00", "lzma", isLZMA},
	{"\xca\xfe\xba\xbe", "class", isClass},
}

// first says of each byte whether a container may begin with it.
var first = func() (t [256]bool) {
	for _, m := range magics {
		t[m.head[0]] = true
	}
	for _, p := range probes {
		t[p.head[0]] = true
	}
	return t
}()

// Detect returns the kind of container that data is, or "".
func Detect(data []byte) string {
	if len(data) < 4 {
		return ""
	}
	if first[data[0]] {
		for _, m := range magics {
			if m.head[0] == data[0] && bytes.HasPrefix(data, []byte(m.head)) && isWhole(m.kind, data) {
				return m.kind
			}
		}
		for _, p := range probes {
			if p.head[0] == data[0] && bytes.HasPrefix(data, []byte(p.head)) && p.is(data) {
				return p.kind
			}
		}
	}
	if pycHeader(data) > 0 {
		return "pyc"
	}
	if isTar(data) {
		return "tar"
	}
	if hasZipAtEnd(data) {
		return "zip"
	}
	return ""
}

// isWhole reports whether data, which begins like the kind of container, is one; most beginnings say enough.
func isWhole(kind string, data []byte) bool {
	switch kind {
	case "cpio":
		return isCpio(data)
	case "pcap": // empty lines might begin one of the newer kind
		return data[0] != '\n' || len(data) >= 12 && (string(data[8:12]) == "\x1a\x2b\x3c\x4d" || string(data[8:12]) == "\x4d\x3c\x2b\x1a")
	}
	return true
}

func isBzip2(data []byte) bool {
	return len(data) > 10 && (string(data[4:10]) == "1AY&SY" || string(data[4:10]) == "\x17\x72\x45\x38\x50\x90")
}

// isZlib reports whether something comes out of data, which is no text: x^2 might begin a stream too.
func isZlib(data []byte) bool {
	if (int(data[0])<<8|int(data[1]))%31 != 0 || !bytes.ContainsFunc(data[:min(len(data), 16)], func(r rune) bool { return r < '\t' || r > '~' }) {
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

// isLZMA reports whether data begins as .lzma files do that people make: a window of a common size, and a size that is not
// known or likely. They have no mark of their own.
func isLZMA(data []byte) bool {
	if len(data) < 18 || data[13] != 0 {
		return false
	}
	window, size := binary.LittleEndian.Uint32(data[1:]), binary.LittleEndian.Uint64(data[5:])
	common := bits.OnesCount32(window) == 1 || bits.OnesCount32(window) == 2 && window&(window>>1) != 0
	return common && window >= 1<<12 && (size == 1<<64-1 || size > 0 && size < 1<<38)
}

// programs are the beginnings of files that run by themselves, to which a zip may be appended.
var programs = [][]byte{[]byte("MZ"), []byte("\x7fELF"), []byte("#!")}

// hasZipAtEnd reports whether a zip's directory ends data, which begins with something else, such as a program that reads it.
// A comment may follow the directory; that is looked for in programs only.
func hasZipAtEnd(data []byte) bool {
	if len(data) <= zipEnd {
		return false
	}
	if bytes.HasPrefix(data[len(data)-zipEnd:], zipEndMark) {
		return true
	}
	for _, p := range programs {
		if bytes.HasPrefix(data, p) {
			end, ok := findZipEnd(data)
			return ok && end+zipEnd+int(binary.LittleEndian.Uint16(data[end+20:])) == len(data)
		}
	}
	return false
}
