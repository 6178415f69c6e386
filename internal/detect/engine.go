package detect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

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
	rules   []*rule.Rule
	byID    map[magpie.RuleID]*rule.Rule
	opts    Options
	filter  *prefilter
	lits    []literal
	longest int // bytes of the longest literal, with its tail and what its edges look at
	// before and after bound what the verdicts of all literals depend on.
	before, after int
	vendors       []string                // keywords that name a vendor whose keys have a known form
	heads         map[string][]*rule.Rule // of rules by pattern, by the literal that their tokens begin with; see claims
}

// literal is an anchor, or its beginning, with the rules that have it.
type literal struct {
	patterns []anchored   // rules by pattern
	values   []*rule.Rule // rules by value
	near     bool         // some of those find values that are not assigned
	last     bool         // all of those look for keys, so the literal must be the last word of a name
	// before and after bound what a verdict may depend on: the bytes from so many before the literal's start to so many
	// after it.
	before, after int
	text          string
	exact         bool
	edges         edges
	tail          rule.Tail // what follows, whichever rule matches
}

// anchored is a rule by pattern with what follows the literal in its matches.
type anchored struct {
	*rule.Rule
	tail rule.Tail
}

// maxLiteral is how many bytes of a pattern's anchor the matcher looks for. What follows is the pattern's to check, and
// the fewer bytes an occurrence has, the fewer bytes around a change have to be looked at again.
const maxLiteral = rule.MaxAnchored

// add makes r, in whose matches tail follows the literal, one of the literal's rules.
func (l *literal) add(r *rule.Rule, tail rule.Tail) {
	if slices.Contains(l.values, r) {
		return
	}
	if i := slices.IndexFunc(l.patterns, func(a anchored) bool { return a.Rule == r }); i >= 0 {
		l.patterns[i].tail = union(l.patterns[i].tail, tail)
		return
	}
	if r.ByValue() {
		l.last = (l.last || len(l.values) == 0) && r.Filters.Shape == "key"
		l.values = append(l.values, r)
		l.near = l.near || r.Near > 0
		l.before, l.after = max(l.before, nameBefore), max(l.after, byValAfter)
		return
	}
	l.patterns = append(l.patterns, anchored{r, tail})
	l.before, l.after = max(l.before, r.Window.Before+1), max(l.after, r.Window.After+1)
}

// findEdges works out where the literal can't stand, whatever its rules say, by the characters next to it.
func (l *literal) findEdges() {
	l.edges.end = l.last && len(l.patterns) == 0
	l.edges.start = len(l.values) == 0 && isWordByte(l.text[0])
	for _, r := range l.patterns {
		l.edges.start = l.edges.start && r.StartsWord()
	}
}

// findTail works out what follows the literal whichever of its rules matches.
func (l *literal) findTail() {
	if len(l.values) > 0 {
		return
	}
	l.tail = l.patterns[0].tail
	for _, r := range l.patterns[1:] {
		l.tail = union(l.tail, r.tail)
	}
}

// union returns what follows if one of two tails does.
func union(a, b rule.Tail) rule.Tail {
	both := make(rule.Tail, min(len(a), len(b)))
	for i := range both {
		both[i] = a[i].Union(b[i])
	}
	return both
}

// extent is how many bytes from its start on decide whether the literal stands somewhere.
func (l *literal) extent() int { return len(l.text) + max(len(l.tail), l.edges.ahead()) }

// words is what all engines know of words; it takes a while to count.
var words = sync.OnceValue(newLexicon)

