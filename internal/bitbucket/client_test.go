package bitbucket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

// fake is a hand-made server: it answers by path, remembers what it was asked, and shows how long the client waited.
type fake struct {
	*httptest.Server
	client *Client

	mu     sync.Mutex
	asked  []string // method, path and query
	bodies []string
	waits  []time.Duration
}

const token = "made-up-" + "token"

// newFake starts a server with the given handlers, by ServeMux pattern. Properties answer as a 9.4.0 unless given.
func newFake(t *testing.T, handlers map[string]http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{}
	mux := http.NewServeMux()
	const properties = "GET " + api + "/application-properties"
	if handlers[properties] == nil {
		mux.HandleFunc(properties, reply(200, `{"version":"9.4.0"}`))
	}
	for pattern, h := range handlers {
		mux.HandleFunc(pattern, h)
	}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI())
		f.bodies = append(f.bodies, string(body))
		f.mu.Unlock()
		if got, want := r.Header.Get("Authorization"), "Bearer "+token; got != want {
			t.Errorf("Authorization = %q, want %q", got, want)
		}
		if r.Header.Get("Cookie") != "" {
			t.Error("a cookie was sent")
		}
		http.SetCookie(w, &http.Cookie{Name: "BITBUCKETSESSIONID", Value: "x"})
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	f.client = New(f.Server.Client(), f.URL, magpie.NewSecret(token), hastyPace())
	f.client.sleep = func(ctx context.Context, d time.Duration) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waits = append(f.waits, d)
		return ctx.Err()
	}
	return f
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// reply answers as a known user.
func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(userHeader, "magpie-bot")
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// anonymous answers as one does to an unknown user.
func anonymous(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func exception(name, message string) string {
	body, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{"context": nil, "message": message, "exceptionName": name}}})
	return string(body)
}

// inOrder answers each request with the next handler, and the last one for ever.
func inOrder(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[0]
		if len(handlers) > 1 {
			handlers = handlers[1:]
		}
		mu.Unlock()
		h(w, r)
	}
}

const (
	propertiesPattern = "GET " + api + "/application-properties"
	projectsPattern   = "GET " + api + "/projects"
	reposPattern      = "GET " + api + "/repos"
	hooksPattern      = "POST " + api + "/projects/PRJ/repos/r/webhooks"
)

func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

func TestProbe(t *testing.T) {
	t.Parallel()
	named := func(user, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(userHeader, user)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    Instance
		kind    magpie.Kind
		message string
	}{
		{"good", named("bot", `{"version":"9.4.3","buildNumber":"9004003","buildDate":"1","displayName":"Our Git"}`), Instance{"9.4.3", "bot"}, "", ""},
		{"oldest", named("bot", `{"version":"7.6.0"}`), Instance{"7.6.0", "bot"}, "", ""},
		{"newest", named("access-token-user/1/2", `{"version":"10.4.2-rc1"}`), Instance{"10.4.2-rc1", "access-token-user/1/2"}, "", ""},
		{"encoded name", named("j%C3%BCrgen", `{"version":"8.0.0"}`), Instance{"8.0.0", "jürgen"}, "", ""},
		{"unknown user", anonymous(200, "application/json", `{"version":"9.4.3"}`), Instance{}, magpie.KindTokenInvalid, "does not accept the access token"},
		{
			"bad token refused", anonymous(401, "application/json", exception("com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException", "Authentication failed")),
			Instance{},
			magpie.KindTokenInvalid, "does not accept the access token",
		},
		{"too old", named("bot", `{"version":"7.5.2"}`), Instance{}, magpie.KindInvalid, "is Bitbucket 7.5.2"},
		{"much too old", named("bot", `{"version":"5.16.0"}`), Instance{}, magpie.KindInvalid, "is Bitbucket 5.16.0"},
		{"web page", anonymous(200, "text/html", "<html>Welcome</html>"), Instance{}, magpie.KindInvalid, "is not a Bitbucket"},
		{"missing", anonymous(404, "text/html", "<html>404</html>"), Instance{}, magpie.KindInvalid, "is not a Bitbucket"},
		{"other JSON", anonymous(200, "application/json", `{"tag_name":"v1"}`), Instance{}, magpie.KindInvalid, "is not a Bitbucket"},
		{"other JSON type", anonymous(200, "application/json", `[1]`), Instance{}, magpie.KindInvalid, "is not a Bitbucket"},
		{"odd version", anonymous(200, "application/json", `{"version":"latest"}`), Instance{}, magpie.KindInvalid, "is not a Bitbucket"},
		{"empty", anonymous(200, "", ""), Instance{}, magpie.KindInvalid, "is not a Bitbucket"},
		{"maintenance", anonymous(503, "text/html", "<html>upgrading</html>"), Instance{}, magpie.KindUnavailable, "status 503"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, map[string]http.HandlerFunc{propertiesPattern: tc.handler})
			got, err := f.client.Probe(t.Context())
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			wantKind(t, err, tc.kind, tc.message)
		})
	}
}

