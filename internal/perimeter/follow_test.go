package perimeter

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestSyncFollows(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		one, two := b.repo("ALPHA/one"), b.repo("ALPHA/two")
		beta, notes := b.repo("BETA/one"), b.repo("~DEV/notes")
		must(b.sim.CreateProject("GAMMA", "Gamma"))
		must(0, b.sim.Rename(int(one.RemoteID), "Uno"))
		must(0, b.sim.Move(int(two.RemoteID), "GAMMA"))
		must(0, b.sim.Delete(int(beta.RemoteID)))
		recreated := must(b.sim.CreateRepo("BETA", "One"))
		must(0, b.sim.Archive(int(notes.RemoteID), true))
		must(0, b.sim.SetRepoState(b.simRepo("BETA", "Two"), "OFFLINE"))
		fork := must(b.sim.Fork(int(one.RemoteID), "~dev", "", "dev"))
		b.sync(i.ID)

		if r := b.repo("ALPHA/uno"); r.ID != one.ID || !strings.Contains(r.CloneURL, "/uno.git") {
			b.Errorf("renamed repository is %+v", r)
		}
		if r := b.repo("GAMMA/two"); r.ID != two.ID {
			b.Errorf("moved repository is %+v", r)
		}
		if r := b.repo("BETA/one"); r.ID == beta.ID || r.RemoteID != int64(recreated.ID) {
			b.Errorf("re-created repository is %+v, want a new row", r)
		}
		if r := b.row(beta.ID); r.State != magpie.RepoDeleted || r.Hook != magpie.HookNone {
			b.Errorf("deleted repository is %+v", r)
		}
		if r := b.repo("~DEV/notes"); r.State != magpie.RepoArchived {
			b.Errorf("archived repository is %+v", r)
		}
		if r := b.repo("BETA/two"); r.State != magpie.RepoUnavailable || !strings.Contains(r.StateReason, "Offline") {
			b.Errorf("offline repository is %+v", r)
		}
		for _, id := range []int64{one.RemoteID, two.RemoteID, int64(recreated.ID), int64(fork.ID)} {
			if hooks := b.hooksOf(id); len(hooks) != 1 {
				b.Errorf("repository %d has webhooks %v, want one", id, hooks)
			}
		}
		must(0, b.sim.SetRepoState(b.simRepo("BETA", "Two"), "AVAILABLE"))
		must(0, b.sim.Archive(int(notes.RemoteID), false))
		b.sync(i.ID)
		for _, r := range b.repos() {
			b.checkHooked(r, true)
		}
	})
}

func (b *bench) row(id magpie.RepoID) magpie.Repo {
	b.Helper()
	r, err := store.Query(b.ctx, b.db, func(tx *store.Tx) (magpie.Repo, error) { return tx.Repo(b.ctx, id) })
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func TestRenameEvent(t *testing.T) {
	t.Parallel()
	for mode, name := range map[bitbucketsim.RenameMode]string{bitbucketsim.RenameAlias: "alias", bitbucketsim.RenameRedirect: "redirect", bitbucketsim.RenameGone: "gone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
				b.sim.SetRenameMode(mode)
				b.connected()
				r := b.repo("ALPHA/one")
				must(0, b.sim.Rename(int(r.RemoteID), "Uno"))
				if err := b.RepositoryModified(b.ctx, r.ID); err != nil {
					b.Fatal(err)
				}
				b.eventually("the new name", func() bool { return b.row(r.ID).Slug == "uno" })
			})
		})
	}
}

func TestAutoMonitorOff(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		off := false
		if err := b.SetSwitches(b.ctx, owner, i.ID, nil, &off); err != nil {
			b.Fatal(err)
		}
		must(b.sim.CreateRepo("ALPHA", "Three"))
		b.sync(i.ID)
		if r := b.repo("ALPHA/three"); r.Monitored || len(b.hooksOf(r.RemoteID)) != 0 {
			b.Errorf("a new repository is watched although new ones shall not be: %+v", r)
		}
		if i := b.integrationRow(i.ID); i.AutoMonitor || !i.Autoscan {
			b.Errorf("switches are %+v", i)
		}
	})
}

