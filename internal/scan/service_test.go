package scan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/store"
)

func TestHistoryThenPushes(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2024, 5, n, 12, 0, 0, 0, time.UTC) }
	history := []bitbucketsim.Commit{
		{Author: "Old", Email: "old@example.com", Date: day(1), Files: map[string]string{"a.env": "KEY=" + key("one") + "\n", "b.txt": "nothing\n"}},
		{Author: "Old", Email: "old@example.com", Date: day(2), Files: map[string]string{"gone.env": "x\nKEY=" + key("two") + "\n"}},
		{Author: "Tidy", Email: "tidy@example.com", Date: day(3), Files: map[string]string{"a.env": "KEY=" + key("one") + "\n# more\n"}, Delete: []string{"gone.env"}},
	}
	each(t, history, func(t *testing.T, b *bundle) {
		b.firstLook(true)
		want := []string{"#1 a.env:1 triggered Old", "#2 gone.env:2 triggered Old"}
		if diff := cmp.Diff(want, b.occurrences()); diff != "" {
			t.Fatalf("after the history scan (-want +got):\n%s", diff)
		}

		// A change elsewhere in a file does not blame who made it for the secret that stands there.
		b.accept(b.commit(map[string]string{"a.env": "# top\nKEY=" + key("one") + "\n# more\n"}))
		b.settle()
		if diff := cmp.Diff(want, b.occurrences()); diff != "" {
			t.Fatalf("after a harmless push (-want +got):\n%s", diff)
		}

		b.accept(b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{
			{Author: "New", Email: "new@example.com", Files: map[string]string{"new.go": "var k = \"" + key("three") + "\"\n", "copy.env": key("one")}},
		}}))
		b.settle()
		want = append(want, "#1 copy.env:1 triggered New", "#3 new.go:1 triggered New")
		slices.Sort(want)
		if diff := cmp.Diff(want, b.occurrences()); diff != "" {
			t.Errorf("after a push with secrets (-want +got):\n%s", diff)
		}
	})
}

func TestSecretPushedAndForcedAway(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(true)
		before, err := b.sim.Refs(b.simRepo.ID)
		if err != nil {
			t.Fatal(err)
		}
		leak := b.commit(map[string]string{"oops.txt": key("oops")})
		away := b.push(bitbucketsim.Push{Refs: map[string]string{"refs/heads/main": before["refs/heads/main"]}})
		b.accept(leak, away)
		b.settle()
		if diff := cmp.Diff([]string{"#1 oops.txt:1 triggered " + "magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestDeliveriesInAnyOrder loses, doubles and reorders events: the incidents are the same.
func TestDeliveriesInAnyOrder(t *testing.T) {
	orders := map[string][]int{"in order": {0, 1, 2}, "reversed": {2, 1, 0}, "doubled": {0, 0, 1, 1, 2, 2, 0}, "lost but one": {1}, "all lost": {}}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
				b.firstLook(false)
				events := []magpie.Push{
					b.commit(map[string]string{"1.txt": key("one")}),
					b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{{Branch: "side", Parents: []string{"main"}, Files: map[string]string{"2.txt": key("two")}}}}),
					b.commit(map[string]string{"1.txt": "cleaned\n", "3.txt": key("three")}),
				}
				for _, i := range order {
					b.accept(events[i])
				}
				b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "") })
				b.settle()
				got := b.occurrences()
				files := map[string]bool{}
				for _, o := range got {
					files[o[3:8]] = true
				}
				if len(got) != 3 || !files["1.txt"] || !files["2.txt"] || !files["3.txt"] {
					t.Errorf("occurrences %q, want one in each of 1.txt, 2.txt and 3.txt", got)
				}
			})
		})
	}
}

// TestPushBeforeTheBaseline is the race between the hook's first event and the first look, with history off.
func TestPushBeforeTheBaseline(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		b.accept(b.commit(map[string]string{"early.txt": key("early")}))
		b.firstLook(false)
		if diff := cmp.Diff([]string{"#1 early.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestUnmonitoredRepositoryIsNotScanned(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		b.write(func(tx *store.Tx) error {
			_, err := tx.SetRepoMonitored(t.Context(), b.repo, false)
			return err
		})
		err := b.scans.Accept(t.Context(), b.repo, b.commit(map[string]string{"new.txt": key("new")}))
		if magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("Accept = %v, want an error of kind not_found", err)
		}
		b.firstLook(true)
		if got := b.occurrences(); len(got) != 0 {
			t.Errorf("occurrences %q, want none", got)
		}
	})
}