func wantKind(t *testing.T, err error, kind magpie.Kind, message string) {
	t.Helper()
	if kind == "" {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
		return
	}
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || e.Kind != kind || !strings.Contains(e.Message, message) {
		t.Errorf("got %v (kind %q), want kind %q and %q", err, magpie.KindOf(err), kind, message)
	}
	if ok && strings.Contains(e.Error()+e.Hint, token) {
		t.Error("the error shows the token")
	}
}

func TestErrorsAreSortedByWhatCanBeDone(t *testing.T) {
	t.Parallel()
	const (
		notPermitted = "You are not permitted to access this resource"
		authorising  = "com.atlassian.bitbucket.AuthorisationException"
	)
	dead := map[string]http.HandlerFunc{propertiesPattern: anonymous(200, "application/json", `{"version":"9.4.0"}`)}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		more    map[string]http.HandlerFunc
		kind    magpie.Kind
		message string
	}{
		{"not permitted", reply(401, exception(authorising, notPermitted)), nil, magpie.KindForbidden, notPermitted},
		{"not permitted, header lost, token alive", anonymous(401, "application/json", exception(authorising, notPermitted)), nil, magpie.KindForbidden, notPermitted},
		{"not permitted because unknown", anonymous(401, "application/json", exception(authorising, notPermitted)), dead, magpie.KindTokenInvalid, "does not accept"},
		{"wrong token", anonymous(401, "application/json", exception("com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException", "Authentication failed.")), nil, magpie.KindTokenInvalid, "does not accept"},
		{"no credentials", anonymous(401, "application/json", exception("com.atlassian.plugins.rest.api.security.exception.AuthenticationRequiredException", notPermitted)), nil, magpie.KindTokenInvalid, "does not accept"},
		{"no licence", anonymous(401, "application/json", exception("com.atlassian.bitbucket.auth.NoAccessAuthenticationException", "You are not currently licensed to use Bitbucket.\nPlease contact your administrator.")), nil, magpie.KindNoLicence, "no licence for Bitbucket; it says: You are not currently licensed"},
		{"token expired", anonymous(401, "application/json", exception("com.atlassian.bitbucket.auth.TokenExpiredException", "This token has expired.")), nil, magpie.KindTokenInvalid, "does not accept the access token; it says: This token has expired"},
		{"second factor", anonymous(401, "application/json", exception("com.atlassian.tsv.Whatever", "Two-step verification is required\u001b[1m"+strings.Repeat("!", 500))), nil, magpie.KindTokenInvalid, "it says: Two-step verification is required [1m!!!"},
		{"errors of other types", anonymous(401, "application/json", `{"errors":[null,7,{"message":5,"exceptionName":{}}],"message":[]}`), nil, magpie.KindTokenInvalid, "it says: 5"},
		{"errors as text", anonymous(401, "application/json", `{"errors":"none","message":"not you"}`), nil, magpie.KindTokenInvalid, "it says: not you"},
		{"starting", reply(503, exception("x", "The system is starting up")), nil, magpie.KindUnavailable, "is starting, in maintenance or overloaded"},
		{"in maintenance", anonymous(503, "text/html", "<html>Bitbucket is undergoing maintenance</html>"), nil, magpie.KindUnavailable, "shows a page instead of serving requests"},
		{"301 to nowhere", reply(301, ""), nil, magpie.KindInvalid, "answers with a redirect"},
		{"400 as a page", anonymous(400, "text/html", "<html>"), nil, magpie.KindInvalid, "status 400"},
		{"407", anonymous(407, "text/html", "<html>"), nil, magpie.KindInvalid, "status 407"},
		{"401 without body", anonymous(401, "", ""), nil, magpie.KindTokenInvalid, "does not accept"},
		{"401 as a page", anonymous(401, "text/html", "<html>log in</html>"), nil, magpie.KindTokenInvalid, "does not accept"},
		{"401 without body to a known user", reply(401, ""), nil, magpie.KindForbidden, "may not"},
		{"403", reply(403, ""), nil, magpie.KindForbidden, "may not"},
		{"404", reply(404, exception("com.atlassian.bitbucket.project.NoSuchProjectException", "Project X does not exist.")), nil, magpie.KindNotFound, "Project X does not exist"},
		{"404 of the container", reply(404, `{"status-code":404,"message":"null for uri"}`), nil, magpie.KindNotFound, "null for uri"},
		{"404 as a page", anonymous(404, "text/html", "<html>"), nil, magpie.KindNotFound, "there is no"},
		{"409", reply(409, exception("com.atlassian.bitbucket.IntegrityException", "taken")), nil, magpie.KindConflict, "taken"},
		{"400", reply(400, exception("", "the event X is unknown")), nil, magpie.KindInvalid, "the event X is unknown"},
		{"500", reply(500, ""), nil, magpie.KindUnavailable, "status 500"},
		{"502 as a page", anonymous(502, "text/html", "<html>bad gateway"), nil, magpie.KindUnavailable, "status 502"},
		{"200 as a page", anonymous(200, "text/html", "<html>log in</html>"), nil, magpie.KindUnavailable, "web page"},
		{"200 cut off", reply(200, `{"values":[`), nil, magpie.KindUnavailable, "can't be understood"},
		{"200 of other types", reply(200, `{"values":[{"id":"seven"}],"isLastPage":true}`), nil, magpie.KindUnavailable, "can't be understood"},
		{"304", reply(304, ""), nil, magpie.KindInvalid, "redirect"},
		{"hostile text", reply(400, exception("", "a\u001b[31m\nb\u202e")), nil, magpie.KindInvalid, "status 400: a [31m b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handlers := map[string]http.HandlerFunc{projectsPattern: tc.handler}
			for pattern, h := range tc.more {
				handlers[pattern] = h
			}
			_, err := collect(newFake(t, handlers).client.Projects(t.Context()))
			wantKind(t, err, tc.kind, tc.message)
		})
	}
}