// New builds an engine. Rules of one id are an error.
func New(rules []*rule.Rule, opts Options) (*Engine, error) {
	if opts.MaxMatches == 0 {
		opts.MaxMatches = 10_000
	}
	few := 4 * len(rules) // literals, in most catalogues
	e := &Engine{
		rules: make([]*rule.Rule, 0, len(rules)), byID: make(map[magpie.RuleID]*rule.Rule, len(rules)), opts: opts,
		filter: &prefilter{}, lits: make([]literal, 0, few), heads: make(map[string][]*rule.Rule, few),
	}
	type key struct {
		text  string
		exact bool
	}
	known := make(map[key]int, few)
	var errs []error
	for _, r := range rules {
		if e.byID[r.ID] != nil {
			errs = append(errs, magpie.Errorf(magpie.KindInvalid, "%s: rule %s is defined twice", r.Source, r.ID))
			continue
		}
		e.byID[r.ID] = r
		e.rules = append(e.rules, r)
		i := 0
		r.Anchors(func(text string, exact bool) {
			if (r.Near > 0 && len(text) >= minVendor || r.ByValue() && !r.Generic && len(text) >= minLoneVendor) && !callsSecret([]byte(text)) {
				e.vendors = append(e.vendors, text)
			}
			if exact && r.StartsWord() && isHead(text) {
				e.heads[text] = append(e.heads[text], r)
			}
			if !r.ByValue() {
				text = text[:min(len(text), maxLiteral)]
			}
			tail := r.Tail(i)
			i++
			n, ok := known[key{text, exact}]
			if !ok {
				n = len(e.lits)
				known[key{text, exact}] = n
				e.lits = append(e.lits, literal{text: text, exact: exact})
			}
			e.lits[n].add(r, tail)
		})
	}
	if len(e.lits) > 1<<16-2 {
		errs = append(errs, fmt.Errorf("building the prefilter: %d literals are too many", len(e.lits)))
	}
	for n := range e.lits {
		l := &e.lits[n]
		l.findEdges()
		l.findTail()
		e.longest = max(e.longest, l.extent())
		e.before, e.after = max(e.before, l.before), max(e.after, l.after)
		e.filter.add(uint16(n), l)
	}
	e.filter.seal()
	return e, errors.Join(errs...)
}

// Bounds of the beginnings of tokens that belong to one vendor, in bytes.
const (
	minHead = 4
	maxHead = 24
)

// isHead reports whether an anchor may be the beginning of tokens that their vendor gives them, as npm_ and sk-ant- are.
func isHead(anchor string) bool {
	n := len(anchor)
	return n >= minHead && n <= maxHead && (anchor[n-1] == '_' || anchor[n-1] == '-')
}

// claims reports whether v begins as the tokens of one vendor do but has none of their forms: it was cut off, added to, or
// mistyped. A beginning made of words, such as live_ or secret_, claims nothing.
func (e *Engine) claims(v []byte) bool {
	claimed := false
	for n := minHead; n <= min(maxHead, len(v)); n++ {
		if v[n-1] != '_' && v[n-1] != '-' {
			continue
		}
		heads := e.heads[string(v[:n])]
		if len(heads) == 0 || words().knows(v[:n]) {
			continue
		}
		for _, r := range heads {
			if match, _, ok := r.Find(v, 0, n, true); ok && match[1] == len(v) {
				return false
			}
			claimed = true
		}
	}
	return claimed
}

// minVendor is how many bytes a keyword has at least that can't be part of another word by chance.
// minLoneVendor is so for one whose rule finds no values but assigned ones, since it may be an ordinary word.
const (
	minVendor     = 5
	minLoneVendor = 8
)

// distorts reports whether v, under a name that tells a vendor whose keys have a known form, holds a sign that keys made by
// machines don't: were it a key of that vendor as it was given out, the vendor's rule would know it.
func (e *Engine) distorts(path, v []byte) bool {
	odd := bytes.ContainsFunc(v, func(c rune) bool {
		return !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.ContainsRune("+/=_-.~%", c))
	})
	if !odd {
		return false
	}
	low := string(bytes.ToLower(path))
	return slices.ContainsFunc(e.vendors, func(name string) bool { return strings.Contains(low, name) })
}

// Rules returns the engine's rules in the order they were given. The caller must not modify the slice.
func (e *Engine) Rules() []*rule.Rule { return e.rules }

// Rule returns the rule of an id, or nil.
func (e *Engine) Rule(id magpie.RuleID) *rule.Rule { return e.byID[id] }

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
