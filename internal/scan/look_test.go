package scan_test

import (
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/scan"
	"magpie/internal/store"
)

// sweep stores a sweep that runs, in which looks count themselves.
func (b *bundle) sweep(id string) {
	b.t.Helper()
	b.write(func(tx *store.Tx) error {
		_, err := tx.AddSweep(b.t.Context(), store.Sweep{ID: id, Reason: "schedule", BeganAt: time.Now()})
		return err
	})
}

func (b *bundle) sweepRow() store.Sweep {
	b.t.Helper()
	all, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) ([]store.Sweep, error) { return tx.Sweeps(b.t.Context(), 1) })
	if err != nil || len(all) != 1 {
		b.t.Fatalf("sweeps %v, %v", all, err)
	}
	return all[0]
}

func (b *bundle) compare() scan.Comparison {
	b.t.Helper()
	v, err := b.scans.Compare(b.t.Context(), b.repo)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bundle) row() magpie.Repo {
	b.t.Helper()
	r, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) (magpie.Repo, error) { return tx.Repo(b.t.Context(), b.repo) })
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bundle) scanRows() int {
	b.t.Helper()
	page, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) (store.ScanPage, error) {
		return tx.EndedScans(b.t.Context(), store.ScanFilter{}, "", 100)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(page.Scans)
}

// Of the looks of a sweep one counts as behind if it scanned what no event had announced; each counts once.
func TestLooksCountThemselves(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		if r := b.row(); r.DefaultBranch != "refs/heads/main" || r.ComparedAt.IsZero() {
			t.Errorf("after the first look the default branch is %q, compared at %s", r.DefaultBranch, r.ComparedAt)
		}
		b.sweep("s")
		look := func() {
			b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "s") })
			b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "s") }) // doubled
			b.settle()
		}
		look()
		if v := b.sweepRow(); v.Compared < 1 || v.Behind != 0 {
			t.Errorf("nothing was new, and the sweep is %+v", v)
		}
		if !b.compare().Current || b.scanRows() != 0 {
			t.Errorf("nothing was new: %+v, %d scans on record", b.compare(), b.scanRows())
		}
		b.commit(map[string]string{"lost.txt": key("lost")}) // its event never comes
		if b.compare().Current {
			t.Error("a push is not noticed")
		}
		look()
		if v := b.sweepRow(); v.Behind != 1 || v.Failed != 0 {
			t.Errorf("a push was found, and the sweep is %+v", v)
		}
		if got := b.occurrences(); len(got) != 1 {
			t.Errorf("occurrences %q", got)
		}
	})
}

// A look that can't be made counts as failed, and one whose repository is deselected as done.
func TestLooksThatEndEarlyCount(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		b.sweep("s")
		if err := b.sim.RevokeToken(b.token.ID); err != nil {
			t.Fatal(err)
		}
		b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "s") })
		b.settle()
		if v := b.sweepRow(); v.Compared != 1 || v.Failed != 1 {
			t.Errorf("a refused look, and the sweep is %+v", v)
		}
		b.write(func(tx *store.Tx) error { _, err := tx.SetRepoMonitored(t.Context(), b.repo, false); return err })
		b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "s") })
		b.settle()
		if v := b.sweepRow(); v.Compared != 2 || v.Failed != 1 {
			t.Errorf("a void look, and the sweep is %+v", v)
		}
		if !b.compare().Void {
			t.Error("a repository that is not watched is compared")
		}
	})
}

// The history scan that follows a first look at once does not list again.
func TestFirstLookListsOnce(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		b.sim.ResetCounts()
		b.firstLook(true)
		if got := b.occurrences(); len(got) != 1 {
			t.Errorf("occurrences %q, want one", got)
		}
		counts := b.sim.Counts()
		t.Logf("a first look with history: %d requests %v", counts.Total, counts.Endpoints)
		if counts.Total > 4 { // two discoveries, a listing, a fetch
			t.Errorf("%d requests %v, want 4", counts.Total, counts.Endpoints)
		}
		if !b.compare().Current || b.row().History != magpie.HistoryDone {
			t.Errorf("after the history scan: %+v, %s", b.compare(), b.row().History)
		}
	})
}

// Events wait while Bitbucket lets nobody in, and are scanned afterwards.
func TestEventsWaitForALicence(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		set := func(state magpie.IntegrationState) {
			b.write(func(tx *store.Tx) error {
				_, err := tx.SetIntegrationState(t.Context(), b.integration, state, "", time.Now())
				return err
			})
		}
		set(magpie.IntegrationNoLicence)
		b.sim.ResetCounts()
		b.accept(b.commit(map[string]string{"new.txt": key("new")}))
		if _, err := b.scans.Compare(t.Context(), b.repo); magpie.KindOf(err) != magpie.KindNoLicence {
			t.Errorf("comparing: %v, want it to wait for a licence", err)
		}
		set(magpie.IntegrationActive)
		b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "") })
		for deadline := time.Now().Add(time.Minute); len(b.occurrences()) == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the event was not scanned")
			}
		}
	})
}

