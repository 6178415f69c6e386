package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/guard"
)

var signing = magpie.NewSecret(strings.Repeat("made-up-", 4))

func someEvent() Event {
	return Event{
		ID: "0190-delivery", Type: Opened, Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600)),
		Incident: &Incident{
			ID: "0190-incident", Number: 12, Title: "Example token", Detector: "example-token", Provider: "Example",
			Severity: magpie.SeverityHigh, Masked: "ex••••••••zz", Repository: "PRJ/app", File: "conf/a.env", Line: 3,
			Commit: magpie.Hash(strings.Repeat("ab", 20)), Author: "Someone <someone@example.com>",
			URL: "https://magpie.example.com/incidents/12",
		},
	}
}

// delivery is what a receiver got.
type delivery struct {
	header http.Header
	body   []byte
}

// receiver is a TLS server that takes every delivery with answer.
func receiver(t *testing.T, answer http.HandlerFunc) (*httptest.Server, <-chan delivery) {
	t.Helper()
	got := make(chan delivery, 10)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("got a %s request with a body that ends with %v", r.Method, err)
		}
		got <- delivery{r.Header.Clone(), body}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server, got
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func newSender(t *testing.T, server *httptest.Server, kind Kind, path string) *Sender {
	t.Helper()
	s, err := New(Options{HTTP: server.Client(), Kind: kind, URL: server.URL + path, Secret: signing})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	server, got := receiver(t, status(http.StatusAccepted))
	s := newSender(t, server, Webhook, "/in?x=1")
	s.now = func() time.Time { return time.Unix(1_900_000_000, 5) }
	if err := s.Send(t.Context(), someEvent()); err != nil {
		t.Fatal(err)
	}
	d := <-got
	const want = `{"id":"0190-delivery","type":"incident.opened","time":"2026-03-04T04:06:07Z","incident":{"id":"0190-incident",` +
		`"number":12,"title":"Example token","detector":"example-token","provider":"Example","severity":"high",` +
		`"masked":"ex••••••••zz","repository":"PRJ/app","file":"conf/a.env","line":3,` +
		`"commit":"abababababababababababababababababababab","author":"Someone \u003csomeone@example.com\u003e",` +
		`"url":"https://magpie.example.com/incidents/12"}}`
	if diff := cmp.Diff(want, string(d.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	mac := hmac.New(sha256.New, signing.Reveal())
	fmt.Fprintf(mac, "1900000000.%s", want)
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Magpie-Event": "incident.opened", "X-Magpie-Delivery": "0190-delivery",
		"X-Magpie-Timestamp": "1900000000", "X-Magpie-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	} {
		if got := d.header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
}

func TestSlack(t *testing.T) {
	t.Parallel()
	hostile := someEvent()
	hostile.Type = Reopened
	hostile.Incident.File = "a`<!channel>&\n*b*.env"
	hostile.Incident.Author = "<https://evil.example|click>\u202e" + strings.Repeat("x", 400)
	digest := Event{ID: "d", Type: Digest, Digest: &Group{Count: 40, Worst: magpie.SeverityCritical, URL: "https://magpie.example.com/incidents"}}
	for name, tc := range map[string]struct {
		event Event
		want  string
	}{
		"opened": {someEvent(), ":rotating_light: *New secret: Example token* (high)\nSecret: `ex••••••••zz`\n" +
			"Where: `PRJ/app conf/a.env:3`\nCommit: `ababababab`\nAuthor: Someone &lt;someone@example.com&gt;\n" +
			"<https://magpie.example.com/incidents/12|Open incident #12>"},
		"hostile": {hostile, ":rotating_light: *A resolved secret is back: Example token* (high)\nSecret: `ex••••••••zz`\n" +
			"Where: `PRJ/app a'&lt;!channel&gt;&amp; *b*.env:3`\nCommit: `ababababab`\n" +
			"Author: &lt;https://evil.example|click&gt; " + strings.Repeat("x", 270) + "…\n" +
			"<https://magpie.example.com/incidents/12|Open incident #12>"},
		"digest": {digest, ":rotating_light: *40 secrets found together*, the worst of them critical\n<https://magpie.example.com/incidents|Open the incidents>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, got := receiver(t, status(http.StatusOK))
			if err := newSender(t, server, Slack, "/services/T0/B0").Send(t.Context(), tc.event); err != nil {
				t.Fatal(err)
			}
			d := <-got
			var body map[string]string
			if err := json.Unmarshal(d.body, &body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"text": tc.want}, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if d.header.Get(HeaderSignature) != "" {
				t.Error("a chat was sent a signature")
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]magpie.Kind{
		200: "ok", 201: "ok", 204: "ok", 301: magpie.KindInvalid, 302: magpie.KindInvalid, 307: magpie.KindInvalid,
		400: magpie.KindInvalid, 401: magpie.KindInvalid, 404: magpie.KindInvalid, 410: magpie.KindInvalid,
		429: magpie.KindUnavailable, 500: magpie.KindUnavailable, 503: magpie.KindUnavailable,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			server, got := receiver(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(code)
				if code >= 200 && code != 204 {
					fmt.Fprint(w, "echo of whatever")
				}
			})
			err := newSender(t, server, Webhook, "/hidden-path").Send(t.Context(), someEvent())
			if want == "ok" && err != nil || want != "ok" && (err == nil || magpie.KindOf(err) != want) {
				t.Errorf("Send = %v (%q), want %q", err, magpie.KindOf(err), want)
			}
			if err != nil && (strings.Contains(err.Error(), "hidden-path") || strings.Contains(err.Error(), "echo")) {
				t.Errorf("the error %q tells the address or the answer", err)
			}
			if len(got) != 1 {
				t.Errorf("got %d requests, want 1: redirects are not followed", len(got))
			}
		})
	}
}

func TestHugeAnswerIsNotRead(t *testing.T) {
	t.Parallel()
	server, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	if err := newSender(t, server, Webhook, "/").Send(t.Context(), someEvent()); err != nil {
		t.Errorf("Send = %v, want nil", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	server, _ := receiver(t, status(200))
	s := newSender(t, server, Slack, "/services/hidden-path")
	server.Close()
	err := s.Send(t.Context(), someEvent())
	if magpie.KindOf(err) != magpie.KindUnavailable || strings.Contains(fmt.Sprintf("%v %#v", err, err), "hidden-path") {
		t.Errorf("Send = %v, want KindUnavailable without the address", err)
	}
}

func TestStopping(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	err := newSender(t, server, Webhook, "/hidden-path").Send(ctx, someEvent())
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "hidden-path") {
		t.Errorf("Send = %v, want context.Canceled without the address", err)
	}
}

func TestGuarded(t *testing.T) {
	t.Parallel()
	server, got := receiver(t, status(200))
	s, err := New(Options{HTTP: guard.New(guard.Options{}).Client(time.Second), URL: server.URL, Secret: signing})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), someEvent()); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("Send = %v, want KindInvalid: the guard permits no loopback address", err)
	}
	if len(got) != 0 {
		t.Errorf("got %d requests, want none", len(got))
	}
}

