package rule

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"magpie"
)

// file is a rule file as it is written.
type file struct {
	Vendor string `yaml:"vendor"`
	Rules  []spec `yaml:"rules"`
}

// spec is one rule as it is written. The order of the fields is the order in which people read a rule.
type spec struct {
	ID          string   `yaml:"id"`
	Title       string   `yaml:"title"`
	Category    string   `yaml:"category"`
	Severity    string   `yaml:"severity"`
	Confidence  string   `yaml:"confidence"`
	Description string   `yaml:"description"`
	Remediation string   `yaml:"remediation"`
	References  []string `yaml:"references"`
	Since       string   `yaml:"since"`
	Literals    []string `yaml:"literals"`
	Keywords    []string `yaml:"keywords"`
	Pattern     string   `yaml:"pattern"`
	Value       string   `yaml:"value"`
	Name        string   `yaml:"name"`
	Near        int      `yaml:"near"`
	Window      Window   `yaml:"window"`
	Filters     Filters  `yaml:"filters"`
	Check       string   `yaml:"check"`
	Generic     bool     `yaml:"generic"`
	Verify      *Probe   `yaml:"verify"`
	Examples    struct {
		Match   []string `yaml:"match"`
		NoMatch []string `yaml:"no_match"`
	} `yaml:"examples"`
}

// Bounds of rules with near, in bytes: how far from its keyword a value may start, and its length.
const (
	MaxNear      = 128
	maxNearValue = 384
)

// maxWindow bounds how far a rule may look, in bytes to each side.
const maxWindow = 16 << 10

// Parse reads a rule file. name is for messages. If anything is wrong it returns no rules and one error per problem,
// joined, each a *magpie.Error that names the file and the rule.
func Parse(name string, data []byte) ([]*Rule, error) {
	var f file
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		// The strict decoder stops at the first unknown field; people want to hear of all.
		if errs := unknownFields(name, data); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		return nil, problem(name, "", "is not a rule file: %s", firstLine(yaml.FormatError(err, false, false)))
	}
	if len(f.Rules) == 0 {
		return nil, problem(name, "", "holds no rules")
	}
	var rules []*Rule
	var errs []error
	seen := map[string]bool{}
	for i := range f.Rules {
		s := &f.Rules[i]
		if s.ID != "" && seen[s.ID] {
			errs = append(errs, problem(name, s.ID, "is defined twice"))
		}
		seen[s.ID] = true
		r, bad := s.compile(name, f.Vendor)
		errs = append(errs, bad...)
		rules = append(rules, r)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rules, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func problem(file, id, format string, args ...any) error {
	where := file
	if id != "" {
		where += ": rule " + id
	}
	return magpie.Errorf(magpie.KindInvalid, "%s: %s", where, fmt.Sprintf(format, args...))
}

// compiler collects the problems of one rule.
type compiler struct {
	file, id string
	errs     []error
}

func (c *compiler) fail(format string, args ...any) {
	c.errs = append(c.errs, problem(c.file, c.id, format, args...))
}

var idForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func (s *spec) compile(file, vendor string) (*Rule, []error) {
	c := &compiler{file: file, id: s.ID}
	if s.ID == "" {
		c.id = "without id (" + s.Title + ")"
	}
	r := &Rule{
		ID: magpie.RuleID(s.ID), Title: s.Title, Vendor: vendor, Category: s.Category,
		Severity: magpie.Severity(s.Severity), Confidence: magpie.Confidence(s.Confidence),
		Description: strings.TrimSpace(s.Description), Remediation: strings.TrimSpace(s.Remediation),
		References: s.References, Since: s.Since, Literals: s.Literals, Keywords: lowerAll(s.Keywords),
		Pattern: s.Pattern, Value: s.Value, Name: s.Name, Near: s.Near, Window: s.Window, Filters: s.Filters, Check: s.Check,
		Generic: s.Generic, Probe: s.Verify, Match: unmark(s.Examples.Match), NoMatch: unmark(s.Examples.NoMatch), Source: file, offset: -1,
	}
	c.describe(r)
	c.anchors(r)
	c.filters(r)
	c.probe(r.Probe)
	switch {
	case (s.Pattern == "") == (s.Value == ""):
		c.fail("needs either pattern or value")
	case s.Pattern != "":
		c.pattern(r)
	default:
		c.value(r)
	}
	return r, c.errs
}

func lowerAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ToLower(s)
	}
	return out
}