// What people do to webhooks is mended, and theirs are left alone.
func TestHooksAreMended(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		repos := b.repos()
		firsts := b.looks.firsts()
		deleted, disabled, doubled, crashed := repos[0], repos[1], repos[2], repos[3]
		hookURL := func(r magpie.Repo) string { return b.hooksOf(r.RemoteID)[0].URL }
		foreign := b.rest("POST", doubled, "", `{"name":"Magpie","url":"https://other.example/hooks/bitbucket/x","events":["repo:refs_changed"],"active":true}`)
		b.rest("DELETE", deleted, "/"+itoa(b.hooksOf(deleted.RemoteID)[0].ID), "")
		b.rest("PUT", disabled, "/"+itoa(b.hooksOf(disabled.RemoteID)[0].ID), `{"name":"Magpie","url":"`+hookURL(disabled)+`","events":["repo:refs_changed"],"active":false}`)
		b.rest("POST", doubled, "", `{"name":"copy","url":"`+hookURL(doubled)+`","events":["repo:forked"],"active":true}`)
		// As after a crash between creating a hook and storing that.
		must(0, b.db.Write(b.ctx, func(tx *store.Tx) error {
			h := must(tx.HookOf(b.ctx, crashed.ID))
			must(tx.SetRepoHook(b.ctx, crashed.ID, true, magpie.HookPending, ""))
			return tx.SetHookChecked(b.ctx, h.ID, h.URL, 0, time.Time{})
		}))
		b.clock.advance(2 * checkEvery)
		b.sim.ResetCounts()
		b.sync(i.ID)
		// The one with the copy never stopped telling us, so nothing was missed there.
		b.eventually("all mended", func() bool { return b.looks.firsts() == firsts+3 && len(b.sim.Webhooks()) == 6 })
		for _, r := range b.repos() {
			if r.ID != doubled.ID {
				b.checkHooked(r, true)
			}
		}
		hooks := b.hooksOf(doubled.RemoteID)
		if len(hooks) != 2 || !strings.Contains(foreign, itoa(hooks[1].ID)) && !strings.Contains(foreign, itoa(hooks[0].ID)) {
			b.Errorf("webhooks %v, want ours and the foreign one %s", hooks, foreign)
		}
		if n := b.sim.Counts().Endpoints["POST /projects/{key}/repos/{slug}/webhooks"]; n != 1 {
			b.Errorf("%d webhooks were created, want 1", n)
		}
	})
}

func TestPublicURLChanges(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		b.opts.PublicURL = "https://moved.example"
		b.sync(i.ID)
		for _, w := range b.sim.Webhooks() {
			if !strings.HasPrefix(w.URL, "https://moved.example/hooks/bitbucket/") {
				b.Errorf("webhook %+v has the old address", w)
			}
		}
		if n := len(b.sim.Webhooks()); n != 5 {
			b.Errorf("%d webhooks, want 5", n)
		}
	})
}

// A repository that can be read but not administered is watched without a webhook, and says why it has none.
func TestNoAdmin(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		must(b.sim.CreateUser(bitbucketsim.User{Name: "lead"}))
		must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_ADMIN"))
		i := b.connect(magpie.ModeProject)
		b.synced(i.ID)
		project := b.available(i.ID)[0]
		must(0, b.sim.SetTokenPermissions(b.token.ID, "REPO_READ", "PROJECT_READ"))
		if err := b.InstallProject(b.ctx, owner, i.ID, project.ID, true); err != nil {
			b.Fatal(err)
		}
		b.eventually("two failed hooks", func() bool { return b.failedHooks() == 2 })
		if r := b.repos()[0]; !strings.Contains(r.HookReason, "permission") || r.State != magpie.RepoAvailable {
			b.Errorf("repository is %+v", r)
		}
		if got := b.looks.firsts(); got != 2 {
			b.Errorf("%d first looks, want 2", got)
		}
		must(0, b.sim.SetTokenPermissions(b.token.ID, "REPO_ADMIN", "PROJECT_READ"))
		b.sync(i.ID)
		for _, r := range b.repos() {
			b.checkHooked(r, true)
		}
	})
}

func (b *bench) failedHooks() (n int) {
	for _, r := range b.repos() {
		if r.Hook == magpie.HookFailed {
			n++
		}
	}
	return n
}