const lastEmpty = `{"size":0,"limit":1000,"isLastPage":true,"values":[],"start":0}`

func TestRepeatsPassingTrouble(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{
		projectsPattern: inOrder(reply(502, ""), reply(503, ""), reply(500, ""), reply(200, lastEmpty)),
	})
	if _, err := collect(f.client.Projects(t.Context())); err != nil {
		t.Errorf("got %v, want success on the fourth attempt", err)
	}
	if len(f.waits) != 3 || f.waits[0] >= f.waits[2] {
		t.Errorf("waits %v, want 3, growing", f.waits)
	}
}

func TestGivesUpAfterAFewAttempts(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: reply(503, "")})
	_, err := collect(f.client.Projects(t.Context()))
	wantKind(t, err, magpie.KindUnavailable, "status 503")
	if got := len(f.requests()); got != maxAttempts {
		t.Errorf("%d requests, want %d", got, maxAttempts)
	}
}

func TestRepeatsBrokenConnections(t *testing.T) {
	t.Parallel()
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: inOrder(hangUp, hangUp, reply(200, lastEmpty))})
	if _, err := collect(f.client.Projects(t.Context())); err != nil {
		t.Errorf("got %v, want success on the third attempt", err)
	}
}

func TestUntrustedCertificateIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	stranger := New(&http.Client{}, f.URL, magpie.NewSecret(token), nil)
	stranger.sleep = func(context.Context, time.Duration) error {
		t.Error("the client waited to repeat")
		return nil
	}
	_, err := stranger.Probe(t.Context())
	wantKind(t, err, magpie.KindUnavailable, "does not answer")
}

