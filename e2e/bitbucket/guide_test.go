package bitbucket

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var guideRow = regexp.MustCompile(`(?m)^\| (B\d+a?) \|.*\| (.*) \|$`)

var guideTest = regexp.MustCompile("`(\\w+)`")

// TestGuideNamesEachTest compares the table in docs/bitbucket.md with the checklist.
func TestGuideNamesEachTest(t *testing.T) {
	guide, err := os.ReadFile("../../docs/bitbucket.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, row := range guideRow.FindAllSubmatch(guide, -1) {
		for _, name := range guideTest.FindAllSubmatch(row[2], -1) {
			got = append(got, string(row[1])+" "+string(name[1]))
		}
	}
	for _, r := range checklist {
		want = append(want, r.id+" "+r.name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table of docs/bitbucket.md differs from the checklist (-checklist +guide):\n%s", diff)
	}
}
