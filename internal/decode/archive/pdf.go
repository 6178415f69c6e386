package archive

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"unicode/utf16"
)

// A PDF is a list of numbered objects, which may be packed many into one stream, and a table of where they stand. The table is
// not believed, for objects that nothing refers to any longer hold what was deleted: all objects that are there are read, in
// the order in which they stand.
//
//	file    "%PDF-" version {object} table "trailer" dictionary "startxref" place "%%EOF" {more of the same, which replaces it}
//	object  number generation "obj" value ["stream" bytes "endstream"] "endobj"
//
// Members are the text of each page, put together from what its content shows; the strings of all other objects, such as
// titles, notes, addresses of links and fields of forms; attachments; and other streams that are text, such as scripts.

// maxPDFPacked is how many bytes of streams of objects are kept at a time.
const maxPDFPacked = 32 << 20

// pdf is a file in the making of its members.
type pdf struct {
	w    *walker
	data []byte
	ends []int // where "endstream" stands

	objects []pdfObject
	latest  map[int]int // number → of objects
	packed  int         // bytes of streams of objects
	fonts   map[int]*pdfFont
	used    map[int]bool // streams, by where they start, that were looked at, or are no text
	unnamed bool         // text was shown in a font that does not say what its characters are
	err     error        // that the budget is used up
}

// pdfObject is where an object stands.
type pdfObject struct {
	number     int
	text       []byte // from its value on; shared by all objects of a stream
	start      int    // in data, if it is not in a stream; or else of the stream
	size       int    // of the stream that it is in; 0 if it is in none
	from, to   int    // of the stream that is a part of it, in data; from is 0 if none is
	hasBrokenE bool   // nothing ends that stream
}

// pdf emits what is in a PDF.
func (w *walker) pdf(data []byte) error {
	p := &pdf{w: w, data: data, latest: map[int]int{}, fonts: map[int]*pdfFont{}, used: map[int]bool{}}
	p.ends = indexAll(data, []byte("endstream"))
	if p.isEncrypted() {
		return errEncrypted
	}
	if err := p.scan(); err != nil {
		return err
	}
	for _, step := range []func() error{p.pages, p.strings, p.attachments, p.rest} {
		if err := step(); err != nil {
			return err
		}
		if p.err != nil {
			return p.err
		}
	}
	if p.unnamed {
		w.skip("pdf: text in fonts that do not say what their characters are")
	}
	return nil
}

// indexAll returns all places of what in data, in order.
func indexAll(data, what []byte) (all []int) {
	for at := 0; ; {
		n := bytes.Index(data[at:], what)
		if n < 0 {
			return all
		}
		all = append(all, at+n)
		at += n + len(what)
	}
}

// isEncrypted reports whether a trailer, or the stream in place of one, says so.
func (p *pdf) isEncrypted() bool {
	for _, at := range indexAll(p.data, []byte("/Encrypt")) {
		if rest := p.data[at+len("/Encrypt"):]; len(rest) > 0 && (isPDFSpace(rest[0]) || isPDFDelimiter(rest[0])) {
			l := pdfLexer{b: rest[:min(len(rest), 64)]}
			v, _ := l.value()
			switch v.(type) {
			case pdfRef, pdfDict:
				return true
			}
		}
	}
	return false
}

// scan finds all objects.
func (p *pdf) scan() error {
	for at := 0; ; {
		n := bytes.Index(p.data[at:], []byte("obj"))
		if n < 0 {
			break
		}
		at += n + len("obj")
		number, ok := objectNumber(p.data[:at-len("obj")])
		if !ok {
			continue
		}
		l := pdfLexer{b: p.data, at: at}
		v, _ := l.value()
		o := pdfObject{number: number, text: p.data[at:l.at], start: at}
		if d, isDict := v.(pdfDict); isDict {
			l.at = p.stream(&o, d, l.at)
			at = l.at
			p.add(o)
			p.unpack(o, d)
		} else {
			at = max(at, l.at)
			p.add(o)
		}
		if len(p.objects) > p.w.budget.Members {
			return fmt.Errorf("objects beyond the first %d", len(p.objects))
		}
		if p.err != nil {
			return p.err
		}
	}
	if len(p.objects) == 0 {
		return errors.New("there are no objects in it")
	}
	return nil
}

