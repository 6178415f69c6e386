// Package decode finds encoded text in bytes and decodes it: base64 in both alphabets, padded or not, on one line or
// many, also where the lines are parts of strings; hexadecimal, also as an array of bytes; percent-encoding; the escapes of
// C, JSON and their kin; references to characters in HTML and XML; quoted-printable; UTF-16 and UTF-32 of either byte
// order, with or without a mark.
//
// The one idea: a secret that is hidden in an encoding is text again once decoded, so a run of encoded characters whose
// first few bytes do not decode to text is dropped after looking at a dozen bytes. That keeps the cost on ordinary
// source to a few percent of a scan. A Segment says where its run stands in the source, so that what is found in it can
// be shown in the file as it was committed.
//
// It decodes one layer; callers that want what is encoded twice give it the decoded bytes again. It does not expand what
// is compressed: base64 and hexadecimal that begin like a compressed format are decoded and marked as Packed, and package
// archive takes it from there.
package decode

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
)

// Limits of what is decoded.
const (
	MinRun = 20      // shortest run of base64, in characters
	MaxRun = 4 << 20 // longest run of base64 or hexadecimal, in bytes; longer ones are counted in Skipped
	minHex = 32
	maxURL = 4 << 10

	minJoined = 60 // shortest line of base64 that goes on in the next
	maxGap    = 40 // bytes between two such lines
)

// Segment is one decoded run.
type Segment struct {
	Start, End int    // of the run in the source
	Kind       string // such as "base64"
	Data       []byte // what was decoded; valid until the next segment
	Packed     bool   // Data begins like a compressed format rather than as text
	Wide       bool   // the source is text in a wider form (UTF-16, UTF-32), not text hidden in other text

	unit  int    // source bytes to a decoded byte, if that is the same throughout; otherwise 0
	marks []mark // where what stands, if the run is text in which escapes are scattered
}

// Place returns where in the source Data[start:end] stands, as exactly as the encoding lets that be told: at least it is
// somewhere in the run.
func (s *Segment) Place(start, end int) (int, int) {
	switch {
	case s.unit > 0:
		return s.Start + start*s.unit, s.Start + end*s.unit
	case s.marks != nil:
		from := min(s.Start+place(s.marks, start), s.End-1)
		return from, min(s.End, max(from+1, s.Start+place(s.marks, end)))
	}
	return s.Start, s.End
}

// Decoder decodes for one goroutine; it keeps a buffer from call to call.
type Decoder struct {
	buf     []byte
	joined  []byte
	marks   []mark
	Skipped int // runs of the last call that were text but longer than MaxRun

	// Escapes are those that the last call found.
	Escapes Escapes
}

// Segments calls emit with each decodable run that starts in data[from:to]. A run may reach beyond to.
func (d *Decoder) Segments(data []byte, from, to int, emit func(Segment)) {
	d.Skipped = 0
	d.runs(data, from, to, emit)
	d.percents(data, from, to, emit)
	d.Escapes.reset()
	d.escapes(data, from, to, emit)
	if bytes.IndexByte(data[from:to], 0) >= 0 {
		d.wide(data, from, to, emit)
	}
}

// Character classes, as bits.
const (
	inBase64 = 1 << iota
	inHex
	inURL
	inArrays // of bytes, as 0x41, 0x42
)

var class = func() (t [256]byte) {
	for c := range 256 {
		b := byte(c)
		alnum := b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
		if alnum || b == '+' || b == '/' || b == '-' || b == '_' {
			t[c] |= inBase64
		}
		if b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f' {
			t[c] |= inHex
		}
		if b > ' ' && b < 0x7f && bytes.IndexByte([]byte("\"'`<>\\"), b) < 0 {
			t[c] |= inURL
		}
		if t[c]&inHex != 0 || isSeparator(b) || b == 'x' || b == 'X' {
			t[c] |= inArrays
		}
	}
	return t
}()

// runs finds runs of base64 and hexadecimal digits.
func (d *Decoder) runs(data []byte, from, to int, emit func(Segment)) {
	for {
		start, end, ok := nextRun(data, from, to)
		switch {
		case !ok:
			return
		case start == from && from > 0 && class[data[from-1]]&inBase64 != 0:
			from = end // it began before from
		default:
			from = d.run(data, start, end, emit)
		}
	}
}