// What is refused is tried again less and less often, and at once when a person asks for it or gives another token.
func TestRefusedHooksWait(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 403, Path: "/webhooks"})
		i := b.connect(magpie.ModeInstance)
		b.synced(i.ID)
		b.eventually("failed hooks", func() bool { return b.failedHooks() == len(b.repos()) && b.jobsIdle() })
		if n := b.count(`SELECT count(*) FROM repo WHERE hook_wait <> ` + strconv.FormatInt(b.opts.SyncEvery.Microseconds(), 10)); n != 0 {
			b.Errorf("%d webhooks do not wait for the first time, want that one sync tries each once", n)
		}
		// A sync looks at a few webhooks to find out what the token may do, so requests say nothing; what is stored does.
		earliest := func() int { return b.count(`SELECT min(hook_retry_at) FROM repo`) }
		tried := func(what string, after time.Duration, sync func(), want bool) {
			b.Helper()
			before := earliest()
			b.clock.advance(after)
			sync()
			if got := earliest() != before; got != want {
				b.Errorf("%s: tried again is %t, want %t", what, got, want)
			}
		}
		scheduled := func() { b.scheduledSync(i.ID) }
		every := b.opts.SyncEvery
		tried("before the first wait is over", every/2, scheduled, false)
		tried("after it", every, scheduled, true)
		tried("after half of the doubled wait", every, scheduled, false)
		tried("after all of it", every, scheduled, true)
		tried("asked for", time.Minute, func() { b.sync(i.ID) }, true)
		tried("a minute after that", time.Minute, scheduled, false)
		token := b.newToken("magpie")
		tried("with another token", time.Minute, func() {
			if err := b.ReplaceToken(b.ctx, owner, i.ID, magpie.NewSecret(token.Text), time.Time{}); err != nil {
				b.Fatal(err)
			}
			b.eventually("another refusal", func() bool { return earliest() > 0 && b.jobsIdle() })
		}, true)
		b.sim.SetFailures()
		tried("allowed, but waiting", time.Minute, scheduled, false)
		if n := b.failedHooks(); n != len(b.repos()) {
			b.Errorf("%d webhooks failed, want all while they wait", n)
		}
		b.sync(i.ID)
		r := b.repos()[0]
		b.checkHooked(r, true)
		if wait := must(store.Query(b.ctx, b.db, func(tx *store.Tx) (time.Duration, error) { return tx.HookWait(b.ctx, r.ID) })); wait != 0 {
			b.Errorf("an installed webhook waits %s", wait)
		}
	})
}

func TestNextWait(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ last, every, want time.Duration }{
		{0, 15 * time.Minute, 15 * time.Minute},
		{15 * time.Minute, 15 * time.Minute, 30 * time.Minute},
		{16 * time.Hour, 15 * time.Minute, 24 * time.Hour},
		{24 * time.Hour, 15 * time.Minute, 24 * time.Hour},
		{0, 48 * time.Hour, 48 * time.Hour},
		{48 * time.Hour, 48 * time.Hour, 48 * time.Hour},
	} {
		if got := nextWait(test.last, test.every); got != test.want {
			t.Errorf("after %s, with a sync every %s, it waits %s, want %s", test.last, test.every, got, test.want)
		}
	}
}

// scheduledSync runs a sync that nobody asked for and waits for its end.
func (b *bench) scheduledSync(id magpie.IntegrationID) {
	b.Helper()
	before := b.integrationRow(id).SyncedAt
	b.clock.advance(time.Millisecond)
	if err := b.db.Write(b.ctx, func(tx *store.Tx) error { return b.wantSync(b.ctx, tx, id) }); err != nil {
		b.Fatal(err)
	}
	b.eventually("a sync", func() bool { return b.integrationRow(id).SyncedAt.After(before) && b.jobsIdle() })
}

func TestDeselect(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		r := b.repo("ALPHA/one")
		h := must(store.Query(b.ctx, b.db, func(tx *store.Tx) (store.Hook, error) { return tx.HookOf(b.ctx, r.ID) }))
		if got, secret, err := b.Hook(b.ctx, h.ID); err != nil || got.ID != r.ID || secret.Len() != secretLen {
			b.Fatalf("Hook: %v, %v", got, err)
		}
		if err := b.SetMonitored(b.ctx, owner, []magpie.RepoID{r.ID}, false); err != nil {
			b.Fatal(err)
		}
		if _, _, err := b.Hook(b.ctx, h.ID); magpie.KindOf(err) != magpie.KindNotFound {
			b.Errorf("the hook of a deselected repository: %v, want not found at once", err)
		}
		if _, err := b.StartHistory(b.ctx, owner, r.ID); magpie.KindOf(err) != magpie.KindConflict {
			b.Errorf("a history scan of a deselected repository: %v, want a conflict", err)
		}
		b.settled(i.ID)
		b.checkHooked(b.row(r.ID), false)
		b.sync(i.ID)
		b.checkHooked(b.row(r.ID), false)
		firsts := b.looks.firsts()
		if err := b.SetMonitored(b.ctx, owner, []magpie.RepoID{r.ID}, true); err != nil {
			b.Fatal(err)
		}
		b.settled(i.ID)
		b.checkHooked(b.row(r.ID), true)
		if got := b.looks.firsts(); got != firsts+1 {
			b.Errorf("%d first looks after selecting again, want 1", got-firsts)
		}
		if id, err := b.StartHistory(b.ctx, owner, r.ID); err != nil || id == "" {
			b.Errorf("a history scan: %q, %v", id, err)
		}
		if a, s := b.audited("repository.deselected"), b.audited("repository.selected"); len(a) != 1 || len(s) != 1 || a[0].Subject != "ALPHA/one" {
			b.Errorf("audit rows %v %v", a, s)
		}
	})
}

