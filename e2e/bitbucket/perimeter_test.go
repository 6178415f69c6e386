package bitbucket

import (
	"net/http"
	"strings"
	"time"

	"magpie/internal/bitbucketsim"
)

func historyIsScannedByDefault(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.found(w.old)
}

func autoscanCanBeSwitchedOff(w *world) {
	i := w.connect("project")
	if p := w.member.call(w.T, "PATCH", "/integrations/"+i.ID, map[string]any{"autoscan": false}, nil); p == nil || p.Status != http.StatusForbidden {
		w.Fatalf("a Member may switch it: %v", p)
	}
	w.manager.do(w.T, "PATCH", "/integrations/"+i.ID, map[string]any{"autoscan": false}, nil)
	w.install(i, "ALPHA")
	w.eventually("the webhook", func() bool { return w.repo(i, "ALPHA/one").Hook == "installed" })
	l := w.pushLeak("ALPHA/one")
	w.found(l) // pushes are scanned all the same
	if r := w.repo(i, "ALPHA/one"); r.History != "none" || len(w.incidents(w.old)) != 0 {
		w.Errorf("the history was scanned: %+v", r)
	}
}

func switchCountsForLaterAdditions(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.manager.do(w.T, "PATCH", "/integrations/"+i.ID, map[string]any{"autoscan": false}, nil)
	if r := w.repo(i, "ALPHA/one"); r.History != "done" {
		w.Errorf("what was scanned became %s", r.History)
	}
	w.newRepo("BETA", "Later")
	l := w.pushLeak("BETA/later")
	w.eventually("the webhook", func() bool { return w.repo(i, "BETA/later").Hook == "installed" })
	time.Sleep(time.Second)
	r := w.repo(i, "BETA/later")
	if r.History != "none" {
		w.Fatalf("its history is %s", r.History)
	}
	w.owner.do(w.T, "POST", "/scans", map[string]any{"repository_id": r.ID}, nil)
	w.found(l)
}

// monitor selects or deselects repositories.
func (w *world) monitor(i integration, selected bool, full ...string) {
	w.Helper()
	var ids []string
	for _, name := range full {
		ids = append(ids, w.repo(i, name).ID)
	}
	path := "/repositories/deselect"
	if selected {
		path = "/repositories/select"
	}
	w.owner.do(w.T, "POST", path, map[string]any{"ids": ids}, nil)
}

func repositoriesAreChosen(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "ALPHA/two")
	w.monitor(i, false, "ALPHA/two")
	w.eventually("the webhook being gone", func() bool { return len(w.hooks("ALPHA/two")) == 0 })
	w.sync(i)
	if r := w.repo(i, "ALPHA/two"); r.Monitored {
		w.Error("a sync selects it again")
	}
	if len(w.hooks("ALPHA/one")) != 1 {
		w.Error("the other lost its webhook")
	}
}

func deselectedReceivesNothing(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	before := w.found(w.old)
	hook := w.hooks("ALPHA/one")[0]
	w.monitor(i, false, "ALPHA/one")
	w.eventually("the webhook being gone", func() bool { return len(w.hooks("ALPHA/one")) == 0 })
	l := w.pushLeak("ALPHA/one")
	r, err := http.NewRequest("POST", hook.URL, strings.NewReader(`{}`))
	w.check(err)
	r.Header.Set("X-Event-Key", "repo:refs_changed")
	r.Header.Set("X-Hub-Signature", "sha256="+strings.Repeat("0", 64))
	response, err := http.DefaultClient.Do(r)
	w.check(err)
	if readAll(w.T, response); response.StatusCode != http.StatusUnauthorized {
		w.Errorf("a late event is answered with %d", response.StatusCode)
	}
	w.sync(i)
	time.Sleep(time.Second)
	if len(w.incidents(l)) != 0 {
		w.Error("it was scanned")
	}
	if after := w.found(w.old); after != before {
		w.Errorf("the incident was %+v and became %+v", before, after)
	}
}

func reselectedCatchesUp(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.monitor(i, false, "ALPHA/one")
	w.eventually("the webhook being gone", func() bool { return len(w.hooks("ALPHA/one")) == 0 })
	l := w.pushLeak("ALPHA/one")
	w.monitor(i, true, "ALPHA/one")
	w.found(l)
	if len(w.hooks("ALPHA/one")) != 1 {
		w.Error("it has no webhook")
	}
}

func newOnesAreLeftAlone(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	if p := w.member.call(w.T, "PATCH", "/integrations/"+i.ID, map[string]any{"auto_monitor": false}, nil); p == nil {
		w.Error("a Member may switch it")
	}
	w.manager.do(w.T, "PATCH", "/integrations/"+i.ID, map[string]any{"auto_monitor": false}, nil)
	w.newRepo("ALPHA", "Third")
	w.sync(i)
	if r := w.repo(i, "ALPHA/third"); r.ID == "" || r.Monitored {
		w.Errorf("the new repository is %+v", r)
	}
	// A project may say otherwise.
	w.manager.do(w.T, "PATCH", "/projects/"+w.project(i, "BETA").ID, map[string]any{"auto_monitor": "on"}, nil)
	w.newRepo("BETA", "Third")
	w.sync(i)
	w.watched(i, "BETA/third")
}

func tuningIsAdvised(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.holds(w.shown(settingsPage), "plugin.webhooks.io.threads", "plugin.webhooks.http.connection.host.max")
}

func tuningIsComputed(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	w.sim.SetDeliveries(bitbucketsim.DeliveryMode{Delay: 4 * time.Second})
	for range 5 {
		w.pushLeak("ALPHA/one")
	}
	w.found(w.pushLeak("ALPHA/one"))
	w.eventually("the delay being measured", func() bool {
		var advice struct {
			Deliveries int     `json:"deliveries"`
			Median     float64 `json:"median_seconds"`
		}
		return w.owner.call(w.T, "GET", "/integrations/"+i.ID+"/tuning", nil, &advice) == nil && advice.Deliveries >= 5
	})
}
