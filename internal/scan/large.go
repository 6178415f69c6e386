package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"magpie"
	"magpie/internal/decode"
	"magpie/internal/detect"
	"magpie/internal/git"
	"magpie/internal/rule"
)

// Files that are larger than a piece are looked at in pieces, so that memory does not depend on their size. What is found is
// what a look at the whole file finds, with these exceptions: encoded text of more than decode.MaxRun bytes is not decoded in
// either case, and text in UTF-16 or UTF-32 that is not of ASCII is read only up to the end of the first piece, since only the
// mark at the beginning of a file says that it is some.
const (
	pieceBytes = 4 << 20
	// pieceReach is how far around a piece an encoded run may go that bears on it.
	pieceReach = decode.MaxRun + 64<<10
)

// pieces reads a file and scans it piece by piece.
type pieces struct {
	scanner *detect.Scanner
	r       io.Reader
	hash    *git.Hasher
	context int
	binary  bool // as Git decides by the beginning of the file
	most    int  // how many matches are kept

	buf   []byte // of the file, from base on
	base  int64  // offset of buf in the file
	lines int    // line feeds before buf
	since int64  // bytes before buf that are of the line that buf begins with
	ended bool

	findings []pieceFinding
	skipped  []string
}

// pieceFinding is a finding and the rule that found it.
type pieceFinding struct {
	finding magpie.Finding
	rule    *rule.Rule
}

// scanPieces scans what r gives, of which size bytes are expected, and returns the findings, the id of the whole as a blob,
// and what was left out. If r fails, what it gave until then is scanned.
func scanPieces(scanner *detect.Scanner, r io.Reader, size int64, context, most int) (*pieces, magpie.Hash, error) {
	p := &pieces{scanner: scanner, r: r, hash: git.NewHasher(git.SHA1), context: context, most: most}
	p.hash.Start(git.Blob, size)
	p.buf = make([]byte, 0, pieceBytes+2*pieceReach)
	err := p.fill()
	p.binary = detect.IsBinary(p.buf)
	at := 0 // in buf, from where on is to be looked at
	for err == nil && !(p.ended && at == len(p.buf)) {
		to := p.next(at)
		p.scan(at, to)
		at = p.drop(to)
		err = p.fill()
	}
	if err == nil && p.base+int64(len(p.buf)) != size {
		err = errors.New("its size changed while it was read")
	}
	return p, p.hash.Finish().Hash(), err
}

// fill reads as much as there is room for.
func (p *pieces) fill() error {
	for !p.ended && len(p.buf) < cap(p.buf) {
		n, err := p.r.Read(p.buf[len(p.buf):cap(p.buf)])
		_, _ = p.hash.Write(p.buf[len(p.buf) : len(p.buf)+n])
		p.buf = p.buf[:len(p.buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			p.ended = true
		case err != nil:
			return err
		}
	}
	return nil
}

// next returns the end of the piece that begins at at: where a line ends, if one does.
func (p *pieces) next(at int) int {
	to := min(at+pieceBytes, len(p.buf))
	if to == len(p.buf) && p.ended {
		return to
	}
	if n := bytes.LastIndexByte(p.buf[at:to], '\n'); n > 0 {
		return at + n + 1
	}
	return to
}

// scan looks at buf[from:to] with as much around it as bears on it.
func (p *pieces) scan(from, to int) {
	before, after := p.scanner.Reach()
	start, end := from, to
	if from > 0 {
		start = max(0, decode.Back(p.buf, from, max(0, from-pieceReach), decode.Unlisted)-before)
	}
	if to < len(p.buf) {
		end = min(len(p.buf), decode.Ahead(p.buf[:min(len(p.buf), to+pieceReach)], to, decode.Unlisted)+after)
	}
	start &^= 3 // characters of four bytes stay whole
	data := p.buf[start:end]
	matches := p.scanner.ScanPart(data, p.binary, p.base+int64(start) == 0)
	for _, why := range p.scanner.Skipped() {
		p.skip(why)
	}
	findings := Findings(data, matches, p.scanner.Covered(), p.context)
	line := p.lines + bytes.Count(p.buf[:start], []byte{'\n'})
	for i, m := range matches {
		if m.Start < from-start || m.Start >= to-start {
			continue // of another piece
		}
		if len(p.findings) == p.most {
			p.skip(fmt.Sprintf("matches beyond the first %d were dropped", p.most))
			return
		}
		f := findings[i]
		if f.LineStart == 1 {
			f.ColumnStart += p.column(start)
		}
		if f.LineEnd == 1 {
			f.ColumnEnd += p.column(start)
		}
		f.LineStart, f.LineEnd, f.Excerpt.FirstLine = f.LineStart+line, f.LineEnd+line, f.Excerpt.FirstLine+line
		p.findings = append(p.findings, pieceFinding{f, m.Rule})
	}
}

// column returns how many bytes stand before buf[start] on its line.
func (p *pieces) column(start int) int {
	if n := bytes.LastIndexByte(p.buf[:start], '\n'); n >= 0 {
		return start - n - 1
	}
	return start + int(p.since)
}

// drop gives up what is not needed for the pieces from at on, and returns where at is then.
func (p *pieces) drop(at int) int {
	gone := max(0, at-pieceReach) &^ 3
	p.since = int64(p.column(gone))
	p.lines += bytes.Count(p.buf[:gone], []byte{'\n'})
	p.base += int64(gone)
	p.buf = p.buf[:copy(p.buf, p.buf[gone:])]
	return at - gone
}

func (p *pieces) skip(why string) {
	for _, told := range p.skipped {
		if told == why {
			return
		}
	}
	p.skipped = append(p.skipped, why)
}