// run decodes one run and returns where to go on.
func (d *Decoder) run(data []byte, start, end int, emit func(Segment)) int {
	if text, packed, ok := d.hex(data[start:end]); ok {
		emit(Segment{Start: start, End: end, Kind: "hex", Data: text, Packed: packed})
		return end
	}
	if start > 0 && data[start-1] == '\\' && (data[start] == 'n' || data[start] == 'r' || data[start] == 't') {
		start++ // the blank before it, escaped
	}
	packed := hasPrefix(data[start:end], startPacked[data[start]].base64)
	if !packed && !startsAsText(data[start:end]) {
		return end
	}
	digits, stop := d.join(data, start, end)
	if len(digits) > MaxRun {
		d.Skipped++
		return stop
	}
	text, ok := d.base64(digits)
	for end := stop; stop < len(data) && stop-end < 2 && data[stop] == '='; {
		stop++
	}
	if ok && (packed || mostlyText(text)) {
		emit(Segment{Start: start, End: stop, Kind: "base64", Data: text, Packed: packed})
	}
	return stop
}

// Beginnings of what is compressed or an archive: gzip, zlib, zip, zstd, bzip2, xz, 7z.
var (
	packedBase64 = []string{
		"H4sI", "eJw", "eJx", "eJy", "eJz", "eNo", "eNp", "eNq", "eNr", "eAE", "eAF", "eAG", "eAH", "eF4", "eF5", "eF6", "eF7",
		"UEsDB", "KLUv/", "KLUv_", "Qlpo", "/Td6WFo", "_Td6WFo", "N3q8rycc",
	}
	packedHex = []string{"1f8b08", "789c", "78da", "7801", "785e", "504b0304", "28b52ffd", "425a68", "fd377a58", "377abcaf"}
)

// startPacked holds those by their first digit.
var startPacked = func() (t [256]struct{ base64, hex []string }) {
	for _, p := range packedBase64 {
		t[p[0]].base64 = append(t[p[0]].base64, p)
	}
	for _, p := range packedHex {
		for _, first := range []byte{p[0], strings.ToUpper(p)[0]} {
			if !slices.Contains(t[first].hex, p) {
				t[first].hex = append(t[first].hex, p)
			}
		}
	}
	return t
}()

func hasPrefix(run []byte, all []string) bool {
	head := run[:min(len(run), 8)]
	for _, p := range all {
		if len(head) >= len(p) && string(head[:len(p)]) == p {
			return true
		}
	}
	return false
}

// join collects the digits of a run that goes on over lines, as in MIME, in wrapped YAML and in strings of source: lines
// of at least 60 digits.
func (d *Decoder) join(data []byte, start, end int) (digits []byte, stop int) {
	d.joined = append(d.joined[:0], data[start:end]...)
	line := end - start
	for line >= minJoined && len(d.joined) <= MaxRun {
		p, lines := gap(data, end)
		if lines == 0 {
			break
		}
		next := p
		for next < len(data) && class[data[next]]&inBase64 != 0 {
			next++
		}
		if next == p {
			break
		}
		d.joined = append(d.joined, data[p:next]...)
		line, end = next-p, next
	}
	return d.joined, end
}

// gap returns where what may stand between two lines of base64 ends, and how many line feeds are in it: blanks, quotes,
// signs that strings go on, and a line feed, as it is or escaped or both.
func gap(data []byte, p int) (end, lines int) {
	real, escaped := 0, 0
	for end = p; end < len(data) && end-p < maxGap; end++ {
		switch c := data[end]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '"' || c == '\'':
		case c == '\n' && real == 0:
			real++
		case c == '\\' && end+1 < len(data) && data[end+1] == 'r':
			end++
		case c == '\\' && end+1 < len(data) && data[end+1] == 'n' && escaped == 0:
			end++
			escaped++
		case c == '\\' && end+1 < len(data) && data[end+1] != 'n':
		case c == '+' && end > p && isLoose(data, end):
		default:
			return end, real + escaped
		}
	}
	return end, real + escaped
}

// isLoose reports whether the plus at p stands beside no digit of base64.
func isLoose(data []byte, p int) bool {
	return p > 0 && class[data[p-1]]&inBase64 == 0 && p+1 < len(data) && class[data[p+1]]&inBase64 == 0
}

