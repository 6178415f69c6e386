package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A SQLite database is a list of pages. Each table is a tree of them, whose leaves hold its rows; what does not fit into a page
// goes on in a chain of others. Pages that were freed keep what they held until they are used again, and so does the room between
// rows: deleted rows are still there. So all pages are read, those of a tree with the names of its columns, the others by
// themselves, and after that the room that is in no row. Numbers are big-endian.
//
//	file  header(100) of page 1: … page size(2) at 16, reserved bytes at 20, encoding(4) at 56
//	page  [header of the file] kind(1) first free block(2) cells(2) content(2) fragments(1) [right child(4)] {place of a cell(2)} room cells
//	cell  of a leaf of tables: size, row id, record [overflow page(4)]; of other leaves: size, record [overflow page(4)]
//	      of others, child(4) before it, and no record in tables; sizes and ids are varints
//	chain next page(4) bytes
//	record  size of its head, {kind of a value}, {value}; kinds from 12 on are blobs and texts of that many bytes
//
// A write-ahead log is pages too, each behind a header of 24 bytes.
const (
	sqliteHead    = 100
	sqliteMagic   = "SQLite format 3\x00"
	walHead       = 32
	walFrame      = 24
	maxSQLTables  = 10_000
	maxSQLColumns = 32767   // as SQLite itself allows at most
	maxSQLHead    = 1 << 20 // bytes of a record's head

	sqlTable       = 0x05 // kinds of pages
	sqlTableLeaf   = 0x0d
	sqlIndex       = 0x02
	sqlIndexLeaf   = 0x0a
	sqlLongest     = 8 << 20 // bytes of a value that are put together to decode it
	sqlBadOverflow = "a row goes on at a page that is not there, or of another row"
)

// sqlite is a database in the making of its members.
type sqlite struct {
	w        *walker
	data     []byte
	size     int // of a page
	usable   int
	pages    int
	encoding int // 1 is UTF-8, 2 and 3 UTF-16 with the low or high byte first
	log      bool
	frames   map[int]int // in a log: page → where its last version starts
	tables   []sqlTableInfo
	owner    []uint16 // of each page: one more than its table; or one of the following
	told     map[string]bool
	quiet    bool  // rows of pages that are in no table: that some are no longer whole is to be expected
	err      error // that the budget is used up
}

const (
	sqlNobody   = 0
	sqlIsIndex  = 1<<16 - 1
	sqlIsChain  = 1<<16 - 2
	sqlIsSchema = 1<<16 - 3
	sqlIsFree   = 1<<16 - 4
)

// sqlTableInfo is a table or index.
type sqlTableInfo struct {
	name    string
	columns []string
}

// sqlite emits the tables of a database, and what is left of what was deleted.
func (w *walker) sqlite(data []byte) error {
	if len(data) < sqliteHead {
		return errors.New("it is cut off")
	}
	s := &sqlite{w: w, data: data, size: int(binary.BigEndian.Uint16(data[16:])), encoding: int(binary.BigEndian.Uint32(data[56:])), told: map[string]bool{}}
	if err := s.measure(int(data[20])); err != nil {
		return err
	}
	s.pages = len(data) / s.size
	s.owner = make([]uint16, s.pages+1)
	if said := binary.BigEndian.Uint32(data[28:]); int64(said) > int64(s.pages) && string(data[24:28]) == string(data[92:96]) {
		s.tell(fmt.Sprintf("it is cut off: %d of %d pages are missing", int(said)-s.pages, said))
	}
	pages := s.schema()
	for i, t := range s.tables {
		rows := s.rows("sqlite:"+shown(t.name), t.columns)
		for _, n := range pages[i] {
			s.cells(n, rows.add)
		}
		if err := rows.end(); err != nil {
			return err
		}
	}
	return s.left()
}

