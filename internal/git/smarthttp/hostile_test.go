package smarthttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"magpie"
	"magpie/internal/git/smarthttp"
)

const (
	someID       = "1234567890123456789012345678901234567890"
	capabilities = "000eversion 2\n000cls-refs\n000afetch\n0000"
	service      = "001e# service=git-upload-pack\n0000"
)

// pkt is a pkt-line.
func pkt(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// fake answers discovery with caps and commands with whatever command writes.
func fake(caps string, command http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			io.WriteString(w, caps)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		command(w, r)
	})
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// endless repeats text until the client goes away.
func endless(start, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, start)
		block := strings.Repeat(text, 1+60000/len(text))
		for {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}
}

// silence says something and then nothing more until the client gives up.
func silence(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, text)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func hostile(t *testing.T, h http.Handler, limits smarthttp.Limits) *smarthttp.Client {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return newClient(t, smarthttp.Options{
		HTTP: srv.Client(), URL: srv.URL + "/scm/p/r.git", Token: magpie.NewSecret(token), Limits: limits,
	})
}

// fetchAll fetches something and reads it to the end.
func fetchAll(c *smarthttp.Client) (string, error) {
	body, err := c.Fetch(context.Background(), smarthttp.Request{Wants: []magpie.Hash{someID}})
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return string(b), err
}

func TestHostileListing(t *testing.T) {
	limits := smarthttp.Limits{MaxRefs: 1000, MaxRefBytes: 1 << 20, IdleTimeout: time.Second, HeaderTimeout: 2 * time.Second}
	for name, tc := range map[string]struct {
		handler http.Handler
		kind    magpie.Kind
		text    string
	}{
		"endless refs":          {fake(capabilities, endless("", pkt(someID+" refs/heads/x"))), magpie.KindTooLarge, "more refs"},
		"endless flushes":       {fake(endlessText("0000"), nil), magpie.KindInvalid, "git's protocol"},
		"endless capabilities":  {fake("000eversion 2\n"+strings.Repeat(pkt(strings.Repeat("c", 60000)), 30), nil), magpie.KindTooLarge, "limit"},
		"length 3":              {fake(capabilities, say("0003")), magpie.KindUnavailable, "length"},
		"length not hex":        {fake(capabilities, say("00-1")), magpie.KindUnavailable, "length"},
		"length too large":      {fake(capabilities, say("fff5"+strings.Repeat("x", 70000))), magpie.KindUnavailable, "length"},
		"cut in a packet":       {fake(capabilities, say("0099abc")), magpie.KindUnavailable, "too early"},
		"cut between packets":   {fake(capabilities, say(pkt(someID+" refs/heads/x"))), magpie.KindUnavailable, "too early"},
		"cut in a length":       {fake(capabilities, say("00")), magpie.KindUnavailable, "too early"},
		"no id":                 {fake(capabilities, say(pkt("HEAD refs/heads/x")+"0000")), magpie.KindUnavailable, "malformed"},
		"ERR":                   {fake(capabilities, say(pkt("ERR no \x1b[31mluck\n"))), magpie.KindUnavailable, "no  [31mluck"},
		"no fetch":              {fake("000eversion 2\n000cls-refs\n0000", nil), magpie.KindInvalid, "git's protocol"},
		"version 3":             {fake(service+pkt("version 3\n")+"0000", nil), magpie.KindUnavailable, "malformed"},
		"old, cut":              {fake(service+pkt(someID+" HEAD\x00side-band-64k\n"), nil), magpie.KindUnavailable, "too early"},
		"old, no id":            {fake(service+pkt("HEAD refs/heads/x\x00\n")+"0000", nil), magpie.KindUnavailable, "malformed"},
		"old, odd format":       {fake(service+pkt(someID+" HEAD\x00object-format=md5\n")+"0000", nil), magpie.KindInvalid, "md5"},
		"old, long id":          {fake(service+pkt(someID+someID[:24]+" HEAD\x00\n")+"0000", nil), magpie.KindUnavailable, "malformed"},
		"old, peels nothing":    {fake(service+pkt(someID+" refs/tags/v1^{}\x00\n")+"0000", nil), magpie.KindUnavailable, "malformed"},
		"old, delimiter":        {fake(service+pkt(someID+" HEAD\x00\n")+"0001", nil), magpie.KindUnavailable, "malformed"},
		"old, too many refs":    {fake(service+strings.Repeat(pkt(someID+" refs/heads/x\n"), 2000)+"0000", nil), magpie.KindTooLarge, "more refs"},
		"old, too many bytes":   {fake(service+strings.Repeat(pkt(someID+" refs/heads/"+strings.Repeat("n", 60000)), 30)+"0000", nil), magpie.KindTooLarge, "limit"},
		"odd format":            {fake("000eversion 2\n"+pkt("object-format=md5\n")+"0000", nil), magpie.KindInvalid, "md5"},
		"login page":            {answers(200, "text/html; charset=utf-8", "<html>"), magpie.KindInvalid, "web page"},
		"plain text":            {answers(200, "text/plain", "hello"), magpie.KindInvalid, "text/plain"},
		"401":                   {answers(401, "", ""), magpie.KindTokenInvalid, "401"},
		"403":                   {answers(403, "", ""), magpie.KindTokenInvalid, "403"},
		"404":                   {answers(404, "", ""), magpie.KindNotFound, "no such repository"},
		"429":                   {answers(429, "", ""), magpie.KindRateLimited, "slow down"},
		"503":                   {answers(503, "", ""), magpie.KindUnavailable, "503"},
		"silence":               {http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), magpie.KindUnavailable, "silent"},
		"silence in the middle": {fake(capabilities, silence(pkt(someID+" refs/heads/x"))), magpie.KindUnavailable, "silent"},
		"packed": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			w.Header().Set("Content-Encoding", "gzip")
		}), magpie.KindUnavailable, "compresses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := hostile(t, tc.handler, limits).LsRefs(context.Background())
			if magpie.KindOf(err) != tc.kind || !strings.Contains(fmt.Sprint(err), tc.text) {
				t.Errorf("got %v (kind %q), want kind %q with %q", err, magpie.KindOf(err), tc.kind, tc.text)
			}
		})
	}
}

