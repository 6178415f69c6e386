package perimeter

import (
	"context"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// TestCrashAtEachRequest ends the process at the first request, the second, and so on; what comes of it in the end is what
// comes of an undisturbed run, and little is asked for twice.
func TestCrashAtEachRequest(t *testing.T) {
	t.Parallel()
	b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
	b.sim.SetMaxLimit(2) // so that lists have several pages
	jobs := b.run()
	undisturbed := 0
	for at := 0; at == 0 || at <= undisturbed; at += 3 { // every third, in the interest of time
		b.clock.advance(time.Minute)
		b.sim.ResetCounts()
		i := b.connect(magpie.ModeInstance)
		if at > 0 {
			b.cutAt(&jobs, at)
		}
		b.synced(i.ID)
		b.settled(i.ID)
		counts := b.sim.Counts()
		if at == 0 {
			undisturbed = counts.Total
		}
		for _, r := range b.repos() {
			b.checkHooked(r, true)
		}
		if n := len(b.sim.Webhooks()); n != 5 {
			t.Errorf("cut at request %d: %d webhooks, want 5", at, n)
		}
		if created := counts.Endpoints["POST /projects/{key}/repos/{slug}/webhooks"]; created != 5 {
			t.Errorf("cut at request %d: %d webhooks were created, want 5", at, created)
		}
		if counts.Total > 2*undisturbed { // pages of two repositories make what is asked again look like much
			t.Errorf("cut at request %d: %d requests, want less than twice the %d of an undisturbed run", at, counts.Total, undisturbed)
		}
		must(0, b.Remove(b.ctx, owner, i.ID))
		b.eventually("the removal", func() bool { return b.count("SELECT count(*) FROM integration") == 0 })
		if n := len(b.sim.Webhooks()); n != 0 {
			t.Errorf("cut at request %d: %d webhooks are left", at, n)
		}
	}
	t.Logf("%d requests in an undisturbed run", undisturbed)
}

// cutAt ends the jobs once so many requests were made since the counts were reset, and starts them anew.
func (b *bench) cutAt(jobs **queue.Engine, at int) {
	b.Helper()
	deadline := time.Now().Add(time.Minute)
	for n := 1; b.sim.Counts().Total < at && time.Now().Before(deadline); n++ {
		if n%20 == 0 && b.count("SELECT count(*) FROM integration WHERE synced_at > 0") > 0 && b.jobsIdle() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.crash(*jobs)
	*jobs = b.run()
}

// A sync that was cut off goes on with the page where it stood.
func TestSyncResumes(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.sim.SetMaxLimit(1) // a page for each repository
		i := b.connected()
		const list = "GET /repos"
		b.sim.ResetCounts()
		b.sync(i.ID)
		all := b.sim.Counts().Endpoints[list]
		sealed := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(b.ctx, i.ID) }))
		from := must(b.resume(b.ctx, i.ID, sealed))
		if from.Next != 0 || from.Listed {
			t.Fatalf("after a complete sync the next begins at %+v", from)
		}
		cut, cancel := context.WithCancel(b.ctx)
		p := pass{Service: b.Service, i: i, c: must(b.client(b.ctx, i)), id: from.Pass}
		n := 0
		for page, err := range p.c.RepoPages(cut, "", 0) {
			if err != nil {
				break
			}
			at := from
			at.Listed, at.Next = true, page.Next
			must(0, p.take(b.ctx, page.Repos, func(tx *store.Tx) error { return p.reach(b.ctx, tx, at) }))
			if n++; n == 3 {
				cancel()
			}
		}
		cancel()
		b.sim.ResetCounts()
		b.clock.advance(time.Second)
		if at := must(b.resume(b.ctx, i.ID, sealed)); at.Pass != from.Pass || at.Next == 0 {
			t.Errorf("a sync that was cut off goes on at %+v", at)
		}
		must(0, b.db.Write(b.ctx, func(tx *store.Tx) error { return tx.Enqueue(b.ctx, syncJob{IntegrationID: i.ID}, magpie.JobOptions{}) }))
		b.eventually("the end of the sync", func() bool {
			return b.jobsIdle() && must(store.Query(b.ctx, b.db, func(tx *store.Tx) (string, error) { return tx.SyncPlace(b.ctx, i.ID) })) == ""
		})
		if got := b.sim.Counts().Endpoints[list]; got == 0 || got > all-3 {
			t.Errorf("%d pages were read after the cut, want the rest of %d", got, all)
		}
		for name, change := range map[string]func(){
			"another token": func() { sealed = []byte("other") },
			"too old":       func() { b.clock.advance(2 * defaultEvery) },
		} {
			b.write(func(tx *store.Tx) error {
				return p.reach(b.ctx, tx, place{Pass: "old", Token: from.Token, Began: b.clock.now(), Next: 7})
			})
			change()
			if at := must(b.resume(b.ctx, i.ID, sealed)); at.Pass == "old" || at.Next != 0 {
				t.Errorf("%s: a sync goes on at %+v", name, at)
			}
		}
	})
}

