package scan

import (
	"bytes"
	"crypto/sha256"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/git"
)

// newHits turns the matches of one blob into hits that hold copies of all they need.
func newHits(o git.Object, matches []detect.Match, covered []detect.Span, context int) []hit {
	findings := Findings(o.Data, matches, covered, context)
	hits := make([]hit, len(matches))
	for i := range matches {
		findings[i].Blob = o.ID.Hash()
		hits[i] = hit{rule: matches[i].Rule, finding: findings[i], key: sha256.Sum256(matches[i].Secret)}
	}
	return hits
}

// Findings turns the matches of one file's content into findings without a place in a repository. Their excerpts show
// context lines before and after, with every match of the file masked, and whatever else the scanner says it covered.
func Findings(data []byte, matches []detect.Match, covered []detect.Span, context int) []magpie.Finding {
	masker := newMasker(data, matches, covered)
	lines := detect.NewLines(data)
	findings := make([]magpie.Finding, len(matches))
	for i, m := range matches {
		f := &findings[i]
		f.Rule, f.RuleName, f.Provider = m.Rule.ID, m.Rule.Title, m.Rule.Vendor
		f.Severity, f.Confidence = m.Rule.Severity, m.Confidence
		f.Secret = magpie.NewSecret(m.Secret)
		f.DecodedFrom, f.Comment = m.DecodedFrom, m.Ignored
		f.Line, f.Match = lineOf(data, m)
		f.LineStart, f.ColumnStart, f.LineEnd, f.ColumnEnd = lines.Range(m)
		f.Excerpt = masker.excerpt(m.Start, f.LineStart, context)
	}
	return findings
}

// maxLinePart is how many bytes on each side of a match, and of the match itself, are kept of its line.
const maxLinePart = 256

// lineOf returns the line of a match, and the match in it. What was decoded has none that could be compared.
func lineOf(data []byte, m detect.Match) (line, match magpie.Secret) {
	if m.DecodedFrom != "" {
		return line, match
	}
	to := min(m.MatchEnd, m.MatchStart+maxLinePart)
	before, after := data[max(0, m.MatchStart-maxLinePart):m.MatchStart], data[to:min(len(data), to+maxLinePart)]
	if i := bytes.LastIndexByte(before, '\n'); i >= 0 {
		before = before[i+1:]
	}
	if i := bytes.IndexByte(after, '\n'); i >= 0 {
		after = bytes.TrimSuffix(after[:i], []byte{'\r'})
	}
	return magpie.NewSecret(data[m.MatchStart-len(before) : to+len(after)]), magpie.NewSecret(data[m.MatchStart:to])
}
