// Package bitbucket talks to Atlassian Bitbucket Server and Data Center, 7.6 and later: its REST interface, the webhook
// events it sends and the signatures on them. Bitbucket Cloud is another product and not supported.
//
// The idea: a foreign shape becomes ours at this package's edge (convert.go), and what a person must act on comes back
// as a *magpie.Error. Bitbucket answers 401 both for "who are you" and for "you may not"; the client tells the two apart,
// so that only a token that really is dead shows as magpie.KindTokenInvalid, a missing permission as
// magpie.KindForbidden, and trouble that passes as magpie.KindUnavailable or magpie.KindRateLimited.
//
// Answers are read tolerantly: only the few fields that are needed must be there, unknown ones are ignored, times may be
// numbers or text. Lists are followed page by page by the server's own cursor. The client keeps to the server's rate
// limit, waits when told to, and repeats requests that are safe to repeat. It does not clone (git/smarthttp does), does
// not decide which address may be connected to (the http.Client it is given does), and stores nothing.
package bitbucket

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"magpie"
)

const (
	maxBody      = 32 << 20 // one page of 1,000 repositories is about 3 MB
	maxRefusal   = 1 << 20  // of an answer that is no success; the rest is not read
	maxAttempts  = 4
	firstBackoff = 300 * time.Millisecond
	api          = "/rest/api/1.0" // "latest" means the same; 1.0 is understood by every version
	userHeader   = "X-AUSERNAME"   // on every answer to a known user, on none to an unknown one
)

// Client is one Bitbucket as seen with one access token. It is safe for concurrent use. Its pace and what it learned
// about the server are kept in it, so share one per integration rather than making one per request.
type Client struct {
	http  *http.Client
	base  string
	token magpie.Secret
	sleep func(context.Context, time.Duration) error

	mu      sync.Mutex
	pace    *Pace
	version Version // zero until the server was asked
}

// New returns a client of the Bitbucket at baseURL, which must come from ParseBaseURL. Redirects, TLS and which addresses
// may be reached are httpClient's business; its cookies are not used. pace is that of the token's user; nil is one of its
// own.
func New(httpClient *http.Client, baseURL string, token magpie.Secret, pace *Pace) *Client {
	own := *httpClient
	own.Jar = nil
	if pace == nil {
		pace = NewPace(PaceOptions{})
	}
	return &Client{http: &own, base: baseURL, token: token, pace: pace, sleep: sleep}
}

// KeepPace makes the client keep to a pace from now on: that of the token's user, once it is known who that is.
func (c *Client) KeepPace(pace *Pace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace = pace
}

func (c *Client) currentPace() *Pace {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pace
}

// String names the server. Without it, printing a Client would walk into the token.
func (c *Client) String() string { return "Bitbucket at " + c.base }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// BaseURL returns the address given to New.
func (c *Client) BaseURL() string { return c.base }

// answer is the useful part of a response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends one request, waits and repeats where that helps, and decodes the answer into out, unless out is nil or the
// answer is empty (204). in, if not nil, is sent as JSON. path starts behind the base address.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) (answer, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return answer{}, fmt.Errorf("encoding the body of %s %s: %w", method, path, err)
		}
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	ans, err := c.repeat(ctx, method, target, body)
	if err != nil {
		return ans, err
	}
	if ans.status/100 != 2 {
		return ans, c.refused(ctx, path, ans, secretsIn(in)...)
	}
	if out == nil || ans.status == http.StatusNoContent {
		return ans, nil
	}
	if err := json.Unmarshal(ans.body, out); err != nil {
		return ans, notJSON(c.base, ans, err)
	}
	return ans, nil
}

// secretsIn returns the secrets in the body of a request beside the token in its head.
func secretsIn(body any) []magpie.Secret {
	if h, ok := body.(wireHook); ok {
		return []magpie.Secret{magpie.NewSecret(h.Configuration.Secret)}
	}
	return nil
}

// repeat sends a request until it is answered, or repeating it can't help. Requests that may not be made twice (POST) are
// repeated only after 429, when the server surely did nothing.
func (c *Client) repeat(ctx context.Context, method, target string, body []byte) (answer, error) {
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		ans, err := c.once(ctx, method, target, body)
		last := attempt == maxAttempts
		switch {
		case err == nil && ans.status == http.StatusTooManyRequests:
			// The next attempt waits as long as the server wants, with all other requests.
			if last || retryAfter(ans.header.Get("Retry-After"), time.Now()) > maxRetryAfter {
				return ans, nil
			}
			continue
		case err == nil && ans.status < 500:
			return ans, nil
		case last, method == http.MethodPost, ctx.Err() != nil, err != nil && !passing(err):
			return ans, err
		}
		if err := c.sleep(ctx, backoff/2+rand.N(backoff)); err != nil {
			return answer{}, err
		}
		backoff *= 3
	}
}

// once sends a request one time, when its turn comes. An error is a *magpie.Error, or the context's.
func (c *Client) once(ctx context.Context, method, target string, body []byte) (answer, error) {
	pace := c.currentPace()
	turn, err := pace.acquire(ctx)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c.token.Reveal()))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "magpie")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, unreachable(c.base, err)
	}
	pace.heard(turn, resp.StatusCode, resp.Header)
	defer func() { _ = resp.Body.Close() }()
	most := int64(maxBody + 1)
	if resp.StatusCode/100 != 2 {
		most = maxRefusal
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return answer{}, unreachable(c.base, err)
	}
	if len(got) > maxBody {
		return answer{}, magpie.Errorf(magpie.KindTooLarge, "%s sent an answer of more than %d MiB", c.base, maxBody>>20)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: got}, nil
}

// passing reports whether a failed request may succeed when repeated in a moment.
func passing(err error) bool {
	if magpie.KindOf(err) != magpie.KindUnavailable {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	return true
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repoPath returns the REST path of a repository, with rest appended.
func repoPath(key, slug, rest string) string {
	return projectPath(key, "/repos/"+url.PathEscape(slug)+rest)
}

// projectPath returns the REST path of a project, with rest appended.
func projectPath(key, rest string) string {
	return api + "/projects/" + strings.ReplaceAll(url.PathEscape(key), "%7E", "~") + rest
}