func endlessText(s string) string { return strings.Repeat(s, 1<<20) }

func answers(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func TestRetryAfter(t *testing.T) {
	_, err := hostile(t, answers(429, "", ""), smarthttp.Limits{}).LsRefs(context.Background())
	if limit, ok := errors.AsType[*smarthttp.RateLimitError](err); !ok || limit.RetryAfter != 17*time.Second {
		t.Errorf("got %v, want to retry after 17s", err)
	}
}

func TestOddRefNames(t *testing.T) {
	odd := []string{
		"refs/heads/../../etc/passwd", "refs/heads/\x1b[2J", "refs/heads/a\x00b", "refs/heads/x.lock", "refs//x", "refs/heads/",
		"heads/x", "refs/heads/.x", "refs/heads/@{1}", "refs/heads/" + strings.Repeat("n", 60000), "HEADS", "",
	}
	var answer strings.Builder
	for _, name := range odd {
		answer.WriteString(pkt(someID + " " + name + "\n"))
	}
	answer.WriteString(pkt(someID+" refs/heads/good/näme\n") + pkt(strings.Repeat("0", 40)+" refs/heads/none\n") + "0000")
	l, err := hostile(t, fake(capabilities, say(answer.String())), smarthttp.Limits{}).LsRefs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Refs) != 1 || l.Refs[0].Name != "refs/heads/good/näme" || l.SkippedCount != len(odd)+1 {
		t.Errorf("got %d refs and %d skipped, want 1 and %d: %v", len(l.Refs), l.SkippedCount, len(odd)+1, l.Skipped)
	}
	for _, s := range l.Skipped {
		if len(s) > 500 || strings.ContainsAny(s, "\x00\x1b") {
			t.Errorf("skipped ref is reported as %q", s)
		}
	}
}

