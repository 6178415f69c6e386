package perimeter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
	"magpie/internal/store"
)

// write runs fn in a transaction that must succeed.
func (b *bench) write(fn func(*store.Tx) error) {
	b.Helper()
	if err := b.db.Write(b.ctx, fn); err != nil {
		b.Fatal(err)
	}
}

// A sync that is under way when its integration is removed takes nothing in any more, and is no trouble.
func TestSyncAfterRemoveWasClicked(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		c := must(b.client(b.ctx, i))
		must(b.sim.CreateProject("GAMMA", "Gamma"))
		must(b.sim.CreateRepo("GAMMA", "Late"))
		// As Remove does, but with no job that ends it all.
		b.write(func(tx *store.Tx) error {
			_, err := tx.SetIntegrationRemoving(b.ctx, i.ID)
			return err
		})
		b.write(func(tx *store.Tx) error { return tx.UnmonitorAll(b.ctx, i.ID) })
		p := pass{Service: b.Service, i: i, c: c, id: store.NewID[string]()}
		if err := p.instance(b.ctx, place{}); magpie.KindOf(err) != magpie.KindConflict {
			t.Errorf("the sync of an instance: %v, want a conflict", err)
		}
		if err := p.project(b.ctx, magpie.Project{Key: "GAMMA"}, place{}); magpie.KindOf(err) != magpie.KindConflict {
			t.Errorf("taking in a project's repositories: %v, want a conflict", err)
		}
		if n := b.count("SELECT count(*) FROM repo"); n != 5 {
			t.Errorf("%d repositories, want the 5 from before", n)
		}
		if n := b.count("SELECT count(*) FROM repo WHERE monitored"); n != 0 {
			t.Errorf("%d repositories are monitored, want none", n)
		}
		sealed := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(b.ctx, i.ID) }))
		b.write(func(tx *store.Tx) error { return tx.DeleteSchedule(b.ctx, syncSchedule(i.ID)) })
		why := &lostPermission{why: lost(i, "it lost its permission", "give it back")}
		if err := b.limp(b.ctx, i, bitbucket.Instance{}, sealed, why); magpie.KindOf(err) != magpie.KindConflict {
			t.Errorf("noting a lost permission: %v, want a conflict", err)
		}
		if n := b.count("SELECT count(*) FROM schedule WHERE name LIKE 'perimeter.sync:%'"); n != 0 {
			t.Error("an integration that is being removed is scheduled again")
		}
		b.write(func(tx *store.Tx) error {
			done, err := b.finishSync(b.ctx, tx, i, time.Now().Add(time.Hour), nil, magpie.Errorf(magpie.KindConflict, "being removed"))
			if !done {
				t.Error("the sync wants to run again")
			}
			return err
		})
		if got := b.integrationRow(i.ID); got.State != magpie.IntegrationActive {
			t.Errorf("the integration is %s (%s), want it untouched", got.State, got.StateReason)
		}
	})
}

// What Bitbucket refuses for one webhook keeps neither the others nor the integration.
func TestRemoveLeavesBehindWhatIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 409, 413} {
		t.Run(itoa(status), func(t *testing.T) {
			t.Parallel()
			onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
				i := b.connected()
				b.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: status, Path: "/projects/ALPHA/repos/one/webhooks"})
				must(0, b.Remove(b.ctx, owner, i.ID))
				b.eventually("the removal", func() bool { return b.count("SELECT count(*) FROM integration") == 0 })
				if left := b.sim.Webhooks(); len(left) != 1 {
					t.Errorf("%d webhooks are left, want the one that can't be deleted", len(left))
				}
				got := b.audited("integration.removed")
				if len(got) != 1 || !strings.Contains(got[0].Detail, "left on ALPHA/one;") {
					t.Errorf("audit rows %v, want one that names ALPHA/one alone", got)
				}
			})
		})
	}
}

