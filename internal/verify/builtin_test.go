package verify

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"magpie"
	"magpie/internal/rule"
	"magpie/rules"
)

// readingPosts are the addresses that built-in rules POST to, since the vendor has nothing that a GET would answer; each was looked
// up in the vendor's reference to change nothing. In a body for GraphQL there may be queries only.
var readingPosts = []string{
	"https://api.dropboxapi.com/2/users/get_current_account", // RPC: all requests are POSTs
	"https://api.linear.app/graphql",
	"https://api.monday.com/v2", // GraphQL
	"https://api.newrelic.com/graphql",
	"https://app.getoutline.com/api/auth.info", // RPC
	"https://slack.com/api/auth.test",          // RPC
}

// TestBuiltInProbesOnlyRead looks at what each built-in rule would send.
func TestBuiltInProbesOnlyRead(t *testing.T) {
	t.Parallel()
	for _, r := range probed(t) {
		p := r.Probe
		switch {
		case p.Method == http.MethodGet || p.Method == http.MethodHead:
			if p.Body != "" {
				t.Errorf("%s: a %s with a body", r.ID, p.Method)
			}
		case p.Method != http.MethodPost || !slices.Contains(readingPosts, p.URL):
			t.Errorf("%s: %s %s is not known to change nothing", r.ID, p.Method, p.URL)
		case strings.Contains(p.Body, "mutation"):
			t.Errorf("%s: the body changes something: %s", r.ID, p.Body)
		}
		for _, word := range []string{"delete", "revoke", "rotate", "create", "logout"} {
			if strings.Contains(strings.ToLower(strings.TrimPrefix(p.URL, "https://"+p.Host())), word) {
				t.Errorf("%s: the address %s does not look like one that only reads", r.ID, p.URL)
			}
		}
	}
}

func probed(t *testing.T) []*rule.Rule {
	t.Helper()
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(r *rule.Rule) bool { return r.Probe == nil })
	if len(all) < 300 {
		t.Errorf("%d rules say how to ask their vendor, want at least 300", len(all))
	}
	return all
}

// standIn is a server that takes the place of every vendor and answers each as the test says. It remembers what it was sent.
type standIn struct {
	server *httptest.Server
	client *http.Client

	mu     sync.Mutex
	answer http.HandlerFunc
	got    []seen
	hosts  []string
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.client = s.server.Client()
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: s.client.Transport.(*http.Transport).TLSClientConfig.RootCAs}
	return s
}

func (s *standIn) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	s.mu.Lock()
	s.got = append(s.got, seen{r.Method, r.URL.String(), strings.Join(headerValues(r.Header), "\n"), r.Header.Get("Content-Type"), string(body)})
	s.hosts = append(s.hosts, r.Host)
	answer := s.answer
	s.mu.Unlock()
	answer(w, r)
}

func headerValues(h http.Header) (all []string) {
	for _, v := range h {
		all = append(all, v...)
	}
	return all
}

// ask asks about a made-up secret of r and returns the result, what was sent and what was logged.
func (s *standIn) ask(t *testing.T, r *rule.Rule, timeout time.Duration, answer http.HandlerFunc) (result Result, sent []seen, log string) {
	t.Helper()
	s.mu.Lock()
	s.answer, s.got, s.hosts = answer, nil, nil
	s.mu.Unlock()
	host := strings.TrimPrefix(s.server.URL, "https://")
	var written bytes.Buffer
	v := New(Options{
		HTTP: s.client, Rate: rate.Inf, Hosts: map[string]string{r.Probe.Host(): host}, Timeout: timeout,
		Log: slog.New(slog.NewTextHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	result = v.Check(t.Context(), r, magpie.NewSecret(secretFor(r)))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		if h != host {
			t.Errorf("%s: a request went to %s instead of its vendor", r.ID, h)
		}
	}
	return result, slices.Clone(s.got), written.String()
}

func secretFor(r *rule.Rule) string {
	if len(r.Probe.Prefixes) > 0 {
		return r.Probe.Prefixes[0] + value
	}
	return value
}

// served is an answer that a vendor, or somebody on the way to it, gives, and what may be made of it.
type served struct {
	name   string
	answer http.HandlerFunc
	want   []magpie.Validity
}

// shapes returns all that r's vendor is made to answer: what the rule says that it means, and what must mean nothing.
func shapes(r *rule.Rule) []served {
	neither := []magpie.Validity{magpie.ValidityUnknown, magpie.ValidityFailed}
	unknown, failed := neither[:1], neither[1:]
	good := r.Probe.Valid[0]
	all := []served{
		{"forbidden", answering(403, jsonType, `{"error":{"message":"Forbidden"}}`), unknown},
		{"forbidden with the body of success", shaped(403, good), unknown},
		{"not found", answering(404, jsonType, `{"error":"no such thing"}`), unknown},
		{"asked too often", shaped(429, good), failed},
		{"portal", answering(200, "text/html; charset=utf-8", portal), unknown},
		{"portal that calls itself JSON", answering(200, jsonType, portal), unknown},
		{"portal with the body of success in it", answering(good.Status, jsonType, "<!DOCTYPE html>"+bodyFor(good)), unknown},
		{"login page", redirect("https://login.example/?next=me"), unknown},
		{"login page for good", func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "/login", http.StatusMovedPermanently)
		}, unknown},
		{"broken", shaped(500, good), failed},
		{"broken on the way", answering(502, "text/html", "<html>Bad gateway</html>"), failed},
		{"closed for repair", shaped(503, good), failed},
		{"empty object", answering(200, jsonType, `{}`), unknown},
		{"empty", answering(200, jsonType, ``), unknown},
		{"oversized", oversized(good), unknown},
		{"cut off", cutOff(good), failed},
	}
	for i, a := range r.Probe.Valid {
		all = append(all, served{"documented success " + strconv.Itoa(i+1), shaped(a.Status, a), []magpie.Validity{magpie.ValidityValid}})
	}
	for i, a := range r.Probe.Invalid {
		all = append(all, served{"documented refusal " + strconv.Itoa(i+1), shaped(a.Status, a), []magpie.Validity{magpie.ValidityInvalid}})
	}
	if !slices.ContainsFunc(r.Probe.Invalid, func(a rule.Answer) bool { return a.Status == http.StatusUnauthorized }) {
		all = append(all, served{"refusal that the rule says nothing about", answering(401, jsonType, `{"error":"?"}`), unknown})
	}
	return all
}

