package bitbucket

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"magpie/internal/bitbucketsim"
)

// delivered returns the last delivery about a repository.
func (w *world) delivered(full string) bitbucketsim.Delivery {
	w.Helper()
	id := w.repoID(full)
	var last bitbucketsim.Delivery
	w.eventually("a delivery about "+full, func() bool {
		for _, d := range w.sim.Deliveries() {
			if d.Repo == id && d.Event == "repo:refs_changed" && d.Status != 0 {
				last = d
			}
		}
		return last.ID != ""
	})
	return last
}

// send sends an event as anybody could, and returns the status of the answer.
func (w *world) send(url, signature string, body []byte) int {
	w.Helper()
	r, err := http.NewRequest("POST", url, bytes.NewReader(body))
	w.check(err)
	r.Header.Set("X-Event-Key", "repo:refs_changed")
	r.Header.Set("X-Request-Id", "made-up")
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if signature != "" {
		r.Header.Set("X-Hub-Signature", signature)
	}
	response, err := http.DefaultClient.Do(r)
	w.check(err)
	readAll(w.T, response)
	return response.StatusCode
}

func eventsAreSigned(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "BETA/one")
	w.found(w.pushLeak("ALPHA/one"))
	d := w.delivered("ALPHA/one")
	if !d.Signed || d.Status != http.StatusOK {
		w.Fatalf("the delivery was %+v", d)
	}
	// Nothing looks at the repository by itself until the forged events are refused.
	for name, signature := range map[string]string{
		"none": "", "wrong": "sha256=" + strings.Repeat("ab", 32), "another algorithm": "sha1=" + strings.Repeat("ab", 20), "cut": "sha256=abcd",
	} {
		if status := w.send(d.URL, signature, d.Body); status != http.StatusUnauthorized {
			w.Errorf("signature %s is answered with %d", name, status)
		}
	}
	if status := w.send(d.URL+"x", "sha256="+strings.Repeat("ab", 32), d.Body); status != http.StatusUnauthorized {
		w.Errorf("an unknown webhook is answered with %d", status)
	}
}

func disorderEndsTheSame(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "ALPHA/two", "BETA/one", "BETA/two")
	var all []leak
	for _, mode := range []bitbucketsim.DeliveryMode{
		{Delay: 2 * time.Second}, {Duplicate: 1}, {Reorder: 3}, {Drop: 1},
	} {
		w.sim.SetDeliveries(mode)
		for range 3 {
			all = append(all, w.pushLeak("ALPHA/one"), w.pushLeakTo("BETA/two", "feature"))
		}
	}
	w.sim.SetDeliveries(bitbucketsim.DeliveryMode{})
	// What was dropped is found by comparing refs.
	w.owner.do(w.T, "POST", "/sweeps", nil, nil)
	for _, l := range all {
		if v := w.found(l); v.Occurrences != 1 {
			w.Errorf("%s has %d occurrences, want 1", l.file, v.Occurrences)
		}
	}
}

func pushedAndForcedAway(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one")
	l := w.newLeak()
	before := w.push(w.repoID("ALPHA/one"), bitbucketsim.Commit{Files: map[string]string{"a": "1\n"}}).Commits[0]
	w.sim.SetDeliveries(bitbucketsim.DeliveryMode{Delay: 2 * time.Second})
	w.push(w.repoID("ALPHA/one"), bitbucketsim.Commit{Files: l.files()})
	must(w.sim.Push(bitbucketsim.Push{Repo: w.repoID("ALPHA/one"), By: "dev", Refs: map[string]string{"refs/heads/main": before}}))
	w.found(l) // though no ref leads to it by the time that its event arrives
}

func coverageIsProven(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "ALPHA/two", "BETA/one", "BETA/two")
	l := w.pushLeak("ALPHA/one")
	w.found(l)
	refs := list[struct {
		Ref       string `json:"ref"`
		Commit    string `json:"commit"`
		ScannedAt string `json:"scanned_at"`
	}](w.T, w.owner, "/repositories/"+w.repo(i, "ALPHA/one").ID+"/refs")
	if len(refs) != 1 || refs[0].Ref != "refs/heads/main" || refs[0].Commit != l.commit || refs[0].ScannedAt == "" {
		w.Errorf("the refs are %+v, want main at %s", refs, l.commit)
	}
	w.holds(w.shown("/coverage?integration="+i.ID), "ALPHA")
	w.holds(w.shown("/coverage.csv?integration="+i.ID), l.commit)
}