func TestHostileFetch(t *testing.T) {
	limits := smarthttp.Limits{MaxPackBytes: 1 << 20, MaxRefs: 1000, IdleTimeout: time.Second}
	const start = "000dpackfile\n"
	for name, tc := range map[string]struct {
		command http.HandlerFunc
		kind    magpie.Kind
		text    string
	}{
		"endless pack":       {endless(start, pkt("\x01"+strings.Repeat("p", 60000))), magpie.KindTooLarge, "limit"},
		"endless progress":   {endless(start, pkt("\x02working")), magpie.KindUnavailable, "without end"},
		"endless empty band": {endless(start, pkt("\x01")), magpie.KindUnavailable, "without end"},
		"endless sections":   {endless(pkt("acknowledgments\n"), pkt("ACK "+someID)), magpie.KindUnavailable, "without end"},
		"error band":         {say(start + pkt("\x01PACK") + pkt("\x03disk \x07full\n")), magpie.KindUnavailable, "disk  full"},
		"no band":            {say(start + "0004"), magpie.KindUnavailable, "band"},
		"band 9":             {say(start + pkt("\x09")), magpie.KindUnavailable, "band 9"},
		"cut":                {say(start + pkt("\x01PACK")), magpie.KindUnavailable, "too early"},
		"cut in a packet":    {say(start + "0fff\x01PACK"), magpie.KindUnavailable, "too early"},
		"no pack":            {say(pkt("acknowledgments\n") + pkt("NAK\n") + "0000"), magpie.KindUnavailable, "acknowledgments"},
		"nothing":            {say(""), magpie.KindUnavailable, "too early"},
		"refused":            {say(pkt("ERR upload-pack: not our ref " + someID)), magpie.KindNotFound, someID},
		"refused, old words": {say(pkt("ERR want " + someID + " not valid")), magpie.KindNotFound, someID},
		"edge, no id":        {say(pkt("shallow-info\n") + pkt("shallow HEAD")), magpie.KindUnavailable, "ends"},
		"edge without end":   {endless(pkt("shallow-info\n"), pkt("shallow "+someID)), magpie.KindTooLarge, "limit"},
		"no edge any more":   {endless(pkt("shallow-info\n"), pkt("unshallow "+someID)), magpie.KindUnavailable, "ends"},
		"silence":            {silence(start + pkt("\x01PACK")), magpie.KindUnavailable, "silent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fetchAll(hostile(t, fake(capabilities, tc.command), limits))
			if magpie.KindOf(err) != tc.kind || !strings.Contains(fmt.Sprint(err), tc.text) {
				t.Errorf("got %v (kind %q), want kind %q with %q", err, magpie.KindOf(err), tc.kind, tc.text)
			}
		})
	}
}

func TestFetchSections(t *testing.T) {
	answer := pkt("acknowledgments\n") + pkt("ACK "+someID+"\n") + pkt("ready\n") + "0001" +
		pkt("shallow-info\n") + "0001" + pkt("packfile\n") +
		pkt("\x02counting") + pkt("\x01PA") + pkt("\x01") + pkt("\x01CK") + "0000" + "0002"
	got, err := fetchAll(hostile(t, fake(capabilities, say(answer)), smarthttp.Limits{}))
	if err != nil || got != "PACK" {
		t.Errorf("got %q, %v; want PACK", got, err)
	}
}