func TestPlainHTTPOnThisMachine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(status(200))
	defer server.Close()
	s, err := New(Options{HTTP: guard.New(guard.Options{}).Client(time.Second), URL: server.URL, Secret: signing})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), someEvent()); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind    Kind
		address string
		secret  magpie.Secret
		field   string // at fault; empty if all is well
	}{
		{Webhook, "https://example.com/in?key=1", signing, ""},
		{Slack, "https://hooks.example.com/services/T0", magpie.Secret{}, ""},
		{Webhook, "http://127.0.0.1:9000/", signing, ""},
		{Webhook, "http://[::1]:9000/", signing, ""},
		{Webhook, "http://localhost/", signing, ""},
		{Webhook, "http://example.com/", signing, "url"},
		{Webhook, "http://localhost.example.com/", signing, "url"},
		{Webhook, "http://10.0.0.1/", signing, "url"},
		{Webhook, "ftp://example.com/", signing, "url"},
		{Webhook, "example.com/in", signing, "url"},
		{Webhook, "https://", signing, "url"},
		{Webhook, "https://exa mple.com", signing, "url"},
		{Webhook, "https://user@example.com/", signing, "url"},
		{Webhook, "https://example.com/", magpie.Secret{}, "secret"},
		{Webhook, "https://example.com/", magpie.NewSecret("short"), "secret"},
		{"pager", "https://example.com/", signing, "kind"},
	} {
		err := Check(tc.kind, tc.address, tc.secret)
		e, _ := errors.AsType[*magpie.Error](err)
		if (err == nil) != (tc.field == "") || e != nil && e.Field != tc.field {
			t.Errorf("Check(%q, %q) = %v, want a problem with %q", tc.kind, tc.address, err, tc.field)
		}
	}
}

func TestNameHidesThePath(t *testing.T) {
	t.Parallel()
	s, err := New(Options{HTTP: http.DefaultClient, Kind: Slack, URL: "https://hooks.example.com/services/T0/B0/x"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Name(), "slack hooks.example.com"; got != want || !s.Groups() {
		t.Errorf("Name() = %q, Groups() = %v, want %q, true", got, s.Groups(), want)
	}
}
