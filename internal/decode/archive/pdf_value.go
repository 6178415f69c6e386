package archive

import (
	"bytes"
	"strconv"
	"strings"
)

// The values of a PDF. Numbers are float64; null, and what makes no sense, is nil.
type (
	pdfName    string
	pdfArray   []any
	pdfDict    map[pdfName]any
	pdfKeyword string // such as an operator
	pdfRef     int    // to the object of that number
)

// pdfString is a string and where it stands in the text it was read from, with its delimiters.
type pdfString struct {
	text       []byte
	start, end int
	plain      bool // it stands there as it is
}

// maxPDFDepth is how deep arrays and dictionaries may stand in one another.
const maxPDFDepth = 32

// pdfLexer reads values one after the other. Whatever the text, each call takes at least a byte or says that there is no more.
type pdfLexer struct {
	b  []byte
	at int
}

// Classes of bytes.
const (
	pdfSpace = 1 << iota
	pdfDelimiter
)

var pdfClass = func() (t [256]byte) {
	for _, c := range []byte(" \n\r\t\f\x00") {
		t[c] = pdfSpace
	}
	for _, c := range []byte("()<>[]{}/%") {
		t[c] = pdfDelimiter
	}
	return t
}()

func isPDFSpace(c byte) bool { return pdfClass[c] == pdfSpace }

func isPDFDelimiter(c byte) bool { return pdfClass[c] == pdfDelimiter }

// pdfWords are words that occur often, as values.
var pdfWords = func() map[string]any {
	words := map[string]any{"true": true, "false": false, "null": nil}
	for op := range strings.FieldsSeq("q Q cm BT ET Tf Tc Tw Tz TL Ts Td TD T* Tm Tj ' \" TJ Do BDC EMC BMC re f n W m l c h S s g G rg RG k K cs CS sc SC scn SCN gs w") {
		words[op] = pdfKeyword(op)
	}
	return words
}()

// space passes over blanks and comments.
func (l *pdfLexer) space() {
	for l.at < len(l.b) {
		switch c := l.b[l.at]; {
		case isPDFSpace(c):
			l.at++
		case c == '%':
			for l.at < len(l.b) && l.b[l.at] != '\n' && l.b[l.at] != '\r' {
				l.at++
			}
		default:
			return
		}
	}
}

// value reads the next value; ok is false at the end.
func (l *pdfLexer) value() (v any, ok bool) { return l.nested(0) }

func (l *pdfLexer) nested(depth int) (v any, ok bool) {
	l.space()
	if l.at >= len(l.b) {
		return nil, false
	}
	switch c := l.b[l.at]; {
	case c == '/':
		l.at++
		return l.name(), true
	case c == '(':
		return l.literal(), true
	case c == '<' && l.at+1 < len(l.b) && l.b[l.at+1] == '<':
		l.at += 2
		return l.dict(depth), true
	case c == '<':
		return l.hex(), true
	case c == '[':
		l.at++
		return l.array(depth), true
	case isPDFDelimiter(c):
		l.at++
		if c == '>' && l.at < len(l.b) && l.b[l.at] == '>' {
			l.at++
			return pdfKeyword(">>"), true
		}
		return pdfKeyword(c), true
	}
	return l.word(), true
}

// word reads a number, a reference or a keyword.
func (l *pdfLexer) word() any {
	start := l.at
	for l.at < len(l.b) && pdfClass[l.b[l.at]] == 0 {
		l.at++
	}
	word := l.b[start:l.at]
	if v, known := pdfWords[string(word)]; known {
		return v
	}
	if c := word[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		n, err := strconv.ParseFloat(string(word[:min(len(word), 40)]), 64)
		if err != nil {
			return 0.0
		}
		if c >= '0' && c <= '9' && n == float64(int(n)) && l.reference() {
			return pdfRef(int(n))
		}
		return n
	}
	return pdfKeyword(word[:min(len(word), 40)])
}

// reference passes over the rest of a reference, whose first number was read, and reports whether it was there.
func (l *pdfLexer) reference() bool {
	p := l.at
	skip := func(is func(c byte) bool) int {
		from := p
		for p < len(l.b) && p-from < 12 && is(l.b[p]) {
			p++
		}
		return p - from
	}
	if skip(isPDFSpace) == 0 || skip(func(c byte) bool { return c >= '0' && c <= '9' }) == 0 || skip(isPDFSpace) == 0 {
		return false
	}
	if p >= len(l.b) || l.b[p] != 'R' || p+1 < len(l.b) && !isPDFSpace(l.b[p+1]) && !isPDFDelimiter(l.b[p+1]) {
		return false
	}
	l.at = p + 1
	return true
}