// TestProbing has a server that refuses wants without saying which.
func TestProbing(t *testing.T) {
	good, bad := magpie.Hash(strings.Repeat("a", 40)), magpie.Hash(strings.Repeat("b", 40))
	c := hostile(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fake(capabilities, func(w http.ResponseWriter, _ *http.Request) {
			if strings.Contains(string(body), "want "+string(bad)) {
				io.WriteString(w, pkt("ERR upload-pack: not our ref"))
				return
			}
			io.WriteString(w, pkt("packfile\n")+pkt("\x01PACK")+"0000")
		}).ServeHTTP(w, r)
	}), smarthttp.Limits{})
	req := smarthttp.Request{Wants: []magpie.Hash{someID}}
	body, dropped, err := c.FetchAvailable(context.Background(), req, []magpie.Hash{good, bad})
	if err != nil || len(dropped) != 1 || dropped[0] != bad {
		t.Fatalf("got dropped %v, %v; want only %s", dropped, err, bad)
	}
	body.Close()
	req.Wants = []magpie.Hash{bad}
	if _, _, err := c.FetchAvailable(context.Background(), req, []magpie.Hash{good}); magpie.KindOf(err) != magpie.KindNotFound {
		t.Errorf("required want refused: got %v", err)
	}
}

func TestRedirects(t *testing.T) {
	var asked, leaked atomic.Int64
	spy := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
	})
	other := httptest.NewTLSServer(spy)
	defer other.Close()
	plain := httptest.NewServer(spy)
	defer plain.Close()
	for name, to := range map[string]string{
		"other host":    strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/info/refs",
		"other port":    other.URL + "/info/refs",
		"unencrypted":   plain.URL + "/info/refs",
		"metadata":      "http://169.254.169.254/latest",
		"endless":       "/scm/p/r.git/info/refs?service=git-upload-pack",
		"other scheme":  "ftp://127.0.0.1/",
		"no address":    "://",
		"with password": "https://u:p@127.0.0.1/",
	} {
		t.Run(name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusFound)
			})
			if _, err := hostile(t, h, smarthttp.Limits{}).LsRefs(context.Background()); err == nil || strings.Contains(err.Error(), token) {
				t.Errorf("got %v, want an error", err)
			}
		})
	}
	if asked.Load() != 0 || leaked.Load() != 0 {
		t.Errorf("another host was asked %d times, %d with the token", asked.Load(), leaked.Load())
	}
}

// TestMovedRepository follows a redirect on the same host, as after renaming a project, for commands too.
func TestMovedRepository(t *testing.T) {
	served := fake(capabilities, say(pkt(someID+" refs/heads/x\n")+"0000"))
	var posts atomic.Int64
	c := hostile(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/scm/p/") {
			http.Redirect(w, r, strings.Replace(r.URL.String(), "/scm/p/", "/scm/q/", 1), http.StatusMovedPermanently)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Git-Protocol") != "version=2" {
			t.Error("headers got lost on the way")
		}
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		served.ServeHTTP(w, r)
	}), smarthttp.Limits{})
	l, err := c.LsRefs(context.Background())
	if err != nil || len(l.Refs) != 1 || posts.Load() != 1 {
		t.Errorf("got %v, %v after %d posts", l, err, posts.Load())
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := hostile(t, fake(capabilities, endless("000dpackfile\n", pkt("\x01x"))), smarthttp.Limits{})
	body, err := c.Fetch(ctx, smarthttp.Request{Wants: []magpie.Hash{someID}})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, context.Canceled) || magpie.KindOf(err) == magpie.KindUnavailable {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

// TestHostileOldFetch is TestHostileFetch for protocol version 0.
func TestHostileOldFetch(t *testing.T) {
	limits := smarthttp.Limits{MaxPackBytes: 1 << 20, MaxRefs: 1000, IdleTimeout: time.Second}
	advert := service + pkt(someID+" HEAD\x00side-band-64k shallow\n") + "0000"
	for name, tc := range map[string]struct {
		command http.HandlerFunc
		kind    magpie.Kind
		text    string
	}{
		"endless pack":      {endless(pkt("NAK\n"), pkt("\x01"+strings.Repeat("p", 60000))), magpie.KindTooLarge, "limit"},
		"endless progress":  {endless(pkt("NAK\n"), pkt("\x02working\r")), magpie.KindUnavailable, "without end"},
		"endless ACK":       {endless("", pkt("ACK "+someID+" common\n")), magpie.KindUnavailable, "without end"},
		"endless flushes":   {endless("", "0000"), magpie.KindUnavailable, "without end"},
		"endless edge":      {endless("", pkt("shallow "+someID)), magpie.KindTooLarge, "limit"},
		"endless unshallow": {endless("", pkt("unshallow "+someID)), magpie.KindUnavailable, "ends"},
		"delimiter":         {say(pkt("NAK\n") + "0001"), magpie.KindUnavailable, "no pack"},
		"no band":           {say(pkt("NAK\n") + "0004"), magpie.KindUnavailable, "where the pack should be"},
		"pack without band": {say(pkt("NAK\n") + "PACK\x00\x00\x00\x02"), magpie.KindUnavailable, "length"},
		"error band":        {say(pkt("NAK\n") + pkt("\x03disk \x07full\n")), magpie.KindUnavailable, "disk  full"},
		"refused":           {say(pkt("ERR upload-pack: not our ref " + someID)), magpie.KindNotFound, someID},
		"cut":               {say(pkt("NAK\n") + pkt("\x01PACK")), magpie.KindUnavailable, "too early"},
		"nothing":           {say(""), magpie.KindUnavailable, "too early"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fetchAll(hostile(t, fake(advert, tc.command), limits))
			if magpie.KindOf(err) != tc.kind || !strings.Contains(fmt.Sprint(err), tc.text) {
				t.Errorf("got %v (kind %q), want kind %q with %q", err, magpie.KindOf(err), tc.kind, tc.text)
			}
		})
	}
}

