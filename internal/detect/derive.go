package detect

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"magpie"
	"magpie/internal/decode"
	"magpie/internal/decode/archive"
)

// Derive scans data, which was made from the text of base by the given copies and new bytes between them, and returns
// what Trace would. The copies are in the order of To, don't overlap there, and no two of them lie together in both
// texts. It looks only at what was not copied:
//
//   - A literal stands either wholly in one copy, and then it stands in base too, or it touches a new byte or the seam
//     of two copies, around which the literals are looked for.
//   - The verdict on a literal is inherited if all the bytes that it may depend on are of one copy, and where they are cut
//     off by an end of the text, so are they in base. Otherwise it is found anew.
//   - An encoded run is inherited if it is of one copy and nothing that bears on where it starts and ends was changed.
//
// A text whose scan depends on the whole of it (with zero bytes, a container, or more than could be looked at) is traced
// whole.
func (s *Scanner) Derive(base *Trace, data []byte, copies []magpie.Copy) *Trace {
	if base.whole || len(copies) == 0 || s.newZero(data, copies) || archive.Detect(data) != "" {
		return s.Trace(data)
	}
	t := &Trace{size: len(data)}
	s.seams(base, data, copies)
	s.repeats.begin(len(s.e.lits))
	s.traced = s.traced[:0]
	fresh := s.fresh(base, data, copies)
	for _, c := range copies {
		fresh = s.inherit(t, base, data, c, fresh)
	}
	for _, h := range fresh {
		s.judgeHit(t, data, h)
	}
	if t.dear() || s.repeatsItself(s.traced, data) {
		return s.Trace(data)
	}
	t.hits = slices.Clone(s.traced)
	if !s.e.opts.NoDecode {
		s.deriveRuns(t, base, data, copies)
	}
	return t
}

// newZero reports whether there is a zero byte among the new ones.
func (s *Scanner) newZero(data []byte, copies []magpie.Copy) bool {
	at := 0
	for _, c := range copies {
		if c.To > at && bytes.IndexByte(data[at:c.To], 0) >= 0 {
			return true
		}
		at = c.To + c.Len
	}
	return bytes.IndexByte(data[at:], 0) >= 0
}

// seams collects the stretches of data that are new, and as empty stretches the places where copies meet or where the
// text of base was cut off.
func (s *Scanner) seams(base *Trace, data []byte, copies []magpie.Copy) {
	s.stretches = s.stretches[:0]
	at := 0
	for i, c := range copies {
		if i > 0 || c.To > 0 || c.From > 0 {
			s.stretches = append(s.stretches, Span{at, c.To})
		}
		at = c.To + c.Len
	}
	last := copies[len(copies)-1]
	if at < len(data) || last.From+last.Len < base.size {
		s.stretches = append(s.stretches, Span{at, len(data)})
	}
}

// fresh returns the literals that are of no single copy, in order. Stretches that are near to one another are looked at
// as one.
func (s *Scanner) fresh(base *Trace, data []byte, copies []magpie.Copy) []hit {
	reach := s.e.longest // one byte more than a literal may stand into it, for its edges
	hits := s.hits[0][:0]
	for i := 0; i < len(s.stretches); {
		from, to := max(0, s.stretches[i].Start-reach), s.stretches[i].End+reach
		for i++; i < len(s.stretches) && s.stretches[i].Start-reach <= to; i++ {
			to = s.stretches[i].End + reach
		}
		before := len(hits)
		hits = s.e.filter.scan(data, from, min(to, len(data)), hits)
		if len(hits)-before > 1 {
			sortHits(hits[before:])
		}
	}
	s.hits[0] = hits
	kept := hits[:0]
	next := 0
	for _, h := range hits {
		for next < len(copies) && copies[next].To+copies[next].Len <= h.pos {
			next++
		}
		if next < len(copies) && s.e.lits[h.lit].within(copies[next], h.pos, base.size, len(data)) {
			continue // inherited
		}
		kept = append(kept, h)
	}
	return kept
}

// inherit adds the literals that stand in a copy, with those of fresh that come before each, and returns the rest of
// these.
func (s *Scanner) inherit(t, base *Trace, data []byte, c magpie.Copy, fresh []hit) []hit {
	shift := c.To - c.From
	hits := base.hits[sort.Search(len(base.hits), func(i int) bool { return int(base.hits[i].pos) >= c.From }):]
	for _, b := range hits {
		l := &s.e.lits[b.lit]
		n := len(l.text)
		pos := int(b.pos) + shift
		if pos >= c.To+c.Len {
			break
		}
		if !l.within(c, pos, base.size, len(data)) {
			continue
		}
		for len(fresh) > 0 && before(fresh[0], pos, b.lit) {
			s.judgeHit(t, data, fresh[0])
			fresh = fresh[1:]
		}
		if s.keeps(b, base.size, pos, len(data), c) {
			s.add(t, tracedHit{int32(pos), b.lit, b.work, b.verdict})
		} else {
			s.judgeHit(t, data, hit{pos, b.lit, uint16(n)})
		}
	}
	return fresh
}

