package bitbucket

import (
	"time"

	"magpie/internal/bitbucketsim"
)

// state waits until an integration is in a state.
func (w *world) state(i integration, state string) integration {
	w.Helper()
	w.eventually("the state "+state, func() bool { return w.integration(i.ID).State == state })
	return w.integration(i.ID)
}

func expiredTokenIsNoticed(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.check(w.sim.ExpireToken(w.token.ID)) // nobody pushes; it is noticed all the same
	w.state(i, "token_invalid")
}

func revokedTokenIsNoticed(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.check(w.sim.RevokeToken(w.token.ID))
	w.state(i, "token_invalid")
	w.holds(w.shown("/"), w.sim.URL())
}

func deletedOwnerIsNoticed(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.check(w.sim.SetActive("bot", false))
	w.state(i, "token_invalid")
	w.check(w.sim.SetActive("bot", true)) // the same token works again
	w.state(i, "active")
	w.found(w.pushLeak("ALPHA/one"))
}

func oneMailForEachDeath(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.check(w.sim.RevokeToken(w.token.ID))
	w.state(i, "token_invalid")
	for _, person := range []string{ownerMail, managerMail} {
		w.eventually("a mail to "+person, func() bool { return len(w.mailsAbout(person, "token")) == 1 })
	}
	time.Sleep(2 * syncEvery) // further refusals are no news
	for person, want := range map[string]int{ownerMail: 1, managerMail: 1, memberMail: 0} {
		if got := w.mailsAbout(person, "token"); len(got) != want {
			w.Errorf("mails to %s: %q, want %d", person, got, want)
		}
	}
	if n := w.audited("integration.token_invalid"); n != 1 {
		w.Errorf("%d audit rows, want 1", n)
	}
	second := w.newToken("bot", "PROJECT_READ", "REPO_ADMIN")
	w.owner.do(w.T, "PUT", "/integrations/"+i.ID+"/token", map[string]any{"token": second.Text}, nil)
	w.state(i, "active")
	w.check(w.sim.RevokeToken(second.ID))
	w.state(i, "token_invalid")
	w.eventually("a second mail", func() bool { return len(w.mailsAbout(ownerMail, "token")) == 2 })
}

func dataStaysAccessible(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	v := w.found(w.old)
	w.check(w.sim.RevokeToken(w.token.ID))
	w.state(i, "token_invalid")
	w.shown("/incidents")
	w.owner.do(w.T, "GET", "/incidents/"+v.ID+"/occurrences", nil, nil)
	if r := w.repo(i, "ALPHA/one"); !r.Monitored || r.History != "done" {
		w.Errorf("the repository became %+v", r)
	}
	w.owner.do(w.T, "POST", "/incidents/"+v.ID+"/resolve", map[string]any{"secret_revoked": true}, nil)
}

func newTokenCatchesUp(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "BETA/two")
	w.check(w.sim.RevokeToken(w.token.ID))
	w.state(i, "token_invalid")
	missed, unannounced := w.pushLeak("BETA/two"), w.newLeak()
	must(w.sim.Push(bitbucketsim.Push{Repo: w.repoID("ALPHA/one"), By: "dev", Quiet: true, Commits: []bitbucketsim.Commit{{Files: unannounced.files()}}}))
	second := w.newToken("bot", "PROJECT_READ", "REPO_ADMIN")
	w.owner.do(w.T, "PUT", "/integrations/"+i.ID+"/token", map[string]any{"token": second.Text}, nil)
	w.state(i, "active")
	w.found(missed)
	w.found(unannounced)
}

func passingTroubleIsNoDeath(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "ALPHA/two", "BETA/one", "BETA/two")
	for _, trouble := range []func(on bool){
		w.sim.SetMaintenance,
		func(on bool) {
			if w.sim.SetFailures(); on {
				w.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 502, Body: bitbucketsim.BodyHTML})
			}
		},
		func(on bool) {
			w.sim.SetRateLimit(bitbucketsim.RateLimit{})
			if on {
				w.sim.SetRateLimit(bitbucketsim.RateLimit{Capacity: 1, FillRate: 0.001, RetryAfter: 1})
			}
		},
	} {
		trouble(true)
		for deadline := time.Now().Add(syncEvery + 2*tokenGrace); time.Now().Before(deadline); time.Sleep(time.Second) {
			if state := w.integration(i.ID).State; state == "token_invalid" {
				w.Fatal("passing trouble counts as a dead token")
			}
		}
		trouble(false)
	}
	l := w.pushLeak("ALPHA/one")
	w.state(i, "active")
	w.found(l)
	if got := w.mailsAbout(ownerMail, "token"); len(got) != 0 {
		w.Errorf("mails %q", got)
	}
}

func lapsedLicenceIsNoDeath(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.sim.SetLicenceValid(false)
	w.state(i, "no_licence")
	l := w.newLeak()
	must(w.sim.Push(bitbucketsim.Push{Repo: w.repoID("ALPHA/one"), By: "dev", Commits: []bitbucketsim.Commit{{Files: l.files()}}}))
	w.sim.SetLicenceValid(true)
	w.state(i, "active")
	w.found(l)
}

func expiryIsAnnounced(w *world) {
	token, err := w.sim.CreateToken(bitbucketsim.TokenSpec{User: "bot", Permissions: []string{"PROJECT_READ", "REPO_ADMIN"}})
	w.check(err)
	w.hide(token.Text)
	body := w.connectBody("instance", w.sim.URL(), token.Text)
	body["token_expires_at"] = time.Now().Add(10 * 24 * time.Hour).UTC().Format(time.RFC3339)
	var i integration
	w.owner.do(w.T, "POST", "/integrations", body, &i)
	w.ids = append(w.ids, i.ID)
	for _, person := range []string{ownerMail, managerMail} {
		w.eventually("a mail to "+person, func() bool { return len(w.mailsAbout(person, "expire")) == 1 })
	}
	time.Sleep(syncEvery + time.Second)
	if got := w.mailsAbout(ownerMail, "expire"); len(got) != 1 {
		w.Errorf("mails %q, want one", got)
	}
}