// shaped answers with a status and whatever else the condition asks for.
func shaped(status int, a rule.Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		if a.Header != "" {
			w.Header().Set(a.Header, "1")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, bodyFor(a))
	}
}

// oversized answers as the condition asks for, and goes on for ever.
func oversized(a rule.Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		if a.Header != "" {
			w.Header().Set(a.Header, "1")
		}
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, bodyFor(a))
		blanks := bytes.Repeat([]byte(" "), 64<<10)
		for {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
	}
}

// cutOff announces more than it sends.
func cutOff(a rule.Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		w.Header().Set("Content-Length", "100000")
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, bodyFor(a))
	}
}

// TestBuiltInProbes serves each built-in rule all shapes of answers in place of its vendor, and wants the verdict that each means,
// one request to the vendor's host alone that holds the value where it belongs, and the value in no log and no reason.
func TestBuiltInProbes(t *testing.T) {
	t.Parallel()
	vendors := newStandIn(t)
	for _, r := range probed(t) {
		for _, shape := range shapes(r) {
			if r.Probe.Method == http.MethodHead && strings.Contains(shape.name, "portal") {
				continue // it has no body to be told by, and no rule looks at one
			}
			got, sent, log := vendors.ask(t, r, 20*time.Second, shape.answer)
			if !slices.Contains(shape.want, got.Validity) {
				t.Errorf("%s, %s: %+v, want %v", r.ID, shape.name, got, shape.want)
			}
			if len(sent) != 1 {
				t.Errorf("%s, %s: %d requests, want one", r.ID, shape.name, len(sent))
				continue
			}
			checkSent(t, r, sent[0])
			if strings.Contains(log+got.Why, "made-up") || got.CheckedAt.IsZero() || got.Why == "" || log == "" {
				t.Errorf("%s, %s: %+v, logged as %q: want a time, a reason, a line in the log and never the value", r.ID, shape.name, got, log)
			}
		}
	}
}

func checkSent(t *testing.T, r *rule.Rule, got seen) {
	t.Helper()
	if got.method != r.Probe.Method {
		t.Errorf("%s: sent a %s", r.ID, got.method)
	}
	if strings.Contains(got.path, "made-up") {
		t.Errorf("%s: the value stands in the address", r.ID)
	}
	if !strings.Contains(got.authorization+got.body, "made-up") && r.Probe.Basic == "" {
		t.Errorf("%s: the request does not hold the value", r.ID)
	}
}

// TestBuiltInProbesWaitNotForEver lets vendors hang, before the answer and in the middle of it.
func TestBuiltInProbesWaitNotForEver(t *testing.T) {
	t.Parallel()
	vendors := newStandIn(t)
	for i, r := range probed(t) {
		if i%20 != 0 {
			continue // the waiting has nothing to do with the rule
		}
		for name, answer := range map[string]http.HandlerFunc{
			"hangs": func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() },
			"hangs half-way": func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", jsonType)
				_, _ = io.WriteString(w, bodyFor(r.Probe.Valid[0]))
				w.(http.Flusher).Flush()
				<-req.Context().Done()
			},
		} {
			if r.Probe.Method == http.MethodHead && name != "hangs" {
				continue
			}
			if got, _, _ := vendors.ask(t, r, 200*time.Millisecond, answer); got.Validity != magpie.ValidityFailed {
				t.Errorf("%s, %s: %+v, want failed", r.ID, name, got)
			}
		}
	}
}

// bodyFor makes a JSON body that meets a condition.
func bodyFor(a rule.Answer) string {
	if a.Field == "" {
		if json.Valid([]byte("{" + a.Contains + "}")) {
			return "{" + a.Contains + "}"
		}
		return `{"x":` + a.Contains
	}
	text := "1"
	if len(a.Equals) > 0 {
		text = a.Equals[0]
		if text != "true" && text != "false" && strings.Trim(text, "0123456789") != "" {
			text = fmt.Sprintf("%q", text)
		}
	}
	path := strings.Split(a.Field, ".")
	for i := len(path) - 1; i >= 0; i-- {
		if _, err := strconv.Atoi(path[i]); err == nil {
			text = "[" + text + "]"
			continue
		}
		text = fmt.Sprintf("{%q:%s}", path[i], text)
	}
	return text
}
