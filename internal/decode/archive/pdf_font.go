package archive

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// pdfFont says what the bytes of a string in it mean, and how wide they are shown.
type pdfFont struct {
	wide    bool // characters have two bytes
	named   bool // it says what its characters are
	unicode []codeRange
	encoded [256]string
	widths  [256]float64 // of a font whose characters have one byte, in thousandths of its size
	cids    []cidWidth
	usual   float64
}

// codeRange says that the codes from first to last stand for text and what follows its last character, or one for each.
type codeRange struct {
	first, last uint32
	text        string
	each        []string
}

// cidWidth says how wide the characters from first to last are.
type cidWidth struct {
	first, last uint32
	width       float64
}

// plainFont is for text whose font is not known.
var plainFont = func() *pdfFont {
	f := &pdfFont{named: true, usual: 500}
	f.latin()
	f.standardWidths("Helvetica")
	return f
}()

// maxPDFFonts is how many fonts of a file are read.
const maxPDFFonts = 2000

// font returns the font of that name in resources.
func (p *pdf) font(resources pdfDict, name pdfName) *pdfFont {
	v := p.dict(resources["Font"])[name]
	ref, isRef := v.(pdfRef)
	if isRef {
		if f, known := p.fonts[int(ref)]; known {
			return f
		}
	}
	d := p.dict(v)
	if d == nil || len(p.fonts) >= maxPDFFonts {
		return plainFont
	}
	f := p.readFont(d)
	if isRef {
		p.fonts[int(ref)] = f
	}
	return f
}

func (p *pdf) readFont(d pdfDict) *pdfFont {
	f := &pdfFont{usual: 500}
	f.wide = d["Subtype"] == pdfName("Type0")
	if ref, ok := d["ToUnicode"].(pdfRef); ok {
		if o, there := p.object(ref); there && o.from > 0 {
			p.used[o.from] = true
			dict, _ := p.value(o).(pdfDict)
			text, err := p.read(o, dict)
			if err != nil {
				p.tell("pdf:object "+strconv.Itoa(int(ref)), err)
			}
			f.readUnicode(text)
		}
	}
	if f.wide {
		p.readWide(f, d)
		return f
	}
	f.named = true
	f.latin()
	p.readDifferences(f, d)
	base, _ := d["BaseFont"].(pdfName)
	f.standardWidths(string(base))
	p.readWidths(f, d)
	return f
}

// readWide reads what is of fonts whose characters have two bytes.
func (p *pdf) readWide(f *pdfFont, d pdfDict) {
	f.named = len(f.unicode) > 0
	if e, ok := d["Encoding"].(pdfName); ok && !f.named && (strings.Contains(string(e), "UCS2") || strings.Contains(string(e), "UTF16")) {
		f.named = true
		f.unicode = []codeRange{{first: ' ', last: 0xffff, text: " "}}
	}
	list := p.list(d["DescendantFonts"])
	if len(list) == 0 {
		return
	}
	kid := p.dict(list[0])
	f.usual = 1000
	if w, ok := p.resolve(kid["DW"]).(float64); ok {
		f.usual = w
	}
	all := p.list(kid["W"])
	for i := 0; i+1 < len(all); {
		first, ok := p.resolve(all[i]).(float64)
		if !ok || first < 0 || first > 0xffff {
			return
		}
		switch next := p.resolve(all[i+1]).(type) {
		case pdfArray:
			for n, w := range next {
				width, _ := p.resolve(w).(float64)
				f.cids = append(f.cids, cidWidth{uint32(first) + uint32(n), uint32(first) + uint32(n), width})
			}
			i += 2
		case float64:
			if i+2 >= len(all) || next < 0 || next > 0xffff {
				return
			}
			width, _ := p.resolve(all[i+2]).(float64)
			f.cids = append(f.cids, cidWidth{uint32(first), uint32(next), width})
			i += 3
		default:
			return
		}
	}
	slices.SortStableFunc(f.cids, func(a, b cidWidth) int { return int(a.first) - int(b.first) })
}

