package detect

import (
	"errors"
	"strings"

	"magpie"
	"magpie/internal/rule"
)

// Prove runs each rule on its own examples, each of which must be found by it (Match) or must not (NoMatch), and
// returns one *magpie.Error per failure, joined. Built-in rules need three of the one and two of the other; those of
// users need one of each.
func Prove(rules []*rule.Rule, builtin bool) error {
	var errs []error
	for _, r := range rules {
		errs = append(errs, proveRule(r, builtin)...)
	}
	return errors.Join(errs...)
}

func proveRule(r *rule.Rule, builtin bool) (errs []error) {
	fail := func(format string, args ...any) {
		errs = append(errs, magpie.Errorf(magpie.KindInvalid, "%s: rule %s: "+format, append([]any{r.Source, r.ID}, args...)...))
	}
	match, no := 1, 1
	if builtin {
		match, no = 3, 2
	}
	if len(r.Match) < match || len(r.NoMatch) < no {
		fail("has %d matching and %d non-matching examples, needs at least %d and %d", len(r.Match), len(r.NoMatch), match, no)
	}
	e, err := New([]*rule.Rule{r}, Options{})
	if err != nil {
		return append(errs, err)
	}
	s := e.NewScanner()
	for i, text := range r.Match {
		if len(s.Scan([]byte(text))) == 0 {
			fail("matching example %d is not found", i+1)
		}
	}
	for i, text := range r.NoMatch {
		if len(s.Scan([]byte(text))) > 0 {
			fail("non-matching example %d is found", i+1)
		}
	}
	for i, text := range append(r.Match, r.NoMatch...) {
		if strings.Contains(text, rule.Marker) {
			fail("example %d still holds the marker %s", i+1, rule.Marker)
		}
	}
	return errs
}
