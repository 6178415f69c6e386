package detect

import "bytes"

// ignoreReach is how far from a match, in bytes, an ignore comment on its line is looked for.
const ignoreReach = 256

// ignoreMarks are the comments that mean "this is known and accepted", ours and those of other tools.
var ignoreMarks = [][]byte{
	[]byte("magpie:ignore"), []byte("gitleaks:allow"), []byte("ggignore"), []byte("pragma: allowlist secret"),
	[]byte("pragma: whitelist secret"),
}

// ignored reports whether a comment on the first or last line of a match says to ignore it, and widens the match's
// window by what was looked at.
func ignored(m *Match, data []byte) bool {
	from, to := max(0, m.MatchStart-ignoreReach), min(len(data), m.MatchEnd+ignoreReach)
	m.WindowStart, m.WindowEnd = min(m.WindowStart, from), max(m.WindowEnd, to)
	before := data[from:m.MatchStart]
	if i := bytes.LastIndexByte(before, '\n'); i >= 0 {
		before = before[i:]
	}
	after := data[m.MatchEnd:to]
	if i := bytes.IndexByte(after, '\n'); i >= 0 {
		after = after[:i]
	}
	for _, mark := range ignoreMarks {
		if bytes.Contains(after, mark) || bytes.Contains(before, mark) {
			return true
		}
	}
	return false
}