// readWidths reads the widths of characters of one byte.
func (p *pdf) readWidths(f *pdfFont, d pdfDict) {
	widths, ok := p.resolve(d["Widths"]).(pdfArray)
	first, isNumber := p.resolve(d["FirstChar"]).(float64)
	if !ok || !isNumber {
		return
	}
	unit := 1.0
	if m, ok := p.resolve(d["FontMatrix"]).(pdfArray); ok && len(m) > 0 && d["Subtype"] == pdfName("Type3") {
		if scale, ok := m[0].(float64); ok {
			unit = 1000 * scale
		}
	}
	for n, w := range widths {
		if code := int(first) + n; code >= 0 && code < 256 {
			if width, ok := p.resolve(w).(float64); ok {
				f.widths[code] = width * unit
			}
		}
	}
}

// readDifferences reads which codes stand for other characters than usual.
func (p *pdf) readDifferences(f *pdfFont, d pdfDict) {
	e := p.dict(d["Encoding"])
	code := 0
	for _, v := range p.list(e["Differences"]) {
		switch v := v.(type) {
		case float64:
			code = int(v)
		case pdfName:
			if s := glyphText(string(v)); s != "" && code >= 0 && code < 256 {
				f.encoded[code] = s
			}
			code++
		}
	}
}

// latin makes each code stand for the character of Latin-1, which is what most encodings come down to for what secrets are made
// of.
func (f *pdfFont) latin() {
	for c := range 256 {
		if c >= ' ' && c != 0x7f {
			f.encoded[c] = string(rune(c))
		}
	}
	for c, s := range map[int]string{0x85: "…", 0x91: "'", 0x92: "'", 0x93: "\"", 0x94: "\"", 0x96: "–", 0x97: "—", 0xa0: " ", 0xad: "-"} {
		f.encoded[c] = s
	}
	for c := 0x80; c < 0xa0; c++ {
		if len(f.encoded[c]) == 2 {
			f.encoded[c] = ""
		}
	}
}

// glyphNames are the names of the characters of ASCII that are not their own, from space to tilde.
var glyphNames = func() map[string]string {
	names := map[string]string{}
	c := ' '
	for name := range strings.FieldsSeq("space exclam quotedbl numbersign dollar percent ampersand quotesingle parenleft parenright asterisk plus " +
		"comma hyphen period slash zero one two three four five six seven eight nine colon semicolon less equal greater question at") {
		names[name] = string(c)
		c++
	}
	c = '['
	for name := range strings.FieldsSeq("bracketleft backslash bracketright asciicircum underscore grave") {
		names[name] = string(c)
		c++
	}
	c = '{'
	for name := range strings.FieldsSeq("braceleft bar braceright asciitilde") {
		names[name] = string(c)
		c++
	}
	for name, s := range map[string]string{
		"minus": "-", "sfthyphen": "-", "nbspace": " ", "quoteright": "'", "quoteleft": "`", "quotedblleft": "\"", "quotedblright": "\"",
		"endash": "–", "emdash": "—", "ellipsis": "…", "ff": "ff", "fi": "fi", "fl": "fl", "ffi": "ffi", "ffl": "ffl",
	} {
		names[name] = s
	}
	return names
}()

// glyphText returns what a character of that name is, or "".
func glyphText(name string) string {
	name, _, _ = strings.Cut(name, ".")
	if s := glyphNames[name]; s != "" || len(name) == 1 {
		if s == "" {
			s = name
		}
		return s
	}
	for _, prefix := range []string{"uni", "u"} {
		if digits, ok := strings.CutPrefix(name, prefix); ok && len(digits) >= 4 && len(digits) <= 6 {
			if n, err := strconv.ParseUint(digits, 16, 21); err == nil && utf8.ValidRune(rune(n)) {
				return string(rune(n))
			}
		}
	}
	return ""
}