// TestBroken tells what a smaller request may mend from what is to be waited for, and from what is neither.
func TestBroken(t *testing.T) {
	limits := smarthttp.Limits{IdleTimeout: time.Second, HeaderTimeout: time.Second}
	const start = "000dpackfile\n"
	unreachable := httptest.NewTLSServer(nil)
	unreachable.Close()
	for name, tc := range map[string]struct {
		handler      http.Handler
		broken, busy bool
		after        time.Duration
	}{
		"cut in the answer": {fake(capabilities, say(start+pkt("\x01PACK"))), true, false, 0},
		"connection cut": {fake(capabilities, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, start+pkt("\x01PACK"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}), true, false, 0},
		"no answer":      {fake(capabilities, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), true, false, 0},
		"silence":        {fake(capabilities, silence(start)), true, false, 0},
		"late":           {http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), true, false, 0},
		"too much":       {fake(capabilities, say(start+pkt("\x03out of memory"))), true, false, 0},
		"gateway":        {answers(504, "", ""), true, false, 0},
		"busy":           {fake(capabilities, say(pkt("ERR Bitbucket is currently under heavy load"))), false, true, 0},
		"503":            {answers(503, "", ""), false, true, 17 * time.Second},
		"429":            {answers(429, "", ""), false, true, 17 * time.Second},
		"gone":           {fake(capabilities, say(pkt("ERR upload-pack: not our ref "+someID))), false, false, 0},
		"refused":        {answers(401, "", ""), false, false, 0},
		"a web page":     {answers(200, "text/html", ""), false, false, 0},
		"not reachable":  {nil, false, false, 0},
		"a pack, served": {fake(capabilities, say(start+pkt("\x01PACK")+"0000")), false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, smarthttp.Options{HTTP: unreachable.Client(), URL: unreachable.URL, Limits: limits})
			if tc.handler != nil {
				c = hostile(t, tc.handler, limits)
			}
			_, err := fetchAll(c)
			after, busy := smarthttp.Busy(err)
			if got := smarthttp.Broken(err); got != tc.broken || busy != tc.busy || after != tc.after {
				t.Errorf("%v: broken %t, busy %t after %s; want %t, %t, %s", err, got, busy, after, tc.broken, tc.busy, tc.after)
			}
		})
	}
}

