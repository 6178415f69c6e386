package ignore

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/detect"
)

// Kind says what an entry goes by. A policy allows or overrules whole kinds.
type Kind string

// The kinds.
const (
	Comment  Kind = "comment"  // a comment on the line of a secret
	Path     Kind = "path"     // the file it is in, or the detector that found it
	Single   Kind = "finding"  // the value itself, or its very place
	Baseline Kind = "baseline" // it was there when the baseline was written
)

// Finding is what entries look at.
type Finding struct {
	Rule    magpie.RuleID
	Generic bool   // the rule knows no vendor's format
	Path    string // from the root of what is scanned, with slashes
	Commit  magpie.Hash
	Line    int // where the secret starts, from 1
	Secret  []byte
	// Text is the line of the match, or as much of it as is kept, and Match the part of it that the detector matched.
	Text, Match []byte
}

// Verdict says by whose word a finding is ignored.
type Verdict struct {
	Kind Kind
	By   string // the file and line, or what else said so, for people
}

// Problem is an entry that can't be used, or can't be used as it is meant. Nothing is ignored because of it.
type Problem struct {
	File string
	Line int // from 1; 0 if it is about the file, or not known
	Why  string
}

// String returns the problem as compilers print theirs.
func (p Problem) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Why)
	}
	return p.File + ": " + p.Why
}

// Names returns the files at the root of a repository that say what to ignore in it.
func Names() []string { return []string{".magpieignore", ".gitleaks.toml", ".gitleaksignore"} }

// Limits of what a file may hold.
const (
	MaxFileBytes = 256 << 10
	maxEntries   = 10_000
	maxProblems  = 100 // that are told of one file
)

// Options says what Parse knows of the world.
type Options struct {
	// Rules are the detectors there are, so that an entry about one that does not exist can be told. Nil tells none.
	Rules []magpie.RuleID
	// Open returns another file of the same repository, named by a path from its root. Nil opens none.
	Open func(name string) ([]byte, error)
}

// List is what one file says.
type List struct {
	name    string
	paths   paths
	rules   []ruleEntry
	values  map[string]int // fingerprint → line
	places  map[place]int  // → line
	allowed []*allowlist
	off     []offRule
	entries int
	left    *int64 // what may still be spent on expressions
}

// ruleEntry is all that a file says about the detectors of a name, in order.
type ruleEntry struct {
	pattern string // a detector's id, in which * stands for anything
	paths   paths
}

// place is where a finding is.
type place struct {
	commit magpie.Hash // empty for any
	file   string
	line   int
}

// Set is what several files say. The zero Set ignores nothing. It is not for concurrent use.
type Set struct{ lists []*List }

// Add adds what a file says.
func (s *Set) Add(l *List) { s.lists = append(s.lists, l) }

// Empty reports whether the set ignores nothing at all.
func (s *Set) Empty() bool {
	return !slices.ContainsFunc(s.lists, func(l *List) bool { return l.entries > 0 })
}

// Match returns the entries that ignore a finding, at most one of each file.
func (s *Set) Match(f Finding) (verdicts []Verdict) {
	for _, l := range s.lists {
		verdicts = append(verdicts, l.match(f)...)
	}
	return verdicts
}

// Spent reports whether expressions were so much work that the rest of the findings was not compared with them, and of
// which files they are.
func (s *Set) Spent() (files []string) {
	for _, l := range s.lists {
		if l.left != nil && *l.left < 0 {
			files = append(files, l.name)
		}
	}
	return files
}

// match returns what the file says, once for each kind.
func (l *List) match(f Finding) (verdicts []Verdict) {
	if line, ok := l.path(f); ok {
		verdicts = append(verdicts, Verdict{Path, l.at(line)})
	}
	if line, ok := l.single(f); ok {
		verdicts = append(verdicts, Verdict{Single, l.at(line)})
	}
	for _, a := range l.allowed {
		if !slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Kind == a.kind() }) && a.match(f, l.left) {
			verdicts = append(verdicts, Verdict{a.kind(), l.name + ": " + a.title})
		}
	}
	return verdicts
}

func (l *List) at(line int) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d", l.name, line)
	}
	return l.name
}

func (l *List) path(f Finding) (line int, ok bool) {
	if line, ok = l.paths.match(f.Path); ok {
		return line, true
	}
	for i := range l.rules {
		r := &l.rules[i]
		if named, _ := path.Match(r.pattern, string(f.Rule)); named {
			if line, ok = r.paths.match(f.Path); ok {
				return line, true
			}
		}
	}
	for _, off := range l.off {
		if off.matches(f) {
			return off.line, true
		}
	}
	return 0, false
}

func (l *List) single(f Finding) (line int, ok bool) {
	if len(l.values) > 0 {
		if line, ok = l.values[detect.Fingerprint(f.Secret)]; ok {
			return line, true
		}
	}
	if len(l.places) > 0 {
		if line, ok = l.places[place{"", f.Path, f.Line}]; ok {
			return line, true
		}
		if line, ok = l.places[place{f.Commit, f.Path, f.Line}]; ok && f.Commit != "" {
			return line, true
		}
	}
	return 0, false
}

// Parse reads a file that says what to ignore. Its name tells its form: .gitleaksignore, any name that ends in .toml for a
// configuration of gitleaks, and all others are in the form of .magpieignore. What can't be used is in the problems, and
// the rest counts.
func Parse(name string, data []byte, o Options) (*List, []Problem) {
	p := &parser{list: &List{name: name, values: map[string]int{}, places: map[place]int{}}, o: o}
	if len(data) > MaxFileBytes {
		p.problem(0, "it is larger than %d KiB and is not used", MaxFileBytes>>10)
		return p.list, p.problems
	}
	switch base := path.Base(name); {
	case base == ".gitleaksignore":
		p.gitleaksIgnore(data)
	case strings.HasSuffix(base, ".toml"):
		p.gitleaks(name, data, 0)
	default:
		p.own(data)
	}
	return p.list, p.problems
}

// ParsePaths reads patterns in the form of .gitignore, and nothing else.
func ParsePaths(name string, lines []string) (*List, []Problem) {
	p := &parser{list: &List{name: name}}
	for n, line := range lines {
		p.pattern(line, n+1, &p.list.paths)
	}
	return p.list, p.problems
}

type parser struct {
	list     *List
	o        Options
	problems []Problem
	file     string // that is read now, if it is not the list's own
	full     bool
}

func (p *parser) problem(line int, format string, args ...any) {
	file := p.list.name
	if p.file != "" {
		file = p.file
	}
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, Problem{file, line, fmt.Sprintf(format, args...)})
	}
}

// room reports whether the list takes one more entry.
func (p *parser) room(line int) bool {
	if p.list.entries == maxEntries {
		if !p.full {
			p.problem(line, "there are more than %d entries; this one and those after it are not used", maxEntries)
		}
		p.full = true
		return false
	}
	p.list.entries++
	return true
}

// knows reports whether there is a detector whose id matches a pattern, as far as that is known.
func (p *parser) knows(pattern string) bool {
	return p.o.Rules == nil || slices.ContainsFunc(p.o.Rules, func(id magpie.RuleID) bool {
		ok, _ := path.Match(pattern, string(id))
		return ok
	})
}
