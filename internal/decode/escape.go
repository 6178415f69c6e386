package decode

import (
	"bytes"
	"slices"
	"sort"
	"unicode/utf8"
)

// Escapes stand scattered in text that is otherwise as it is. What is decoded is the text around them: up to so many bytes
// before the first and after the last of them, on one line, where escapes that are near enough for that to meet are of one
// run. Longer runs are decoded in parts that overlap by that much.
const (
	aroundEscape = 512
	maxEscapes   = 256 << 10 // bytes of a part
	maxEscape    = 12        // bytes of the longest escape
)

// A line of quoted-printable that goes on in the next has about 76 characters.
const (
	minSoftLine = 60
	maxSoftLine = 80
)

// The kinds of escapes.
const (
	noEscape    = iota
	inBackslash // \u0041, \x41, \101, and \n, \" and so on beside those
	inEntity    // &#65; &#x41; &amp;
	inQuoted    // =3D, and lines that end with =
	inArray     // 0x41, 0x42
	escapeKinds
)

var escapeNames = [escapeKinds]string{inBackslash: "escapes", inEntity: "entities", inQuoted: "quoted-printable", inArray: "hex"}

// mark says that what is decoded from an offset on stands in the source from another offset on, byte by byte up to the next
// mark.
type mark struct{ decoded, source int32 }

// cluster is a run of escapes in the making.
type cluster struct {
	open       bool
	start, end int // of the run, and of the last escape
}

// escapes finds the runs of all kinds of escapes.
func (d *Decoder) escapes(data []byte, from, to int, emit func(Segment)) {
	var open [escapeKinds]cluster
	array := 0 // end of the last array
	pairs(data, from, to, func(at int) bool {
		kind, end := escapeAt(data, at)
		d.Escapes.add(kind, at)
		switch kind {
		case noEscape:
		case inArray:
			if at >= array {
				array = d.array(data, at, emit)
			}
		default:
			c := &open[kind]
			switch {
			case !c.open || !meets(data, kind, c.end, at):
				d.flush(data, kind, *c, emit)
				*c = cluster{true, max(lineStart(data, kind, at), at-aroundEscape), end}
			case end-c.start > maxEscapes:
				d.flush(data, kind, *c, emit)
				*c = cluster{true, max(c.start, lineStart(data, kind, at), at-aroundEscape), end}
			default:
				c.end = end
			}
		}
		return false
	})
	for kind, c := range open {
		d.flush(data, kind, c, emit)
	}
}

// meets reports whether an escape that ends at end and one that starts at at are of one run.
func meets(data []byte, kind, end, at int) bool {
	return at-end <= 2*aroundEscape && lineEnd(data[:max(at, end)], kind, end) >= at
}

// flush decodes a run and emits it.
func (d *Decoder) flush(data []byte, kind int, c cluster, emit func(Segment)) {
	if !c.open {
		return
	}
	end := lineEnd(data[:min(len(data), c.end+aroundEscape)], kind, c.end)
	if end-c.start < MinRun {
		return
	}
	text := d.unescape(data[c.start:end], kind)
	emit(Segment{Start: c.start, End: end, Kind: escapeNames[kind], Data: text, marks: d.marks})
}

// lineStart returns where the line that holds at starts, or a place further than a run reaches back.
func lineStart(data []byte, kind, at int) int { return lineFrom(data, kind, at, aroundEscape) }

// lineFrom is lineStart for runs that reach back by so many bytes.
func lineFrom(data []byte, kind, at, reach int) int {
	floor := max(0, at-reach)
	for {
		n := bytes.LastIndexByte(data[floor:at], '\n')
		if n < 0 {
			return floor
		}
		at = floor + n
		if kind != inQuoted || !isSoft(data, at) {
			return at + 1
		}
	}
}

// lineEnd returns where the line that holds at ends, or the end of data.
func lineEnd(data []byte, kind, at int) int {
	for at < len(data) {
		n := bytes.IndexByte(data[at:], '\n')
		if n < 0 {
			break
		}
		at += n
		if kind != inQuoted || !isSoft(data, at) {
			return at
		}
		at++
	}
	return len(data)
}

// isSoft reports whether the line that the line feed at at ends goes on in the next, in quoted-printable.
func isSoft(data []byte, at int) bool {
	return at > 0 && data[at-1] == '=' || at > 1 && data[at-1] == '\r' && data[at-2] == '='
}

