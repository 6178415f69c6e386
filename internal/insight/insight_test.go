package insight_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// leaky is a file with a secret at its third line.
func leaky(name string) string { return lines("[app]", "name = x", "token = "+key(name)) }

func TestASecretBlocksThePullRequestUntilItIsGone(t *testing.T) {
	for _, version := range []string{"7.6.0", "8.9.0", "9.4.0", "10.1.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, storetest.SQLite(t), version)
			blocks(t, b)
		})
	}
	each(t, blocks)
}

func blocks(t *testing.T, b *bundle) {
	if err := b.sim.SetRequiredReport(b.simRepo.ID, b.insights.Key()); err != nil {
		t.Fatal(err)
	}
	first := b.topic(map[string]string{"dir/app.cfg": leaky("a")})
	p := b.openPull()
	b.scan(first)
	b.wantReport(p, "with a secret", "FAIL dir/app.cfg:3")
	r := b.sim.Reports(b.simRepo.ID)[0]
	a := r.Annotations[0]
	if a.Severity != "HIGH" || a.ExternalID == "" || !strings.Contains(a.Message, "Test key (incident 2 in Magpie)") {
		t.Errorf("annotation %+v", a)
	}
	if _, err := b.sim.MergePullRequest(b.simRepo.ID, p.ID, ""); err == nil {
		t.Error("the pull request could be merged")
	}
	b.scan(b.topic(map[string]string{"dir/app.cfg": lines("[app]", "name = x")}))
	b.wantReport(p, "without it", "PASS")
	if _, err := b.sim.MergePullRequest(b.simRepo.ID, p.ID, ""); err != nil {
		t.Errorf("the pull request can't be merged: %v", err)
	}
}

func TestTheReportFollowsTheIncident(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		event := b.topic(map[string]string{"app.cfg": leaky("a")})
		p := b.openPull()
		b.scan(event)
		id := b.incident()
		ctx := t.Context()
		for _, step := range []struct {
			what, want string
			do         func() error
		}{
			{"ignored", "PASS", func() error { return b.incidents.Ignore(ctx, b.owner, id, magpie.IgnoreFalsePositive) }},
			{"reopened", "FAIL app.cfg:3", func() error { return b.incidents.Reopen(ctx, b.owner, id) }},
			{"resolved but alive", "FAIL app.cfg:3", func() error { return b.incidents.Resolve(ctx, b.owner, id, false) }},
			{"reopened again", "FAIL app.cfg:3", func() error { return b.incidents.Reopen(ctx, b.owner, id) }},
			{"revoked", "PASS", func() error { return b.incidents.Resolve(ctx, b.owner, id, true) }},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			b.settle()
			b.wantReport(p, step.what, step.want)
		}
	})
}

func TestNothingIsAskedWhereNobodyWantsReports(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		b.setInsights(false)
		calls := b.rec.count("", "")
		event := b.topic(map[string]string{"app.cfg": leaky("a")})
		b.openPull()
		b.scan(event)
		if err := b.incidents.Ignore(t.Context(), b.owner, b.incident(), magpie.IgnoreLowRisk); err != nil {
			t.Fatal(err)
		}
		b.look()
		if n := b.rec.count("", ""); n != calls {
			t.Errorf("%d requests: %v", n-calls, b.rec.calls[calls:])
		}
	})
}