// sqliteLog emits what is in a write-ahead log.
func (w *walker) sqliteLog(data []byte) error {
	if len(data) < walHead {
		return errors.New("it is cut off")
	}
	s := &sqlite{w: w, data: data, size: int(binary.BigEndian.Uint32(data[8:])), log: true, frames: map[int]int{}, encoding: 1, told: map[string]bool{}}
	if err := s.measure(0); err != nil {
		return err
	}
	s.pages = (len(data) - walHead) / (walFrame + s.size)
	for n := range s.pages {
		at := walHead + n*(walFrame+s.size)
		s.frames[int(binary.BigEndian.Uint32(data[at:]))] = at + walFrame
	}
	s.owner = make([]uint16, s.pages+1)
	return s.left()
}

// measure checks the size of pages.
func (s *sqlite) measure(reserved int) error {
	if s.size == 1 {
		s.size = 1 << 16
	}
	if s.size < 512 || s.size > 1<<16 || s.size&(s.size-1) != 0 || s.size-reserved < 480 {
		return fmt.Errorf("its pages have %d bytes", s.size)
	}
	s.usable = s.size - reserved
	return nil
}

// tell says once that something was left out.
func (s *sqlite) tell(why string) {
	if !s.told[why] && !s.quiet {
		s.told[why] = true
		s.w.skip("sqlite: " + why)
	}
}

// start returns where the nth page of the file starts, from 1.
func (s *sqlite) start(page int) int {
	if s.log {
		return walHead + (page-1)*(walFrame+s.size) + walFrame
	}
	return (page - 1) * s.size
}

// chained returns where the page starts that a row goes on at, and its number among the pages of the file.
func (s *sqlite) chained(page int) (at, n int, ok bool) {
	if s.log {
		at, ok = s.frames[page]
		return at, (at-walHead-walFrame)/(walFrame+s.size) + 1, ok
	}
	return s.start(page), page, page >= 1 && page <= s.pages
}

// sqlPage is the head of a page of a tree.
type sqlPage struct {
	kind  byte
	start int // of the page in the file
	head  int // of its header in the file
	cells int
}

// page reads the head of a page; ok is false if it can't be one of a tree.
func (s *sqlite) page(n int) (p sqlPage, ok bool) {
	p = sqlPage{start: s.start(n)}
	p.head = p.start
	if n == 1 && !s.log {
		p.head += sqliteHead
	}
	b := s.data[p.head:]
	p.kind, p.cells = b[0], int(binary.BigEndian.Uint16(b[3:]))
	switch p.kind {
	case sqlTable, sqlTableLeaf, sqlIndex, sqlIndexLeaf:
	default:
		return p, false
	}
	return p, p.pointers()+2*p.cells <= p.start+s.usable
}

// pointers returns where the places of cells stand.
func (p sqlPage) pointers() int {
	if p.kind == sqlTable || p.kind == sqlIndex {
		return p.head + 12
	}
	return p.head + 8
}

// cell returns where the nth cell of a page starts; ok is false if it is not in the page.
func (s *sqlite) cell(p sqlPage, n int) (at int, ok bool) {
	at = int(binary.BigEndian.Uint16(s.data[p.pointers()+2*n:]))
	return p.start + at, at > 0 && at+4 <= s.usable
}

// children calls visit with the pages below a page that is no leaf.
func (s *sqlite) children(p sqlPage, visit func(page int)) {
	if p.kind != sqlTable && p.kind != sqlIndex {
		return
	}
	for i := range p.cells {
		if at, ok := s.cell(p, i); ok {
			visit(int(binary.BigEndian.Uint32(s.data[at:])))
		}
	}
	visit(int(binary.BigEndian.Uint32(s.data[p.head+8:])))
}

// claim makes all pages of the tree at root those of an owner, and returns those. Pages that have an owner already are left alone,
// so that circles end.
func (s *sqlite) claim(root int, owner uint16) (pages []int) {
	for stack := []int{root}; len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n < 1 || n > s.pages || s.owner[n] != sqlNobody {
			continue
		}
		p, ok := s.page(n)
		if !ok {
			s.tell("a page of a table makes no sense")
			continue
		}
		s.owner[n] = owner
		pages = append(pages, n)
		s.children(p, func(page int) {
			if page >= 1 && page <= s.pages && s.owner[page] == sqlNobody {
				stack = append(stack, page)
			}
		})
	}
	slices.Sort(pages)
	return pages
}