// objectNumber reads the number and generation that stand at the end of head, before "obj".
func objectNumber(head []byte) (int, bool) {
	word := func() ([]byte, bool) {
		trimmed := bytes.TrimRightFunc(head[max(0, len(head)-24):], func(r rune) bool { return r < 0x80 && isPDFSpace(byte(r)) })
		end := len(head) - len(head[max(0, len(head)-24):]) + len(trimmed)
		start := end
		for start > 0 && end-start < 11 && head[start-1] >= '0' && head[start-1] <= '9' {
			start--
		}
		w := head[start:end]
		head = head[:start]
		return w, len(w) > 0
	}
	if _, ok := word(); !ok {
		return 0, false
	}
	digits, ok := word()
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

func (p *pdf) add(o pdfObject) {
	p.latest[o.number] = len(p.objects)
	p.objects = append(p.objects, o)
}

// stream finds the stream that may follow the dictionary d, which ends at at, and returns where it ends.
func (p *pdf) stream(o *pdfObject, d pdfDict, at int) int {
	l := pdfLexer{b: p.data, at: at}
	l.space()
	if !bytes.HasPrefix(p.data[l.at:], []byte("stream")) {
		return at
	}
	o.from = l.at + len("stream")
	if bytes.HasPrefix(p.data[o.from:], []byte("\r\n")) {
		o.from += 2
	} else if o.from < len(p.data) && (p.data[o.from] == '\n' || p.data[o.from] == '\r') {
		o.from++
	}
	if n, ok := d["Length"].(float64); ok && n >= 0 && n <= float64(len(p.data)-o.from) {
		o.to = o.from + int(n)
		end := pdfLexer{b: p.data[:min(len(p.data), o.to+32)], at: o.to}
		if end.space(); bytes.HasPrefix(p.data[end.at:], []byte("endstream")) {
			return end.at
		}
	}
	i := sort.SearchInts(p.ends, o.from)
	if i == len(p.ends) {
		o.to, o.hasBrokenE = len(p.data), true
		return o.to
	}
	o.to = p.ends[i]
	return o.to
}

// unpack adds the objects that stand in the stream of o, if it is one of objects.
//
//	{number place} {value}, where the first value stands at First, and places count from there
func (p *pdf) unpack(o pdfObject, d pdfDict) {
	if d["Type"] != pdfName("ObjStm") || o.from == 0 {
		return
	}
	p.used[o.from] = true
	text, err := p.read(o, d)
	if err != nil && len(text) == 0 {
		p.tell(fmt.Sprintf("pdf:object %d", o.number), err)
		return
	}
	if p.packed += len(text); p.packed > maxPDFPacked {
		p.w.skip(fmt.Sprintf("pdf: packed objects beyond %d MiB", maxPDFPacked>>20))
		return
	}
	first, _ := d["First"].(float64)
	count, _ := d["N"].(float64)
	l := pdfLexer{b: text}
	for n := 0.0; n < count && len(p.objects) <= p.w.budget.Members; n++ {
		number, _ := l.value()
		place, ok := l.value()
		if !ok {
			return
		}
		num, isNumber := number.(float64)
		at, isPlace := place.(float64)
		if at += first; !isNumber || !isPlace || at < 0 || at >= float64(len(text)) || num < 0 || num > 1<<31 {
			continue
		}
		p.add(pdfObject{number: int(num), text: text[int(at):], start: o.from, size: o.to - o.from})
	}
}

// tell says that something was left out, or keeps the error if the budget is used up.
func (p *pdf) tell(path string, err error) {
	if err := p.w.tell(path, err); err != nil {
		p.err = err
	}
}

// value reads an object. What is read counts as bytes that came out, since an object can be read many times.
func (p *pdf) value(o pdfObject) any {
	l := pdfLexer{b: o.text}
	v, _ := l.value()
	if err := p.w.budget.take(l.at); err != nil {
		p.err = err
	}
	return v
}

// resolve returns what v refers to, or v itself.
func (p *pdf) resolve(v any) any {
	for range 8 {
		ref, ok := v.(pdfRef)
		if !ok {
			return v
		}
		o, there := p.object(ref)
		if !there || p.err != nil {
			return nil
		}
		v = p.value(o)
	}
	return nil
}

func (p *pdf) object(ref pdfRef) (pdfObject, bool) {
	i, ok := p.latest[int(ref)]
	if !ok {
		return pdfObject{}, false
	}
	return p.objects[i], true
}

// dict returns the dictionary that v is or refers to, or nil.
func (p *pdf) dict(v any) pdfDict {
	d, _ := p.resolve(v).(pdfDict)
	return d
}

// pages emits the text of all pages: first of those that the catalogue leads to, in their order, and then of the others.
func (p *pdf) pages() error {
	seen := map[int]bool{}
	number := 0
	show := func(page pdfDict, path string) error {
		t := newPDFText(p, path)
		t.page(page)
		return t.end()
	}
	var queue []pdfRef
	for _, o := range p.objects {
		if d, ok := p.value(o).(pdfDict); ok && d["Type"] == pdfName("Catalog") {
			if ref, ok := d["Pages"].(pdfRef); ok {
				queue = append(queue, ref)
			}
		}
	}
	for len(queue) > 0 && p.err == nil {
		ref := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		i, ok := p.latest[int(ref)]
		if !ok || seen[i] {
			continue
		}
		seen[i] = true
		d := p.dict(ref)
		if kids, ok := p.resolve(d["Kids"]).(pdfArray); ok {
			for _, kid := range slices.Backward(kids) {
				if ref, ok := kid.(pdfRef); ok {
					queue = append(queue, ref)
				}
			}
			continue
		}
		number++
		if err := show(d, fmt.Sprintf("pdf:page %d", number)); err != nil {
			return err
		}
	}
	for i, o := range p.objects {
		if seen[i] || p.err != nil {
			continue
		}
		if d, ok := p.value(o).(pdfDict); ok && d["Type"] == pdfName("Page") {
			if err := show(d, fmt.Sprintf("pdf:object %d", o.number)); err != nil {
				return err
			}
		}
	}
	return nil
}

// strings emits the strings of all objects, each on a line behind its key.
func (p *pdf) strings() error {
	a := p.w.assemble(Member{Path: "pdf:strings", End: len(p.data)})
	for _, o := range p.objects {
		if p.err != nil || a.err != nil {
			break
		}
		p.stringsOf(a, o, "", p.value(o), 0)
	}
	return a.end()
}

func (p *pdf) stringsOf(a *assembly, o pdfObject, key pdfName, v any, depth int) {
	switch v := v.(type) {
	case pdfString:
		text := pdfTextString(v.text)
		if len(text) < 2 || key == "ID" {
			return
		}
		if key != "" {
			a.add(string(key) + ": ")
		}
		switch {
		case o.size > 0:
			a.put(text, o.start, o.size, 0)
		case v.plain && len(text) == v.end-v.start-2:
			a.put(text, o.start+v.start+1, len(text), 1)
		default:
			a.put(text, o.start+v.start, v.end-v.start, 0)
		}
		a.add("\n")
	case pdfArray:
		for _, e := range v {
			p.stringsOf(a, o, key, e, depth+1)
		}
	case pdfDict:
		for _, k := range sortedKeys(v) {
			p.stringsOf(a, o, k, v[k], depth+1)
		}
	}
}

// sortedKeys returns a dictionary's keys in the order of their names, so that the same file always gives the same text.
func sortedKeys(d pdfDict) []pdfName {
	keys := make([]pdfName, 0, len(d))
	for k := range d {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// pdfTextString returns a string that is meant for people as UTF-8.
func pdfTextString(b []byte) []byte {
	switch {
	case len(b) >= 2 && b[0] == 0xfe && b[1] == 0xff:
		units := make([]uint16, 0, len(b)/2)
		for i := 2; i+1 < len(b); i += 2 {
			units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
		}
		return []byte(string(utf16.Decode(units)))
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return b[3:]
	}
	return b
}

// attachments emits the files that are attached.
func (p *pdf) attachments() error {
	for _, o := range p.objects {
		d, ok := p.value(o).(pdfDict)
		if !ok || p.err != nil {
			continue
		}
		files := p.dict(d["EF"])
		if files == nil {
			continue
		}
		name := ""
		for _, key := range []pdfName{"UF", "F"} {
			if s, ok := p.resolve(d[key]).(pdfString); ok && name == "" {
				name = string(pdfTextString(s.text))
			}
		}
		for _, key := range sortedKeys(files) {
			ref, _ := files[key].(pdfRef)
			file, ok := p.object(ref)
			if !ok || file.from == 0 || p.used[file.from] {
				continue
			}
			p.emit(file, Member{Path: "pdf:" + shown(name), Name: name})
		}
	}
	return p.err
}

// emit emits what a stream expands to.
func (p *pdf) emit(o pdfObject, m Member) {
	p.used[o.from] = true
	d, _ := p.value(o).(pdfDict)
	m.Start, m.End = o.from, o.to
	r, done, stored, err := p.open(o, d)
	if err == nil {
		defer done()
		if stored {
			err = p.w.whole(p.data, m)
		} else {
			err = p.w.pieces(r, m)
		}
	}
	if err == nil && o.hasBrokenE {
		err = errors.New("it is cut off")
	}
	p.tell(m.Path, err)
}

// rest emits the streams that were not looked at and are text, such as scripts and forms, and the text that is shown by
// content which no page has any longer.
func (p *pdf) rest() error {
	for _, o := range p.objects {
		if o.from == 0 || p.used[o.from] || p.err != nil {
			continue
		}
		d, _ := p.value(o).(pdfDict)
		if isPDFMedia(d) {
			continue
		}
		head, err := p.head(o, d)
		if !isText(head) {
			if _, unknown := errors.AsType[*pdfFilterError](err); unknown {
				p.tell(fmt.Sprintf("pdf:object %d", o.number), err)
			}
			continue
		}
		path := fmt.Sprintf("pdf:object %d", o.number)
		if !bytes.Contains(head, []byte("BT")) || bytes.Contains(head, []byte("begincmap")) {
			p.emit(o, Member{Path: path})
			continue
		}
		t := newPDFText(p, path)
		t.content(o, d, p.dict(d["Resources"]))
		if err := t.end(); err != nil {
			return err
		}
	}
	return p.err
}

// isPDFMedia reports whether a stream is a picture, a font, a colour, or a table: no text in any case.
func isPDFMedia(d pdfDict) bool {
	switch d["Type"] {
	case pdfName("XRef"), pdfName("ObjStm"), pdfName("CMap"):
		return true
	}
	switch d["Subtype"] {
	case pdfName("Image"), pdfName("Type1C"), pdfName("CIDFontType0C"), pdfName("OpenType"):
		return true
	}
	_, isFont := d["Length1"]
	_, isColour := d["Alternate"]
	_, isFunction := d["FunctionType"]
	return isFont || isColour || isFunction
}