func unmark(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ReplaceAll(s, Marker, "")
	}
	return out
}

// describe checks what people read.
func (c *compiler) describe(r *Rule) {
	if !idForm.MatchString(string(r.ID)) {
		c.fail("id must be lower-case words and digits joined by dashes")
	}
	for _, f := range []struct{ name, value string }{
		{"title", r.Title}, {"description", r.Description}, {"remediation", r.Remediation},
	} {
		if f.value == "" {
			c.fail("%s is missing", f.name)
		}
	}
	if !slices.Contains(Categories(), r.Category) {
		c.fail("category %q is not one of %s", r.Category, strings.Join(Categories(), ", "))
	}
	if !slices.Contains(magpie.Severities(), r.Severity) {
		c.fail("severity %q is not one of critical, high, medium, low, info", r.Severity)
	}
	switch r.Confidence {
	case magpie.ConfidenceHigh, magpie.ConfidenceMedium, magpie.ConfidenceLow:
	default:
		c.fail("confidence %q is not one of high, medium, low", r.Confidence)
	}
}

// anchors checks the literals and keywords.
func (c *compiler) anchors(r *Rule) {
	if len(r.Literals)+len(r.Keywords) == 0 {
		c.fail("needs literals or keywords, at least one of which stands in every match")
	}
	r.Anchors(func(text string, _ bool) {
		if len(text) < 3 {
			c.fail("anchor %q is shorter than 3 bytes", text)
		}
	})
}

func (c *compiler) filters(r *Rule) {
	for _, name := range r.Filters.Require {
		cl, ok := classes[name]
		if !ok {
			c.fail("filters.require: no character class %q; there are digit, lower, upper, letter, special", name)
			continue
		}
		r.require = append(r.require, cl)
	}
	r.Filters.Stopwords = lowerAll(r.Filters.Stopwords)
	r.Filters.Allow = unmark(r.Filters.Allow)
	switch r.Filters.Shape {
	case "", "password", "random", "login", "key":
	default:
		c.fail("filters.shape %q is not one of password, random, login, key", r.Filters.Shape)
	}
	for _, p := range r.Filters.Paths {
		if !validGlob(p) {
			c.fail("filters.paths: %q is not a valid glob", p)
		}
	}
	if r.Check != "" {
		if r.check = checks[r.Check]; r.check == nil {
			c.fail("check %q does not exist; there are %s", r.Check, strings.Join(CheckNames(), ", "))
		}
	}
}

// pattern compiles a rule that is recognised by a pattern.
func (c *compiler) pattern(r *Rule) {
	tree, err := syntax.Parse(r.Pattern, syntax.Perl)
	if err != nil {
		c.fail("pattern: %s", err)
		return
	}
	group := -1
	for i, name := range tree.CapNames() {
		if name == "secret" {
			group = i
		}
	}
	if group < 0 {
		c.fail("pattern has no group (?P<secret>…)")
	}
	if r.Name != "" {
		c.fail("name goes with value, not with pattern")
	}
	if r.Near != 0 {
		c.fail("near goes with value, not with pattern")
	}
	sh := analyse(tree, r.lowerAnchors())
	if !sh.required {
		c.fail("pattern can match text that holds none of the literals and keywords")
	}
	c.window(r, sh)
	r.offset = sh.offset
	first := flatten(tree, nil)[0]
	r.edge = first.Op == syntax.OpWordBoundary
	if sh.must != 0 {
		r.must = string(sh.must)
	}
	r.secret = group + 1
	if err := r.findTails(tree); err != nil {
		c.fail("pattern: %s", err)
	}
}