// However a repository is selected and deselected, its hook ends as the last choice wants.
func TestSelectStorm(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		all := b.repos()
		var group sync.WaitGroup
		for n := range 4 {
			group.Go(func() {
				for k := range 10 {
					if err := b.SetMonitored(b.ctx, owner, []magpie.RepoID{all[(n+k)%len(all)].ID}, (n+k)%3 == 0); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
		for n, r := range all {
			must(0, b.SetMonitored(b.ctx, owner, []magpie.RepoID{r.ID}, n%2 == 0))
		}
		b.settled(i.ID)
		for n, r := range all {
			b.checkHooked(b.row(r.ID), n%2 == 0)
		}
	})
}

func TestTokenDies(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		state := func() magpie.IntegrationState { return b.integrationRow(i.ID).State }
		b.sim.SetMaintenance(true)
		must(0, b.SyncNow(b.ctx, owner, i.ID))
		b.eventually("unreachable", func() bool { return state() == magpie.IntegrationUnreachable })
		if i := b.integrationRow(i.ID); i.SyncError == "" || !strings.Contains(i.StateReason, "503") {
			b.Errorf("the integration says %q and %q", i.StateReason, i.SyncError)
		}
		b.sim.SetMaintenance(false)
		b.sync(i.ID)
		if state() != magpie.IntegrationActive || b.integrationRow(i.ID).SyncError != "" || len(b.died) != 0 {
			b.Errorf("after maintenance the state is %s, and %d alarms were raised", state(), len(b.died))
		}
		for round := range 2 {
			must(0, b.sim.RevokeToken(b.token.ID))
			must(0, b.SyncNow(b.ctx, owner, i.ID))
			b.eventually("token invalid", func() bool { return state() == magpie.IntegrationTokenInvalid })
			for _, down := range []bool{true, false} { // neither being down nor asking again is news
				b.sim.SetMaintenance(down)
				b.waitSync(i.ID)
			}
			if got := len(b.died); got != round+1 || state() != magpie.IntegrationTokenInvalid {
				b.Errorf("%d alarms after %d deaths, state %s", got, round+1, state())
			}
			must(b.sim.CreateRepo("ALPHA", "More "+itoa(round)))
			b.token = b.newToken("magpie")
			if err := b.ReplaceToken(b.ctx, owner, i.ID, magpie.NewSecret(b.token.Text), time.Time{}); err != nil {
				b.Fatal(err)
			}
			b.sync(i.ID)
			b.checkHooked(b.repo("ALPHA/more-"+itoa(round)), true)
		}
		if got := b.audited("integration.token_invalid"); len(got) != 2 {
			b.Errorf("audit rows %v, want 2", got)
		}
		if n := len(b.repos()); n != 7 {
			b.Errorf("%d repositories, want 7", n)
		}
	})
}