// look makes every repository be looked at that the next round may choose.
func (b *bundle) look() {
	b.t.Helper()
	b.write(func(tx *store.Tx) error { return tx.SetSchedule(b.t.Context(), "insight.look", b.now()) })
	if err := b.insights.Tick(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.settle()
}

func TestWhatCounts(t *testing.T) {
	for _, test := range []struct {
		name, want string
		do         func(b *bundle)
	}{
		{"changed beside the secret", "FAIL app.cfg:4", func(b *bundle) {
			b.scan(b.topic(map[string]string{"app.cfg": leaky("a")}))
			b.scan(b.topic(map[string]string{"app.cfg": "# first\n" + leaky("a")}))
		}},
		{"a second secret in the same file", "FAIL app.cfg:3 app.cfg:4", func(b *bundle) {
			b.scan(b.topic(map[string]string{"app.cfg": leaky("a")}))
			b.scan(b.topic(map[string]string{"app.cfg": leaky("a") + key("b") + "\n"}))
		}},
		{"beside one that stood in the target", "PASS", func(b *bundle) {
			b.scan(b.topic(map[string]string{"old.cfg": lines("a", key("standing"), "b", "c")}))
		}},
		{"a new one beside one that stood in the target", "FAIL old.cfg:4", func(b *bundle) {
			b.scan(b.topic(map[string]string{"old.cfg": lines("a", key("standing"), "b", key("a"))}))
		}},
		{"moved as it was", "PASS", func(b *bundle) {
			c := b.onTopic(map[string]string{"new.cfg": lines("a", key("standing"), "b")})
			c.Delete = []string{"old.cfg"}
			b.scan(b.push(b.simRepo.ID, c))
		}},
		{"moved and changed", "PASS", func(b *bundle) {
			c := b.onTopic(map[string]string{"new.cfg": lines("a", key("standing"), "b", "c")})
			c.Delete = []string{"old.cfg"}
			b.scan(b.push(b.simRepo.ID, c))
		}},
		{"rebased", "FAIL app.cfg:3", func(b *bundle) {
			b.scan(b.topic(map[string]string{"app.cfg": leaky("a")}))
			b.scan(b.push(b.simRepo.ID, bitbucketsim.Commit{Files: map[string]string{"README": "new\n"}}))
			b.scan(b.push(b.simRepo.ID, bitbucketsim.Commit{
				Branch: "topic", Parents: []string{"refs/heads/main"}, Files: map[string]string{"app.cfg": leaky("a")}, Message: "rebased",
			}))
		}},
		{"removed in the same push", "PASS", func(b *bundle) {
			first := b.onTopic(map[string]string{"app.cfg": leaky("a")})
			b.scan(b.push(b.simRepo.ID, first, bitbucketsim.Commit{Branch: "topic", Files: map[string]string{"app.cfg": "nothing\n"}}))
		}},
		{"put back", "FAIL app.cfg:3", func(b *bundle) {
			b.scan(b.topic(map[string]string{"app.cfg": leaky("a")}))
			b.scan(b.topic(map[string]string{"app.cfg": "nothing\n"}))
			b.scan(b.topic(map[string]string{"app.cfg": leaky("a")}))
		}},
		{"in a copy of a known file", "FAIL copy.cfg:2", func(b *bundle) {
			b.scan(b.topic(map[string]string{"copy.cfg": lines("a", key("standing"), "b"), "more": "x\n"}))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, storetest.SQLite(t), "9.4.0")
			b.topic(map[string]string{"start": "x\n"})
			p := b.openPull()
			test.do(b)
			b.wantReport(p, test.name, test.want)
		})
	}
}

func TestOneReportForEachCommitOfAPullRequest(t *testing.T) {
	onSQLite(t, func(t *testing.T, b *bundle) {
		first := b.topic(map[string]string{"app.cfg": leaky("a")})
		p := b.openPull()
		second := b.topic(map[string]string{"two.cfg": leaky("b")})
		b.accept(b.repo, first, second)
		b.settle()
		b.wantReport(p, "after two quick pushes", "FAIL app.cfg:3 two.cfg:3")
		puts := b.rec.count(http.MethodPut, "/reports/")
		b.scan(b.push(b.simRepo.ID, bitbucketsim.Commit{Branch: "other", Parents: []string{"refs/heads/main"}, Files: map[string]string{"x": "y\n"}}))
		b.look()
		if n := b.rec.count(http.MethodPut, "/reports/"); n != puts {
			t.Errorf("%d reports sent for nothing", n-puts)
		}
		if err := b.sim.DeclinePullRequest(b.simRepo.ID, p.ID, ""); err != nil {
			t.Fatal(err)
		}
		b.look()
		if n := b.rows(); n != 0 {
			t.Errorf("%d reports are kept after the pull request is closed", n)
		}
	})
}

// rows counts the reports that are known.
func (b *bundle) rows() int {
	b.t.Helper()
	list, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) ([]store.InsightReport, error) {
		return tx.InsightReports(b.t.Context(), b.repo)
	})
	return len(must(b.t, list, err))
}

func TestAnInterruptedReportIsRepaired(t *testing.T) {
	onSQLite(t, func(t *testing.T, b *bundle) {
		failed := 0
		b.rec.setRefuse(func(r *http.Request) int {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/annotations") && failed < 2 {
				if failed++; failed == 2 { // this time it had arrived, and only the answer was lost
					if resp, err := b.rec.next.RoundTrip(r); err == nil {
						_ = resp.Body.Close()
					}
				}
				return http.StatusBadGateway
			}
			return 0
		})
		event := b.topic(map[string]string{"app.cfg": leaky("a")})
		p := b.openPull()
		b.scan(event)
		b.wantReport(p, "after two failures", "FAIL app.cfg:3")
		if failed != 2 {
			t.Errorf("%d failures, want 2", failed)
		}
	})
}

