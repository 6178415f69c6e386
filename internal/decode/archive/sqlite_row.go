package archive

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"strings"
	"unicode/utf16"
)

// piece is a part of the file.
type piece struct{ from, n int }

// sqlRecord is a row, where it stands: in a page and the pages that it goes on at.
type sqlRecord struct {
	pieces []piece
	kinds  []uint64 // of its values
	places []int    // of its values, from its start
	size   int      // bytes that are there
}

// cells calls visit with the records of a page. The record is valid during the call.
func (s *sqlite) cells(n int, visit func(sqlRecord)) {
	p, ok := s.page(n)
	if !ok || p.kind == sqlTable || s.err != nil {
		return
	}
	var r sqlRecord
	for i := range p.cells {
		at, ok := s.cell(p, i)
		if !ok || !s.record(&r, p, at) {
			s.tell("rows that make no sense")
			continue
		}
		// Rows may lie about where they stand, and be of the same bytes.
		if s.err = s.w.budget.take(r.size + 1); s.err != nil {
			return
		}
		visit(r)
	}
}

// record reads the cell at at.
func (s *sqlite) record(r *sqlRecord, p sqlPage, at int) bool {
	end := p.start + s.usable
	if p.kind == sqlIndex {
		at += 4
	}
	size, n := sqlVarint(s.data[at:end])
	at += n
	longest := (s.usable-12)*64/255 - 23
	if p.kind == sqlTableLeaf {
		_, id := sqlVarint(s.data[at:end])
		at, n = at+id, min(n, id)
		longest = s.usable - 35
	}
	if n == 0 || size == 0 || size > math.MaxInt32 {
		return false
	}
	local := int(size)
	if local > longest {
		least := (s.usable-12)*32/255 - 23
		if local = least + (int(size)-least)%(s.usable-4); local > longest {
			local = least
		}
	}
	if at+local > end {
		return false
	}
	r.pieces = append(r.pieces[:0], piece{at, local})
	r.size = local
	if local < int(size) && at+local+4 <= end {
		s.chain(r, int(binary.BigEndian.Uint32(s.data[at+local:])), int(size))
	}
	return s.values(r)
}

// chain adds the pages that a record of size bytes goes on at. Each page is of one record only, so that circles end.
func (s *sqlite) chain(r *sqlRecord, page, size int) {
	for r.size < size {
		at, n, ok := s.chained(page)
		if !ok || s.owner[n] != sqlNobody {
			s.tell(sqlBadOverflow)
			return
		}
		s.owner[n] = sqlIsChain
		length := min(s.usable-4, size-r.size)
		r.pieces = append(r.pieces, piece{at + 4, length})
		r.size += length
		page = int(binary.BigEndian.Uint32(s.data[at:]))
	}
}

// values finds the values of a record.
func (s *sqlite) values(r *sqlRecord) bool {
	first := s.data[r.pieces[0].from:][:r.pieces[0].n]
	head, n := sqlVarint(first)
	if n == 0 || head < uint64(n) || head > uint64(r.size) {
		return false
	}
	b := first
	if head > uint64(len(first)) { // many columns
		b = s.bytes(*r, 0, min(int(head), maxSQLHead))
	}
	at := int(head)
	b = b[n:min(at, len(b))]
	r.kinds, r.places = r.kinds[:0], r.places[:0]
	for len(b) > 0 && len(r.kinds) < maxSQLColumns {
		kind, n := sqlVarint(b)
		if n == 0 || at > r.size {
			return len(r.kinds) > 0
		}
		b = b[n:]
		r.kinds, r.places = append(r.kinds, kind), append(r.places, at)
		at += sqlLength(kind)
	}
	return true
}

