package perimeter

import (
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/scan"
	"magpie/internal/store"
)

// sweeps returns the newest sweep and how many there are.
func (b *bench) sweeps() (newest store.Sweep, n int) {
	b.Helper()
	all := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]store.Sweep, error) { return tx.Sweeps(b.ctx, 100) }))
	if len(all) == 0 {
		return store.Sweep{}, 0
	}
	return all[0], len(all)
}

// swept lets a sweep that was asked for run to its end.
func (b *bench) swept(before int) store.Sweep {
	b.Helper()
	var v store.Sweep
	b.eventually("the end of a sweep", func() bool {
		must(0, b.Tick(b.ctx))
		newest, n := b.sweeps()
		v = newest
		return n > before && !v.EndedAt.IsZero()
	})
	return v
}

func TestSweepCatchesUp(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		b.looks.behind = map[magpie.RepoID]bool{b.repo("ALPHA/one").ID: true}
		must(0, b.SweepNow(b.ctx, owner))
		v := b.swept(0)
		if v.Reason != "request" || v.Repos != 5 || v.Compared != 5 || v.Behind != 1 || v.Failed != 0 || !v.DownSince.IsZero() {
			t.Errorf("sweep %+v, want 5 compared, 1 behind", v)
		}
		if got := b.audited("sweep.finished"); len(got) != 1 || !strings.Contains(got[0].Detail, "5 repositories were compared, 1 had pushes") {
			t.Errorf("audit rows %v", got)
		}
		if got := b.audited("sweep.requested"); len(got) != 1 || got[0].Actor != owner.Email {
			t.Errorf("audit rows %v", got)
		}
		if r := b.repo("BETA/one"); r.ComparedAt.IsZero() {
			t.Error("a repository that was compared does not say when")
		}
		b.looks.behind = nil
		must(0, b.SweepNow(b.ctx, owner))
		if b.swept(1); len(b.audited("sweep.finished")) != 1 {
			t.Error("a sweep that caught up nothing is in the audit log")
		}
	})
}

// After an outage of ours the sweep begins at once, in place of one that the outage interrupted, and says so.
func TestSweepAfterAnOutage(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		must(0, b.Tick(b.ctx)) // which says that we are alive
		alive := b.clock.now()
		b.write(func(tx *store.Tx) error { // as if the process had ended in the middle, its job not yet taken up again
			_, err := tx.AddSweep(b.ctx, store.Sweep{ID: "0", Reason: "schedule", BeganAt: alive})
			return err
		})
		b.clock.advance(3 * time.Hour)
		must(0, b.prepare(b.ctx))
		v := b.swept(1)
		if v.Reason != "start" || v.DownSince.Sub(alive).Abs() > time.Minute || v.Compared != 5 {
			t.Errorf("sweep %+v, want one for the outage since %s", v, alive)
		}
		if got := b.audited("sweep.finished"); len(got) != 1 || !strings.HasPrefix(got[0].Detail, "Magpie did not run from ") {
			t.Errorf("audit rows %v", got)
		}
		must(0, b.prepare(b.ctx)) // a restart at once is no outage
		if v := b.swept(2); v.Reason != "start" || !v.DownSince.IsZero() {
			t.Errorf("sweep %+v, want one without an outage", v)
		}
	})
}

// A sweep that runs goes on; what was asked for meanwhile follows it.
func TestSweepsDoNotOverlap(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		b.patience = time.Millisecond
		blocked := true
		b.looks.ask = func(magpie.RepoID) (scan.Comparison, error, bool) {
			return scan.Comparison{}, magpie.Errorf(magpie.KindUnavailable, "down"), blocked
		}
		b.write(func(tx *store.Tx) error { // trouble that passes: the walk waits
			_, err := tx.SetIntegrationState(b.ctx, b.repo("ALPHA/one").IntegrationID, magpie.IntegrationUnreachable, "down", b.clock.now())
			return err
		})
		for range 3 {
			must(0, b.SweepNow(b.ctx, owner))
			must(0, b.Tick(b.ctx))
			b.clock.advance(time.Second)
		}
		if v, n := b.sweeps(); n != 1 || !v.EndedAt.IsZero() {
			t.Fatalf("%d sweeps, the newest %+v, want one that runs", n, v)
		}
		b.looks.mu.Lock()
		blocked = false
		b.looks.mu.Unlock()
		b.write(func(tx *store.Tx) error {
			_, err := tx.SetIntegrationState(b.ctx, b.repo("ALPHA/one").IntegrationID, magpie.IntegrationActive, "", b.clock.now())
			return err
		})
		if v := b.swept(1); v.Reason == sweepTimer || v.Compared != 5 {
			t.Errorf("the sweep that followed is %+v", v)
		}
		if _, n := b.sweeps(); n != 2 {
			t.Errorf("%d sweeps, want 2", n)
		}
	})
}