func (l *pdfLexer) name() pdfName {
	start := l.at
	escaped := false
	for l.at < len(l.b) && !isPDFSpace(l.b[l.at]) && !isPDFDelimiter(l.b[l.at]) {
		escaped = escaped || l.b[l.at] == '#'
		l.at++
	}
	raw := l.b[start:l.at]
	if !escaped {
		return pdfName(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '#' && i+2 < len(raw) {
			if n, err := strconv.ParseUint(string(raw[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, raw[i])
	}
	return pdfName(out)
}

// literal reads a string in parentheses.
func (l *pdfLexer) literal() pdfString {
	s := pdfString{start: l.at, plain: true}
	l.at++
	open := 1
	for ; l.at < len(l.b); l.at++ {
		switch c := l.b[l.at]; c {
		case '\\':
			if s.plain {
				s.text, s.plain = bytes.Clone(l.b[s.start+1:l.at]), false
			}
			s.text = l.escape(s.text)
			continue
		case '(':
			open++
		case ')':
			open--
		}
		if open == 0 {
			break
		}
		if !s.plain {
			s.text = append(s.text, l.b[l.at])
		}
	}
	if s.plain {
		s.text = l.b[s.start+1 : l.at]
	}
	l.at = min(l.at+1, len(l.b))
	s.end = l.at
	return s
}

// escape appends what the escape at hand stands for, and leaves at at its last byte.
func (l *pdfLexer) escape(text []byte) []byte {
	if l.at+1 >= len(l.b) {
		return text
	}
	l.at++
	switch c := l.b[l.at]; c {
	case 'n':
		return append(text, '\n')
	case 'r':
		return append(text, '\r')
	case 't':
		return append(text, '\t')
	case 'b', 'f':
		return append(text, ' ')
	case '\r':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '\n' {
			l.at++
		}
		return text
	case '\n':
		return text
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := c - '0'
		for n := 0; n < 2 && l.at+1 < len(l.b) && l.b[l.at+1] >= '0' && l.b[l.at+1] <= '7'; n++ {
			l.at++
			v = v<<3 | (l.b[l.at] - '0')
		}
		return append(text, v)
	default:
		return append(text, c)
	}
}

// hex reads a string of hexadecimal digits.
func (l *pdfLexer) hex() pdfString {
	s := pdfString{start: l.at, text: []byte{}}
	l.at++
	half, has := byte(0), false
	for l.at < len(l.b) && l.b[l.at] != '>' {
		if v, ok := hexDigit(l.b[l.at]); ok {
			if has {
				s.text = append(s.text, half<<4|v)
			}
			half, has = v, !has
		}
		l.at++
	}
	if has {
		s.text = append(s.text, half<<4)
	}
	l.at = min(l.at+1, len(l.b))
	s.end = l.at
	return s
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

func (l *pdfLexer) array(depth int) pdfArray {
	var all pdfArray
	for {
		v, ok := l.inner(depth)
		if !ok || v == pdfKeyword("]") {
			return all
		}
		all = append(all, v)
	}
}

// dict reads a dictionary after its opening brackets. The values of a key that is there twice are both lost but for the last.
func (l *pdfLexer) dict(depth int) pdfDict {
	d := pdfDict{}
	for {
		k, ok := l.inner(depth)
		if !ok || k == pdfKeyword(">>") {
			return d
		}
		key, isName := k.(pdfName)
		if !isName {
			continue
		}
		v, ok := l.inner(depth)
		if !ok || v == pdfKeyword(">>") {
			return d
		}
		d[key] = v
	}
}

// inner reads a value in an array or dictionary. What is nested too deep counts as its end.
func (l *pdfLexer) inner(depth int) (any, bool) {
	if depth >= maxPDFDepth {
		return nil, false
	}
	v, ok := l.nested(depth + 1)
	if k, isWord := v.(pdfKeyword); isWord && (k == "endobj" || k == "stream" || k == "endstream") {
		return nil, false // the brackets were never closed
	}
	return v, ok
}