// readUnicode reads the table of a font that says what its codes stand for.
//
//	n beginbfchar {<code> <text>} endbfchar        n beginbfrange {<first> <last> (<text> | [{<text>}])} endbfrange
//	n begincodespacerange {<first> <last>} endcodespacerange, whose lengths are those of codes
func (f *pdfFont) readUnicode(text []byte) {
	l := pdfLexer{b: text}
	var list []any
	for {
		v, ok := l.value()
		if !ok {
			break
		}
		word, isWord := v.(pdfKeyword)
		if !isWord {
			list = append(list, v)
			continue
		}
		switch word {
		case "endbfchar":
			for i := 0; i+1 < len(list); i += 2 {
				f.addRange(list[i], list[i], list[i+1])
			}
		case "endbfrange":
			for i := 0; i+2 < len(list); i += 3 {
				f.addRange(list[i], list[i+1], list[i+2])
			}
		}
		list = list[:0]
	}
	slices.SortStableFunc(f.unicode, func(a, b codeRange) int { return int(int64(a.first) - int64(b.first)) })
}

func (f *pdfFont) addRange(first, last, to any) {
	a, okA := first.(pdfString)
	b, okB := last.(pdfString)
	if !okA || !okB {
		return
	}
	r := codeRange{first: codeOf(a.text), last: codeOf(b.text)}
	switch to := to.(type) {
	case pdfString:
		r.text = wideText(to.text)
	case pdfArray:
		for _, v := range to {
			s, _ := v.(pdfString)
			r.each = append(r.each, wideText(s.text))
		}
	}
	if r.last >= r.first && (r.text != "" || len(r.each) > 0) {
		f.unicode = append(f.unicode, r)
	}
}

func codeOf(b []byte) (code uint32) {
	for _, c := range b[:min(len(b), 4)] {
		code = code<<8 | uint32(c)
	}
	return code
}

func wideText(b []byte) string {
	if len(b) == 1 {
		return string(rune(b[0]))
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return string(utf16.Decode(units))
}

// append appends what the code stands for.
func (f *pdfFont) append(text []byte, code uint32) []byte {
	i := sort.Search(len(f.unicode), func(i int) bool { return f.unicode[i].first > code }) - 1
	if i >= 0 && code <= f.unicode[i].last {
		r := f.unicode[i]
		n := code - r.first
		switch {
		case len(r.each) > 0:
			if int(n) < len(r.each) {
				text = append(text, r.each[n]...)
			}
		case n == 0:
			text = append(text, r.text...)
		default:
			last, size := utf8.DecodeLastRuneInString(r.text)
			text = append(text, r.text[:len(r.text)-size]...)
			text = utf8.AppendRune(text, last+rune(n&0xffff))
		}
		return text
	}
	if !f.wide && code < 256 {
		return append(text, f.encoded[code]...)
	}
	return text
}

// width returns the width of a code, in thousandths of the font's size.
func (f *pdfFont) width(code uint32) float64 {
	if !f.wide {
		if code < 256 && f.widths[code] > 0 {
			return f.widths[code]
		}
		return f.usual
	}
	i := sort.Search(len(f.cids), func(i int) bool { return f.cids[i].first > code }) - 1
	if i >= 0 && code <= f.cids[i].last {
		return f.cids[i].width
	}
	return f.usual
}

// Widths of the characters from space to tilde in the fonts that every reader has.
var (
	helvetica = widthsOf("278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556 1015 " +
		"667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 " +
		"556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584")
	times = widthsOf("250 333 408 500 500 833 778 180 333 333 500 564 250 333 250 278 500 500 500 500 500 500 500 500 500 500 278 278 564 564 564 444 921 " +
		"722 667 667 722 611 556 722 722 333 389 722 611 889 722 722 556 722 667 556 611 722 722 944 722 722 611 333 278 333 469 500 333 " +
		"444 500 444 500 444 333 500 500 278 278 500 278 778 500 500 500 500 333 389 278 500 500 722 500 500 444 480 200 480 541")
)

func widthsOf(list string) (all []float64) {
	for word := range strings.FieldsSeq(list) {
		w, _ := strconv.ParseFloat(word, 64)
		all = append(all, w)
	}
	return all
}

// standardWidths sets the widths that a font of that name is likely to have.
func (f *pdfFont) standardWidths(name string) {
	known := helvetica
	switch {
	case strings.Contains(name, "Courier"), strings.Contains(name, "Mono"):
		known, f.usual = nil, 600
	case strings.Contains(name, "Times"):
		known = times
	}
	for i, w := range known {
		f.widths[' '+i] = w
	}
}