// A sync that began with the old token must not announce the death of the new one.
func TestTroubleWithAReplacedToken(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		sealed := func() []byte {
			return must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(b.ctx, i.ID) }))
		}
		old := sealed()
		if err := b.ReplaceToken(b.ctx, owner, i.ID, magpie.NewSecret(b.newToken("magpie").Text), time.Time{}); err != nil {
			t.Fatal(err)
		}
		b.eventually("idle jobs", b.jobsIdle)
		dead := magpie.Errorf(magpie.KindTokenInvalid, "the token is not accepted")
		finish := func(sealed []byte) {
			b.write(func(tx *store.Tx) error {
				_, err := b.finishSync(b.ctx, tx, i, time.Now().Add(time.Hour), sealed, dead)
				return err
			})
		}
		finish(old)
		if got := b.integrationRow(i.ID).State; got != magpie.IntegrationActive || len(b.died) != 0 {
			t.Errorf("after trouble with the old token the integration is %s, and %d deaths were announced", got, len(b.died))
		}
		finish(sealed())
		if got := b.integrationRow(i.ID).State; got != magpie.IntegrationTokenInvalid || len(b.died) != 1 {
			t.Errorf("after trouble with the new token the integration is %s, and %d deaths were announced, want 1", got, len(b.died))
		}
	})
}

func TestOldTracesAreForgotten(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		repo, now := b.repo("ALPHA/one").ID, time.Now()
		old, recent := now.Add(-31*24*time.Hour), now.Add(-29*24*time.Hour)
		for id, scanned := range map[string]time.Time{"old": old, "recent": recent, "waiting": {}} {
			b.write(func(tx *store.Tx) error {
				d := store.Delivery{ID: magpie.DeliveryID(id), RepoID: repo, Push: magpie.Push{RequestID: id}, ReceivedAt: now.Add(-40 * 24 * time.Hour)}
				if _, err := tx.AddDelivery(b.ctx, d); err != nil || scanned.IsZero() {
					return err
				}
				return tx.SetDeliveryScanned(b.ctx, d.ID, scanned)
			})
		}
		for id, v := range map[magpie.ScanID]magpie.Scan{
			"old":     {Kind: magpie.ScanPush, State: magpie.ScanFinished, EndedAt: old},
			"found":   {Kind: magpie.ScanPush, State: magpie.ScanFinished, EndedAt: old, Progress: magpie.Progress{Findings: 1}},
			"history": {Kind: magpie.ScanHistory, State: magpie.ScanFinished, EndedAt: old},
			"recent":  {Kind: magpie.ScanPush, State: magpie.ScanFinished, EndedAt: recent},
		} {
			v.ID, v.RepoID = id, repo
			b.write(func(tx *store.Tx) error {
				return tx.AddScan(b.ctx, magpie.Scan{ID: id, RepoID: repo, Kind: v.Kind, State: magpie.ScanRunning})
			})
			b.write(func(tx *store.Tx) error { _, err := tx.SetScanProgress(b.ctx, id, v.Progress, ""); return err })
			b.write(func(tx *store.Tx) error { _, err := tx.EndScan(b.ctx, v); return err })
		}
		b.write(func(tx *store.Tx) error { return tx.SetSchedule(b.ctx, pruneSchedule, b.clock.now()) })
		must(0, b.Tick(b.ctx))
		for table, want := range map[string]int{"delivery": 2, "scan": 3} {
			if gone, all := b.count("SELECT count(*) FROM "+table+" WHERE id = 'old'"), b.count("SELECT count(*) FROM "+table); gone != 0 || all != want {
				t.Errorf("%d rows of %s are kept, %d of them old, want %d and none", all, table, gone, want)
			}
		}
	})
}

