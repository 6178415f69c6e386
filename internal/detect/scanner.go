package detect

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/decode"
	"magpie/internal/rule"
)

// Scanner scans for one goroutine; it holds buffers that are reused from scan to scan.
type Scanner struct {
	e        *Engine
	hits     [maxDepth + 1][]hit
	decoders [maxDepth]decode.Decoder
	found    []Match
	covered  []Span
	first    int // of found, in the text that is looked at now
	skipped  []string
	work     int // bytes of windows that expressions may still be tried on
}

// Span is a range of bytes in a file, End exclusive.
type Span struct{ Start, End int }

// maxDepth is how many encodings around a secret are taken off.
const maxDepth = 3

// NewScanner returns a scanner for one goroutine.
func (e *Engine) NewScanner() *Scanner { return &Scanner{e: e} }

// Scan finds the secrets in data, in the order of their places. The result is valid until the next call.
func (s *Scanner) Scan(data []byte) []Match {
	s.found, s.skipped, s.first = s.found[:0], nil, 0
	s.work = workFactor*len(data) + workFloor
	binary := isBinary(data)
	s.candidates(data, 0, func(r *rule.Rule) bool { return !r.Generic || !binary })
	if !s.e.opts.NoDecode {
		s.first = len(s.found)
		s.decode(data, 0, outer{})
	}
	for i := range s.found {
		s.found[i].ignored = s.ignored(&s.found[i], data)
	}
	if s.work < 0 {
		s.skip("the rest of a text with unusually many beginnings of secrets was not looked at")
	}
	s.covered = s.covered[:0]
	for i := range s.found {
		s.covered = append(s.covered, Span{s.found[i].Start, s.found[i].End})
	}
	found := Resolve(s.found)
	if !s.e.opts.KeepIgnored {
		found = slices.DeleteFunc(found, func(m Match) bool { return m.ignored })
	}
	if len(found) > s.e.opts.MaxMatches {
		s.skip(fmt.Sprintf("%d matches beyond the first %d were dropped", len(found)-s.e.opts.MaxMatches, s.e.opts.MaxMatches))
		found = found[:s.e.opts.MaxMatches]
	}
	return found
}

// Covered returns where the last scan saw anything like a secret: the matches it returned, those that gave way to a
// better one at the same place, and those that a comment told it to ignore. Who shows a part of the file must hide them
// all. The result is valid until the next call.
func (s *Scanner) Covered() []Span { return s.covered }

// Work that a scan may do beyond the one pass, so that hostile input costs no more than a multiple of its size. Real
// files stay far below.
const (
	workFactor = 24
	workFloor  = 4 << 20
)

// Skipped says in words what the last scan left out, nil if nothing.
func (s *Scanner) Skipped() []string { return s.skipped }

func (s *Scanner) skip(why string) {
	if !slices.Contains(s.skipped, why) {
		s.skipped = append(s.skipped, why)
	}
}

// candidates appends what the rules that take part find in text, before overlaps are settled.
func (s *Scanner) candidates(text []byte, depth int, takesPart func(*rule.Rule) bool) {
	hits := s.e.filter.scan(text, 0, len(text), s.hits[depth][:0])
	sortHits(hits)
	s.hits[depth] = hits
	for _, h := range hits {
		for _, r := range s.e.lits[h.lit].rules {
			if !takesPart(r) || s.work < 0 {
				continue
			}
			if m, ok := s.try(r, text, h); ok && !s.repeats(m) {
				s.found = append(s.found, m)
			}
		}
	}
}

// repeats reports whether the same was found just before, through another anchor.
func (s *Scanner) repeats(m Match) bool {
	for i := len(s.found) - 1; i >= s.first && i >= len(s.found)-4; i-- {
		if f := &s.found[i]; f.Rule == m.Rule && f.Start == m.Start && f.End == m.End && f.DecodedFrom == m.DecodedFrom {
			return true
		}
	}
	return false
}