// window sets or checks how far the rule looks.
func (c *compiler) window(r *Rule, sh shape) {
	before, after := sh.before, sh.maxLen
	if r.Window.Before == 0 && before >= 0 {
		r.Window.Before = before
	}
	if r.Window.After == 0 && after >= 0 {
		r.Window.After = after + 1
	}
	switch {
	case r.Window.Before == 0 && before < 0 && sh.required:
		c.fail("what stands before the anchor has no bound: set window.before")
	case r.Window.After == 0:
		c.fail("the length of a match has no bound: set window.after")
	case r.Window.Before < before || sh.before < 0 && r.Window.Before == 0:
		c.fail("window.before is %d but the anchor can stand %d bytes into a match", r.Window.Before, before)
	case r.Window.Before > maxWindow || r.Window.After > maxWindow:
		c.fail("window is larger than %d bytes to a side", maxWindow)
	}
}

func (r *Rule) lowerAnchors() []anchor {
	var out []anchor
	r.Anchors(func(text string, exact bool) { out = append(out, anchor{text, exact}) })
	return out
}

// value compiles a rule that is recognised by a value assigned to a name.
func (c *compiler) value(r *Rule) {
	if tree, err := syntax.Parse(r.Value, syntax.Perl); err != nil {
		c.fail("value: %s", err)
	} else {
		c.near(r, tree)
	}
	if _, err := syntax.Parse(r.Name, syntax.Perl); err != nil {
		c.fail("name: %s", err)
	}
	if r.Generic && r.Filters.Shape == "" {
		c.fail("a generic rule by value needs filters.shape")
	}
	if len(r.Literals) > 0 {
		c.fail("a rule by value takes keywords, not literals")
	}
}

// near checks a rule whose value need not be assigned.
func (c *compiler) near(r *Rule, tree *syntax.Regexp) {
	lo, hi := width(tree)
	r.shortest = lo
	switch {
	case r.Near == 0:
	case r.Near < 0 || r.Near > MaxNear:
		c.fail("near is %d, not from 1 to %d bytes", r.Near, MaxNear)
	case r.Generic:
		c.fail("near is not for generic rules")
	case lo < 12:
		c.fail("near needs a value of at least 12 bytes")
	case hi < 0 || hi > maxNearValue:
		c.fail("near needs a value of at most %d bytes", maxNearValue)
	}
}

// unknownFields reports every field that no rule has.
func unknownFields(name string, data []byte) []error {
	var raw struct {
		Rest  map[string]any   `yaml:",inline"`
		Rules []map[string]any `yaml:"rules"`
	}
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil // the strict pass says it better
	}
	var errs []error
	for _, r := range raw.Rules {
		id, _ := r["id"].(string)
		check := func(where string, m any, known ...string) {
			fields, _ := m.(map[string]any)
			for _, k := range slices.Sorted(maps.Keys(fields)) {
				if !slices.Contains(known, k) {
					errs = append(errs, problem(name, id, "unknown field %s%s", where, k))
				}
			}
		}
		check("", r, "id", "title", "category", "severity", "confidence", "description", "remediation", "references",
			"since", "literals", "keywords", "pattern", "value", "name", "near", "window", "filters", "check", "generic", "verify", "examples")
		check("window.", r["window"], "before", "after")
		check("filters.", r["filters"], "entropy", "require", "stopwords", "allow", "paths", "shape", "placeholders")
		check("examples.", r["examples"], "match", "no_match")
		check("verify.", r["verify"], "prefixes", "method", "url", "headers", "basic", "body", "valid", "invalid")
		if probe, ok := r["verify"].(map[string]any); ok {
			for _, list := range []string{"valid", "invalid"} {
				answers, _ := probe[list].([]any)
				for _, a := range answers {
					check("verify."+list+".", a, "status", "field", "equals", "contains", "header")
				}
			}
		}
	}
	return errs
}
