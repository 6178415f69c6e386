package smarthttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie"
	"magpie/internal/git/gittest"
	"magpie/internal/git/smarthttp"
)

// counting counts requests by method on their way.
type counting struct {
	next http.RoundTripper
	mu   sync.Mutex
	n    map[string]int
}

// RoundTrip implements http.RoundTripper.
func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.n[r.Method]++
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

func (c *counting) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf("%d GET, %d POST", c.n["GET"], c.n["POST"])
	clear(c.n)
	return text
}

// Once a server is known to speak the protocol, a listing costs one request, and a listing with a fetch two.
func TestKnownServer(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format)
			repo.Generate(1, 60)
			srv, address := repo.Serve(token)
			count := &counting{next: srv.Client().Transport, n: map[string]int{}}
			known := &smarthttp.Servers{}
			for _, want := range []string{"1 GET, 2 POST", "0 GET, 2 POST", "0 GET, 2 POST"} {
				c := newClient(t, smarthttp.Options{HTTP: &http.Client{Transport: count}, URL: address, Token: magpie.NewSecret(token), Known: known})
				l, err := c.LsRefs(context.Background())
				if err != nil || l.Format.String() != format || l.Head != "refs/heads/main" {
					t.Fatalf("got %+v, %v, want format %s and the head", l, err, format)
				}
				body, err := c.Fetch(context.Background(), smarthttp.Request{Wants: []magpie.Hash{l.Refs[0].Hash}, Format: l.Format})
				if err != nil {
					t.Fatal(err)
				}
				body.Close()
				if got := count.take(); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
}

// A server that is not as assumed is asked.
func TestKnownServerChanges(t *testing.T) {
	listing := pkt(someID+" HEAD symref-target:refs/heads/x\n") + pkt(someID+" refs/heads/x\n") + "0000"
	long := strings.Repeat("a", 64)
	sha256 := fake("000eversion 2\n000cls-refs\n000afetch\n"+pkt("object-format=sha256\n")+"0000", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "object-format=sha256") {
			io.WriteString(w, pkt(long+" refs/heads/x\n")+"0000")
		} // git dies without a word otherwise
	})
	old := fake(pkt("# service=git-upload-pack\n")+"0000"+pkt(someID+" HEAD\x00multi_ack\n")+"0000", say(pkt("ERR upload-pack: protocol error, expected to get sha")))
	moved := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/scm/p/") {
			http.Redirect(w, r, strings.Replace(r.URL.String(), "/scm/p/", "/scm/q/", 1), http.StatusMovedPermanently)
			return
		}
		fake(capabilities, say(listing)).ServeHTTP(w, r)
	})
	for name, tc := range map[string]struct {
		then   http.Handler
		kind   magpie.Kind // of the error; "none" for none
		counts string
	}{
		"same":           {fake(capabilities, say(listing)), "none", "0 GET, 1 POST"},
		"empty":          {fake(capabilities, say("0000")), "none", "0 GET, 1 POST"},
		"other format":   {sha256, "none", "1 GET, 2 POST"},
		"old protocol":   {old, "none", "1 GET, 1 POST"},
		"moved":          {moved, "none", "2 GET, 2 POST"},
		"a web page":     {answers(200, "text/html", "<html>"), magpie.KindInvalid, "1 GET, 1 POST"},
		"bad request":    {answers(400, "", ""), magpie.KindUnavailable, "1 GET, 1 POST"},
		"unknown":        {answers(404, "", ""), magpie.KindNotFound, "0 GET, 1 POST"},
		"refused":        {answers(401, "", ""), magpie.KindTokenInvalid, "0 GET, 1 POST"},
		"no licence":     {answers(401, "text/plain", "You are not currently licensed to use Bitbucket."), magpie.KindNoLicence, "0 GET, 1 POST"},
		"limited":        {answers(429, "", ""), magpie.KindRateLimited, "0 GET, 1 POST"},
		"in maintenance": {answers(503, "text/html", "<html>"), magpie.KindUnavailable, "0 GET, 1 POST"},
		"busy":           {fake(capabilities, say(pkt("ERR Bitbucket is currently under heavy load and is not able to service your request"))), magpie.KindUnavailable, "0 GET, 1 POST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			h := fake(capabilities, say(listing))
			srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now := h
				mu.Unlock()
				now.ServeHTTP(w, r)
			}))
			defer srv.Close()
			count := &counting{next: srv.Client().Transport, n: map[string]int{}}
			known := &smarthttp.Servers{}
			list := func() (*smarthttp.Listing, error) {
				return newClient(t, smarthttp.Options{
					HTTP: &http.Client{Transport: count}, URL: srv.URL + "/scm/p/r.git", Token: magpie.NewSecret(token), Known: known,
				}).LsRefs(context.Background())
			}
			if l, err := list(); err != nil || l.Head != "refs/heads/x" {
				t.Fatalf("got %+v, %v", l, err)
			}
			count.take()
			mu.Lock()
			h = tc.then
			mu.Unlock()
			_, err := list()
			if tc.kind == "none" && err != nil || tc.kind != "none" && magpie.KindOf(err) != tc.kind {
				t.Errorf("got %v (kind %q), want kind %q", err, magpie.KindOf(err), tc.kind)
			}
			if got := count.take(); got != tc.counts {
				t.Errorf("%s, want %s", got, tc.counts)
			}
		})
	}
}

// The default branch is known also when only some refs were asked for, and does not show among them.
func TestHeadBesidePrefixes(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 60)
	l, err := client(t, repo).LsRefs(context.Background(), "refs/tags/")
	if err != nil || l.Head != "refs/heads/main" {
		t.Fatalf("got %+v, %v, want the head", l, err)
	}
	for _, r := range l.Refs {
		if !strings.HasPrefix(r.Name, "refs/tags/") {
			t.Errorf("%s is listed", r.Name)
		}
	}
}

// Waiting for one's turn is not the server's silence.
func TestWaitBeforeTheRequestIsNotSilence(t *testing.T) {
	srv := httptest.NewTLSServer(fake(capabilities, say("0000")))
	defer srv.Close()
	slow := waiting(func(r *http.Request) (*http.Response, error) {
		timer := time.NewTimer(400 * time.Millisecond) // longer than the server may be silent
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return srv.Client().Transport.RoundTrip(r)
	})
	c := newClient(t, smarthttp.Options{
		HTTP: &http.Client{Transport: slow}, URL: srv.URL + "/r.git", Limits: smarthttp.Limits{HeaderTimeout: 300 * time.Millisecond},
	})
	if _, err := c.LsRefs(context.Background()); err != nil {
		t.Errorf("got %v, want that waiting does no harm", err)
	}
}

type waiting func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f waiting) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
