package detect

import (
	"bytes"
	"slices"

	"magpie/internal/decode"
)

// Trace is what is remembered of scanning a text: where the literals stand and what was decided about them. With it the
// scan of a text that was made from this one by copying parts of it (Derive) need not look at those parts again. It
// holds nothing of the text itself except values that were found in encoded form, is not changed once made, and may be
// used by several scanners at a time.
type Trace struct {
	size    int // of the text
	hits    []tracedHit
	runs    []tracedRun
	found   int // how many of both have a match
	cost    int // work of all verdicts
	overrun bool
	whole   bool
	escapes decode.Escapes // around which the text is decoded
	skipped []string       // as Scanner.Skipped
	skips   int            // how often something was left out
}

// tracedHit is a literal in a text.
type tracedHit struct {
	pos     int32
	lit     uint16
	work    uint16   // that the verdict takes
	verdict *verdict // nil if none of the literal's rules matches, which depends on the literal's whole window
}

// tracedRun is an encoded run in which something was found.
type tracedRun struct {
	start, end int
	matches    []Match // placed relative to start
}

// empty reports whether nothing was found.
func (t *Trace) empty() bool { return t.found == 0 }

// matches appends the candidates of all hits and runs, placed in data.
func (t *Trace) matches(data []byte, found []Match) []Match {
	for _, h := range t.hits {
		if h.verdict == nil {
			continue
		}
		for _, m := range h.verdict.matches {
			m.move(int(h.pos))
			m.Secret = data[m.Start:m.End]
			found = append(found, m)
		}
	}
	for _, r := range t.runs {
		for _, m := range r.matches {
			m.move(r.start)
			found = append(found, m)
		}
	}
	return found
}

const skippedDense = "of a text with unusually many beginnings of secrets not all were looked at"

// Trace scans data whole.
func (s *Scanner) Trace(data []byte) *Trace {
	t := s.trace(data, IsBinary(data), true)
	t.hits = slices.Clone(t.hits)
	return t
}

// trace is Trace for text of which it is known whether it is binary. Its hits are valid until the next scan. A container is
// opened only at the head of a file.
func (s *Scanner) trace(data []byte, binary, head bool) *Trace {
	t := &Trace{size: len(data), whole: binary || bytes.IndexByte(data, 0) >= 0}
	hits := s.scan(data, 0)
	s.traced = s.traced[:0]
	s.repeats.begin(len(s.e.lits))
	left := &allowance{text: data}
	for _, h := range hits {
		v, work, ok := s.verdictWithin(data, h, !binary, left)
		if !ok {
			t.skip(skippedDense)
			continue
		}
		s.add(t, tracedHit{int32(h.pos), h.lit, work, v})
		t.passOver(s.gaps, h, v)
	}
	t.hits = s.traced
	if !s.e.opts.NoDecode {
		s.encoded(t, data, 0, len(data))
		t.escapes = s.decoders[0].Escapes.Clone()
		if head {
			s.container(t, data)
		}
		sortRuns(t.runs)
	}
	return t
}

// add appends a hit to the trace in the making.
func (s *Scanner) add(t *Trace, h tracedHit) {
	s.traced = append(s.traced, h)
	t.overrun = t.overrun || t.cost > mayTake(int(h.pos))
	t.cost += int(h.work)
	if h.verdict != nil && len(h.verdict.matches) > 0 {
		t.found++
	}
}

// dear reports whether the verdicts may take more work than they may, if none of them is a repetition.
func (t *Trace) dear() bool { return t.overrun }

// skip notes that something was left out. No text can be derived from such a trace: what was left out there need not be
// what is left out here.
func (t *Trace) skip(why string) {
	t.whole = true
	t.skips++
	switch {
	case slices.Contains(t.skipped, why):
	case len(t.skipped) < maxReasons:
		t.skipped = append(t.skipped, why)
	default:
		t.skipped[maxReasons-1] = skippedMore
	}
}

// maxReasons is how many things that were left out of one text are told.
const maxReasons = 20

const skippedMore = "and more that is not listed"

// scan returns the literals in text by position, but for those in s.gaps, which it sets. The result is valid until the next call at the same depth.
func (s *Scanner) scan(text []byte, depth int) []hit {
	s.gaps = findGaps(text, s.e.before, s.e.after, s.gaps[:0])
	s.hits[depth] = s.e.filter.all(text, s.gaps, s.e.longest, s.hits[depth][:0])
	return s.hits[depth]
}
