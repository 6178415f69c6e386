package scan

import (
	"magpie"
	"magpie/internal/detect"
	"magpie/internal/ignore"
)

// IgnoreQuestion is what entries about what to ignore need to know of a finding of an engine.
func IgnoreQuestion(engine *detect.Engine, f magpie.Finding) ignore.Finding {
	r := engine.Rule(f.Rule)
	return ignore.Finding{
		Rule: f.Rule, Generic: r != nil && r.Generic, Path: f.File, Commit: f.Commit, Line: f.LineStart,
		Secret: f.Secret.Reveal(), Text: f.Line.Reveal(), Match: f.Match.Reveal(),
	}
}