func TestHistoryScanConflictsAndCancels(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		var id magpie.ScanID
		b.write(func(tx *store.Tx) (err error) {
			if id, err = b.scans.RequestHistory(t.Context(), tx, b.repo); err != nil {
				return err
			}
			_, again := b.scans.RequestHistory(t.Context(), tx, b.repo)
			if magpie.KindOf(again) != magpie.KindConflict {
				t.Errorf("a second request = %v, want a conflict", again)
			}
			// Canceled before any worker can see it.
			v, err := tx.Scan(t.Context(), id)
			if err != nil {
				return err
			}
			v.State, v.EndedAt = magpie.ScanCanceled, v.CreatedAt
			_, err = tx.EndScan(t.Context(), v)
			return err
		})
		b.settle()
		if got := b.occurrences(); len(got) != 0 {
			t.Errorf("a canceled scan found %q", got)
		}
		if err := b.scans.Cancel(t.Context(), magpie.User{}, id); magpie.KindOf(err) != magpie.KindConflict {
			t.Errorf("canceling it again = %v, want a conflict", err)
		}
	})
}

// TestNamesThatAreNoText scans a file, an author and a branch whose names no database takes as they are.
func TestNamesThatAreNoText(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(true)
		b.accept(b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{
			{Branch: "b-\xe9", Parents: []string{"main"}, Files: map[string]string{"caf\xe9.env": key("latin")}},
		}}))
		b.settle()
		if diff := cmp.Diff([]string{`#1 caf\xE9.env:1 triggered magpie-bot`}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestRefusedTokenWaits revokes the token: the push waits, the refusal is reported once, and nothing is lost.
func TestRefusedTokenWaits(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(true)
		if err := b.sim.RevokeToken(b.token.ID); err != nil {
			t.Fatal(err)
		}
		b.accept(b.commit(map[string]string{"1.txt": key("one")}), b.commit(map[string]string{"2.txt": key("two")}))
		select {
		case id := <-b.refused:
			if id != b.integration {
				t.Errorf("integration %s was reported, want %s", id, b.integration)
			}
		case <-time.After(time.Minute):
			t.Fatal("the refused token was not reported within a minute")
		}
		waiting, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]store.Delivery, error) {
			return tx.WaitingDeliveries(t.Context(), b.repo, 10)
		})
		if err != nil || len(waiting) != 2 {
			t.Errorf("%d events wait (%v), want both", len(waiting), err)
		}
	})
}

// TestDeselectedHistoryIsAskedForAgain deselects a repository whose history scan waits, and selects it again.
func TestDeselectedHistoryIsAskedForAgain(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		monitor := func(on bool) {
			b.write(func(tx *store.Tx) error {
				_, err := tx.SetRepoMonitored(t.Context(), b.repo, on)
				return err
			})
		}
		b.write(func(tx *store.Tx) error {
			if _, err := b.scans.RequestHistory(t.Context(), tx, b.repo); err != nil {
				return err
			}
			_, err := tx.SetRepoMonitored(t.Context(), b.repo, false)
			return err
		})
		b.settle()
		if got := b.occurrences(); len(got) != 0 {
			t.Fatalf("occurrences %q while it is deselected", got)
		}
		monitor(true)
		b.firstLook(true)
		if diff := cmp.Diff([]string{"#1 old.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestPushAsksForALostFirstLook has a push and no first look, as after one that was given up.
func TestPushAsksForALostFirstLook(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		b.accept(b.commit(map[string]string{"new.txt": key("new")}))
		b.settle()
		if diff := cmp.Diff([]string{"#1 new.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestBaselineThatIsForcedAwayIsStillHistory deletes a branch between the baseline and the history scan.
func TestBaselineThatIsForcedAwayIsStillHistory(t *testing.T) {
	history := []bitbucketsim.Commit{
		{Files: map[string]string{"README": "hello\n"}},
		{Branch: "old", Parents: []string{"main"}, Files: map[string]string{"old.txt": key("old")}},
	}
	each(t, history, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		b.write(func(tx *store.Tx) error { return tx.SetRepoHistory(t.Context(), b.repo, magpie.HistoryPending) })
		b.accept(b.push(bitbucketsim.Push{Refs: map[string]string{"refs/heads/old": ""}}))
		b.settle()
		if got := b.occurrences(); len(got) != 0 {
			t.Fatalf("occurrences %q before the history scan", got)
		}
		b.write(func(tx *store.Tx) error {
			_, err := b.scans.RequestHistory(t.Context(), tx, b.repo)
			return err
		})
		b.settle()
		if diff := cmp.Diff([]string{"#1 old.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A push of two commits, of which the second changes a line beside an old secret: the first one's tree names the file as it
// was, but the pack does not hold it, so only the incidents can tell that the secret is not new.
func TestChangeBesideAnOldSecretBlamesNobody(t *testing.T) {
	each(t, nil, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		old := "token = " + key("old") + "\n"
		b.accept(b.commit(map[string]string{"conf/a.env": old}))
		b.settle()
		b.accept(b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{
			{Files: map[string]string{"conf/b.env": "harmless\n"}},
			{Files: map[string]string{"conf/a.env": old + "more\n"}},
		}}))
		b.settle()
		if got := b.occurrences(); len(got) != 1 {
			t.Errorf("occurrences = %q, want the first one alone", got)
		}
	})
}
