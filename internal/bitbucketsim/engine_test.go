package bitbucketsim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waitFor polls until ready.
func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestConnectionsPerReceiver(t *testing.T) {
	b := start(t, Options{WebhookThreads: 4, WebhookConnections: 2})
	rcv := receive(t)
	rcv.block = make(chan struct{})
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	for range 6 {
		must(0, b.Announce(b.repo.ID, ""))
	}
	taken := func() int {
		b.hooks.mu.Lock()
		defer b.hooks.mu.Unlock()
		return 6 - len(b.hooks.queue)
	}
	waitFor(t, "four workers at work over two connections", func() bool { return taken() == 4 && len(rcv.all()) == 2 })
	close(rcv.block)
	b.delivered()
	if n := len(rcv.all()); n != 6 {
		t.Errorf("received %d, want 6", n)
	}
}

func TestDispatchQueueIsFull(t *testing.T) {
	b := start(t, Options{WebhookThreads: 1, WebhookQueue: 2, WebhookQueueWait: 5 * time.Millisecond})
	rcv := receive(t)
	rcv.block = make(chan struct{})
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	must(0, b.Announce(b.repo.ID, ""))
	waitFor(t, "the first delivery", func() bool { return len(rcv.all()) == 1 })
	for range 4 {
		must(0, b.Announce(b.repo.ID, ""))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(0, b.WaitDeliveries(ctx, 2))
	for _, d := range b.Deliveries() {
		if d.Outcome != Full {
			t.Errorf("outcome = %s, want %s", d.Outcome, Full)
		}
	}
	close(rcv.block)
	b.delivered()
	if n := len(rcv.all()); n != 3 {
		t.Errorf("received %d, want 3: one at work and two in the queue", n)
	}
}

func TestDispatchQueueWaits(t *testing.T) {
	b := start(t, Options{WebhookThreads: 1, WebhookQueue: 1, WebhookQueueWait: time.Hour})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	for range 20 {
		must(0, b.Announce(b.repo.ID, ""))
	}
	b.delivered()
	if n := len(rcv.all()); n != 20 {
		t.Errorf("received %d, want all 20: places came free in time", n)
	}
}

func TestResetBreaker(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	id := b.hook(rocket, rcv.URL, "repo:refs_changed")
	rcv.answer(500)
	for range breakerFailures {
		must(0, b.Announce(b.repo.ID, ""))
		b.delivered()
	}
	if !b.BreakerOpenUntil(id).After(time.Now()) {
		t.Fatal("the breaker is closed")
	}
	b.ResetBreaker(id)
	rcv.answer(200)
	must(0, b.Announce(b.repo.ID, ""))
	b.delivered()
	if log := b.Deliveries(); log[len(log)-1].Outcome != Success {
		t.Errorf("after the reset: %s, want %s", log[len(log)-1].Outcome, Success)
	}
}

func TestInvocations(t *testing.T) {
	b := start(t, Options{})
	var status atomic.Int64
	rcv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status.Load() == 201 {
			time.Sleep(30 * time.Millisecond) // to have a duration
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer rcv.Close()
	path := fmt.Sprint(rocket, "/webhooks/", b.hook(rocket, rcv.URL, "repo:refs_changed"))
	for _, p := range []string{"/latest", "/statistics", "/statistics/summary"} {
		if a := b.get(path + p); a.status != 204 {
			t.Errorf("%s before any delivery = %d, want 204", p, a.status)
		}
	}
	for _, answer := range []int64{500, 201} {
		status.Store(answer)
		must(0, b.Announce(b.repo.ID, ""))
		b.delivered()
	}
	a := b.get(path + "/latest?outcome=SUCCESS")
	if took := a.json["duration"].(float64); took < 30 || a.json["finish"].(float64)-a.json["start"].(float64) < 30 {
		t.Errorf("latest = %s, want a duration of at least 30 ms", a.body)
	}
	if a := b.get(path + "/latest?outcome=ERROR"); a.status != 204 {
		t.Errorf("latest error = %d, want 204", a.status)
	}
	if a := b.get(path + "/latest?outcome=ODD"); a.status != 400 {
		t.Errorf("latest of an unknown outcome = %d, want 400", a.status)
	}
	for _, p := range []string{"/statistics", "/statistics/summary", "/statistics?event=repo:refs_changed"} {
		counts, _ := b.get(path + p).json["counts"].(map[string]any)
		if counts["successes"] != 1.0 || counts["failures"] != 1.0 || counts["errors"] != 0.0 {
			t.Errorf("%s = %v, want one success and one failure", p, counts)
		}
	}
	if a := b.get(rocket + "/webhooks?statistics=true"); a.json["values"].([]any)[0].(map[string]any)["statistics"] == nil {
		t.Errorf("list with statistics = %s", a.body)
	}
}

func TestStatisticsForgetTheOld(t *testing.T) {
	b := start(t, Options{})
	for range 2 * historyLength {
		b.hooks.remember(&Delivery{Hook: 1, Outcome: Success})
	}
	if n := len(b.hooks.history[1]); n < historyLength || n > historyLength*5/4 {
		t.Errorf("remembered %d, want about %d", n, historyLength)
	}
}

func TestSearchAndDuplicates(t *testing.T) {
	b := start(t, Options{})
	b.token = b.newToken("admin", "REPO_ADMIN", "PROJECT_ADMIN")
	first, twin := b.hook(rocket, "https://example.com/", "repo:modified"), b.hook(rocket, "https://example.com/", "repo:modified")
	above := b.hook("/projects/PRJ", "https://example.com/", "repo:refs_changed")
	for query, want := range map[string][]string{
		"":                            {fmt.Sprint(first), fmt.Sprint(twin), fmt.Sprint(above)},
		"?scopeType=project":          {fmt.Sprint(above)},
		"?scopeType=repository":       {fmt.Sprint(first), fmt.Sprint(twin)},
		"?event=repo:refs_changed":    {fmt.Sprint(above)},
		"?scopeType=project&event=no": nil,
	} {
		ids, _ := b.walk(rocket+"/webhooks/search"+query, "id", 2)
		var got []string
		for _, id := range ids {
			got = append(got, fmt.Sprint(id))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("search%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestWebhooksByVersion(t *testing.T) {
	for _, tc := range []struct {
		version string
		scoped  bool // scopeType, sslVerificationRequired and webhooks of projects
	}{{"7.6.0", false}, {"8.8.0", false}, {"8.9.0", true}, {"9.4.0", true}, {"10.1.0", true}} {
		b := start(t, Options{Version: tc.version})
		b.token = b.newToken("admin", "REPO_ADMIN", "PROJECT_ADMIN")
		a := b.get(fmt.Sprint(rocket, "/webhooks/", b.hook(rocket, "https://example.com/", "repo:modified")))
		if _, ok := a.json["scopeType"]; ok != tc.scoped {
			t.Errorf("%s: webhook = %s, want scopeType %v", tc.version, a.body, tc.scoped)
		}
		if _, ok := a.json["sslVerificationRequired"]; ok != tc.scoped {
			t.Errorf("%s: webhook = %s, want sslVerificationRequired %v", tc.version, a.body, tc.scoped)
		}
		if a := b.get("/projects/PRJ/webhooks"); (a.status == 200) != tc.scoped || !tc.scoped && a.status != 404 {
			t.Errorf("%s: webhooks of a project = %d", tc.version, a.status)
		}
	}
	old := start(t, Options{Version: "6.10.0"})
	body := `{"name":"n","url":"https://example.com/","events":["pr:from_ref_updated"]}`
	if a := old.ask(old.token.Text, "POST", "/rest/api/1.0"+rocket+"/webhooks", body); a.status != 400 {
		t.Errorf("pr:from_ref_updated in 6.10 = %d, want 400", a.status)
	}
}

func TestPingTellsWhatCameBack(t *testing.T) {
	b := start(t, Options{})
	rcv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(418)
		io.WriteString(w, "short and stout")
	}))
	a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/webhooks/test?url="+rcv.URL, "")
	resp, _ := a.json["response"].(map[string]any)
	if resp["status"] != 418.0 || resp["body"] != "short and stout" || resp["headers"].(map[string]any)["X-Answer"] != "yes" || a.json["request"] == nil {
		t.Errorf("ping = %s", a.body)
	}
	rcv.Close()
	if a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/webhooks/test?url="+rcv.URL, ""); a.status != 200 || a.json["response"] != nil || a.json["error"] == nil {
		t.Errorf("ping to nobody = %d %s, want 200 and an error", a.status, a.body)
	}
}

func TestAttacks(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	b.commit("", "f", "x")
	b.delivered()
	real, log := rcv.all()[0], b.Deliveries()
	must(0, b.Redeliver(log[0].ID))
	b.delivered()
	again := rcv.all()[1]
	if string(again.body) != string(real.body) || again.header.Get("X-Hub-Signature") != real.header.Get("X-Hub-Signature") || again.header.Get("X-Request-Id") != real.header.Get("X-Request-Id") {
		t.Errorf("replay = %v, want it equal to the first %v", again.header, real.header)
	}
	ctx := context.Background()
	body := must(json.Marshal(map[string]any{"eventKey": "repo:refs_changed", "changes": []any{}}))
	for _, d := range []RawDelivery{
		{Body: body, Signature: "sha256=00"},
		{Body: body, Secret: "wrong"},
		{Body: body, Secret: hookSecret, Gzip: true, Header: http.Header{"X-Request-Id": {"mine"}}},
	} {
		d.URL = rcv.URL
		if status, _, err := b.SendRaw(ctx, d); status != 200 || err != nil {
			t.Errorf("SendRaw = %d %v", status, err)
		}
	}
	got := rcv.all()[2:]
	if sig := got[0].header.Get("X-Hub-Signature"); sig != "sha256=00" {
		t.Errorf("forged signature = %q", sig)
	}
	if sig := got[1].header.Get("X-Hub-Signature"); sig == signHook(hookSecret, body) || sig != signHook("wrong", body) {
		t.Errorf("signature with a wrong secret = %q", sig)
	}
	if got[2].header.Get("Content-Encoding") != "gzip" || got[2].header.Get("X-Request-Id") != "mine" || len(got[2].body) == 0 || got[2].body[0] != 0x1f {
		t.Errorf("compressed = %v", got[2].header)
	}
	if n := len(b.Deliveries()); n != 2 {
		t.Errorf("%d in the log, want 2: forged ones are not the server's", n)
	}
	if _, _, err := b.SendRaw(ctx, RawDelivery{URL: "https://127.0.0.1:1/"}); err == nil {
		t.Error("sending to nobody was content")
	}
}