func limited(after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// hastyPace is one that holds nothing back but after a refusal.
func hastyPace() *Pace {
	p := NewPace(PaceOptions{})
	p.known.rate, p.known.burst = 1e6, 1e6
	return p
}

func TestWaitsAsLongAsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := inOrder(limited("7"), limited(""), reply(200, lastEmpty))
		var at []time.Duration
		began := time.Now()
		server := roundTripper(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(began))
			return answerOf(answers, r), nil
		})
		c := New(&http.Client{Transport: server}, "https://bitbucket.example", magpie.NewSecret(token), hastyPace())
		if _, err := collect(c.Projects(t.Context())); err != nil {
			t.Errorf("got %v, want success after waiting", err)
		}
		slow := 2 * time.Second // a background request leaves the first slots to urgent ones
		if len(at) != 3 || at[1] < 7*time.Second || at[1] > 7*time.Second+slow || at[2]-at[1] < defaultWait || at[2]-at[1] > defaultWait+slow {
			t.Errorf("requests at %v, want the second 7 s after the first and the third %v after that", at, defaultWait)
		}
	})
}

// answerOf returns what a handler answers.
func answerOf(h http.HandlerFunc, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result()
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestLongWaitsAreLeftToTheCaller(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: limited("3600")})
	_, err := collect(f.client.Projects(t.Context()))
	wantKind(t, err, magpie.KindRateLimited, "limits the rate")
	if len(f.waits) != 0 {
		t.Errorf("waited %v, want not at all", f.waits)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"5": 5 * time.Second, " 0 ": 0, "": defaultWait, "soon": defaultWait, "-3": defaultWait,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"999999999": 24 * time.Hour, "99999999999999999999999": defaultWait,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestPostIsRepeatedOnlyWhenNothingHappened(t *testing.T) {
	t.Parallel()
	const pattern = "POST " + api + "/projects/{k}/repos/{s}/webhooks"
	broken := newFake(t, map[string]http.HandlerFunc{pattern: reply(503, "")})
	_, err := broken.client.CreateWebhook(t.Context(), "PRJ", "slug", testSpec())
	wantKind(t, err, magpie.KindUnavailable, "503")
	if got := len(broken.requests()); got != 1 {
		t.Errorf("%d requests after 503, want 1", got)
	}
	busy := newFake(t, map[string]http.HandlerFunc{pattern: inOrder(limited("1"), reply(201, `{"id":3}`))})
	if w, err := busy.client.CreateWebhook(t.Context(), "PRJ", "slug", testSpec()); err != nil || w.ID != 3 {
		t.Errorf("after 429: %+v, %v, want webhook 3", w, err)
	}
}

func TestCanceledContextEndsWaiting(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: reply(503, "")})
	ctx, cancel := context.WithCancel(t.Context())
	f.client.sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	}
	if _, err := collect(f.client.Projects(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// What Bitbucket says is shown to people; some servers, and proxies before them, repeat what they were sent.
func TestSecretsAreCutFromTheServersWords(t *testing.T) {
	t.Parallel()
	hookSecret := "a-made-up-" + "hook/secret"
	words := "the token " + token + " (?t=" + token + ") may not, with " + hookSecret + ", be \x1b[2Jtired"
	for name, h := range map[string]http.HandlerFunc{
		"token refused":  anonymous(401, "application/json", exception("com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException", words)),
		"no licence":     anonymous(401, "application/json", exception("com.atlassian.bitbucket.auth.NoAccessAuthenticationException", words)),
		"no permission":  reply(401, exception("com.atlassian.bitbucket.AuthorisationException", words)),
		"forbidden":      reply(403, exception("", words)),
		"not found":      reply(404, exception("", words)),
		"conflict":       reply(409, exception("", words)),
		"refused":        reply(400, exception("", words)),
		"refused, plain": reply(400, `{"status-code":400,"message":"the token `+token+` and `+strings.ReplaceAll(hookSecret, "/", `\/`)+` are tired"}`),
		"trouble":        reply(500, exception("", words)),
		"maintenance":    reply(503, exception("", words)),
	} {
		f := newFake(t, map[string]http.HandlerFunc{hooksPattern: h})
		_, err := f.client.CreateWebhook(t.Context(), "PRJ", "r", HookSpec{Name: "Magpie", URL: "https://magpie.example/hook", Secret: magpie.NewSecret(hookSecret)})
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, said := range []string{err.Error(), magpie.Explain(err), fmt.Sprintf("%+v", err)} {
			if strings.Contains(said, token) || strings.Contains(said, hookSecret) || strings.Contains(said, "\x1b") {
				t.Errorf("%s: an error repeats a secret or a control character: %q", name, said)
			}
		}
		if !strings.Contains(err.Error(), "tired") {
			t.Errorf("%s: got %v, want what the server says", name, err)
		}
	}
}

// The address of a redirect comes from the server and may hold anything, too.
func TestRedirectsAreNotRepeated(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.example/?t="+token, http.StatusTemporaryRedirect)
	}})
	f.client.http.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("not followed") }
	_, err := collect(f.client.Projects(t.Context()))
	wantKind(t, err, magpie.KindUnavailable, "")
	if strings.Contains(err.Error(), token) {
		t.Errorf("got %v, want it without the address", err)
	}
}

