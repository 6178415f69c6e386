package detect

import (
	"fmt"
	"path"

	"magpie/internal/decode/archive"
)

var skippedDeep = fmt.Sprintf("what is packed or encoded more than %d times over was not looked at", maxDepth)

// maxMemberMatches bounds what is found in one container. Matches in it often share a place, and each is compared with
// those that do.
const maxMemberMatches = 5_000

var skippedMatches = fmt.Sprintf("matches in a container beyond the first %d were dropped", maxMemberMatches)

// container looks for secrets in the members of data, if it is a container. No text is derived from one.
func (s *Scanner) container(t *Trace, data []byte) {
	kind := archive.Detect(data)
	if kind == "" {
		return
	}
	t.whole = true
	s.budget = archive.NewBudget(len(data))
	same := func(start, end int) (int, int) { return start, end }
	found := s.members(t, kind, data, 0, outer{place: same, end: len(data)}, nil)
	if len(found) > 0 {
		t.runs = append(t.runs, tracedRun{0, len(data), found})
		sortRuns(t.runs)
		t.found++
	}
}

// members appends what is found in the members of a container of the given kind, which stood in o at the given depth.
func (s *Scanner) members(t *Trace, kind string, data []byte, depth int, o outer, found []Match) []Match {
	prefix := ""
	if o.kind != "" {
		prefix = o.kind + ">"
	}
	decodable := s.decodable
	archive.Walk(kind, data, &s.budget, func(m archive.Member) {
		if len(found) >= maxMemberMatches {
			t.skip(skippedMatches)
			return
		}
		in := outer{kind: prefix + m.Path, member: prefix + m.Path, name: path.Clean(m.Name), start: o.start, end: o.end, bare: true}
		in.place = func(start, end int) (int, int) { return o.place(m.Place(start, end)) }
		s.decodable = decodeFactor*len(m.Data) + decodeFloor
		found = s.decoded(t, m.Data, depth+1, in, !m.Markup && !IsBinary(m.Data), found)
	}, func(why string) { t.skip(prefix + why) })
	s.decodable = decodable
	return found
}
