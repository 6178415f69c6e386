package ignore

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"magpie"
)

// Limits of what the expressions of a file may cost, since whoever may push may write some.
const (
	maxExpression = 4 << 10 // bytes of one
	maxProgram    = 100_000 // steps of all, compiled
	maxTested     = 1 << 10 // bytes of a value or line that are compared with them
	maxNesting    = 1000    // brackets that are not closed
	maxExtended   = 2       // files that build on files
	maxRemembered = 100_000 // paths whose verdict is remembered
	// maxWork bounds, in steps of expressions times bytes they are compared with, what one file may cost.
	maxWork = 1 << 28
)

// gitleaksIgnore reads fingerprints of gitleaks: file:rule:line, before which a commit may stand. The rule is not looked
// at, since gitleaks calls its rules by other names.
func (p *parser) gitleaksIgnore(data []byte) {
	for i, line := range splitLines(data) {
		n := i + 1
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at, err := parsePlace(line)
		if err != nil {
			p.problem(n, "%s", err)
			continue
		}
		if p.room(n) {
			p.list.places[at] = n
		}
	}
}

var errPlace = errors.New("it is no fingerprint of gitleaks, which is commit:file:rule:line or file:rule:line")

func parsePlace(text string) (place, error) {
	rest, number, ok := cutLast(text)
	line, err := strconv.Atoi(number)
	if !ok || err != nil || line < 0 {
		return place{}, errPlace
	}
	rest, rule, ok := cutLast(rest)
	if !ok || rule == "" || rest == "" {
		return place{}, errPlace
	}
	at := place{file: rest, line: line}
	if commit, file, ok := strings.Cut(rest, ":"); ok && isCommit(commit) && file != "" {
		at.commit, at.file = magpie.Hash(strings.ToLower(commit)), file
	}
	at.file = strings.TrimPrefix(strings.ReplaceAll(at.file, `\`, "/"), "./")
	return at, nil
}

func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

func isCommit(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(strings.ToLower(text), "0123456789abcdef") == ""
}

// ruleRef is how a file of gitleaks names detectors. Its names are not ours: one that we do not know stands for all
// detectors of the vendor that it begins with, and its generic rule for all generic ones.
type ruleRef struct {
	id      string
	vendor  string // the first word of ids; empty where the id itself is known
	generic bool
}

func (r ruleRef) matches(f Finding) bool {
	switch {
	case r.generic:
		return f.Generic
	case r.vendor != "":
		return strings.HasPrefix(string(f.Rule), r.vendor+"-") || string(f.Rule) == r.vendor
	}
	return string(f.Rule) == r.id
}

// vendorNames are words by which gitleaks begins its ids where ours begin with another one.
var vendorNames = map[string]string{"gcp": "google", "flyio": "fly", "sendinblue": "brevo", "curl": "http"}

// ref finds out what a rule's name stands for; ok is false for one that stands for none of our detectors.
func (p *parser) ref(id string) (r ruleRef, ok bool) {
	if id == "generic-api-key" {
		return ruleRef{id: id, generic: true}, true
	}
	if p.knows(regexpMeta.Replace(id)) {
		return ruleRef{id: id}, true
	}
	vendor, _, _ := strings.Cut(id, "-")
	if other, ok := vendorNames[vendor]; ok {
		vendor = other
	}
	vendor = regexpMeta.Replace(vendor)
	if vendor != "" && (p.knows(vendor+"-*") || p.knows(vendor)) {
		return ruleRef{id: id, vendor: vendor}, true
	}
	return r, false
}

// regexpMeta makes text stand for itself in a pattern of path.Match.
var regexpMeta = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

// offRule is a rule that a file switches off.
type offRule struct {
	ruleRef
	line int
}

// allowlist is one allowlist of gitleaks: which findings it is about, by any or all of its criteria.
type allowlist struct {
	title     string     // for people
	rules     []ruleRef  // it speaks for; nil for all
	all       bool       // all criteria must be met, not any
	commits   []string   // lower case
	paths     expression //
	regexes   expression //
	target    string     // what regexes are about: "", "match", or "line"
	stopwords []string   // lower case
}

// expression is several regular expressions, of which one must match.
type expression struct {
	re    *regexp.Regexp  // nil if there are none
	cost  int             // steps
	known map[string]bool // what was found out about paths
}

// matchPath is match for a path, of which many findings may be.
func (e expression) matchPath(path string, left *int64) bool {
	verdict, ok := e.known[path]
	if !ok {
		if verdict = e.match([]byte(path), left); len(e.known) < maxRemembered {
			e.known[path] = verdict
		}
	}
	return verdict
}

// match reports whether the expression matches text, if that may still be found out.
func (e expression) match(text []byte, left *int64) bool {
	if e.re == nil || *left < 0 {
		return false
	}
	text = text[:min(len(text), maxTested)]
	if *left -= int64(e.cost) * int64(len(text)+1); *left < 0 {
		return false
	}
	return e.re.Match(text)
}

func (a *allowlist) kind() Kind {
	if a.regexes.re != nil || len(a.stopwords) > 0 || len(a.commits) > 0 {
		return Single
	}
	return Path
}

func (a *allowlist) match(f Finding, left *int64) bool {
	if a.rules != nil && !slices.ContainsFunc(a.rules, func(r ruleRef) bool { return r.matches(f) }) {
		return false
	}
	target := f.Secret
	switch a.target {
	case "match":
		target = f.Match
	case "line":
		target = f.Text
	}
	for _, c := range []struct {
		given bool
		met   func() bool
	}{
		{len(a.commits) > 0, func() bool { return slices.Contains(a.commits, string(f.Commit)) }},
		{a.paths.re != nil, func() bool { return a.paths.matchPath(f.Path, left) }},
		{a.regexes.re != nil, func() bool { return target != nil && a.regexes.match(target, left) }},
		{len(a.stopwords) > 0, func() bool { return a.stopped(f.Secret) }},
	} {
		if c.given && c.met() != a.all {
			return !a.all // any that is met decides, or any that is not
		}
	}
	return a.all
}

func (a *allowlist) stopped(secret []byte) bool {
	low := bytes.ToLower(secret)
	return slices.ContainsFunc(a.stopwords, func(w string) bool { return bytes.Contains(low, []byte(w)) })
}

// gitleaks reads a configuration of gitleaks: what it allows. Detectors that it defines are not used, which is told.
func (p *parser) gitleaks(name string, data []byte, depth int) {
	t, err := parseTOML(data)
	if err != nil {
		line := 0
		if at, ok := errors.AsType[toml.ParseError](err); ok {
			line, err = at.Position.Line, errors.New(at.Message)
		}
		p.problem(line, "it is not TOML and is not used: %s", err)
		return
	}
	g := &gitleaksReader{parser: p, data: data}
	if p.list.left == nil {
		p.list.left = new(int64)
		*p.list.left = maxWork
	}
	g.extend(name, t.table("extend"), depth)
	g.allowlists(t, "", nil)
	for i, r := range t.tables("rules") {
		id, _ := r["id"].(string)
		title := fmt.Sprintf("rule %d", i+1)
		if id != "" {
			title = "rule " + id
		}
		allows := r.has("allowlist") || r.has("allowlists")
		ref, ok := p.ref(id)
		if !ok && !allows {
			p.problem(g.line(id), "%s: it is a detector of this file's own and not used; the form of docs/rules.md is", title)
		}
		if !allows {
			continue
		}
		if !ok {
			p.problem(g.line(id), "%s: Magpie has no such detector, nor any of that vendor; its allowlist is not used", title)
			continue
		}
		g.allowlists(r, title, []ruleRef{ref})
	}
}

// table is a TOML table; gitleaks does not care for the case of keys.
type table map[string]any

func parseTOML(data []byte) (table, error) {
	nested := 0
	for _, b := range data {
		switch b {
		case '[', '{':
			nested++
		case ']', '}':
			nested = max(0, nested-1)
		}
		if nested > maxNesting {
			return nil, fmt.Errorf("brackets are nested more than %d times", maxNesting)
		}
	}
	var t map[string]any
	if err := toml.Unmarshal(data, &t); err != nil {
		return nil, err
	}
	return lowerKeys(t), nil
}

func lowerKeys(t map[string]any) table {
	low := make(table, len(t))
	for k, v := range t {
		low[strings.ToLower(k)] = v
	}
	return low
}

func (t table) has(key string) bool { _, ok := t[key]; return ok }

func (t table) table(key string) table {
	v, _ := t[key].(map[string]any)
	return lowerKeys(v)
}

// tables returns the tables of an array; a single one counts as well.
func (t table) tables(key string) (all []table) {
	switch v := t[key].(type) {
	case map[string]any:
		all = append(all, lowerKeys(v))
	case []map[string]any:
		for _, one := range v {
			all = append(all, lowerKeys(one))
		}
	case []any:
		for _, one := range v {
			if m, ok := one.(map[string]any); ok {
				all = append(all, lowerKeys(m))
			}
		}
	}
	return all
}

// gitleaksReader reads one file.
type gitleaksReader struct {
	*parser
	data  []byte
	steps int // of expressions so far
}

// line returns the first line that holds text, or 0: the parser does not tell where a value stood.
func (g *gitleaksReader) line(text string) int {
	if i := bytes.Index(g.data, []byte(text)); i >= 0 && text != "" {
		return 1 + bytes.Count(g.data[:i], []byte{'\n'})
	}
	return 0
}

// extend reads what the file builds on.
func (g *gitleaksReader) extend(name string, t table, depth int) {
	for _, id := range g.texts(t, "extend", "disabledrules") {
		ref, ok := g.ref(id)
		switch {
		case !ok || ref.vendor != "":
			g.problem(g.line(id), "disabledRules: Magpie has no detector %q; use rule: in .magpieignore for ours", id)
		case g.room(g.line(id)):
			g.list.off = append(g.list.off, offRule{ref, g.line(id)})
		}
	}
	if _, ok := t["url"].(string); ok {
		g.problem(g.line("url"), "extend.url is not followed")
	}
	other, _ := t["path"].(string)
	if other == "" {
		return
	}
	at := g.line("path")
	clean := path.Clean(strings.ReplaceAll(other, `\`, "/"))
	switch {
	case depth == maxExtended:
		g.problem(at, "extend.path is not followed more than %d times", maxExtended)
		return
	case path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || g.o.Open == nil:
		g.problem(at, "extend.path: %q is not a file of this repository that can be read here", other)
		return
	}
	data, err := g.o.Open(clean)
	switch {
	case err != nil:
		g.problem(at, "extend.path: %q can't be read", other)
	case len(data) > MaxFileBytes:
		g.problem(at, "extend.path: %q is larger than %d KiB", other, MaxFileBytes>>10)
	default:
		before := g.file
		g.file = clean
		g.parser.gitleaks(clean, data, depth+1)
		g.file = before
	}
}

// allowlists reads the allowlists of a file, or of a rule in it.
func (g *gitleaksReader) allowlists(t table, title string, rules []ruleRef) {
	all := append(t.tables("allowlist"), t.tables("allowlists")...)
	for i, one := range all {
		name := strings.TrimSpace(title + " allowlist")
		if len(all) > 1 {
			name += " " + strconv.Itoa(i+1)
		}
		g.allowlist(one, name, rules)
	}
}

func (g *gitleaksReader) allowlist(t table, title string, rules []ruleRef) {
	a := &allowlist{title: title, rules: rules}
	if d, _ := t["description"].(string); d != "" {
		a.title += fmt.Sprintf(" (%.100s)", d)
	}
	condition, _ := t["condition"].(string)
	switch strings.ToUpper(condition) {
	case "", "OR", "||":
	case "AND", "&&":
		a.all = true
	default:
		g.problem(g.line(condition), "%s: condition %q is neither AND nor OR; the allowlist is not used", title, condition)
		return
	}
	a.target, _ = t["regextarget"].(string)
	switch a.target = strings.ToLower(a.target); a.target {
	case "match", "line":
	case "secret":
		a.target = ""
	case "":
	default:
		g.problem(g.line("regexTarget"), "%s: regexTarget %q is neither match nor line; the allowlist is not used", title, a.target)
		return
	}
	if targets := g.texts(t, title, "targetrules"); rules == nil && len(targets) > 0 {
		a.rules = []ruleRef{}
		for _, id := range targets {
			if ref, ok := g.ref(id); ok {
				a.rules = append(a.rules, ref)
			} else {
				g.problem(g.line(id), "%s: Magpie has no detector %q, nor any of that vendor", title, id)
			}
		}
	}
	bad := false
	for _, c := range g.texts(t, title, "commits") {
		if !isCommit(c) {
			g.problem(g.line(c), "%s: %q is no whole commit id", title, c)
			bad = true
			continue
		}
		a.commits = append(a.commits, strings.ToLower(c))
	}
	for _, w := range g.texts(t, title, "stopwords") {
		if w == "" {
			bad = true
			continue
		}
		a.stopwords = append(a.stopwords, strings.ToLower(w))
	}
	var broken bool
	a.paths, broken = g.expressions(t, title, "paths")
	bad = bad || broken
	a.regexes, broken = g.expressions(t, title, "regexes")
	bad = bad || broken
	empty := a.paths.re == nil && a.regexes.re == nil && len(a.stopwords) == 0 && len(a.commits) == 0
	switch {
	case empty && !bad:
		g.problem(0, "%s: it holds no paths, regexes, stopwords or commits", title)
	case empty:
	case bad && a.all:
		g.problem(0, "%s: the allowlist is not used, because it takes all of its conditions together", title)
	case g.room(0):
		g.list.allowed = append(g.list.allowed, a)
	}
}

// expressions reads a list of expressions. bad says that one could not be used.
func (g *gitleaksReader) expressions(t table, title, key string) (e expression, bad bool) {
	var good []string
	for _, text := range g.texts(t, title, key) {
		if err := g.afford(text, &e.cost); err != nil {
			g.problem(g.line(text), "%s: %s; it is not used", title, err)
			bad = true
			continue
		}
		good = append(good, "(?:"+text+")")
	}
	if len(good) == 0 {
		return e, bad
	}
	re, err := regexp.Compile(strings.Join(good, "|"))
	if err != nil {
		g.problem(0, "%s: its %s are too much together and are not used: %s", title, key, err)
		return e, true
	}
	e.re, e.known = re, map[string]bool{}
	return e, bad
}

// afford adds the steps of an expression to cost, or says why it can't be used.
func (g *gitleaksReader) afford(text string, cost *int) error {
	if len(text) > maxExpression {
		return fmt.Errorf("an expression is longer than %d bytes", maxExpression)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return err
	}
	if g.steps += len(program.Inst); g.steps > maxProgram {
		return errors.New("the expressions of this file are too much together")
	}
	*cost += len(program.Inst)
	return nil
}

// texts returns a list of strings; a single string counts as one.
func (g *gitleaksReader) texts(t table, title, key string) (all []string) {
	switch v := t[key].(type) {
	case nil:
	case string:
		all = append(all, v)
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			} else {
				g.problem(0, "%s: %s holds something that is no string", title, key)
			}
		}
	default:
		g.problem(0, "%s: %s is no list of strings", title, key)
	}
	return all
}
