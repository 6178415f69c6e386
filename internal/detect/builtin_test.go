package detect

import (
	"os"
	"sync"
	"testing"

	"magpie/internal/rule"
	"magpie/rules"
)

// parsedRules are the built-in rules as their files have them, which takes long to read.
var parsedRules = sync.OnceValues(func() ([]*rule.Rule, error) { return rules.Parse(os.DirFS("../../rules")) })

// BuiltIn returns the built-in rules as the program carries them, with the examples that their files have beside.
func BuiltIn(t testing.TB) []*rule.Rule {
	t.Helper()
	parsed, err := parsedRules()
	if err != nil {
		t.Fatal(err)
	}
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(parsed) {
		t.Fatalf("the catalogue has %d rules, the files have %d: run make generate", len(all), len(parsed))
	}
	for i, r := range all {
		if r.ID != parsed[i].ID {
			t.Fatalf("rule %d of the catalogue is %s, not %s as in the files: run make generate", i+1, r.ID, parsed[i].ID)
		}
		r.Match, r.NoMatch = parsed[i].Match, parsed[i].NoMatch
	}
	return all
}

// BenchmarkNew measures building the engine of all rules.
func BenchmarkNew(b *testing.B) {
	all, err := rules.All()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(all, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
