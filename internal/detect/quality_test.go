package detect_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/detect"
)

var update = flag.Bool("update", false, "rewrite testdata/quality.golden")

// marked is a file of the own corpus: made-up text with secrets and what looks like them.
type marked struct {
	path  string // as it would be called in a repository
	text  []byte
	spans []span
}

// span is a stretch of a text that is a secret, or that only looks like one.
type span struct {
	from, to int
	secret   bool
	found    bool
}

// readMarked reads a file in which ⟦+…⟧ stands around secrets, ⟦-…⟧ around look-alikes, and <> within secrets, so that no
// scanner finds them where they are kept.
func readMarked(t *testing.T, name string) *marked {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := &marked{path: strings.Replace(strings.TrimSuffix(filepath.Base(name), ".txt"), "dot.", ".", 1)}
	rest := string(data)
	for {
		before, after, ok := strings.Cut(rest, "⟦")
		m.text = append(m.text, before...)
		if !ok {
			return m
		}
		value, tail, ok := strings.Cut(after, "⟧")
		if !ok || value == "" || value[0] != '+' && value[0] != '-' {
			t.Fatalf("%s: a mark is not closed or says neither + nor -", name)
		}
		s := span{from: len(m.text), secret: value[0] == '+'}
		if value = value[1:]; s.secret {
			value = strings.ReplaceAll(value, "<>", "")
		}
		m.text = append(m.text, value...)
		s.to = len(m.text)
		m.spans = append(m.spans, s)
		rest = tail
	}
}

// score counts what one rule found in the own corpus.
type score struct{ right, wrong, noise int }

// TestQuality compares what is found in the own corpus with the golden file, so that every change shows what it moved.
// `make quality` rewrites it.
func TestQuality(t *testing.T) {
	files, err := filepath.Glob("testdata/quality/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, error %v", len(files), err)
	}
	e := engine(t, detect.Options{})
	s := e.NewScanner()
	rules := map[magpie.RuleID]*score{}
	var all score
	var secrets, alike int
	var lines strings.Builder
	for _, name := range files {
		m := readMarked(t, name)
		at := detect.NewLines(m.text)
		for _, found := range s.Scan(m.text) {
			if !e.Allowed(found.Rule, m.path) {
				continue
			}
			c := rules[found.Rule.ID]
			if c == nil {
				c = &score{}
				rules[found.Rule.ID] = c
			}
			line, _, _, _ := at.Range(found)
			switch sp := m.at(found.Start, found.End); {
			case sp == nil:
				c.noise++
				all.noise++
				fmt.Fprintf(&lines, "noise   %s:%d %s\n", m.path, line, found.Rule.ID)
			case !sp.secret:
				c.wrong++
				all.wrong++
				fmt.Fprintf(&lines, "wrong   %s:%d %s\n", m.path, line, found.Rule.ID)
			case !sp.found:
				sp.found = true
				c.right++
				all.right++
			}
		}
		for _, sp := range m.spans {
			if !sp.secret {
				alike++
				continue
			}
			secrets++
			if !sp.found {
				fmt.Fprintf(&lines, "missed  %s:%d\n", m.path, 1+strings.Count(string(m.text[:sp.from]), "\n"))
			}
		}
	}
	got := report(rules, all, secrets, alike) + "\n" + lines.String()
	const golden = "testdata/quality.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the quality of detection differs from %s; if it is meant to, run make quality (-want +got):\n%s", golden, diff)
	}
}

// at returns the marked stretch that text from start to end touches, a secret before a look-alike, or nil.
func (m *marked) at(start, end int) *span {
	var found *span
	for i := range m.spans {
		if sp := &m.spans[i]; sp.from < end && sp.to > start && (found == nil || sp.secret) {
			found = sp
		}
	}
	return found
}

func report(rules map[magpie.RuleID]*score, all score, secrets, alike int) string {
	var b strings.Builder
	precision := float64(all.right) / float64(all.right+all.wrong+all.noise)
	recall := float64(all.right) / float64(secrets)
	fmt.Fprintf(&b, "%d secrets and %d look-alikes: precision %.3f, recall %.3f, F1 %.3f\n\n", secrets, alike, precision, recall,
		2*precision*recall/(precision+recall))
	fmt.Fprintf(&b, "%-28s %5s %5s %5s\n", "rule", "right", "wrong", "noise")
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		c := rules[id]
		fmt.Fprintf(&b, "%-28s %5d %5d %5d\n", id, c.right, c.wrong, c.noise)
	}
	return b.String()
}