// sqlVarint reads a number of seven bits a byte, high ones first; the ninth byte counts whole. n is 0 if it is cut off.
func sqlVarint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 9 {
		c := b[n]
		n++
		if n == 9 {
			return v<<8 | uint64(c), n
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// sqlLength returns how many bytes a value of a kind has.
func sqlLength(kind uint64) int {
	switch {
	case kind >= 12:
		return int(min((kind-12)/2, math.MaxInt32))
	case kind <= 4:
		return int(kind)
	case kind == 5:
		return 6
	case kind <= 7:
		return 8
	}
	return 0
}

// piecesOf returns where the part of a record from from to to stands.
func (r sqlRecord) piecesOf(from, to int) (all []piece) {
	at := 0
	for _, p := range r.pieces {
		start, end := max(from, at), min(to, at+p.n)
		if start < end {
			all = append(all, piece{p.from + start - at, end - start})
		}
		at += p.n
	}
	return all
}

// bytes returns a part of a record as one, of at most sqlLongest.
func (s *sqlite) bytes(r sqlRecord, from, to int) []byte {
	all := r.piecesOf(from, min(to, from+sqlLongest))
	if len(all) == 1 {
		return s.data[all[0].from:][:all[0].n]
	}
	var b []byte
	for _, p := range all {
		b = append(b, s.data[p.from:][:p.n]...)
	}
	return b
}

// value returns where the nth value of a record starts and ends, as far as it is there.
func (r sqlRecord) value(n int) (from, to int) {
	if n >= len(r.kinds) {
		return 0, 0
	}
	from = min(r.places[n], r.size)
	return from, min(from+sqlLength(r.kinds[n]), r.size)
}

// text returns the nth value as text.
func (s *sqlite) text(r sqlRecord, n int) string {
	from, to := r.value(n)
	return string(s.decode(s.bytes(r, from, to)))
}

// decode returns a text as UTF-8.
func (s *sqlite) decode(b []byte) []byte {
	if s.encoding != 2 && s.encoding != 3 {
		return b
	}
	var order binary.ByteOrder = binary.LittleEndian
	if s.encoding == 3 {
		order = binary.BigEndian
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return []byte(string(utf16.Decode(units)))
}

// number returns the nth value as a number, 0 if it is none.
func (r sqlRecord) number(s *sqlite, n int) (v int64) {
	if n >= len(r.kinds) || r.kinds[n] > 6 {
		if n < len(r.kinds) && r.kinds[n] == 9 {
			return 1
		}
		return 0
	}
	from, to := r.value(n)
	for _, c := range s.bytes(r, from, to) {
		v = v<<8 | int64(c)
	}
	return v
}

// sqlRows emits rows as lines of names and values, and blobs that are no text by themselves.
type sqlRows struct {
	s       *sqlite
	path    string
	columns []string
	text    *assembly
	blobs   *assembly
	err     error
}

func (s *sqlite) rows(path string, columns []string) *sqlRows {
	return &sqlRows{
		s: s, path: path, columns: columns,
		text:  s.w.assemble(Member{Path: path, End: len(s.data)}),
		blobs: s.w.assemble(Member{Path: path + " (blobs)", End: len(s.data)}),
	}
}

// end emits what is left.
func (o *sqlRows) end() error {
	for _, err := range []error{o.s.err, o.err, o.text.end(), o.blobs.end()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// add emits a row. It reads as an object of JSON does, but for what stands in the texts themselves, so that names and values are
// understood.
func (o *sqlRows) add(r sqlRecord) {
	open := "{"
	for n, kind := range r.kinds {
		from, to := r.value(n)
		if kind < 12 || from == to || o.err != nil || o.text.err != nil || o.blobs.err != nil {
			continue
		}
		if kind%2 == 0 && o.blob(r, from, to) {
			continue
		}
		o.text.add(open)
		open = ", "
		if n < len(o.columns) {
			o.text.add(`"` + o.columns[n] + `": `)
		}
		o.text.add(`"`)
		o.put(r, from, to, kind%2 == 1)
		o.text.add(`"`)
	}
	if open != "{" {
		o.text.add("}\n")
	}
}

// put appends a text.
func (o *sqlRows) put(r sqlRecord, from, to int, isText bool) {
	all := r.piecesOf(from, to)
	if !isText || o.s.encoding != 2 && o.s.encoding != 3 {
		for _, p := range all {
			o.text.put(o.s.data[p.from:][:p.n], p.from, p.n, 1)
		}
		return
	}
	if to-from > sqlLongest {
		o.s.tell("texts beyond their first 8 MiB")
	}
	raw := o.s.bytes(r, from, to)
	text := o.s.decode(raw)
	unit := 0
	if len(all) == 1 && 2*len(text) == len(raw) {
		unit = 2
	}
	o.text.put(text, all[0].from, all[0].n, unit)
}

// blob emits a blob and reports whether it is one, rather than text.
func (o *sqlRows) blob(r sqlRecord, from, to int) bool {
	all := r.piecesOf(from, to)
	head := o.s.data[all[0].from:][:min(all[0].n, 512)]
	if isText(head) {
		return false
	}
	if Detect(o.s.data[all[0].from:][:all[0].n]) == "" && Detect(head) == "" {
		for _, p := range all {
			o.blobs.put(o.s.data[p.from:][:p.n], p.from, p.n, 1)
		}
		o.blobs.add("\n")
		return true
	}
	m := Member{Path: o.path + " (blob)", Start: all[0].from, End: all[0].from + all[0].n}
	if len(all) == 1 {
		o.err = o.s.w.whole(o.s.data, m)
		return true
	}
	var readers []io.Reader
	for _, p := range all {
		readers = append(readers, bytes.NewReader(o.s.data[p.from:][:p.n]))
	}
	m.Start, m.End = 0, len(o.s.data)
	o.err = o.s.w.pieces(io.MultiReader(readers...), m)
	return true
}

// columnsOf returns the names of the columns of the table that the text of SQL creates, in the order in which rows hold them, or
// nil if that can't be told.
func columnsOf(text string) (names []string) {
	open := strings.IndexByte(text, '(')
	if open < 0 {
		return nil
	}
	body := text[open+1:]
	if strings.Contains(strings.ToUpper(text), "WITHOUT ROWID") {
		first, _, _ := strings.Cut(body, ",")
		if !strings.Contains(strings.ToUpper(first), "PRIMARY KEY") {
			return nil
		}
	}
	for len(names) < maxSQLColumns {
		part, rest, more := cutSQL(body)
		if name := sqlName(part); name != "" {
			names = append(names, name)
		}
		if !more {
			return names
		}
		body = rest
	}
	return names
}

// cutSQL cuts a list at its first comma that is not in quotes or brackets. more is false at the bracket that ends it.
func cutSQL(text string) (part, rest string, more bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return text[:i], "", false
			}
		case ',':
			if depth == 0 {
				return text[:i], text[i+1:], true
			}
		case '"', '\'', '`', '[':
			if c == '[' {
				c = ']'
			}
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				return text, "", false
			}
			i += 1 + n
		case '-':
			if strings.HasPrefix(text[i:], "--") {
				n := strings.IndexByte(text[i:], '\n')
				if n < 0 {
					return text, "", false
				}
				i += n
			}
		}
	}
	return text, "", false
}

// sqlName returns the name of the column that a part of a list defines, "" if it defines none.
func sqlName(part string) string {
	part = strings.TrimSpace(part)
	for strings.HasPrefix(part, "--") {
		_, rest, _ := strings.Cut(part, "\n")
		part = strings.TrimSpace(rest)
	}
	if part == "" {
		return ""
	}
	if end := strings.IndexByte("\"'`[", part[0]); end >= 0 {
		name, _, _ := strings.Cut(part[1:], string("\"'`]"[end]))
		return name
	}
	name := part
	if n := strings.IndexAny(part, " \t\r\n("); n >= 0 {
		name = part[:n]
	}
	switch strings.ToUpper(name) {
	case "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
		return ""
	}
	return name
}