func TestAPullRequestThatIsOpenedAfterThePushIsFound(t *testing.T) {
	onSQLite(t, func(t *testing.T, b *bundle) {
		b.scan(b.topic(map[string]string{"app.cfg": leaky("a")}))
		p := b.openPull()
		b.wantReport(p, "before a look", "none")
		b.look()
		b.wantReport(p, "after a look", "FAIL app.cfg:3")
		calls := b.rec.count("", "")
		b.look()
		if n := b.rec.count("", ""); n != calls+1 {
			t.Errorf("a look at a repository without news cost %d requests, want 1", n-calls)
		}
		b.now = func() time.Time { return time.Now().Add(15 * 24 * time.Hour) }
		b.look()
		if n := b.rec.count("", ""); n != calls+1 {
			t.Error("a repository that nobody pushes to was looked at")
		}
	})
}

func TestAPullRequestFromAForkIsReportedInItsTarget(t *testing.T) {
	onSQLite(t, func(t *testing.T, b *bundle) {
		dev, err := b.sim.CreateUser(bitbucketsim.User{Name: "dev"})
		must(t, dev, err)
		fork, err := b.sim.Fork(b.simRepo.ID, "~dev", "", dev)
		must(t, fork, err)
		id := b.addRepo(fork, 2, "~dev", true)
		b.firstLook(id)
		event := b.push(fork.ID, bitbucketsim.Commit{Branch: "topic", Parents: []string{"refs/heads/main"}, Files: map[string]string{"app.cfg": leaky("a")}})
		p, err := b.sim.OpenPullRequest(bitbucketsim.PullRequest{Repo: b.simRepo.ID, FromRepo: fork.ID, From: "topic", By: dev})
		must(t, p, err)
		b.accept(id, event)
		b.settle()
		b.wantReport(p, "with a secret", "FAIL app.cfg:3")
		event = b.push(fork.ID, bitbucketsim.Commit{Branch: "topic", Files: map[string]string{"app.cfg": "# first\n" + leaky("a")}})
		b.accept(id, event)
		b.settle()
		b.wantReport(p, "changed beside it", "FAIL app.cfg:4")
		if n := len(b.sim.Reports(fork.ID)); n != 0 {
			t.Errorf("%d reports in the fork", n)
		}
	})
}

func TestARefusalIsShownOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		b.rec.setRefuse(func(r *http.Request) int {
			if r.Method == http.MethodPut {
				return http.StatusUnauthorized
			}
			return 0
		})
		event := b.topic(map[string]string{"app.cfg": leaky("a")})
		p := b.openPull()
		b.scan(event)
		b.scan(b.topic(map[string]string{"more": "x\n"}))
		b.wantReport(p, "refused", "none")
		if why := b.trouble(); !strings.Contains(why, "Not today") {
			t.Errorf("the project says %q", why)
		}
		if n := b.audited("insights.refused"); n != 1 {
			t.Errorf("%d audit rows, want 1", n)
		}
		b.rec.setRefuse(nil)
		b.look()
		b.wantReport(p, "accepted", "FAIL app.cfg:3")
		if why := b.trouble(); why != "" {
			t.Errorf("the project still says %q", why)
		}
		if n := b.audited("insights.accepted"); n != 1 {
			t.Errorf("%d audit rows, want 1", n)
		}
	})
}

func (b *bundle) trouble() string {
	b.t.Helper()
	why, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) (string, error) { return tx.InsightsError(b.t.Context(), b.project) })
	return must(b.t, why, err)
}

func (b *bundle) audited(action string) (n int) {
	b.t.Helper()
	rows, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) ([]store.AuditEntry, error) { return tx.AuditEntries(b.t.Context(), "", 100) })
	for _, r := range must(b.t, rows, err) {
		if r.Action == action {
			n++
		}
	}
	return n
}

func TestMoreThanBitbucketTakes(t *testing.T) {
	b := newBundle(t, storetest.SQLite(t), "9.4.0")
	var text strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&text, "k%d = %s\n", i, key(fmt.Sprint("n", i*7919)))
	}
	event := b.topic(map[string]string{"many.cfg": text.String()})
	p := b.openPull()
	b.scan(event)
	report := strings.Fields(b.report(p))
	if len(report) == 0 || report[0] != "FAIL" || len(report) < 500 || len(report) > 1001 {
		t.Errorf("a report with %d words", len(report))
	}
}

func TestAFileThatCantBeReadKeepsItsSecret(t *testing.T) {
	b := newBundle(t, storetest.SQLite(t), "9.4.0")
	event := b.topic(map[string]string{"app.cfg": leaky("a")})
	p := b.openPull()
	b.scan(event)
	b.rec.setRefuse(func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "/raw/") {
			return http.StatusNotFound
		}
		return 0
	})
	b.scan(b.topic(map[string]string{"app.cfg": "no longer\n"}))
	b.wantReport(p, "unreadable", "FAIL app.cfg:3")
}
