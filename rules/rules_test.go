package rules_test

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie/internal/rule"
	"magpie/rules"
)

var update = flag.Bool("update", false, "rewrite catalogue.txt")

func parsed(t *testing.T) []*rule.Rule {
	t.Helper()
	all, err := rules.Parse(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCatalogueIsCurrent(t *testing.T) {
	var want bytes.Buffer
	if err := rule.WriteCatalogue(&want, parsed(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("catalogue.txt", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile("catalogue.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("rules/catalogue.txt is not what the YAML files say: run make generate")
	}
}

// TestAllAreAsParsed compares each part of each rule of the catalogue, also those that only its package sees, with the
// one that the YAML file gives.
func TestAllAreAsParsed(t *testing.T) {
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	want := parsed(t)
	if len(all) != len(want) {
		t.Fatalf("the catalogue has %d rules, the files have %d: run make generate", len(all), len(want))
	}
	everything := cmp.Options{
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmpopts.EquateEmpty(), cmpopts.IgnoreFields(rule.Rule{}, "Match", "NoMatch", "compiling", "program"),
		// Functions are compared by where they are.
		cmp.FilterValues(func(a, b any) bool { return kind(a) == reflect.Func && kind(b) == reflect.Func }, cmp.Comparer(func(a, b any) bool {
			return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
		})),
	}
	for i, r := range want {
		if diff := cmp.Diff(r, all[i], everything); diff != "" {
			t.Errorf("rule %s (-parsed +read): %s", r.ID, diff)
		}
		if len(all[i].Match)+len(all[i].NoMatch) > 0 {
			t.Errorf("rule %s comes with examples", r.ID)
		}
	}
}

func kind(v any) reflect.Kind {
	if v == nil {
		return reflect.Invalid
	}
	return reflect.TypeOf(v).Kind()
}

func BenchmarkAll(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.All(); err != nil {
			b.Fatal(err)
		}
	}
}