func FuzzAdvert(f *testing.F) {
	f.Add(service + pkt(someID+" HEAD\x00side-band-64k symref=HEAD:refs/heads/x object-format=sha1\n") + pkt(someID+" refs/heads/x\n") + "0000")
	f.Add(service + pkt("version 1\n") + pkt(someID+" refs/tags/v\x00\n") + pkt(someID+" refs/tags/v^{}\n") + pkt("shallow "+someID) + "0000")
	f.Add(service + pkt(strings.Repeat("0", 40)+" capabilities^{}\x00side-band-64k") + "0000")
	f.Add("000eversion 2\n" + pkt("fetch=shallow filter\n") + "000cls-refs\n0000")
	f.Fuzz(func(t *testing.T, advert string) {
		transport := roundTripper(func(r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			fake(advert, say(pkt("shallow "+someID)+"0000"+pkt("NAK\n")+pkt("\x02Counting objects: 1\r")+pkt("\x01PACK")+"0000")).ServeHTTP(w, r)
			resp := w.Result()
			resp.Request = r
			return resp
		})
		c, err := smarthttp.New(smarthttp.Options{HTTP: &http.Client{Transport: transport}, URL: "https://git.example.com/r"})
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.LsRefs(context.Background())
		if err != nil {
			return
		}
		for _, r := range l.Refs {
			if r.Hash.IsZero() || strings.Contains(r.Name, "..") || strings.ContainsAny(r.Name+r.Target+l.Head, "\x00\x1b\n") {
				t.Errorf("accepted ref %+v", r)
			}
		}
		if features, err := c.Features(context.Background()); err != nil || features.Version < 0 || features.Version > 2 {
			t.Errorf("features %+v, %v", features, err)
		}
		if _, err := fetchAll(c); err != nil && magpie.KindOf(err) == magpie.KindInternal {
			t.Errorf("untyped error %v", err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(pkt("packfile\n") + pkt("\x01PACK") + "0000")
	f.Add(pkt(someID+" refs/heads/x symref-target:refs/heads/y peeled:"+someID+"\n") + "0000")
	f.Add(pkt("ERR upload-pack: not our ref " + someID))
	f.Add(pkt("acknowledgments\n") + pkt("NAK\n") + "0001")
	f.Fuzz(func(t *testing.T, answer string) {
		transport := roundTripper(func(r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			fake(capabilities, say(answer)).ServeHTTP(w, r)
			resp := w.Result()
			resp.Request = r
			return resp
		})
		c, err := smarthttp.New(smarthttp.Options{HTTP: &http.Client{Transport: transport}, URL: "https://git.example.com/r"})
		if err != nil {
			t.Fatal(err)
		}
		if l, err := c.LsRefs(context.Background()); err == nil {
			for _, r := range l.Refs {
				if r.Hash.IsZero() || strings.Contains(r.Name, "..") {
					t.Errorf("accepted ref %+v", r)
				}
			}
		}
		if b, err := fetchAll(c); err == nil && len(b) > len(answer) {
			t.Errorf("pack of %d bytes from an answer of %d", len(b), len(answer))
		}
	})
}

type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// A server that repeats the token in what it says must not make us repeat it.
func TestTokenIsCutFromTheServersWords(t *testing.T) {
	t.Parallel()
	words := "the token " + token + " is tired"
	for name, command := range map[string]http.HandlerFunc{
		"error line": say(pkt("ERR " + words)),
		"error band": say(pkt("packfile\n") + pkt("\x03"+words)),
	} {
		_, err := fetchAll(hostile(t, fake(capabilities, command), smarthttp.Limits{}))
		if err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "is tired") {
			t.Errorf("%s: got %v, want what the server says without the token", name, err)
		}
	}
	_, err := hostile(t, fake(pkt("ERR "+words), nil), smarthttp.Limits{}).LsRefs(context.Background())
	if err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("discovery: got %v, want what the server says without the token", err)
	}
}
