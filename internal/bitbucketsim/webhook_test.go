package bitbucketsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWebhookRefusals(t *testing.T) {
	const good = `"name":"n","url":"https://example.com/hook","events":["repo:refs_changed"]`
	for _, tc := range []struct {
		name, version, body string
		status              int
		contains            string
	}{
		{"created on 7.6", "7.6.0", `{` + good + `}`, 201, `"id"`},
		{"created on 9.4", "9.4.0", `{` + good + `}`, 200, `"id"`},
		{"empty secret", "9.4.0", `{` + good + `,"configuration":{"secret":""}}`, 500, "errors"},
		{"long secret", "9.4.0", `{` + good + `,"configuration":{"secret":"` + strings.Repeat("x", 256) + `"}}`, 400, "configuration"},
		{"unknown event", "9.4.0", `{"name":"n","url":"https://example.com/","events":["pr:to_ref_updated"]}`, 400, "the event pr:to_ref_updated is unknown"},
		{"unknown event on 10", "10.1.0", `{"name":"n","url":"https://example.com/","events":["x"]}`, 400, "${validatedValue}"},
		{"no name", "9.4.0", `{"url":"https://example.com/","events":["repo:modified"]}`, 400, `"context":"name"`},
		{"no url", "9.4.0", `{"name":"n","events":["repo:modified"]}`, 400, `"context":"url"`},
		{"no events", "9.4.0", `{"name":"n","url":"https://example.com/"}`, 400, `"context":"events"`},
		{"no JSON", "9.4.0", `nonsense`, 400, "errors"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := start(t, Options{Version: tc.version})
			a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/webhooks", tc.body)
			if a.status != tc.status || !strings.Contains(string(a.body), tc.contains) {
				t.Errorf("got %d %s, want %d with %s", a.status, a.body, tc.status, tc.contains)
			}
		})
	}
}

func TestWebhookLifeCycle(t *testing.T) {
	b := start(t, Options{})
	b.hook(rocket, "https://example.com/a", "repo:refs_changed")
	second := b.hook(rocket, "https://example.com/a", "repo:refs_changed")
	if ids, _ := b.walk(rocket+"/webhooks", "id", 10); len(ids) != 2 {
		t.Fatalf("webhooks = %v, want two of the same address", ids)
	}
	path := fmt.Sprintf("%s/webhooks/%d", rocket, second)
	put := func(body string) answer { return b.ask(b.token.Text, "PUT", "/rest/api/latest"+path, body) }
	if a := put(`{"name":"only"}`); a.status != 400 {
		t.Errorf("PUT of a name = %d, want 400", a.status)
	}
	if !b.Webhooks()[1].HasSecret {
		t.Error("a refused PUT took the secret")
	}
	if a := put(`{"name":"n","url":"https://example.com/b","events":["repo:modified"],"active":false}`); a.status != 200 {
		t.Errorf("PUT = %d %s, want 200", a.status, a.body)
	}
	want := Webhook{ID: second, Repo: b.repo.ID, Name: "n", URL: "https://example.com/b", Events: []string{"repo:modified"}}
	if diff := cmp.Diff(want, b.Webhooks()[1]); diff != "" {
		t.Errorf("after PUT, which drops the secret (-want +got):\n%s", diff)
	}
	if ids, _ := b.walk(rocket+"/webhooks?event=repo:modified", "id", 10); !cmp.Equal(ids, []string{fmt.Sprint(second)}) {
		t.Errorf("webhooks for repo:modified = %v, want %d", ids, second)
	}
	if a := b.get(path + "/latest"); a.status != 204 {
		t.Errorf("last invocation = %d, want 204", a.status)
	}
	if a := b.ask(b.token.Text, "DELETE", "/rest/api/latest"+path, ""); a.status != 204 {
		t.Errorf("DELETE = %d, want 204", a.status)
	}
	if a := b.get(path); a.status != 404 {
		t.Errorf("GET afterwards = %d, want 404", a.status)
	}
}

func TestSecretEcho(t *testing.T) {
	for _, tc := range []struct {
		version string
		echo    SecretEcho
		want    map[string]any
		scope   any
	}{
		{"7.21.0", SecretByVersion, map[string]any{"secret": hookSecret}, nil},
		{"9.4.0", SecretByVersion, map[string]any{"createdBy": "bitbucket"}, "repository"},
		{"9.4.0", SecretClear, map[string]any{"secret": hookSecret}, "repository"},
		{"7.21.0", SecretAbsent, map[string]any{"createdBy": "bitbucket"}, nil},
	} {
		t.Run(fmt.Sprint(tc.version, tc.echo), func(t *testing.T) {
			b := start(t, Options{Version: tc.version})
			b.SetSecretEcho(tc.echo)
			a := b.get(fmt.Sprintf("%s/webhooks/%d", rocket, b.hook(rocket, "https://example.com/", "repo:modified")))
			if diff := cmp.Diff(tc.want, a.json["configuration"]); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if a.json["scopeType"] != tc.scope {
				t.Errorf("scopeType = %v, want %v", a.json["scopeType"], tc.scope)
			}
		})
	}
}