// waitSync asks for a sync and waits until its job is done, whatever came of it.
func (b *bench) waitSync(id magpie.IntegrationID) {
	b.Helper()
	must(0, b.SyncNow(b.ctx, owner, id))
	b.eventually("idle jobs", b.jobsIdle)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]bool{"live token": false, "dead token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, bitbucketsim.Options{}, func(b *bench) {
				i := b.connected()
				r := b.repo("BETA/two")
				h := must(store.Query(b.ctx, b.db, func(tx *store.Tx) (store.Hook, error) { return tx.HookOf(b.ctx, r.ID) }))
				b.rest("POST", r, "", `{"name":"Magpie","url":"https://other.example/hooks/bitbucket/x","events":["repo:refs_changed"],"active":true}`)
				if dead {
					must(0, b.sim.RevokeToken(b.token.ID))
				}
				if err := b.Remove(b.ctx, owner, i.ID); err != nil {
					b.Fatal(err)
				}
				if err := b.Remove(b.ctx, owner, i.ID); magpie.KindOf(err) == magpie.KindInternal {
					b.Errorf("removing twice: %v, want a refusal", err)
				}
				if _, _, err := b.Hook(b.ctx, h.ID); magpie.KindOf(err) != magpie.KindNotFound {
					b.Errorf("the hook of a removed integration: %v, want not found at once", err)
				}
				b.eventually("the removal", func() bool {
					return b.count("SELECT (SELECT count(*) FROM integration) + (SELECT count(*) FROM repo) + (SELECT count(*) FROM hook)") == 0
				})
				want, detail := 1, "all its webhooks were deleted"
				if dead {
					want, detail = 6, "left on"
				}
				if got := len(b.sim.Webhooks()); got != want {
					b.Errorf("%d webhooks are left, want %d", got, want)
				}
				if got := b.audited("integration.removed"); len(got) != 1 || !strings.Contains(got[0].Detail, detail) || dead && !strings.Contains(got[0].Detail, "BETA/two") {
					b.Errorf("audit rows %v", got)
				}
				name, page := "", ""
				must(0, b.db.Read(b.ctx, func(tx *store.Tx) (err error) { name, page, err = tx.RepoName(b.ctx, r.ID); return err }))
				if name != "BETA/two" || page != r.BrowseURL {
					b.Errorf("the removed repository reads %q, %q", name, page)
				}
			})
		})
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		b.connected()
		r := b.repo("ALPHA/one")
		must(0, b.SetMonitored(b.ctx, owner, []magpie.RepoID{r.ID}, false))
		must(0, b.prepare(b.ctx)) // as at boot
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if err := b.Tick(b.ctx); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		if n := b.count("SELECT count(*) FROM sweep"); n != 1 {
			b.Errorf("%d sweeps were started, want 1", n)
		}
		b.eventually("a comparison of each", func() bool { return b.looks.comparisons() == 4 })
		b.settled(r.IntegrationID)
		b.sim.ResetCounts()
		must(0, b.Tick(b.ctx))
		b.eventually("idle jobs", b.jobsIdle)
		if n := b.sim.Counts().Total; n != 0 {
			b.Errorf("%d requests although nothing was due", n)
		}
		must(b.sim.CreateProject("LATER", "Later"))
		must(b.sim.CreateRepo("LATER", "New"))
		b.clock.advance(defaultEvery + time.Second)
		must(0, b.Tick(b.ctx))
		b.eventually("the later project", func() bool { return len(b.hooksOf(int64(b.simRepo("LATER", "New")))) == 1 })
		b.eventually("another sweep", func() bool { must(0, b.Tick(b.ctx)); return b.looks.comparisons() >= 8 })
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{}, func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		done := make(chan error)
		go func() { done <- b.Service.Run(ctx) }()
		b.eventually("the first sweep", func() bool { return b.count("SELECT count(*) FROM sweep") == 1 })
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
}

// Processes that end in the middle of everything leave nothing doubled and repeat little.
func TestRestarts(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, bitbucketsim.Options{}, address(t))
			const repos = 40
			for n := range repos - 5 {
				must(b.sim.CreateRepo("ALPHA", "Repository "+itoa(n)))
			}
			jobs := b.run()
			i := b.connect(magpie.ModeInstance)
			for _, installed := range []int{3, 12, 25} {
				b.eventually("some webhooks", func() bool { return len(b.sim.Webhooks()) >= installed })
				b.crash(jobs)
				jobs = b.run()
			}
			b.synced(i.ID)
			b.settled(i.ID)
			for _, r := range b.repos() {
				b.checkHooked(r, true)
			}
			created := b.sim.Counts().Endpoints["POST /projects/{key}/repos/{slug}/webhooks"]
			listed := b.sim.Counts().Endpoints["GET /projects/{key}/repos/{slug}/webhooks"]
			t.Logf("%d repositories, 3 crashes: %d webhooks created, lists of them read %d times, %d requests in all", repos, created, listed, b.sim.Counts().Total)
			if len(b.sim.Webhooks()) != repos || created > repos+3*4 || listed > repos+3*8 {
				t.Errorf("%d webhooks after %d were created and %d lists read, want %d of each and few more", len(b.sim.Webhooks()), created, listed, repos)
			}
		})
	}
}

// crash ends the jobs as abruptly as can be done inside a process.
func (b *bench) crash(jobs *queue.Engine) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := jobs.Stop(ctx); err != nil {
		b.Logf("stopping abruptly: %v", err)
	}
}
