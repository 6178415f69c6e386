package incident_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"magpie"
	"magpie/internal/incident"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// batch is what one scan of one repository found.
type batch struct {
	repo     magpie.Repo
	findings []magpie.Finding
}

// TestOrderDoesNotMatter records the same batches in any order, some of them more than once, and cut in pieces, and
// wants the same incidents and occurrences each time and nobody told twice.
func TestOrderDoesNotMatter(t *testing.T) {
	// Each play is some twenty transactions, so fewer than rapid's hundred by default; -rapid.checks asks for more.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
	}
	storetest.Each(t, register, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		b := newBundle(t, db)
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			batches := drawBatches(rt, round)
			want := play(b, 2*round, batches)
			got := play(b, 2*round+1, shuffled(rt, batches))
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("another order ends differently (-first +second):\n%s", diff)
			}
		})
	})
}

func drawBatches(rt *rapid.T, round int) []batch {
	batches := make([]batch, rapid.IntRange(1, 4).Draw(rt, "batches"))
	for i := range batches {
		batches[i].repo = magpie.Repo{ID: magpie.RepoID(fmt.Sprintf("repo-%d-%d", round, i%3)), ProjectKey: "KEY", Slug: fmt.Sprint("r", i%3)}
		for range rapid.IntRange(0, 5).Draw(rt, "findings") {
			f := finding(rapid.IntRange(0, 3).Draw(rt, "secret"), fmt.Sprint(rapid.IntRange(0, 2).Draw(rt, "file")), rapid.IntRange(0, 3).Draw(rt, "commit"))
			// One commit belongs to one repository, so that dates don't tie between them.
			f.Date = f.Date.AddDate(i%3+1, 0, len(f.File))
			f.LineStart = rapid.IntRange(1, 2).Draw(rt, "line")
			f.Rule = magpie.RuleID(rapid.SampledFrom([]string{"generic", "special"}).Draw(rt, "rule"))
			f.Confidence = map[magpie.RuleID]magpie.Confidence{"generic": magpie.ConfidenceLow, "special": magpie.ConfidenceHigh}[f.Rule]
			batches[i].findings = append(batches[i].findings, f)
		}
	}
	return batches
}

// shuffled cuts batches in pieces and repeats and reorders them, but loses none.
func shuffled(rt *rapid.T, batches []batch) []batch {
	var out []batch
	for _, b := range batches {
		cut := rapid.IntRange(0, len(b.findings)).Draw(rt, "cut")
		out = append(out, batch{b.repo, b.findings[cut:]}, batch{b.repo, b.findings[:cut]})
		if rapid.Bool().Draw(rt, "again") {
			out = append(out, b)
		}
	}
	return rapid.Permutation(out).Draw(rt, "order")
}

// play records batches with secrets of this play's own and describes what came of them.
func play(b *bundle, number int, batches []batch) []string {
	b.t.Helper()
	mine := func(f magpie.Finding) magpie.Finding {
		f.Secret = magpie.NewSecret(fmt.Sprintf("play-%d-%s", number, f.Secret.Reveal()))
		f.RuleName = string(f.Secret.Reveal()) // to know the incident by its title
		return f
	}
	mails := len(b.mails())
	for _, batch := range batches {
		var findings []magpie.Finding
		for _, f := range batch.findings {
			findings = append(findings, mine(f))
		}
		b.record(batch.repo, magpie.ScanPush, findings...)
	}
	lines := []string{fmt.Sprintf("%d mails", len(b.mails())-mails)}
	for _, v := range b.incidents() {
		name, ok := strings.CutPrefix(v.Title, fmt.Sprintf("play-%d-", number))
		if !ok {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %d first %v %s", name, v.Rule, v.Status, v.Occurrences, v.FirstCommitAt, v.FirstRepo))
		list, err := b.Occurrences(context.Background(), v.ID, incident.Page{Limit: 200})
		if err != nil {
			b.t.Fatal(err)
		}
		if int64(len(list)) != v.Occurrences {
			b.t.Errorf("incident %d counts %d occurrences, there are %d", v.Number, v.Occurrences, len(list))
		}
		for _, o := range list {
			lines = append(lines, fmt.Sprint(name, " ", o.RepoID, o.File, o.Commit, o.LineStart))
		}
	}
	slices.Sort(lines)
	return lines
}