// outer is the encoded run that a text was decoded from.
type outer struct {
	kind       string // of all layers, outermost first
	start, end int    // in the file
	unit       int    // bytes of the file to a byte of the text, 0 if that differs
}

// decode looks for secrets in what is encoded in text, which itself was decoded from o at depth above 0.
func (s *Scanner) decode(text []byte, depth int, o outer) {
	d := &s.decoders[depth]
	d.Segments(text, 0, len(text), func(seg decode.Segment) {
		in := outer{kind: seg.Kind, start: seg.Start, end: seg.End, unit: seg.Unit}
		if depth > 0 {
			in = outer{kind: o.kind + ">" + seg.Kind, start: o.start, end: o.end}
		}
		before := len(s.found)
		s.first = before
		// Text in UTF-16 is text; whatever else is encoded is not what people write assignments in.
		s.candidates(seg.Data, depth+1, func(r *rule.Rule) bool { return !r.Generic || seg.Unit > 0 && depth == 0 })
		inner := Resolve(s.found[before:])
		s.found = s.found[:before+len(inner)]
		for i := range inner {
			in.place(&inner[i])
		}
		if depth+1 < maxDepth {
			s.decode(seg.Data, depth+1, in)
		}
	})
	if d.Skipped > 0 {
		s.skip(fmt.Sprintf("encoded text of more than %d bytes was not decoded", decode.MaxRun))
	}
}