func TestPing(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	id := b.hook(rocket, rcv.URL, "repo:refs_changed")
	test := "/rest/api/1.0" + rocket + "/webhooks/test"
	if a := b.ask(b.token.Text, "POST", fmt.Sprint(test, "?webhookId=", id), ""); a.status != 500 {
		t.Errorf("webhookId without url = %d, want 500", a.status)
	}
	a := b.ask(b.token.Text, "POST", fmt.Sprint(test, "?webhookId=", id, "&url=", rcv.URL), "")
	if resp, _ := a.json["response"].(map[string]any); a.status != 200 || resp["status"] != 200.0 {
		t.Errorf("ping = %d %s, want 200 of a 200", a.status, a.body)
	}
	got := rcv.all()
	if len(got) != 1 || got[0].header.Get("X-Event-Key") != "diagnostics:ping" || string(got[0].body) != `{"test":true}` {
		t.Fatalf("received %d, want one ping", len(got))
	}
	if sig := got[0].header.Get("X-Hub-Signature"); sig != "" {
		t.Errorf("the ping is signed %q, want it unsigned", sig)
	}
}

func TestSignatureVector(t *testing.T) {
	const want = "sha256=c9ce6382e412b5771625669b9ed27f716f0c29b2bbfdec3b400ebf4e0ca0980a"
	if got := signHook(hookSecret, []byte(`{"test":true}`)); got != want {
		t.Errorf("signature = %s, want %s", got, want)
	}
}

func TestProjectWebhooksDeliverBesideRepositoryWebhooks(t *testing.T) {
	b := start(t, Options{})
	b.token = b.newToken("admin", "REPO_ADMIN", "PROJECT_ADMIN")
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	b.hook("/projects/PRJ", rcv.URL, "repo:refs_changed")
	b.commit("", "f", "x")
	b.delivered()
	got := rcv.all()
	if len(got) != 2 || got[0].header.Get("X-Request-Id") == got[1].header.Get("X-Request-Id") {
		t.Fatalf("received %d, want two with their own ids", len(got))
	}
	if ids, _ := b.walk(rocket+"/webhooks/search?scopeType=project", "scopeType", 10); !cmp.Equal(ids, []string{"project"}) {
		t.Errorf("inherited webhooks = %v, want one", ids)
	}
	latest := b.get(fmt.Sprintf("%s/webhooks/%d/latest?outcome=SUCCESS", rocket, b.Webhooks()[0].ID))
	if latest.status != 200 || latest.json["event"] != "repo:refs_changed" {
		t.Errorf("last invocation = %d %s", latest.status, latest.body)
	}
	stats := b.get(fmt.Sprintf("%s/webhooks/%d/statistics", rocket, b.Webhooks()[0].ID))
	if n := stats.json["counts"].(map[string]any)["successes"]; n != 1.0 {
		t.Errorf("successes = %v, want 1", n)
	}
}

func TestWebhookAddressesAreVerified(t *testing.T) {
	b := start(t, Options{})
	rcv := &receiver{status: 200}
	cert := must(newAuthority())
	untrusted := must(cert.issue(testDate, testDate.AddDate(50, 0, 0), "127.0.0.1"))
	trusted := must(b.IssueCertificate("127.0.0.1"))
	for _, tc := range []struct {
		name    string
		verify  bool
		trusted bool
		outcome string
	}{{"trusted", true, true, Success}, {"untrusted", true, false, Errored}, {"not verified", false, false, Success}} {
		t.Run(tc.name, func(t *testing.T) {
			use := *untrusted
			if tc.trusted {
				use = trusted
			}
			srv := serveTLS(t, rcv, use)
			doc := map[string]any{"name": "n", "url": srv, "events": []string{"repo:refs_changed"}, "sslVerificationRequired": tc.verify}
			b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/webhooks", string(must(json.Marshal(doc))))
			b.commit("", "f", tc.name)
			b.delivered()
			all := b.Deliveries()
			if got := all[len(all)-1]; got.Outcome != tc.outcome {
				t.Errorf("outcome = %s %s, want %s", got.Outcome, got.Err, tc.outcome)
			}
			for _, h := range b.Webhooks() {
				b.ask(b.token.Text, "DELETE", fmt.Sprintf("/rest/api/1.0%s/webhooks/%d", rocket, h.ID), "")
			}
		})
	}
}