// What one repository costs: one request for its webhook, none in a sync where nothing changed.
func TestCost(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		counts := b.sim.Counts().Endpoints
		for endpoint, want := range map[string]int{
			"POST /projects/{key}/repos/{slug}/webhooks": 5,
			"GET /projects/{key}/repos/{slug}":           0,
			"GET /repos":                                 2, // for the coverage that connecting shows, and one of the sync
		} {
			if got := counts[endpoint]; got > want+1 || got < want {
				t.Errorf("%s was asked for %d times, want %d", endpoint, got, want)
			}
		}
		// They are listed to see whether the token administers any, and where a sync came upon a webhook in the making.
		if n := counts["GET /projects/{key}/repos/{slug}/webhooks"]; n > 5 {
			t.Errorf("webhooks were listed %d times in 5 repositories though none could be there", n)
		}
		b.sim.ResetCounts()
		b.sync(i.ID)
		if n := b.sim.Counts().Total; n > 8 {
			t.Errorf("%d requests for a sync where nothing changed: %v", n, b.sim.Counts().Endpoints)
		}
	})
}

// A repository that is deselected loses what is queued; its scan is canceled, and its history is asked for again later.
func TestDeselectDropsWhatIsQueued(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		r := b.repo("ALPHA/one")
		b.write(func(tx *store.Tx) error {
			must(0, tx.AddScan(b.ctx, magpie.Scan{ID: "history", RepoID: r.ID, Kind: magpie.ScanHistory, State: magpie.ScanRunning}))
			must(0, tx.SetRepoHistory(b.ctx, r.ID, magpie.HistoryPending))
			must(0, tx.PutTip(b.ctx, r.ID, magpie.Tip{Ref: "refs/heads/main", Hash: "aa"}, b.clock.now()))
			_, err := tx.AddDelivery(b.ctx, store.Delivery{ID: "d", RepoID: r.ID, Push: magpie.Push{RequestID: "d"}, ReceivedAt: b.clock.now()})
			return err
		})
		must(0, b.SetMonitored(b.ctx, owner, []magpie.RepoID{r.ID}, false))
		v := must(store.Query(b.ctx, b.db, func(tx *store.Tx) (magpie.Scan, error) { return tx.Scan(b.ctx, "history") }))
		if v.State != magpie.ScanCanceled || v.EndedAt.IsZero() || v.Error == "" {
			t.Errorf("scan %+v, want it canceled with a reason", v)
		}
		if n := b.count("SELECT count(*) FROM delivery"); n != 0 {
			t.Errorf("%d events wait", n)
		}
		if got := b.row(r.ID).History; got != magpie.HistoryNone {
			t.Errorf("its history is %s, want none", got)
		}
		if n := b.count("SELECT count(*) FROM tip"); n != 1 {
			t.Errorf("%d tips are kept, want 1", n)
		}
	})
}

// A webhook that got onto another repository, which had taken the name, goes where it belongs.
func TestStrayHook(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		one, two := b.repo("ALPHA/one"), b.repo("ALPHA/two")
		w := b.hooksOf(one.RemoteID)[0]
		b.rest("POST", two, "", `{"name":"Magpie","url":"`+w.URL+`","events":["repo:refs_changed"],"active":true}`)
		b.rest("DELETE", one, "/"+itoa(w.ID), "")
		must(0, b.HookStrayed(b.ctx, one.ID, two.RemoteID))
		b.eventually("mended hooks", func() bool {
			return b.jobsIdle() && len(b.hooksOf(one.RemoteID)) == 1 && len(b.hooksOf(two.RemoteID)) == 1
		})
		b.checkHooked(b.row(one.ID), true)
		b.checkHooked(b.row(two.ID), true)
		b.settled(i.ID)
	})
}

// Where the name may lead elsewhere, the numeric id is asked for before anything is created.
func TestNoHookOnAnotherRepository(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		one := b.repo("ALPHA/one")
		must(0, b.SetMonitored(b.ctx, owner, []magpie.RepoID{one.ID}, false))
		b.settled(i.ID)
		must(0, b.sim.Rename(int(one.RemoteID), "Uno"))
		other := must(b.sim.CreateRepo("ALPHA", "One"))
		b.clock.advance(3 * defaultEvery) // nothing synced for long
		must(0, b.SetMonitored(b.ctx, owner, []magpie.RepoID{one.ID}, true))
		b.eventually("the hook under the new name", func() bool { return len(b.hooksOf(one.RemoteID)) == 1 })
		b.settled(i.ID)
		b.checkHooked(b.row(one.ID), true)
		if hooks := b.hooksOf(int64(other.ID)); len(hooks) != 1 || hooks[0].URL == b.hooksOf(one.RemoteID)[0].URL {
			t.Errorf("the repository that took the name has webhooks %v, want one of its own", hooks)
		}
	})
}

