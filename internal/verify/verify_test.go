package verify

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"magpie"
	"magpie/internal/guard"
	"magpie/internal/rule"
)

// value is a made-up secret with characters that bodies must escape.
var value = "made-up-" + strings.Repeat("q7", 8) + `\&"`

// probe asks an imagined vendor as most vendors are asked.
func probe() *rule.Probe {
	return &rule.Probe{
		Method: http.MethodGet, URL: "https://api.vendor.example/v1/me?limit=1",
		Headers: map[string]string{"Authorization": "Bearer {{secret}}"},
		Valid:   []rule.Answer{{Status: 200, Field: "user.id"}},
		Invalid: []rule.Answer{{Status: 401}, {Status: 403, Field: "err", Equals: []string{"Invalid token", "Expired"}}},
	}
}

// vendor is a TLS server, and a Verifier that asks it in place of every host that the rules name.
func vendor(t *testing.T, p *rule.Probe, answer http.HandlerFunc) (check func(context.Context) Result, log *bytes.Buffer) {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	log = &bytes.Buffer{}
	v := New(Options{
		HTTP: server.Client(), Rate: rate.Inf, Hosts: map[string]string{p.Host(): strings.TrimPrefix(server.URL, "https://")},
		Timeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	secret := value
	if len(p.Prefixes) > 0 {
		secret = p.Prefixes[0] + value
	}
	return func(ctx context.Context) Result {
		return v.Check(ctx, &rule.Rule{ID: "vendor-token", Probe: p}, magpie.NewSecret(secret))
	}, log
}

func answering(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const (
	jsonType = "application/json; charset=utf-8"
	portal   = `<!DOCTYPE html><html><title>Sign in to the network</title><p>{"user":{"id":1}}</p></html>`
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   magpie.Validity
	}{
		"accepted":                     {answering(200, jsonType, `{"user":{"id":7}}`), magpie.ValidityValid},
		"refused":                      {answering(401, jsonType, `{"message":"Bad credentials"}`), magpie.ValidityInvalid},
		"refused without a body":       {answering(401, "text/plain", ""), magpie.ValidityInvalid},
		"forbidden as named":           {answering(403, jsonType, `{"err":"Expired"}`), magpie.ValidityInvalid},
		"forbidden for lack of scope":  {answering(403, jsonType, `{"err":"Missing scope"}`), magpie.ValidityUnknown},
		"forbidden by a firewall":      {answering(403, "text/plain", "no"), magpie.ValidityUnknown},
		"accepted without the field":   {answering(200, jsonType, `{"user":{"id":null}}`), magpie.ValidityUnknown},
		"field of another shape":       {answering(200, jsonType, `{"user":"id"}`), magpie.ValidityUnknown},
		"empty":                        {answering(200, jsonType, ``), magpie.ValidityUnknown},
		"cut short":                    {answering(200, jsonType, `{"user":{"id":7}`), magpie.ValidityUnknown},
		"two values":                   {answering(200, jsonType, `{"user":{"id":7}} {}`), magpie.ValidityUnknown},
		"captive portal":               {answering(200, "text/html", portal), magpie.ValidityUnknown},
		"captive portal as JSON":       {answering(200, jsonType, "\n  "+portal), magpie.ValidityUnknown},
		"captive portal that refuses":  {answering(401, "text/html", portal), magpie.ValidityUnknown},
		"JSON that is called a page":   {answering(200, "text/html; charset=utf-8", `{"user":{"id":7}}`), magpie.ValidityUnknown},
		"too long":                     {answering(200, jsonType, `{"user":{"id":7},"x":"`+strings.Repeat("x", maxAnswer)+`"}`), magpie.ValidityUnknown},
		"slow down":                    {answering(429, jsonType, `{"user":{"id":7}}`), magpie.ValidityFailed},
		"trouble":                      {answering(500, jsonType, `{"user":{"id":7}}`), magpie.ValidityFailed},
		"trouble of a gateway":         {answering(503, "text/html", portal), magpie.ValidityFailed},
		"not found":                    {answering(404, jsonType, `{}`), magpie.ValidityUnknown},
		"proxy wants a login":          {answering(407, jsonType, `{}`), magpie.ValidityUnknown},
		"created, which nobody asked":  {answering(201, jsonType, `{"user":{"id":7}}`), magpie.ValidityUnknown},
		"redirect to elsewhere":        {redirect("https://elsewhere.example/"), magpie.ValidityUnknown},
		"redirect to itself":           {redirect("/v1/me"), magpie.ValidityUnknown},
		"connection closed unanswered": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, magpie.ValidityFailed},
		"connection closed half-way": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"user":{"id":7}}`)
		}, magpie.ValidityFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			before := time.Now()
			check, log := vendor(t, probe(), func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				tc.answer(w, r)
			})
			got := check(t.Context())
			if got.Validity != tc.want {
				t.Errorf("Check = %+v, want %s", got, tc.want)
			}
			if got.CheckedAt.Before(before) || got.Why == "" {
				t.Errorf("Check = %+v, want a time and a reason", got)
			}
			// A connection that broke before any answer may be tried again by the transport.
			if n := asked.Load(); n != 1 && !strings.HasPrefix(name, "connection") {
				t.Errorf("asked %d times, want once", n)
			}
			for _, text := range []string{log.String(), got.Why} {
				if strings.Contains(text, "made-up") || strings.Contains(text, "Sign in") {
					t.Errorf("%q tells the value or the answer", text)
				}
			}
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func TestSilence(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	host := strings.TrimPrefix(server.URL, "https://")
	v := New(Options{HTTP: server.Client(), Hosts: map[string]string{"api.vendor.example": host}, Timeout: 50 * time.Millisecond})
	got := v.Check(t.Context(), &rule.Rule{Probe: probe()}, magpie.NewSecret(value))
	if want := host + " did not answer in time"; got.Validity != magpie.ValidityFailed || got.Why != want {
		t.Errorf("Check = %+v, want failed, %q", got, want)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	allow, err := guard.ParseAllow("loopback")
	if err != nil {
		t.Fatal(err)
	}
	client := guard.New(guard.Options{AllowPrivate: allow}).Client(5 * time.Second)
	v := New(Options{HTTP: client, Hosts: map[string]string{"api.vendor.example": strings.TrimPrefix(server.URL, "https://")}})
	got := v.Check(t.Context(), &rule.Rule{Probe: probe()}, magpie.NewSecret(value))
	if got.Validity != magpie.ValidityFailed || !strings.Contains(got.Why, "authority that this machine does not trust") {
		t.Errorf("Check = %+v, want failed because of the certificate", got)
	}
	if len(asked) > 0 {
		t.Error("the value was sent to a server without a trusted certificate")
	}
}

// seen is what a vendor gets.
type seen struct {
	method, path, authorization, kind, body string
}

func TestRequests(t *testing.T) {
	t.Parallel()
	jsonValue, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	unescaped := strings.ReplaceAll(string(jsonValue), `\u0026`, "&")
	withBody := func(kind, body string) *rule.Probe {
		p := probe()
		p.Method, p.Headers, p.Body = http.MethodPost, map[string]string{"Content-Type": kind}, body
		return p
	}
	basic := probe()
	basic.Headers, basic.Basic = nil, "api:{{secret}}"
	for name, tc := range map[string]struct {
		probe *rule.Probe
		want  seen
	}{
		"header": {probe(), seen{"GET", "/v1/me?limit=1", "Bearer " + value, "", ""}},
		"basic":  {basic, seen{"GET", "/v1/me?limit=1", "Basic " + base64.StdEncoding.EncodeToString([]byte("api:"+value)), "", ""}},
		"JSON": {
			withBody("application/json", `{"token": "{{secret}}"}`),
			seen{"POST", "/v1/me?limit=1", "", "application/json", `{"token": ` + unescaped + `}`},
		},
		"form": {
			withBody("application/x-www-form-urlencoded", "a=b&token={{secret}}"),
			seen{"POST", "/v1/me?limit=1", "", "application/x-www-form-urlencoded", "a=b&token=" + url.QueryEscape(value)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan seen, 1)
			check, _ := vendor(t, tc.probe, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got <- seen{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}
				answering(200, jsonType, `{"user":{"id":"x"}}`)(w, r)
			})
			if result := check(t.Context()); result.Validity != magpie.ValidityValid {
				t.Errorf("Check = %+v, want valid", result)
			}
			if got := <-got; got != tc.want {
				t.Errorf("request = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: never{t}}
	v := New(Options{HTTP: client, Hosts: map[string]string{"api.vendor.example": ""}})
	prefixed := probe()
	prefixed.URL, prefixed.Prefixes = "https://api.other.example/", []string{"vnd_", "made-down-"}
	for name, tc := range map[string]struct {
		rule   *rule.Rule
		secret string
		want   magpie.Validity
	}{
		"unknown rule":          {nil, value, magpie.ValidityNoChecker},
		"rule without probe":    {&rule.Rule{}, value, magpie.ValidityNoChecker},
		"another kind of value": {&rule.Rule{Probe: prefixed}, value, magpie.ValidityNoChecker},
		"host that is barred":   {&rule.Rule{Probe: probe()}, value, magpie.ValidityNoChecker},
	} {
		if got := v.Check(t.Context(), tc.rule, magpie.NewSecret(tc.secret)); got.Validity != tc.want || !got.CheckedAt.IsZero() || got.Why == "" {
			t.Errorf("%s: Check = %+v, want %s, no time and a reason", name, got, tc.want)
		}
	}
	// A rule of somebody's own can't have secrets sent to a host that no allowed rule names.
	replaced, allowed := Hosts([]string{"api.third.example=", "api.fourth.example=ours.example:8443"}, []*rule.Rule{{Probe: probe()}, {}})
	if want := map[string]string{"api.third.example": "", "api.fourth.example": "ours.example:8443"}; !maps.Equal(replaced, want) {
		t.Errorf("Hosts replaces %v, want %v", replaced, want)
	}
	other := probe()
	other.URL = "https://evil.example/"
	v = New(Options{HTTP: client, Hosts: replaced, Allowed: allowed})
	if got := v.Check(t.Context(), &rule.Rule{Probe: other}, magpie.NewSecret(value)); got.Validity != magpie.ValidityNoChecker || !got.CheckedAt.IsZero() {
		t.Errorf("host that is not allowed: Check = %+v, want no checker", got)
	}
	if _, allowed = Hosts([]string{"api.other.example"}, []*rule.Rule{{Probe: probe()}}); len(allowed) > 0 {
		t.Errorf("with another host alone in the settings %v are asked, want none", allowed)
	}
	for _, secret := range []string{"", "two\r\nX-Injected: lines", "nul\x00", "ümlaut"} {
		v := New(Options{HTTP: client})
		if got := v.Check(t.Context(), &rule.Rule{Probe: probe()}, magpie.NewSecret(secret)); got.Validity != magpie.ValidityUnknown {
			t.Errorf("Check(%q) = %+v, want unknown", secret, got)
		}
	}
}

// never is a transport that must not be used.
type never struct{ t *testing.T }

func (n never) RoundTrip(*http.Request) (*http.Response, error) {
	n.t.Error("a request was made")
	return nil, http.ErrServerClosed
}

func TestEachHostIsAskedSlowly(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(answering(200, jsonType, `{"user":{"id":1}}`))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	v := New(Options{
		HTTP: server.Client(), Rate: rate.Every(time.Hour),
		Hosts: map[string]string{"api.vendor.example": host, "api.other.example": strings.Replace(host, "127.0.0.1", "localhost", 1)},
	})
	ask := func(address string) magpie.Validity {
		p := probe()
		p.URL = address
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return v.Check(ctx, &rule.Rule{Probe: p}, magpie.NewSecret(value)).Validity
	}
	if got := ask("https://api.vendor.example/"); got != magpie.ValidityValid {
		t.Errorf("first secret: %s, want valid", got)
	}
	// Its turn would come in an hour, which is known at once.
	if got := ask("https://api.vendor.example/"); got != magpie.ValidityFailed {
		t.Errorf("second secret: %s, want failed", got)
	}
	// The certificate is for the address, not for localhost; what counts is that the other host has a turn of its own.
	p := probe()
	p.URL = "https://api.other.example/"
	if got := v.Check(t.Context(), &rule.Rule{Probe: p}, magpie.NewSecret(value)); strings.Contains(got.Why, "too many") {
		t.Errorf("other host: %+v, want a turn of its own", got)
	}
}