// place moves a match in decoded text to where the encoded run stands in the file.
func (o outer) place(m *Match) {
	m.Secret = slices.Clone(m.Secret)
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

// isBinary reports whether data is no text: it has a NUL among its first bytes, as Git itself decides.
func isBinary(data []byte) bool {
	return bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0
}

// try asks rule r about the anchor at h.
func (s *Scanner) try(r *rule.Rule, data []byte, h hit) (Match, bool) {
	if r.ByValue() {
		return s.tryValue(r, data, h)
	}
	from := max(0, h.pos-windowBefore(r)-1)
	to := min(len(data), h.pos+windowAfter(r)+1)
	head := h.pos-windowBefore(r) <= 0
	s.work -= to - from
	match, secret, ok := r.Find(data[from:to], h.pos-from, int(h.n), head)
	if !ok || to < len(data) && from+match[1] == to {
		// A match that fills its window may go on behind it: what is reported would be a part of something else.
		return Match{}, false
	}
	m := Match{
		Rule: r, Start: from + secret[0], End: from + secret[1], MatchStart: from + match[0], MatchEnd: from + match[1],
		WindowStart: from, WindowEnd: to, Confidence: r.Confidence, Reason: "it has the form of a " + r.Title,
	}
	m.Secret = data[m.Start:m.End]
	return m, s.judge(&m, data)
}

// tryValue asks a rule by value about the anchor at h, which is part of a name.
func (s *Scanner) tryValue(r *rule.Rule, data []byte, h hit) (Match, bool) {
	from, to := max(0, h.pos-windowBefore(r)), min(len(data), h.pos+windowAfter(r))
	b := data[from:to]
	a, ok := parseAssignment(b, h.pos-from, int(h.n))
	if !ok {
		return Match{}, false
	}
	name, value := b[a.nameStart:a.nameEnd], b[a.start:a.end]
	s.work -= 32 + len(value)
	if r.Generic && len(value) > maxGeneric || !r.MatchValue(name, value) {
		return Match{}, false
	}
	m := Match{
		Rule: r, Start: from + a.start, End: from + a.end, MatchStart: from + a.nameStart, MatchEnd: from + a.end,
		WindowStart: from, WindowEnd: to, Confidence: r.Confidence, Secret: value,
		Reason: "a value of its form is assigned to a name that calls it a " + r.Title,
	}
	if r.Generic {
		m.Confidence, m.Reason, ok = s.e.words.judgeGeneric(r, name, a, value)
		if !ok {
			return m, false
		}
	}
	return m, s.judge(&m, data)
}

// judge applies the rule's filters and check to a candidate.
func (s *Scanner) judge(m *Match, data []byte) bool {
	r := m.Rule
	if !r.Passes(m.Secret) || !r.Filters.Placeholders && !r.Generic && isDummy(r, m.Secret) {
		return false
	}
	if !(r.Generic && r.ByValue()) && !s.e.words.fitsShape(r, m.Secret) {
		return false
	}
	v := r.Verify(m.Secret, data[m.MatchStart:m.MatchEnd])
	switch {
	case v.Outcome == rule.Refuted:
		return false
	case v.Outcome == rule.Proven:
		m.Confidence = magpie.ConfidenceProven
	case v.Downgraded:
		m.Confidence = magpie.ConfidenceLow
	}
	if v.Reason != "" {
		m.Reason += " and " + v.Reason
	}
	return true
}

// windowBefore returns how far before an anchor r looks.
func windowBefore(r *rule.Rule) int {
	if r.ByValue() {
		return nameBefore
	}
	return r.Window.Before
}

func windowAfter(r *rule.Rule) int {
	if r.ByValue() {
		return byValAfter
	}
	return r.Window.After
}

// Resolve orders candidates by place and, where several claim the same characters, keeps the one that knows most. It
// works in place and depends on nothing but the candidates.
func Resolve(found []Match) []Match {
	slices.SortStableFunc(found, func(a, b Match) int {
		return cmp.Or(a.Start-b.Start, rank(b)-rank(a), b.End-a.End, cmp.Compare(a.Rule.ID, b.Rule.ID),
			cmp.Compare(a.DecodedFrom, b.DecodedFrom))
	})
	kept := found[:0]
	for _, m := range found {
		if !loses(m, kept) {
			kept = append(dropLosers(kept, m), m)
		}
	}
	return kept
}

// loses reports whether a match kept before claims characters of m and is at least as good.
func loses(m Match, kept []Match) bool {
	for i := len(kept) - 1; i >= 0 && kept[i].End > m.Start; i-- {
		if conflict(m, kept[i]) && !better(m, kept[i]) {
			return true
		}
	}
	return false
}

func dropLosers(kept []Match, m Match) []Match {
	i := len(kept)
	for i > 0 && kept[i-1].End > m.Start {
		i--
	}
	tail := slices.DeleteFunc(kept[i:], func(k Match) bool { return conflict(m, k) })
	return kept[:i+len(tail)]
}

// conflict reports whether two matches claim the same characters. Several secrets in one encoded run do not.
func conflict(a, b Match) bool {
	if a.DecodedFrom != "" && b.DecodedFrom != "" && a.Start == b.Start && a.End == b.End && !bytes.Equal(a.Secret, b.Secret) {
		return false
	}
	return a.Start < b.End && b.Start < a.End
}

// rank orders matches by how much their rules know. What stands as it is goes before what had to be decoded.
func rank(m Match) int {
	n := 0
	switch {
	case m.Rule.Generic && m.Rule.ByValue():
	case m.Rule.Generic || m.Rule.Filters.Shape != "":
		n = 2
	case m.Confidence == magpie.ConfidenceProven:
		n = 8
	case m.Rule.ByValue():
		n = 4
	default:
		n = 6
	}
	if m.DecodedFrom != "" && n > 0 {
		n-- // and more than one layer is
		return 4*n - strings.Count(m.DecodedFrom, ">")
	}
	return 4 * n
}

func better(a, b Match) bool {
	return rank(a) > rank(b) || rank(a) == rank(b) && a.End-a.Start > b.End-b.Start
}

// quietPath reports whether generic rules keep out of the file called path.
func quietPath(path string) bool {
	for _, g := range quietGlobs {
		if rule.MatchPath(g, path) {
			return true
		}
	}
	return false
}

var quietGlobs = []string{
	"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "*.lock", "go.sum", "*.min.js", "*.min.css", "*.map",
	"**/node_modules/**", "**/vendor/**", "**/third_party/**", "**/bower_components/**",
}