// Repositories that can't be read say why, and are compared as soon as they can; an archived one keeps its webhook.
func TestBackAgain(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		archived, offline, ssh := b.repo("ALPHA/one"), b.repo("ALPHA/two"), b.repo("BETA/one")
		must(0, b.sim.Archive(int(archived.RemoteID), true))
		must(0, b.sim.SetRepoState(int(offline.RemoteID), "OFFLINE"))
		must(0, b.sim.SetRepoHTTPHosting(int(ssh.RemoteID), false))
		b.sync(i.ID)
		if n := b.looks.agains(); n != 1 {
			t.Errorf("%d looks, want one at what was just archived", n)
		}
		if r := b.row(ssh.ID); r.State != magpie.RepoUnavailable || !strings.Contains(r.StateReason, "HTTP(S) hosting is off") {
			t.Errorf("a repository without HTTP hosting is %s (%s)", r.State, r.StateReason)
		}
		if r := b.row(archived.ID); r.State != magpie.RepoArchived || len(b.hooksOf(r.RemoteID)) != 1 {
			t.Errorf("the archived repository is %s with webhooks %v, want its own kept", r.State, b.hooksOf(r.RemoteID))
		}
		must(0, b.sim.Archive(int(archived.RemoteID), false))
		must(0, b.sim.SetRepoState(int(offline.RemoteID), "AVAILABLE"))
		b.sync(i.ID)
		b.checkHooked(b.row(archived.ID), true)
		if n := b.looks.agains(); n != 3 {
			t.Errorf("%d looks, want one more at each that came back", n)
		}
	})
}

// A webhook that is asked for while its integration is removed is not left behind.
func TestRemoveWaitsForHooksToCome(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		r := b.repo("ALPHA/one")
		w := b.hooksOf(r.RemoteID)[0]
		b.rest("DELETE", r, "/"+itoa(w.ID), "")
		b.write(func(tx *store.Tx) error { // as if its creation were under way
			h := must(tx.HookOf(b.ctx, r.ID))
			must(0, tx.SetHookChecked(b.ctx, h.ID, h.URL, 0, time.Time{}))
			return tx.SetHookAsked(b.ctx, h.ID, b.clock.now())
		})
		must(0, b.Remove(b.ctx, owner, i.ID))
		b.eventually("the other hooks gone", func() bool { return len(b.sim.Webhooks()) == 0 })
		b.eventually("idle jobs", b.jobsIdle)
		if n := b.count("SELECT count(*) FROM integration"); n != 1 {
			t.Fatal("the integration is gone although a webhook may come")
		}
		b.rest("POST", r, "", `{"name":"Magpie","url":"`+w.URL+`","events":["repo:refs_changed"],"active":true}`)
		b.eventually("the removal", func() bool { return b.count("SELECT count(*) FROM integration") == 0 })
		if n := len(b.sim.Webhooks()); n != 0 {
			t.Errorf("%d webhooks are left", n)
		}
	})
}

func TestSetProject(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		project := b.repo("ALPHA/one").ProjectID
		off, on, odd, insights := magpie.ProjectIgnoreNew, magpie.ProjectMonitorNew, magpie.ProjectDefault("perhaps"), true
		if err := b.SetProject(b.ctx, owner, project, ProjectSettings{AutoMonitor: &odd}); magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("an odd default: %v, want it refused", err)
		}
		if err := b.SetProject(b.ctx, owner, "none", ProjectSettings{}); magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("no project: %v, want not found", err)
		}
		must(0, b.SetProject(b.ctx, owner, project, ProjectSettings{AutoMonitor: &off, Insights: &insights}))
		must(b.sim.CreateRepo("ALPHA", "Three"))
		must(b.sim.CreateRepo("BETA", "Three"))
		b.sync(i.ID)
		no := false
		must(0, b.SetSwitches(b.ctx, owner, i.ID, nil, &no))
		must(0, b.SetProject(b.ctx, owner, b.repo("BETA/one").ProjectID, ProjectSettings{AutoMonitor: &on}))
		must(b.sim.CreateRepo("BETA", "Four"))
		b.sync(i.ID)
		for name, want := range map[string]bool{"ALPHA/three": false, "BETA/three": true, "BETA/four": true} {
			if r := b.repo(name); r.Monitored != want {
				t.Errorf("%s is monitored: %t, want %t", name, r.Monitored, want)
			}
		}
		p := must(store.Query(b.ctx, b.db, func(tx *store.Tx) (magpie.Project, error) { return tx.Project(b.ctx, project) }))
		if p.AutoMonitor != off || !p.Insights {
			t.Errorf("project %+v", p)
		}
		if got := b.audited("project.changed"); len(got) != 2 || got[1].Subject != "ALPHA" {
			t.Errorf("audit rows %v", got)
		}
	})
}
