package detect

import (
	"errors"
	"fmt"
	"slices"

	"magpie"
	"magpie/internal/rule"
)

// Options change what an engine reports. The zero value is what users want.
type Options struct {
	// KeepIgnored reports matches although a comment on their line says to ignore them.
	KeepIgnored bool
	// NoDecode leaves encoded text (base64 and so on) alone.
	NoDecode bool
	// MaxMatches bounds the matches reported of one blob; 0 means 10,000.
	MaxMatches int
}

// Engine is a set of rules ready to scan with. It is immutable and safe for concurrent use; each goroutine takes its
// own Scanner.
type Engine struct {
	rules  []*rule.Rule
	byID   map[magpie.RuleID]*rule.Rule
	opts   Options
	filter *prefilter
	lits   []literal
	words  *lexicon
}

// literal is an anchor with the rules that have it.
type literal struct {
	rules []*rule.Rule
}

// New builds an engine. Rules of one id are an error.
func New(rules []*rule.Rule, opts Options) (*Engine, error) {
	if opts.MaxMatches == 0 {
		opts.MaxMatches = 10_000
	}
	e := &Engine{byID: map[magpie.RuleID]*rule.Rule{}, opts: opts, filter: &prefilter{}, words: newLexicon()}
	type key struct {
		text  string
		exact bool
	}
	known := map[key]int{}
	var errs []error
	for _, r := range rules {
		if e.byID[r.ID] != nil {
			errs = append(errs, magpie.Errorf(magpie.KindInvalid, "%s: rule %s is defined twice", r.Source, r.ID))
			continue
		}
		e.byID[r.ID] = r
		e.rules = append(e.rules, r)
		r.Anchors(func(text string, exact bool) {
			n, ok := known[key{text, exact}]
			if !ok {
				n = len(e.lits)
				known[key{text, exact}] = n
				e.lits = append(e.lits, literal{})
				e.filter.add(uint16(n), text, exact)
			}
			if !slices.Contains(e.lits[n].rules, r) {
				e.lits[n].rules = append(e.lits[n].rules, r)
			}
		})
	}
	if len(e.lits) > 1<<16-2 {
		errs = append(errs, fmt.Errorf("building the prefilter: %d literals are too many", len(e.lits)))
	}
	return e, errors.Join(errs...)
}

// Rules returns the engine's rules in the order they were given. The caller must not modify the slice.
func (e *Engine) Rules() []*rule.Rule { return e.rules }

// Rule returns the rule of an id, or nil.
func (e *Engine) Rule(id magpie.RuleID) *rule.Rule { return e.byID[id] }

// Match is one secret found. The slices and strings in it stay valid until the scanner's next scan, unless Clone is
// called.
type Match struct {
	Rule       *rule.Rule
	Start, End int    // of the secret in the file as committed; of the encoded run if DecodedFrom is set
	MatchStart int    // of the whole match, which may be wider than the secret
	MatchEnd   int    //
	Secret     []byte // the value, decoded
	// DecodedFrom names the encodings around the value, outermost first, joined by ">"; empty if it stood there as it is.
	DecodedFrom string
	Confidence  magpie.Confidence
	Reason      string // why it was reported, in words; never holds the secret
	// WindowStart and WindowEnd bound the bytes of the file that decided about this match: in any other file that has
	// the same bytes (and the same file ends, where the window touches them) it stands as well.
	WindowStart, WindowEnd int

	ignored bool // a comment on its line says so
}

// Clone returns a copy of m that does not share memory with the data scanned.
func (m Match) Clone() Match {
	m.Secret = slices.Clone(m.Secret)
	return m
}

// Allowed reports whether a match of rule r may be reported in the file called path: rules have files in which they
// are silent, and generic rules keep out of lock files, vendored and minified code and the like.
func (e *Engine) Allowed(r *rule.Rule, path string) bool {
	for _, g := range r.Filters.Paths {
		if rule.MatchPath(g, path) {
			return false
		}
	}
	return !r.Generic || !quietPath(path)
}
