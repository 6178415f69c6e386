package detect_test

import (
	"bufio"
	"encoding/json"
	"os"
	"sort"
	"strings"
	"testing"

	"magpie/internal/detect"
)

// pooled is an example of another scanner: a text in which it finds something, or in which it should not.
type pooled struct {
	Source, Rule, Text string
	Positive           bool
	Want               []string // secrets, where the source tells them
}

// TestPooledExamples counts in how many examples of other scanners, one JSON object a line in the file that MAGPIE_POOL
// names, something is found. With MAGPIE_POOL_RULES only rules whose names hold one of its words, parted by commas, count;
// their misses are printed.
func TestPooledExamples(t *testing.T) {
	name := os.Getenv("MAGPIE_POOL")
	if name == "" {
		t.Skip("MAGPIE_POOL does not name a file of examples")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	words := strings.FieldsFunc(os.Getenv("MAGPIE_POOL_RULES"), func(r rune) bool { return r == ',' })
	s := engine(t, detect.Options{}).NewScanner()
	type tally struct{ found, of int }
	count := map[string]*tally{}
	missed := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var p pooled
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if len(words) > 0 && !holdsOne(strings.ToLower(p.Rule), words) {
			continue
		}
		kind := p.Source + map[bool]string{true: " positive", false: " negative"}[p.Positive]
		if count[kind] == nil {
			count[kind] = &tally{}
		}
		count[kind].of++
		found := s.Scan([]byte(p.Text))
		if len(found) > 0 {
			count[kind].found++
		}
		if (len(found) > 0) != p.Positive {
			missed[p.Source+" "+p.Rule]++
			if len(words) > 0 && p.Positive {
				t.Logf("%s %s: nothing found in %q", p.Source, p.Rule, p.Text)
			} else if len(words) > 0 {
				t.Logf("%s %s: %s found in %q", p.Source, p.Rule, found[0].Rule.ID, p.Text)
			}
		}
	}
	var rules []string
	for r := range missed {
		rules = append(rules, r)
	}
	sort.Slice(rules, func(i, j int) bool { return missed[rules[i]] > missed[rules[j]] })
	for _, r := range rules {
		t.Logf("%4d wrong: %s", missed[r], r)
	}
	var kinds []string
	for k := range count {
		kinds = append(kinds, k)
	}
	sort.Strings(kinds)
	for _, k := range kinds {
		t.Logf("%-24s %5d of %5d", k, count[k].found, count[k].of)
	}
}

func holdsOne(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