func TestHugeTextsAreCut(t *testing.T) {
	t.Parallel()
	if got := oneLine(strings.Repeat("ü", 16<<20)); len([]rune(got)) != longestLine+1 {
		t.Errorf("%d characters are shown, want %d", len([]rune(got)), longestLine+1)
	}
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: reply(400, exception("", strings.Repeat("x", 2*maxRefusal)))})
	_, err := collect(f.client.Projects(t.Context()))
	wantKind(t, err, magpie.KindInvalid, "status 400")
}

func TestHugeAnswersAreRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for range maxBody>>20 + 2 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}})
	_, err := collect(f.client.Projects(t.Context()))
	wantKind(t, err, magpie.KindTooLarge, "more than")
}

func TestPathsAreEscaped(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{"/": reply(404, "")})
	_, _ = f.client.Repo(t.Context(), "~a.b", "s/../l?u g")
	want := []string{"GET " + api + "/projects/~a.b/repos/s%2F..%2Fl%3Fu%20g"}
	if diff := cmp.Diff(want, f.requests()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	const pattern = "GET " + api + "/projects/PRJ/repos/slug/branches/default"
	f := newFake(t, map[string]http.HandlerFunc{pattern: inOrder(reply(200, `{"id":"refs/heads/main","displayId":"main"}`), reply(204, ""))})
	for _, want := range []string{"refs/heads/main", ""} {
		got, err := f.client.DefaultBranch(t.Context(), "PRJ", "slug")
		if err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestIsSysAdminComparesExactly(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{
		"GET " + api + "/users": reply(200, `{"isLastPage":true,"values":[{"name":"bot2"},{"name":"robot"}]}`),
	})
	for name, want := range map[string]bool{"bot": false, "bot2": true} {
		got, err := f.client.IsSysAdmin(t.Context(), name)
		if err != nil || got != want {
			t.Errorf("IsSysAdmin(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	want := time.Date(2018, 9, 21, 14, 9, 51, 0, time.UTC)
	for _, text := range []string{
		`1537538991000`, `"1537538991000"`, `"2018-09-21T14:09:51.000Z"`, `"2018-09-21T14:09:51Z"`, `"2018-09-21T16:09:51+0200"`,
		`"2018-09-21T16:09:51.000+0200"`, `"2018-09-21T16:09:51+02:00"`,
	} {
		var got instant
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s reads as %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{`null`, `"yesterday"`, `{}`, `true`} {
		var got instant
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.IsZero() {
			t.Errorf("%s reads as %v, %v, want the zero time", text, got, err)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Version{"7.6.0": {7, 6, 0}, "7.21": {7, 21, 0}, "10.4.2-rc1": {10, 4, 2}, "8.19.1.5": {8, 19, 1}} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "9", "nine.four", "9.x", "9.-1"} {
		if got, err := ParseVersion(text); err == nil {
			t.Errorf("ParseVersion(%q) = %v, want an error", text, got)
		}
	}
	ordered := []Version{{7, 5, 9}, {7, 6, 0}, {7, 6, 1}, {7, 10, 0}, {8, 0, 0}, {10, 0, 0}}
	for i, v := range ordered {
		for j, w := range ordered {
			if got, want := v.Before(w), i < j; got != want {
				t.Errorf("%v.Before(%v) = %v, want %v", v, w, got, want)
			}
		}
	}
}