// startsAsText reports whether the first twelve characters of a base64 run decode to text. UTF-16 counts as well, since
// PowerShell encodes its commands so.
func startsAsText(run []byte) bool {
	var out [9]byte
	for i := 0; i < len(out); i += 3 {
		q := run[i/3*4 : i/3*4+4]
		v := digits[q[0]]<<18 | digits[q[1]]<<12 | digits[q[2]]<<6 | digits[q[3]]
		out[i], out[i+1], out[i+2] = byte(v>>16), byte(v>>8), byte(v)
		// Text in UTF-16 has a zero where the second character is.
		if i == 0 && !(isTextByte(out[0]) && (isTextByte(out[1]) || out[1] == 0)) {
			return false
		}
	}
	if isText(out[:]) {
		return true
	}
	for i := 1; i < len(out); i += 2 {
		if out[i] != 0 || !isTextByte(out[i-1]) {
			return false
		}
	}
	return true
}

// digits holds the values of the digits of base64 in both alphabets.
var digits = func() (t [256]uint32) {
	const standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(standard) {
		t[standard[i]] = uint32(i)
	}
	t['-'], t['_'] = t['+'], t['/']
	return t
}()

// standard maps the URL-safe alphabet to the standard one.
func standard(c byte) byte {
	switch c {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return c
}

func isTextByte(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' }

func isText(b []byte) bool {
	for _, c := range b {
		if !isTextByte(c) {
			return false
		}
	}
	return true
}

// mostlyText reports whether at least nine of ten bytes are ASCII text or part of UTF-16 of it.
func mostlyText(b []byte) bool {
	n := 0
	for i, c := range b {
		if isTextByte(c) || c >= 0x80 || c == 0 && i > 0 && isTextByte(b[i-1]) {
			n++
		}
	}
	return n*10 >= len(b)*9
}

func (d *Decoder) base64(digits []byte) ([]byte, bool) {
	for i, c := range digits {
		digits[i] = standard(c)
	}
	digits = digits[:len(digits)-boolInt(len(digits)%4 == 1)]
	d.buf = grow(d.buf, len(digits))
	n, err := base64.RawStdEncoding.Decode(d.buf, digits)
	if err != nil {
		// Stray bits at the end are no reason to lose what stands before them.
		if n, err = base64.RawStdEncoding.Decode(d.buf, digits[:len(digits)&^3]); err != nil {
			return nil, false
		}
	}
	return d.buf[:n], true
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// hex decodes a run that is hexadecimal throughout and gives text, or something packed.
func (d *Decoder) hex(run []byte) (text []byte, packed, ok bool) {
	if len(run) < minHex || len(run)%2 == 1 || len(run) > MaxRun {
		return nil, false, false
	}
	for i := 0; i < 16 && !packed; i += 2 {
		packed = !isTextByte(unhex(run[i])<<4 | unhex(run[i+1]))
	}
	if packed {
		if starts := startPacked[run[0]].hex; starts == nil || !hasPrefix(bytes.ToLower(run[:8]), starts) {
			return nil, false, false
		}
	}
	d.buf = grow(d.buf, len(run)/2)
	for i := 0; i < len(run); i += 2 {
		if class[run[i]]&class[run[i+1]]&inHex == 0 {
			return nil, false, false
		}
		d.buf[i/2] = unhex(run[i])<<4 | unhex(run[i+1])
	}
	text = d.buf[:len(run)/2]
	return text, packed, packed || isText(text)
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// percents finds runs without blanks and quotes in which %XX stands.
func (d *Decoder) percents(data []byte, from, to int, emit func(Segment)) {
	for i := from; i < to; {
		n := bytes.IndexByte(data[i:to], '%')
		if n < 0 || i+n >= len(data)-2 {
			return
		}
		p := i + n
		if class[data[p+1]]&class[data[p+2]]&inHex == 0 {
			i = p + 1
			continue
		}
		start, end := p, p+3
		for start > 0 && p-start < maxURL && class[data[start-1]]&inURL != 0 {
			start--
		}
		for end < len(data) && end-p < maxURL && class[data[end]]&inURL != 0 {
			end++
		}
		if start >= from && start < to && end-start >= MinRun {
			emit(Segment{Start: start, End: end, Kind: "percent", Data: d.percent(data[start:end])})
		}
		i = end
	}
}

func (d *Decoder) percent(run []byte) []byte {
	d.buf = grow(d.buf, len(run))
	n := 0
	for i := 0; i < len(run); i++ {
		c := run[i]
		if c == '%' && i+2 < len(run) && class[run[i+1]]&class[run[i+2]]&inHex != 0 {
			c = unhex(run[i+1])<<4 | unhex(run[i+2])
			i += 2
		}
		d.buf[n] = c
		n++
	}
	return d.buf[:n]
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n+n/2)
	}
	return b[:n]
}