// within reports whether the literal, which stands at pos in a text of size bytes, stands there because it does so in the
// text of baseSize bytes that the copy c is of: its bytes are of the copy, and so are those next to it that matter.
func (l *literal) within(c magpie.Copy, pos, baseSize, size int) bool {
	from, to := pos, pos+len(l.text)+len(l.tail)
	if l.edges.start && !(pos == 0 && c.To == 0 && c.From == 0) {
		from--
	}
	if l.edges.end {
		to += l.edges.ahead()
		if to > size && c.To+c.Len == size && c.From+c.Len == baseSize {
			to = size
		}
	}
	return c.To <= from && to <= c.To+c.Len
}

// judgeHit adds a literal whose verdict has to be found.
func (s *Scanner) judgeHit(t *Trace, data []byte, h hit) {
	if !t.dear() {
		v := s.verdict(data, h, true)
		s.add(t, tracedHit{int32(h.pos), h.lit, clampWork(s.work), v})
	}
}

// before reports whether h comes before a hit of lit at pos.
func before(h hit, pos int, lit uint16) bool { return h.pos < pos || h.pos == pos && h.lit < lit }

// keeps reports whether the verdict on b, a hit in a text of baseSize bytes, stands for the same literal at pos in a text
// of size bytes, whose bytes of the copy c are the same.
func (s *Scanner) keeps(b tracedHit, baseSize, pos, size int, c magpie.Copy) bool {
	l := &s.e.lits[b.lit]
	back, ahead := l.before, l.after
	if b.verdict != nil {
		back, ahead = b.verdict.before, b.verdict.after
	}
	from, to := pos-back, pos+ahead
	if from < 0 {
		// Cut off here, so it must be there, and at the same place.
		if pos != int(b.pos) {
			return false
		}
		from = 0
	} else if int(b.pos) < back {
		return false
	}
	if to >= size {
		if size-pos != baseSize-int(b.pos) {
			return false
		}
		to = size
	} else if int(b.pos)+ahead >= baseSize {
		return false
	}
	return c.To <= from && to <= c.To+c.Len
}

// deriveRuns inherits the encoded runs of base that no change bears on and decodes the others.
func (s *Scanner) deriveRuns(t, base *Trace, data []byte, copies []magpie.Copy) {
	s.escapes.Derive(&base.escapes, base.size, data, copies, func(yield func(from, to int) bool) {
		for _, stretch := range s.stretches {
			if !yield(stretch.Start, stretch.End) {
				return
			}
		}
	})
	t.escapes = s.escapes.Clone()
	s.widen(data)
	for _, c := range copies {
		runs := base.runs[sort.Search(len(base.runs), func(i int) bool { return base.runs[i].start >= c.From }):]
		for _, r := range runs {
			if r.start, r.end = r.start-c.From+c.To, r.end-c.From+c.To; r.start >= c.To+c.Len {
				break
			}
			if r.end <= c.To+c.Len && !s.changed(r) {
				t.runs = append(t.runs, r)
				t.found++
			}
		}
	}
	for _, stretch := range s.stretches {
		s.encoded(t, data, stretch.Start, stretch.End)
	}
	sortRuns(t.runs)
}

// widen makes the stretches as wide as the encoded runs that they are part of, joins those that come to overlap, and
// drops those that are too short for any run.
func (s *Scanner) widen(data []byte) {
	wide := s.stretches[:0]
	var last Span
	keep := func() {
		if last.End-last.Start >= decode.MinRun {
			wide = append(wide, last)
		}
	}
	for i := 0; i < len(s.stretches); {
		from, to := s.stretches[i].Start, s.stretches[i].End
		for i++; i < len(s.stretches) && s.stretches[i].Start-to < nearby; i++ {
			to = s.stretches[i].End
		}
		start := decode.Back(data, from, last.End, &s.escapes)
		stop := decode.Ahead(data, max(to, last.End), &s.escapes)
		if start <= last.End && last.End > 0 {
			last.End = stop
			continue
		}
		keep()
		last = Span{start, stop}
	}
	keep()
	s.stretches = wide
}

// nearby is how many bytes may lie between two stretches that are widened as one, which costs less than to widen each.
const nearby = 48

// changed reports whether a run overlaps with a stretch that is looked at.
func (s *Scanner) changed(r tracedRun) bool {
	i := sort.Search(len(s.stretches), func(i int) bool { return s.stretches[i].End > r.start })
	return i < len(s.stretches) && s.stretches[i].Start < r.end
}

// sortRuns orders runs so that it does not matter in which order they were found. Runs at one place are of different kinds.
func sortRuns(runs []tracedRun) {
	slices.SortFunc(runs, func(a, b tracedRun) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end),
			cmp.Compare(a.matches[0].DecodedFrom, b.matches[0].DecodedFrom))
	})
}
