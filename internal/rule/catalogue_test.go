package rule

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie"
)

// written returns the catalogue of rules.
func written(t testing.TB, rules []*Rule) string {
	t.Helper()
	var b strings.Builder
	if err := WriteCatalogue(&b, rules); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// catalogued is a rule with something in each part, and with all that has to be escaped.
func catalogued() *Rule {
	return &Rule{
		ID: "example-token", Title: "a\tb\nc\rd\\e\\t", Vendor: "Ex\x1fample", Category: "cloud", Severity: magpie.SeverityHigh,
		Confidence: magpie.ConfidenceLow, Description: `\`, Remediation: `\\n`, References: []string{"https://a", "", "b\x1f"}, Since: "1.0",
		Literals: []string{"exm_", "\x1f\t\n"}, Keywords: []string{""}, Pattern: `\b(?P<secret>exm_)`, Value: "v", Name: "n", Near: 7,
		Window:  Window{Before: 3, After: 1300},
		Filters: Filters{Entropy: 3.1, Require: []string{"digit", "upper"}, Stopwords: []string{"é"}, Allow: []string{"", "a", "<>", "ab<>", "abc\t"}, Paths: []string{"*"}, Shape: "random", Placeholders: true},
		Check:   "jwt", Generic: true, Source: "rules/example.yaml",
		Probe:  &Probe{Method: "POST", URL: "https://api.example.com/?a=<b>", Headers: map[string]string{"A": "b", "C": "d\n\x1e"}, Valid: []Answer{{Status: 200, Equals: []string{"\t", ""}}, {Status: 404, Header: "X"}}},
		secret: 2, offset: -1, edge: true, shortest: 16,
	}
}

// readable lists what a catalogue holds of a rule: all but functions and what is made when it is first used.
var readable = cmp.Options{
	cmp.AllowUnexported(Rule{}), cmpopts.IgnoreFields(Rule{}, "compiling", "program", "check", "require", "Match", "NoMatch"),
}

func TestCatalogueKeepsAllOfARule(t *testing.T) {
	t.Parallel()
	want := []*Rule{catalogued(), {ID: "bare"}}
	got, err := ReadCatalogue(written(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, readable); diff != "" {
		t.Errorf("rules differ (-written +read):\n%s", diff)
	}
	if got[0].check == nil || len(got[0].require) != 2 {
		t.Error("the functions that the rule names are missing")
	}
}

func TestReadRulesFindAsParsedOnes(t *testing.T) {
	t.Parallel()
	parsed, err := Parse("example.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadCatalogue(written(t, parsed))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(" exm_" + strings.Repeat("0a", 16) + " ")
	match, secret, ok := read[0].Find(text, 1, 4, true)
	if want := [2]int{1, 37}; !ok || match != want || secret != want {
		t.Errorf("got match %v, secret %v, %v; want both at %v", match, secret, ok, want)
	}
}

func TestCatalogueProblems(t *testing.T) {
	t.Parallel()
	whole := written(t, []*Rule{{ID: "bare"}, catalogued()})
	for name, tc := range map[string]struct{ old, new, want string }{
		"empty":              {whole, "", "line 1"},
		"another version":    {"id\tsource", "id\tfile", "line 1"},
		"too few fields":     {"example-token\t", "example-token", "line 3 of the catalogue: it has 41 fields instead of 42"},
		"too many fields":    {"example-token\t", "example-token\t\t", "line 3 of the catalogue: it has 43 fields instead of 42"},
		"cut off":            {"\t16\n", "\t16", "line 3 of the catalogue is cut off"},
		"no rule":            {"bare\t", "\nbare\t", "line 2 of the catalogue: it has 1 fields instead"},
		"number":             {"\t1300\t", "\t13OO\t", `line 3 of the catalogue: window.after: strconv`},
		"amount":             {"\t3.1\t", "\tthree\t", `line 3 of the catalogue: entropy: strconv`},
		"flag":               {"\tplaceholders\tjwt", "\tyes\tjwt", `line 3 of the catalogue: placeholders: "yes"`},
		"escape":             {`a\tb`, `a\qb`, `line 3 of the catalogue: title: there is no escape \q`},
		"escape that ends":   {"\t\\\\\t", "\t\\\t", "line 3 of the catalogue: description: the text ends"},
		"escape in a list":   {"\x1f\\e\x1f", "\x1f\\q\x1f", `line 3 of the catalogue: references: there is no escape \q`},
		"no marker":          {`ab<>c`, `abc`, "line 3 of the catalogue: allow: there is no <>"},
		"check":              {"\tjwt\t", "\tjot\t", `line 3 of the catalogue: check: there is none called "jot"`},
		"class of character": {"digit\x1f", "figit\x1f", `line 3 of the catalogue: require: no character class is called "figit"`},
		"header":             {"A\x1eb", "A", "line 3 of the catalogue: verify.headers: a header has 1 parts"},
		"answer":             {"\x1e\\e\x1e\\e\x1e\\t", "", "line 3 of the catalogue: verify.valid: an answer has"},
		"status":             {"200\x1e", "ok\x1e", "line 3 of the catalogue: verify.valid: strconv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(whole, tc.old, tc.new, 1)
			if broken == whole {
				t.Fatalf("%q is not in the catalogue", tc.old)
			}
			rules, err := ReadCatalogue(broken)
			if err == nil || !strings.Contains(err.Error(), tc.want) || magpie.KindOf(err) != magpie.KindInvalid || rules != nil {
				t.Errorf("ReadCatalogue = %d rules, %v; want an error of kind invalid with %q", len(rules), err, tc.want)
			}
		})
	}
}

// FuzzReadCatalogue expects that what is read is written so that the same is read.
func FuzzReadCatalogue(f *testing.F) {
	f.Add(written(f, []*Rule{{ID: "bare"}, catalogued()}))
	f.Add(catalogueHeader() + "\n")
	f.Add(catalogueHeader() + "\n" + strings.Repeat("\t", len(catalogueFields)-1) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ReadCatalogue(text)
		if err != nil {
			return
		}
		once := written(t, rules)
		again, err := ReadCatalogue(once)
		if err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		if twice := written(t, again); twice != once {
			t.Errorf("written %q, read and written again %q", once, twice)
		}
	})
}