// escapeAt returns the kind and the end of the escape at p that makes the text around it be decoded. Only those count that
// hide text, and of those that are common in all source, such as \n and &lt;, none.
func escapeAt(data []byte, p int) (kind, end int) {
	switch data[p] {
	case '\\':
		c, end := backslash(data, p)
		switch {
		case data[p+1] == '/':
			// As PHP writes addresses in JSON: https:\/\/
			if p > 0 && data[p-1] == ':' && p+4 <= len(data) && data[p+2] == '\\' && data[p+3] == '/' {
				return inBackslash, end
			}
		case end > p+3 && c < 0x80 && isTextByte(byte(c)):
			return inBackslash, end
		}
	case '&':
		if c, end := entity(data, p); end > p && c < 0x80 && isTextByte(byte(c)) {
			return inEntity, end
		}
	case '=':
		if p+3 <= len(data) && data[p+1] == '3' && data[p+2]|0x20 == 'd' {
			return inQuoted, p + 3
		}
		if end := softBreak(data, p); end > p {
			if line := p - lineStart(data, inBackslash, p); line >= minSoftLine && line <= maxSoftLine {
				return inQuoted, end
			}
		}
	case '0':
		if _, end := element(data, p); end > p {
			return inArray, end
		}
	}
	return noEscape, p
}

// unescape decodes a run of the given kind, and notes in marks where what stands.
func (d *Decoder) unescape(run []byte, kind int) []byte {
	out := grow(d.buf, len(run)+utf8.UTFMax)[:0]
	d.marks = append(d.marks[:0], mark{})
	opener := [escapeKinds]byte{inBackslash: '\\', inEntity: '&', inQuoted: '='}[kind]
	for at := 0; ; {
		n := bytes.IndexByte(run[at:], opener)
		if n < 0 || at+n+1 >= len(run) {
			out = append(out, run[at:]...)
			break
		}
		out = append(out, run[at:at+n]...)
		at += n
		before := at
		switch kind {
		case inBackslash:
			out, at = appendBackslash(out, run, at)
		case inEntity:
			if c, end := entity(run, at); end > at {
				out, at = utf8.AppendRune(out, c), end
			}
		case inQuoted:
			if end := softBreak(run, at); end > at {
				at = end
			} else if c, ok := hexByte(run, at+1); ok {
				out, at = append(out, c), at+3
			}
		}
		if at == before {
			out, at = append(out, opener), at+1
			continue
		}
		d.marks = append(d.marks, mark{int32(len(out)), int32(at)})
	}
	d.buf = out[:cap(out)]
	return out
}

// place returns where in the source the decoded byte at n stands: within its character, if that has fewer bytes there.
func place(marks []mark, n int) int {
	i := sort.Search(len(marks), func(i int) bool { return int(marks[i].decoded) > n }) - 1
	at := int(marks[i].source) + n - int(marks[i].decoded)
	if i+1 < len(marks) {
		at = min(at, int(marks[i+1].source)-1)
	}
	return at
}

// appendBackslash appends what the escape at run[p] stands for. What is none is left as it is.
func appendBackslash(out, run []byte, p int) ([]byte, int) {
	c, end := backslash(run, p)
	switch {
	case end == p:
		return out, p
	case run[p+1] == 'u' || run[p+1] == 'U':
		// Two halves make one character.
		if c >= 0xd800 && c < 0xdc00 && end+1 < len(run) && run[end] == '\\' && run[end+1] == 'u' {
			if low, stop := backslash(run, end); stop == end+6 && low >= 0xdc00 && low < 0xe000 {
				return utf8.AppendRune(out, (c-0xd800)<<10+(low-0xdc00)+0x10000), stop
			}
		}
		return utf8.AppendRune(out, c), end
	}
	return append(out, byte(c)), end
}

// backslash returns the character of the escape at p, as C, Java, JSON and their kin write it, and where it ends, which is
// p if it is none.
func backslash(data []byte, p int) (c rune, end int) {
	if p+1 >= len(data) {
		return 0, p
	}
	digits := 0
	switch next := data[p+1]; {
	case simpleEscapes[next] != 0:
		return rune(simpleEscapes[next]), p + 2
	case next >= '0' && next <= '3':
		return octal(data, p)
	case next == 'x':
		digits = 2
	case next == 'u' && p+2 < len(data) && data[p+2] == '{':
		return braced(data, p)
	case next == 'u':
		digits = 4
	case next == 'U':
		digits = 8
	default:
		return 0, p
	}
	end = p + 2 + digits
	if end > len(data) {
		return 0, p
	}
	for _, h := range data[p+2 : end] {
		if class[h]&inHex == 0 {
			return 0, p
		}
		c = c<<4 | rune(unhex(h))
	}
	return c, end
}

// simpleEscapes are those of one character, but for \0, which is an octal one.
var simpleEscapes = [256]byte{
	'n': '\n', 'r': '\r', 't': '\t', 'f': '\f', 'v': '\v', 'b': '\b', '"': '"', '\'': '\'', '`': '`', '\\': '\\', '/': '/',
}