// A walk that is done twice, or cut off, counts each repository once, and a repository that does not answer gets a look
// of its own.
func TestSweepWalk(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		b.patience = time.Millisecond
		bad := b.repo("BETA/two").ID
		b.looks.ask = func(id magpie.RepoID) (scan.Comparison, error, bool) {
			return scan.Comparison{}, magpie.Errorf(magpie.KindUnavailable, "no answer"), id == bad
		}
		b.write(func(tx *store.Tx) error {
			return b.startSweep(b.ctx, tx, store.Sweep{ID: "s", Reason: "schedule", BeganAt: b.clock.now()})
		})
		p := must(b.sweepPage(b.ctx, "s", i.ID))
		for range 2 { // a job that was handed to another run meanwhile
			if len(p.repos) > 0 {
				must(0, b.storePage(b.ctx, p, b.compare(b.ctx, p)))
			}
		}
		b.eventually("the end of the walk", func() bool { must(0, b.Tick(b.ctx)); v, _ := b.sweeps(); return !v.EndedAt.IsZero() })
		if v, _ := b.sweeps(); v.Repos != 5 || v.Compared != 5 {
			t.Errorf("sweep %+v, want 5 counted once", v)
		}
	})
}

// A token that is dead ends its part of a sweep; a repository compared meanwhile needs no look.
func TestSweepSpares(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		repo := b.repo("ALPHA/one")
		b.write(func(tx *store.Tx) error {
			return tx.SetRepoCompared(b.ctx, repo.ID, b.clock.now().Add(time.Hour), "refs/heads/x")
		})
		must(0, b.SweepNow(b.ctx, owner))
		if v := b.swept(0); v.Compared != 5 || b.looks.comparisons() != 4 {
			t.Errorf("sweep %+v with %d comparisons, want 5 and 4", v, b.looks.comparisons())
		}
		b.write(func(tx *store.Tx) error {
			_, err := tx.SetIntegrationState(b.ctx, i.ID, magpie.IntegrationNoLicence, "none", b.clock.now())
			return err
		})
		must(0, b.SweepNow(b.ctx, owner))
		if v := b.swept(1); v.Repos != 0 || b.looks.comparisons() != 4 {
			t.Errorf("sweep %+v with %d comparisons, want none", v, b.looks.comparisons())
		}
	})
}

// One Bitbucket that is down for good does not keep the others from being swept: its walk makes place after a while.
func TestSweepDoesNotWaitForOneForEver(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		b.patience = time.Millisecond
		down := magpie.Integration{
			ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: "https://down.example.com",
			State: magpie.IntegrationUnreachable, CreatedAt: b.clock.now(),
		}
		b.write(func(tx *store.Tx) error {
			if err := tx.InsertIntegration(b.ctx, down, []byte("sealed")); err != nil {
				return err
			}
			p, err := tx.PutProject(b.ctx, magpie.Project{IntegrationID: down.ID, RemoteID: 1, Key: "DOWN", Installed: true}, "")
			if err != nil {
				return err
			}
			r := magpie.Repo{
				ID: store.NewID[magpie.RepoID](), IntegrationID: down.ID, ProjectID: p.ID, RemoteID: 1, Slug: "down",
				State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone,
			}
			if err := tx.PutRepo(b.ctx, r, ""); err != nil {
				return err
			}
			return tx.SetRepoLooked(b.ctx, r.ID, b.clock.now())
		})
		must(0, b.SweepNow(b.ctx, owner))
		must(0, b.Tick(b.ctx))
		b.eventually("the walk of the one that answers", func() bool { return b.looks.comparisons() == 5 })
		if v, _ := b.sweeps(); !v.EndedAt.IsZero() {
			t.Fatal("the sweep did not wait for the other at all")
		}
		var v store.Sweep
		b.eventually("the end of the sweep", func() bool {
			b.clock.advance(sweepWaits + time.Second) // again, should the walk not have begun to wait before
			must(0, b.Tick(b.ctx))
			all := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]store.Sweep, error) { return tx.Sweeps(b.ctx, 100) }))
			v = all[len(all)-1] // the first; by now others may follow it
			return !v.EndedAt.IsZero()
		})
		if v.Compared != 5 || v.Repos != 5 {
			t.Errorf("sweep %+v, want the 5 that could be compared", v)
		}
	})
}

// What Bitbucket refuses for good is an answer: the walk does not pause for it.
func TestSweepDoesNotPauseForRefusals(t *testing.T) {
	t.Parallel()
	for kind, none := range map[magpie.Kind]bool{
		magpie.KindNotFound: false, magpie.KindForbidden: false, magpie.KindUnavailable: true, magpie.KindRateLimited: true,
	} {
		at := time.Now()
		got := noneAnswered([]finding{{at: at, err: magpie.Errorf(kind, "no")}, {Comparison: scan.Comparison{Current: true}}})
		if got != none {
			t.Errorf("a page that was all refused as %s: none answered = %t, want %t", kind, got, none)
		}
	}
}
