package detect_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/detect"
)

// label is one labelled range of lines in a file of the corpus.
type label struct {
	from, to int
	truth    string // T a credential, F none, X a placeholder or test value
	category string
}

// identifiers are the categories that are identifiers more than secrets.
func (l label) identifier() bool {
	for c := range strings.SplitSeq(l.category, ":") {
		if c != "UUID" && c != "Salt" && c != "Nonce" && c != "Seed" {
			return false
		}
	}
	return true
}

func readLabels(t *testing.T, root string) map[string][]label {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]label{}
	for _, r := range rows[1:] {
		from, _ := strconv.Atoi(r[1])
		to, _ := strconv.Atoi(r[2])
		labels[r[0]] = append(labels[r[0]], label{from, to, r[5], r[6]})
	}
	return labels
}

// tally counts hits on labels.
type tally struct{ hit, missed, wrong, unlabelled int }

func (c tally) precision() float64 { return float64(c.hit) / float64(max(1, c.hit+c.wrong)) }
func (c tally) recall() float64    { return float64(c.hit) / float64(max(1, c.hit+c.missed)) }

// TestLabelledCorpus measures precision and recall over a set of labelled real files, by lines: a finding hits a label
// when their line ranges overlap, each label counts once, hits on what is no credential are wrong.
func TestLabelledCorpus(t *testing.T) {
	root := os.Getenv("MAGPIE_LABELLED")
	if root == "" {
		t.Skip("MAGPIE_LABELLED does not name a folder with labels.csv and its files")
	}
	e := engine(t, detect.Options{})
	s := e.NewScanner()
	var all, secrets tally
	perRule := map[magpie.RuleID]*tally{}
	of := func(id magpie.RuleID) *tally {
		if perRule[id] == nil {
			perRule[id] = &tally{}
		}
		return perRule[id]
	}
	for file, labels := range readLabels(t, root) {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		lines := detect.NewLines(data)
		hitBy := make([]magpie.RuleID, len(labels))
		for _, m := range s.Scan(data) {
			if !e.Allowed(m.Rule, strings.TrimPrefix(file, "tree/")) {
				continue
			}
			from, _, to, _ := lines.Range(m)
			onLabel := false
			for i, l := range labels {
				if from <= l.to && to >= l.from {
					hitBy[i], onLabel = m.Rule.ID, true
				}
			}
			if !onLabel {
				of(m.Rule.ID).unlabelled++
				all.unlabelled++
				t.Logf("unlabelled %s %s:%d", m.Rule.ID, file, from)
			}
		}
		for i, l := range labels {
			count(&all, l, hitBy[i] != "")
			if !l.identifier() {
				count(&secrets, l, hitBy[i] != "")
			}
			if hitBy[i] != "" {
				count(of(hitBy[i]), l, true)
				if l.truth != "T" {
					t.Logf("wrong %s %s:%d %s", hitBy[i], file, l.from, l.truth)
				}
			} else if l.truth == "T" {
				t.Logf("missed %s:%d %s", file, l.from, l.category)
			}
		}
	}
	var ids []string
	for id := range perRule {
		ids = append(ids, string(id))
	}
	sort.Strings(ids)
	for _, id := range ids {
		c := perRule[magpie.RuleID(id)]
		t.Logf("%-28s right %4d wrong %4d unlabelled %4d precision %.2f", id, c.hit, c.wrong, c.unlabelled, c.precision())
	}
	t.Logf("all labels: precision %.3f recall %.3f; without identifiers: precision %.3f recall %.3f; on no label: %d",
		all.precision(), all.recall(), secrets.precision(), secrets.recall(), all.unlabelled)
	if p := secrets.precision(); p < 0.75 {
		t.Errorf("got precision %.3f, want at least 0.75", p)
	}
}

func count(c *tally, l label, hit bool) {
	switch {
	case l.truth == "T" && hit:
		c.hit++
	case l.truth == "T":
		c.missed++
	case hit:
		c.wrong++
	}
}
