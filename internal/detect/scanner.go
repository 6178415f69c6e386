package detect

import (
	"cmp"
	"slices"

	"magpie"
	"magpie/internal/rule"
)

// Scanner scans for one goroutine; it holds buffers that are reused from scan to scan.
type Scanner struct {
	e       *Engine
	hits    []hit
	found   []Match
	skipped []string
}

// NewScanner returns a scanner for one goroutine.
func (e *Engine) NewScanner() *Scanner { return &Scanner{e: e} }

// Span is a range of bytes in a file, End exclusive.
type Span struct{ Start, End int }

// Scan finds the secrets in data, in the order of their places. The result is valid until the next call.
func (s *Scanner) Scan(data []byte) []Match {
	return Resolve(s.Fresh(data, []Span{{0, len(data)}}))
}

// Skipped says in words what the last scan left out, nil if nothing.
func (s *Scanner) Skipped() []string { return s.skipped }

// Fresh returns the candidates, before Resolve, whose windows touch one of the spans. The result is valid until the
// next call.
func (s *Scanner) Fresh(data []byte, fresh []Span) []Match {
	s.found, s.skipped = s.found[:0], nil
	binary := isBinary(data)
	for _, f := range fresh {
		from, to := max(0, f.Start-s.e.after-maxAnchor), min(len(data), f.End+s.e.before+maxAnchor)
		s.hits = s.e.filter.scan(data, from, to, s.hits[:0])
		sortHits(s.hits)
		for _, h := range s.hits {
			for _, r := range s.e.lits[h.lit].rules {
				if r.Generic && binary {
					continue
				}
				if m, ok := s.try(r, data, h); ok && m.WindowStart < f.End && m.WindowEnd > f.Start {
					s.found = append(s.found, m)
				}
			}
		}
	}
	return s.found
}

// maxAnchor bounds the length of a literal, so that none is missed at the edge of a span.
const maxAnchor = 64

// isBinary reports whether data is no text: it has a NUL among its first bytes, as Git itself decides.
func isBinary(data []byte) bool {
	return slices.Contains(data[:min(len(data), 8000)], 0)
}

// try asks rule r about the anchor at h.
func (s *Scanner) try(r *rule.Rule, data []byte, h hit) (Match, bool) {
	if r.ByValue() {
		return s.tryValue(r, data, h)
	}
	from := max(0, h.pos-windowBefore(r)-1)
	to := min(len(data), h.pos+windowAfter(r)+1)
	head := h.pos-windowBefore(r) <= 0
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
	if !r.MatchValue(name, value) {
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
	if !s.e.opts.KeepIgnored && s.ignored(m, data) {
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
// works in place.
func Resolve(found []Match) []Match {
	slices.SortStableFunc(found, func(a, b Match) int {
		return cmp.Or(a.Start-b.Start, rank(b)-rank(a), b.End-a.End, cmp.Compare(a.Rule.ID, b.Rule.ID))
	})
	kept := found[:0]
	for _, m := range found {
		for len(kept) > 0 && kept[len(kept)-1].End > m.Start && better(m, kept[len(kept)-1]) {
			kept = kept[:len(kept)-1]
		}
		if len(kept) == 0 || kept[len(kept)-1].End <= m.Start {
			kept = append(kept, m)
		}
	}
	return kept
}

// rank orders matches by how much their rules know.
func rank(m Match) int {
	switch {
	case m.Rule.Generic:
		return 0
	case m.Confidence == magpie.ConfidenceProven:
		return 3
	case m.Rule.ByValue():
		return 1
	}
	return 2
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