// A hash that an event named is asked for however often Bitbucket could not be reached before: nobody asks for it again.
func TestHashesAreAskedForAfterAnOutage(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		before, err := b.sim.Refs(b.simRepo.ID)
		if err != nil {
			t.Fatal(err)
		}
		leak := b.commit(map[string]string{"oops.txt": key("oops")})
		b.push(bitbucketsim.Push{Refs: map[string]string{"refs/heads/main": before["refs/heads/main"]}})
		b.write(func(tx *store.Tx) error { // its job is this test's
			_, err := tx.AddDelivery(t.Context(), store.Delivery{ID: "d", RepoID: b.repo, Push: leak, ReceivedAt: time.Now()})
			return err
		})
		if err := b.scans.ScanNewAt(t.Context(), b.repo, 12); err != nil {
			t.Fatal(err)
		}
		if got := b.occurrences(); len(got) != 1 {
			t.Errorf("occurrences %q, want the one that was forced away", got)
		}
	})
}

// A history scan waits for a repository that can't be read for a while.
func TestHistoryWaitsForTheRepository(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		set := func(state magpie.RepoState) {
			b.write(func(tx *store.Tx) error { return tx.SetRepoState(t.Context(), b.repo, state, "it is offline") })
		}
		b.firstLook(false)
		set(magpie.RepoUnavailable)
		b.write(func(tx *store.Tx) error { _, err := b.scans.RequestHistory(t.Context(), tx, b.repo); return err })
		b.eventually("a first attempt", func() bool { return b.triedAgain("scan_history") > 0 })
		if got := b.row().History; got != magpie.HistoryPending {
			t.Fatalf("the history is %s while the repository is offline, want it to wait", got)
		}
		set(magpie.RepoAvailable)
		b.settle()
		if got := b.occurrences(); len(got) != 1 || b.row().History != magpie.HistoryDone {
			t.Errorf("occurrences %q, the history is %s", got, b.row().History)
		}
	})
}

// A changed default branch is noticed by a comparison, which leaves it to a sweep, and stored by a look.
func TestDefaultBranchChanges(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{{Branch: "trunk", Parents: []string{"main"}, Files: map[string]string{"a": "b\n"}}}})
		b.firstLook(false)
		if v := b.compare(); v.Branch != "" || !v.Current {
			t.Errorf("nothing changed, and the comparison is %+v", v)
		}
		if err := b.sim.SetDefaultBranch(b.simRepo.ID, "trunk"); err != nil {
			t.Fatal(err)
		}
		if v := b.compare(); v.Branch != "refs/heads/trunk" || !v.Current {
			t.Errorf("the default branch changed, and the comparison is %+v", v)
		}
		b.write(func(tx *store.Tx) error { return b.scans.Look(t.Context(), tx, b.repo, "") })
		b.settle()
		if got := b.row().DefaultBranch; got != "refs/heads/trunk" {
			t.Errorf("after a look the default branch is %q", got)
		}
	})
}

// A history scan waits for the new name of a repository that was renamed.
func TestHistoryWaitsForTheNewName(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		url := func(url string) {
			r := b.row()
			r.CloneURL = url
			b.write(func(tx *store.Tx) error { return tx.PutRepo(t.Context(), r, "") })
		}
		now := b.row().CloneURL
		url(b.sim.URL() + "/scm/prj/renamed.git")
		b.write(func(tx *store.Tx) error { _, err := b.scans.RequestHistory(t.Context(), tx, b.repo); return err })
		b.eventually("a first attempt", func() bool { return b.triedAgain("scan_history") > 0 || b.row().History == magpie.HistoryFailed })
		url(now)
		b.settle()
		if got := b.occurrences(); len(got) != 1 || b.row().History != magpie.HistoryDone {
			t.Errorf("occurrences %q, the history is %s", got, b.row().History)
		}
	})
}

// A scan that is under way when its repository is deselected ends within seconds, whatever it waits for, and leaves
// nothing; when the repository is selected again it is made anew.
func TestDeselectedWhileItIsScanned(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		b.sim.HangRequests(1)
		t.Cleanup(b.sim.ReleaseHung)
		var id magpie.ScanID
		b.write(func(tx *store.Tx) (err error) { id, err = b.scans.RequestHistory(t.Context(), tx, b.repo); return err })
		state := func() magpie.ScanState {
			v, err := store.Query(t.Context(), b.db, func(tx *store.Tx) (magpie.Scan, error) { return tx.Scan(t.Context(), id) })
			if err != nil {
				t.Fatal(err)
			}
			return v.State
		}
		b.eventually("a running scan", func() bool { return state() == magpie.ScanRunning })
		b.write(func(tx *store.Tx) error { // as the perimeter does
			if _, err := tx.SetRepoMonitored(t.Context(), b.repo, false); err != nil {
				return err
			}
			return tx.DropQueued(t.Context(), b.repo, "the repository is no longer monitored", time.Now())
		})
		b.settle() // although nothing answers
		if got := state(); got != magpie.ScanCanceled || b.row().History != magpie.HistoryNone {
			t.Errorf("the scan is %s and the history %s, want canceled and none", got, b.row().History)
		}
		b.sim.HangRequests(0)
		b.sim.ReleaseHung()
		b.write(func(tx *store.Tx) error { _, err := tx.SetRepoMonitored(t.Context(), b.repo, true); return err })
		b.firstLook(true)
		if got := b.occurrences(); len(got) != 1 {
			t.Errorf("occurrences %q, want one", got)
		}
	})
}
