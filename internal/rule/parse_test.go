package rule

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

const good = `vendor: Example
rules:
  - id: example-token
    title: Example token
    category: cloud
    severity: high
    confidence: high
    description: What it is.
    remediation: What to do.
    literals: [exm_]
    pattern: \b(?P<secret>exm_[0-9a-f]{32})\b
    examples:
      match: ["exm<>_0123"]
      no_match: ["exm_"]
`

func TestParse(t *testing.T) {
	rs, err := Parse("example.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	r := rs[0]
	if r.offset != 0 {
		t.Errorf("anchor at %d, want 0", r.offset)
	}
	if d := cmp.Diff(Window{Before: 0, After: 37}, r.Window); d != "" {
		t.Errorf("window differs (-want +got):\n%s", d)
	}
	if r.Vendor != "Example" || r.Match[0] != "exm_0123" {
		t.Errorf("got vendor %q, example %q", r.Vendor, r.Match[0])
	}
}

// TestProblemsAreAllReported breaks a rule in one way after another, and then in several ways at once.
func TestProblemsAreAllReported(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, new string
		want     []string
	}{
		{"unknown fields", "severity: high", "severity: high\n    colour: red\n    size: big", []string{"unknown field colour", "unknown field size"}},
		{"unknown nested", "examples:", "filters: {entropi: 3}\n    examples:", []string{"unknown field filters.entropi"}},
		{"id", "id: example-token", "id: Example_Token", []string{"id must be lower-case"}},
		{"severity", "severity: high", "severity: terrible", []string{`severity "terrible"`}},
		{"expression", `{32})\b`, `{32}\b`, []string{"pattern: error parsing regexp"}},
		{"group", "(?P<secret>exm_[0-9a-f]{32})", "exm_[0-9a-f]{32}", []string{"no group"}},
		{"anchor", "exm_[0-9a-f]", "exn_[0-9a-f]", []string{"none of the literals"}},
		{"short anchor", "[exm_]", "[ex]", []string{"shorter than 3"}},
		{"unbounded", "{32})", "+)", []string{"set window.after"}},
		{"check", "examples:", "check: nothing\n    examples:", []string{`check "nothing" does not exist`}},
		{"class", "examples:", "filters: {require: [vowel]}\n    examples:", []string{`no character class "vowel"`}},
		{"several", "category: cloud\n    severity: high", "category: weather\n    severity: awful", []string{`category "weather"`, `severity "awful"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(strings.Replace(good, tt.old, tt.new, 1)))
			if err == nil {
				t.Fatal("got no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, want %q in it", err, w)
				}
			}
			if !strings.Contains(err.Error(), "f.yaml") || magpie.KindOf(err) != magpie.KindInvalid {
				t.Errorf("got %v of kind %q, want the file's name and kind invalid", err, magpie.KindOf(err))
			}
		})
	}
}

func TestDuplicateIDs(t *testing.T) {
	_, second, _ := strings.Cut(good, "rules:\n")
	_, err := Parse("f.yaml", []byte(good+second))
	if _, ok := errors.AsType[*magpie.Error](err); !ok || !strings.Contains(err.Error(), "defined twice") {
		t.Errorf("got %v, want a *magpie.Error that says defined twice", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("rules: [{}]"))
	f.Add([]byte(strings.Replace(good, "pattern", "value", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		rs, err := Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		for _, r := range rs {
			if !r.ByValue() {
				r.Find([]byte("exm_0123456789abcdef0123456789abcdef"), 0, 4, true)
			}
		}
	})
}
