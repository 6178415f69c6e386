package detect

import (
	"fmt"
	"slices"

	"magpie/internal/decode"
)

// outer is the encoded run that a text was decoded from.
type outer struct {
	kind       string // of all layers, outermost first
	start, end int    // in the file
	unit       int    // bytes of the file to a byte of the text, 0 if that differs
}

// encoded looks for secrets in the encoded runs that start in data[from:to], and adds those runs to t in which there
// are any.
func (s *Scanner) encoded(t *Trace, data []byte, from, to int) {
	d := &s.decoders[0]
	d.Segments(data, from, to, func(seg decode.Segment) {
		in := outer{kind: seg.Kind, start: seg.Start, end: seg.End, unit: seg.Unit}
		// Text in UTF-16 is text; whatever else is encoded is not what people write assignments in.
		found := s.decoded(t, seg.Data, 1, in, seg.Unit > 0, nil)
		if len(found) == 0 {
			return
		}
		for i := range found {
			found[i].move(-seg.Start)
		}
		t.runs = append(t.runs, tracedRun{seg.Start, seg.End, found})
		t.found++
	})
	if d.Skipped > 0 {
		t.skip(skippedRun)
	}
}

var skippedRun = fmt.Sprintf("encoded text of more than %d bytes was not decoded", decode.MaxRun)

// decoded appends what is found in text, which stood encoded in the run o, and in what is encoded in it again.
func (s *Scanner) decoded(t *Trace, text []byte, depth int, o outer, generic bool, found []Match) []Match {
	inner := s.candidates(t, text, depth, generic)
	for i := range inner {
		o.place(&inner[i])
	}
	found = append(found, inner...)
	if depth == maxDepth {
		return found
	}
	d := &s.decoders[depth]
	d.Segments(text, 0, len(text), func(seg decode.Segment) {
		in := outer{kind: o.kind + ">" + seg.Kind, start: o.start, end: o.end}
		found = s.decoded(t, seg.Data, depth+1, in, false, found)
	})
	if d.Skipped > 0 {
		t.skip(skippedRun)
	}
	return found
}

// candidates returns what stands in a decoded text, overlaps settled.
func (s *Scanner) candidates(t *Trace, text []byte, depth int, generic bool) []Match {
	var found []Match
	cost := 0
	for _, h := range s.scan(text, depth) {
		if cost += s.e.lits[h.lit].cost; cost > mayCost(len(text)) {
			t.skip(skippedDense)
			break
		}
		v := s.verdict(text, h, generic)
		if v == nil {
			continue
		}
		for _, m := range v.matches {
			m.move(h.pos)
			m.Secret = slices.Clone(text[m.Start:m.End])
			found = append(found, m)
		}
	}
	return Resolve(found)
}

// place moves a match in decoded text to where the encoded run stands in the file.
func (o outer) place(m *Match) {
	m.DecodedFrom = o.kind
	m.Reason += ", in text encoded as " + o.kind
	if o.unit > 0 {
		m.Start, m.End = o.start+m.Start*o.unit, o.start+m.End*o.unit
		m.MatchStart, m.MatchEnd = o.start+m.MatchStart*o.unit, o.start+m.MatchEnd*o.unit
	} else {
		m.Start, m.End, m.MatchStart, m.MatchEnd = o.start, o.end, o.start, o.end
	}
	m.WindowStart, m.WindowEnd = o.start, o.end
}
