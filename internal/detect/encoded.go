package detect

import (
	"fmt"
	"slices"

	"magpie/internal/decode"
	"magpie/internal/decode/archive"
)

// outer is the encoded run that a text was decoded from.
type outer struct {
	kind  string                          // of all layers, outermost first
	place func(start, end int) (int, int) // from the text to the file
	// start and end bound the outermost run in the file.
	start, end int
	// member and name are of the container's member that the text is, or is in; empty if it is in none. bare says that the
	// text is the member as it is.
	member, name string
	bare         bool
}

// What stands in the encoded runs of an encoded run, and in those of these, may come to a multiple of the run's size in all.
const (
	decodeFactor = 16
	decodeFloor  = 64 << 10
)

// What is packed in an encoded run may come to less than what a container that is a file by itself may, for there can be many
// such runs in a text.
const (
	packedFactor  = 128
	packedFloor   = 4 << 10
	packedMembers = 1000
)

// encoded looks for secrets in the encoded runs that start in data[from:to], and adds those runs to t in which there
// are any.
func (s *Scanner) encoded(t *Trace, data []byte, from, to int) {
	d := &s.decoders[0]
	d.Segments(data, from, to, func(seg decode.Segment) {
		if seg.Wide {
			s.run(t, seg)
			return
		}
		// Most of what is encoded stands there more than once, and holds nothing.
		key, skips, found := s.memo.run(seg.Data), t.skips, t.found
		if s.memo.isEmpty(key) {
			return
		}
		if s.run(t, seg); t.found == found && t.skips == skips {
			s.memo.putEmpty(key)
		}
	})
	if d.Skipped > 0 {
		t.skip(skippedRun)
	}
}

// run looks for secrets in one encoded run.
func (s *Scanner) run(t *Trace, seg decode.Segment) {
	in := outer{kind: seg.Kind, place: seg.Place, start: seg.Start, end: seg.End}
	s.decodable = decodeFactor*(seg.End-seg.Start) + decodeFloor
	s.budget = archive.Budget{Bytes: packedFactor*int64(seg.End-seg.Start) + packedFloor, Members: packedMembers}
	// Text in UTF-16 is text; whatever else is encoded is not what people write assignments in.
	found := s.decoded(t, seg.Data, 1, in, seg.Wide, nil)
	if len(found) == 0 {
		return
	}
	for i := range found {
		found[i].move(-seg.Start)
	}
	t.runs = append(t.runs, tracedRun{seg.Start, seg.End, found})
	t.found++
}

const skippedNested = "text encoded many times over was not decoded to the end"

var skippedRun = fmt.Sprintf("encoded text of more than %d bytes was not decoded", decode.MaxRun)

// decoded appends what is found in text, which stood encoded in the run o, and in what is encoded in it again.
func (s *Scanner) decoded(t *Trace, text []byte, depth int, o outer, generic bool, found []Match) []Match {
	for _, m := range s.candidates(t, text, depth, generic) {
		if o.name != "" && !s.e.Allowed(m.Rule, o.name) {
			continue
		}
		if o.bare {
			m.Ignored = comment(&m, text)
		}
		o.move(&m)
		found = append(found, m)
	}
	packed := archive.Detect(text)
	if depth == maxDepth {
		if packed != "" {
			t.skip(skippedDeep)
		}
		return found
	}
	if packed != "" {
		found = s.members(t, packed, text, depth, o, found)
	}
	d := &s.decoders[depth]
	d.Segments(text, 0, len(text), func(seg decode.Segment) {
		if s.decodable -= len(seg.Data); s.decodable < 0 {
			t.skip(skippedNested)
			return
		}
		within := func(start, end int) (int, int) { return o.place(seg.Place(start, end)) }
		in := o
		in.kind, in.place, in.bare = o.kind+">"+seg.Kind, within, false
		found = s.decoded(t, seg.Data, depth+1, in, seg.Wide && o.bare, found)
	})
	if d.Skipped > 0 {
		t.skip(skippedRun)
	}
	return found
}

// candidates returns what stands in a decoded text, overlaps settled.
func (s *Scanner) candidates(t *Trace, text []byte, depth int, generic bool) []Match {
	var found []Match
	s.repeats.begin(len(s.e.lits))
	left := &allowance{text: text}
	for _, h := range s.scan(text, depth) {
		v, _, ok := s.verdictWithin(text, h, generic, left)
		if !ok {
			t.skip(skippedDense)
		}
		t.passOver(s.gaps, h, v)
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

// move moves a match in decoded text to where it stands in the file.
func (o outer) move(m *Match) {
	m.DecodedFrom, m.member = o.kind, o.member
	m.Reason += ", in " + o.kind
	m.Start, m.End = o.place(m.Start, m.End)
	m.MatchStart, m.MatchEnd = o.place(m.MatchStart, m.MatchEnd)
	m.WindowStart, m.WindowEnd = o.start, o.end
}