// A sync that was asked for while one failed comes with the next attempt, a minute later, and not again and again at once.
func TestFailedSyncIsNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		sealed := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(b.ctx, i.ID) }))
		began := b.clock.now()
		b.write(func(tx *store.Tx) error { return tx.WantSync(b.ctx, i.ID, began.Add(time.Second)) })
		finish := func(sealed []byte, trouble error) (done bool) {
			b.write(func(tx *store.Tx) (err error) {
				done, err = b.finishSync(b.ctx, tx, i, began, sealed, trouble)
				return err
			})
			return done
		}
		down := magpie.Errorf(magpie.KindUnavailable, "Bitbucket does not answer")
		if !finish(sealed, down) {
			t.Error("a sync that failed is repeated at once")
		}
		if got := b.integrationRow(i.ID); got.SyncError != "Bitbucket does not answer" {
			t.Errorf("the trouble is not stored: %+v", got)
		}
		if due := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]string, error) {
			return tx.DueSchedules(b.ctx, b.clock.now().Add(retryEvery))
		})); len(due) == 0 || due[0] != syncSchedule(i.ID) {
			t.Errorf("due within a minute: %v, want the sync", due)
		}
		if finish([]byte("replaced"), down) {
			t.Error("a sync that failed with the old token is not repeated with the new one")
		}
		if finish(sealed, nil) {
			t.Error("a sync that was asked for while another one ran is forgotten")
		}
	})
}

// A webhook that Bitbucket says is nowhere, although it lists the repository, asks for one more sync and not for one after
// the other.
func TestNotFoundDoesNotSyncForEver(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		r := b.repo("ALPHA/one")
		b.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 404, Path: "/projects/ALPHA/repos/one/webhooks"})
		b.write(func(tx *store.Tx) error {
			_, err := tx.SetRepoHook(b.ctx, r.ID, true, magpie.HookFailed, "")
			return err
		})
		const syncs = `SELECT count(*) FROM river_job WHERE kind = 'perimeter_sync'`
		before := b.count(syncs)
		must(0, b.SyncNow(b.ctx, owner, i.ID))
		b.eventually("two syncs", func() bool { return b.count(syncs) >= before+2 && b.jobsIdle() })
		for range 20 { // further ones would follow within milliseconds
			time.Sleep(10 * time.Millisecond)
			b.eventually("idle jobs", b.jobsIdle)
		}
		if n := b.count(syncs) - before; n > 3 {
			t.Errorf("%d syncs, want the one that was asked for and one more", n)
		}
	})
}

// A repository whose contents can't be had can be deselected: its webhook is taken away.
func TestDeselectWithoutHTTPHosting(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		r := b.repo("ALPHA/one")
		must(0, b.sim.SetRepoHTTPHosting(int(r.RemoteID), false))
		b.sync(i.ID)
		if got := b.row(r.ID); got.State != magpie.RepoUnavailable {
			t.Fatalf("the repository is %s", got.State)
		}
		must(0, b.SetMonitored(b.ctx, owner, []magpie.RepoID{r.ID}, false))
		b.eventually("the end of its webhook", func() bool { return len(b.hooksOf(r.RemoteID)) == 0 })
	})
}

// A repository that was renamed is looked at: scans of its pushes may have ended under the old name.
func TestRenamedIsLookedAt(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		renamed := b.repo("ALPHA/two")
		must(0, b.sim.Rename(int(renamed.RemoteID), "Other"))
		b.sync(i.ID)
		b.looks.mu.Lock()
		defer b.looks.mu.Unlock()
		if !slices.Equal(b.looks.again, []magpie.RepoID{renamed.ID}) {
			t.Errorf("looks at %v, want one at what was renamed", b.looks.again)
		}
	})
}

// A repository that is deselected and selected again while its webhook is being checked gets another first look: its
// history scan was dropped.
func TestSelectedAgainDuringACheck(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		before := b.repo("ALPHA/one") // as a job read it that checks the webhook
		for _, monitored := range []bool{false, true} {
			b.write(func(tx *store.Tx) error {
				_, err := tx.SetRepoMonitored(b.ctx, before.ID, monitored)
				return err
			})
		}
		check := task{Service: b.Service, repo: before, i: i}
		if err := check.store(b.ctx, magpie.HookInstalled, nil); !errors.Is(err, errChanged) {
			t.Errorf("storing what the check found: %v, want it to begin anew", err)
		}
	})
}
