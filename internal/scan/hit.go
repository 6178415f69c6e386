package scan

import (
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
		f.DecodedFrom = m.DecodedFrom
		f.LineStart, f.ColumnStart, f.LineEnd, f.ColumnEnd = lines.Range(m)
		f.Excerpt = masker.excerpt(m.Start, f.LineStart, context)
	}
	return findings
}
