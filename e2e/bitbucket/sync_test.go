package bitbucket

import (
	"slices"
	"syscall"

	"magpie/internal/bitbucketsim"
)

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func newProjectIsFound(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	must(w.sim.CreateProject("GAMMA", "Project GAMMA"))
	w.newRepo("GAMMA", "New")
	l := w.pushLeak("GAMMA/new")
	w.watched(i, "GAMMA/new") // by itself, with the next sync
	w.found(l)
}

func newRepositoryIsFound(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.newRepo("BETA", "Three")
	w.watched(i, "BETA/three")
	w.found(w.pushLeak("BETA/three"))
}

func setUpIsResumable(w *world) {
	// A server of its own, since it is killed.
	s := startServer(w.T)
	own := newWorld(w.T, s, bitbucketsim.Options{Version: w.sim.Version()})
	for n := range 40 {
		must(own.sim.CreateRepo("ALPHA", "Repository "+string(rune('A'+n/10))+string(rune('0'+n%10))))
	}
	// One repository whose webhooks can't be set must not hold up the others.
	own.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 500, Path: "/repos/repository-c7/webhooks"})
	i := own.connect("instance")
	own.eventually("some webhooks", func() bool { return len(own.sim.Webhooks()) > 5 })
	s.stop(w.T, syscall.SIGKILL)
	s.start(w.T)
	own.eventually("all webhooks but one", func() bool { return own.integration(i.ID).Coverage.HooksInstalled == 43 })
	own.sim.SetFailures()
	own.eventually("the last webhook", func() bool { return own.integration(i.ID).Coverage.HooksInstalled == 44 })
	for _, r := range own.sim.Repos() {
		if n := len(own.hooks(r.Project + "/" + r.Slug)); n != 1 {
			own.Errorf("%s has %d webhooks", r.Slug, n)
		}
	}
	own.disconnect()
	own.ids = nil
}

// install chooses a project by the page that lists them.
func (w *world) install(i integration, key string) {
	w.Helper()
	w.eventually("project "+key+" being offered", func() bool { return w.project(i, key).ID != "" })
	w.holds(w.shown(settingsPage+"/"+i.ID+"/projects"), "Project "+key, "Install")
	w.owner.do(w.T, "PUT", "/projects/"+w.project(i, key).ID+"/installed", map[string]any{"installed": true}, nil)
}

// projectAdmin gives the developer, who administers nothing else, a project and a token for it.
func (w *world) projectAdmin(keys ...string) bitbucketsim.Token {
	w.Helper()
	for _, key := range keys {
		w.check(w.sim.GrantProject("dev", key, "PROJECT_ADMIN"))
	}
	return w.newToken("dev", "PROJECT_READ", "REPO_ADMIN")
}

func onlyChosenProjects(w *world) {
	i := w.connect("project")
	w.install(i, "ALPHA")
	w.watched(i, "ALPHA/one", "ALPHA/two")
	w.sync(i)
	if r := w.repo(i, "BETA/one"); r.Monitored || len(w.hooks("BETA/one")) != 0 {
		w.Errorf("a project that was not chosen: %+v", r)
	}
}

func newRepositoryInChosenProject(w *world) {
	i := w.connectWith("project", w.projectAdmin("ALPHA"))
	w.install(i, "ALPHA")
	w.watched(i, "ALPHA/one")
	w.newRepo("ALPHA", "Three")
	w.watched(i, "ALPHA/three")
}

func newProjectIsNotTaken(w *world) {
	i := w.connect("project")
	w.install(i, "ALPHA")
	w.watched(i, "ALPHA/one")
	must(w.sim.CreateProject("GAMMA", "Project GAMMA"))
	w.newRepo("GAMMA", "New")
	w.sync(i)
	w.sync(i)
	if len(w.hooks("GAMMA/new")) != 0 || w.repo(i, "GAMMA/new").Monitored {
		w.Error("a new project is monitored though nobody chose it")
	}
	if w.project(i, "GAMMA").ID == "" {
		w.Error("a new project is not offered")
	}
}

func projectAdministratorSuffices(w *world) {
	i := w.connectWith("project", w.projectAdmin("ALPHA"))
	w.install(i, "ALPHA")
	w.watched(i, "ALPHA/one", "ALPHA/two")
	w.found(w.pushLeak("ALPHA/two"))
}

func projectsAreListedAndInstalled(w *world) {
	w.holds(w.shown(settingsPage), "Monitor only certain Bitbucket projects", "Start")
	i := w.connectWith("project", w.projectAdmin("ALPHA"))
	w.install(i, "ALPHA")
	w.watched(i, "ALPHA/one", "ALPHA/two")
	if w.project(i, "BETA").ID != "" {
		w.Error("a project that the token does not administer is offered")
	}
	w.holds(w.shown("/perimeter?integration="+i.ID), "Project ALPHA")
}

func severalTokensOfOneInstance(w *world) {
	first := w.connectWith("project", w.projectAdmin("ALPHA"))
	_, err := w.sim.CreateUser(bitbucketsim.User{Name: "lead"})
	w.check(err)
	w.check(w.sim.GrantProject("lead", "BETA", "PROJECT_ADMIN"))
	second := w.connectWith("project", w.newToken("lead", "PROJECT_READ", "REPO_ADMIN"))
	w.install(first, "ALPHA")
	w.install(second, "BETA")
	w.watched(first, "ALPHA/one")
	w.watched(second, "BETA/one")
	for _, full := range []string{"ALPHA/one", "BETA/one"} {
		if h := w.hooks(full); len(h) != 1 || len(h[0].Events) != 2 {
			w.Errorf("the webhooks of %s: %v", full, h)
		}
	}
}

func bothModesSideBySide(w *world) {
	whole := w.connect("instance")
	w.watched(whole, "ALPHA/one")
	w.saying(w.refusedAgain("project"), "already monitored as a whole")
	other := newWorld(w.T, w.server, bitbucketsim.Options{Version: w.sim.Version()})
	part := other.connect("project")
	other.install(part, "BETA")
	other.watched(part, "BETA/one")
	w.found(w.pushLeak("ALPHA/one"))
	other.found(other.pushLeak("BETA/one"))
}

// refusedAgain wants a second integration of the same Bitbucket to be refused.
func (w *world) refusedAgain(mode string) *problem {
	w.Helper()
	p := w.owner.call(w.T, "POST", "/integrations", w.connectBody(mode, w.sim.URL(), w.token.Text), nil)
	if p == nil {
		w.Fatal("it was connected twice")
	}
	return p
}