// schema reads the list of tables and returns the pages of each. Indexes are claimed as well: what is in them is in their tables
// too.
func (s *sqlite) schema() (pages [][]int) {
	type tree struct {
		root  int
		table bool
	}
	var trees []tree
	for _, n := range s.claim(1, sqlIsSchema) {
		s.cells(n, func(r sqlRecord) {
			kind, name, text := s.text(r, 0), s.text(r, 1), s.text(r, 4)
			root := int(r.number(s, 3))
			switch {
			case root <= 1:
			case len(trees) >= maxSQLTables:
				s.tell(fmt.Sprintf("the names of tables beyond the first %d", maxSQLTables))
			case kind == "table":
				s.tables = append(s.tables, sqlTableInfo{name, columnsOf(text)})
				trees = append(trees, tree{root, true})
			case kind == "index":
				trees = append(trees, tree{root, false})
			}
		})
	}
	for _, t := range trees {
		if t.table {
			pages = append(pages, s.claim(t.root, uint16(len(pages)+1)))
		} else {
			s.claim(t.root, sqlIsIndex)
		}
	}
	return pages
}

// left emits what is in no table: rows of pages that no tree leads to, and texts in the room between rows.
func (s *sqlite) left() error {
	s.quiet = true
	rows := s.rows("sqlite:free pages", nil)
	for n := 1; n <= s.pages; n++ {
		if s.owner[n] == sqlNobody && s.isLeaf(n) {
			s.owner[n] = sqlIsFree
			s.cells(n, rows.add)
		}
	}
	if err := rows.end(); err != nil {
		return err
	}
	a := s.w.assemble(Member{Path: "sqlite:free room", End: len(s.data)})
	for n := 1; n <= s.pages && a.err == nil; n++ {
		switch s.owner[n] {
		case sqlNobody:
			a.texts(s.data, s.start(n), s.start(n)+s.size)
		case sqlIsChain:
		default:
			if p, ok := s.page(n); ok {
				s.room(a, p)
			}
		}
	}
	if at := s.start(s.pages + 1); !s.log && at < len(s.data) {
		a.texts(s.data, at, len(s.data))
	}
	return a.end()
}

// isLeaf reports whether a page that no tree leads to is a leaf that is still whole.
func (s *sqlite) isLeaf(n int) bool {
	p, ok := s.page(n)
	if !ok || p.kind == sqlTable || p.cells == 0 {
		return false
	}
	for i := range p.cells {
		at, ok := s.cell(p, i)
		if !ok {
			return false
		}
		if p.kind == sqlIndex {
			at += 4
		}
		if size, n := sqlVarint(s.data[at : p.start+s.usable]); n == 0 || size == 0 || size > math.MaxInt32 {
			return false
		}
	}
	return true
}

// room appends the texts in the room of a page that is in no cell.
func (s *sqlite) room(a *assembly, p sqlPage) {
	from := p.pointers() + 2*p.cells
	to := int(binary.BigEndian.Uint16(s.data[p.head+5:]))
	if to == 0 {
		to = 1 << 16
	}
	if to = min(p.start+to, p.start+s.size); to > from {
		a.texts(s.data, from, to)
	}
	// Blocks that were freed are in the order of their places, so that the list ends.
	last, done := 0, 0
	for at := int(binary.BigEndian.Uint16(s.data[p.head+1:])); at > last && at+4 <= s.usable; {
		b := s.data[p.start+at:]
		size := int(binary.BigEndian.Uint16(b[2:]))
		end := min(at+max(size, 4), s.usable)
		a.texts(s.data, p.start+max(at+4, done), p.start+end)
		done = max(done, end)
		last, at = at, int(binary.BigEndian.Uint16(b))
	}
}