func octal(data []byte, p int) (c rune, end int) {
	end = p + 4
	if end > len(data) {
		return 0, p
	}
	for _, digit := range data[p+1 : end] {
		if digit < '0' || digit > '7' {
			return 0, p
		}
		c = c<<3 | rune(digit-'0')
	}
	return c, end
}

// braced reads \u{41}.
func braced(data []byte, p int) (c rune, end int) {
	end = p + 3
	for end < len(data) && end < p+9 && class[data[end]]&inHex != 0 {
		c = c<<4 | rune(unhex(data[end]))
		end++
	}
	if end == p+3 || end >= len(data) || data[end] != '}' {
		return 0, p
	}
	return c, end + 1
}

// entity returns the character of the reference of HTML and XML at p and where it ends, which is p if it is none.
func entity(data []byte, p int) (c rune, end int) {
	semicolon := bytes.IndexByte(data[p:min(len(data), p+maxEscape)], ';')
	if semicolon < 3 {
		return 0, p
	}
	name, end := data[p+1:p+semicolon], p+semicolon+1
	if name[0] != '#' {
		if c := entities[string(name)]; c != 0 {
			return c, end
		}
		return 0, p
	}
	base, digits := rune(10), name[1:]
	if digits[0]|0x20 == 'x' {
		base, digits = 16, digits[1:]
	}
	for _, digit := range digits {
		v := rune(unhex(digit))
		if v >= base {
			return 0, p
		}
		c = c*base + v
	}
	if len(digits) == 0 || len(digits) > 7 || !utf8.ValidRune(c) {
		return 0, p
	}
	return c, end
}

// entities are the names of characters of ASCII.
var entities = map[string]rune{
	"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\'', "nbsp": ' ', "Tab": '\t', "NewLine": '\n', "excl": '!',
	"num": '#', "dollar": '$', "percnt": '%', "lpar": '(', "rpar": ')', "ast": '*', "plus": '+', "comma": ',', "period": '.',
	"sol": '/', "colon": ':', "semi": ';', "equals": '=', "quest": '?', "commat": '@', "lsqb": '[', "lbrack": '[', "bsol": '\\',
	"rsqb": ']', "rbrack": ']', "Hat": '^', "lowbar": '_', "grave": '`', "lcub": '{', "lbrace": '{', "vert": '|', "rcub": '}',
	"rbrace": '}', "hyphen": '-', "dash": '-',
}

// softBreak returns the end of the break of lines at p that is none of the text, or p.
func softBreak(data []byte, p int) int {
	switch {
	case p+1 < len(data) && data[p+1] == '\n':
		return p + 2
	case p+2 < len(data) && data[p+1] == '\r' && data[p+2] == '\n':
		return p + 3
	}
	return p
}

func hexByte(data []byte, p int) (byte, bool) {
	if p+2 > len(data) || class[data[p]]&class[data[p+1]]&inHex == 0 {
		return 0, false
	}
	return unhex(data[p])<<4 | unhex(data[p+1]), true
}

// minElements is how many elements an array has at least to be decoded.
const minElements = 16

// array decodes the bytes that stand as 0x41, 0x42 and so on from p, over lines, and returns where they end.
func (d *Decoder) array(data []byte, p int, emit func(Segment)) int {
	out := d.buf[:0]
	d.marks = append(d.marks[:0], mark{})
	start, stop := p, p
	for len(out) < maxEscapes {
		c, end := element(data, p)
		if end == p || len(out) < minElements && !isTextByte(c) {
			break
		}
		out = append(out, c)
		stop = end
		for p = end; p < len(data) && isSeparator(data[p]); {
			p++
		}
		d.marks = append(d.marks, mark{int32(len(out)), int32(p - start)})
	}
	d.buf = out[:cap(out)]
	if len(out) >= minElements && mostlyText(out) {
		emit(Segment{Start: start, End: stop, Kind: escapeNames[inArray], Data: out, marks: slices.Clip(d.marks)})
	}
	return max(stop, start+1)
}

// element returns the byte that stands as 0x41 at p and where it ends, which is p if there is none.
func element(data []byte, p int) (c byte, end int) {
	if p+2 >= len(data) || data[p] != '0' || data[p+1]|0x20 != 'x' {
		return 0, p
	}
	for end = p + 2; end < len(data) && end < p+4 && class[data[end]]&inHex != 0; end++ {
		c = c<<4 | unhex(data[end])
	}
	if end == p+2 || end < len(data) && class[data[end]]&inBase64 != 0 {
		return 0, p
	}
	return c, end
}

func isSeparator(c byte) bool {
	return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ';'
}
