package smarthttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"magpie"
)

// maxRedirects is how many redirects in a row are followed.
const maxRedirects = 5

var (
	errSilent   = errors.New("nothing was heard from the server for too long")
	errRedirect = errors.New("redirect not followed")
)

// checkRedirect lets redirects lead only to the same host, never away from encryption, and never turn a POST into a GET.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	refuse := func(format string, args ...any) error {
		e := magpie.Errorf(magpie.KindInvalid, format, args...)
		e.Hint = "use the address the repository has now"
		e.Err = errRedirect
		return e
	}
	switch {
	case len(via) > maxRedirects:
		return refuse("the git server at %s redirects without end", first.URL.Host)
	case !strings.EqualFold(req.URL.Host, first.URL.Host):
		return refuse("the git server at %s redirects to another host, %.200q", first.URL.Host, req.URL.Host)
	case req.URL.Scheme != "https" && req.URL.Scheme != first.URL.Scheme:
		return refuse("the git server at %s redirects from https to an unencrypted address", first.URL.Host)
	case req.Method != first.Method || req.URL.User != nil:
		return refuse("the git server at %s redirects in a way that git does not allow", first.URL.Host)
	}
	return nil
}

// answer is the body of a good response. Reading it fails when the server falls silent.
type answer struct {
	resp   *http.Response
	ctx    context.Context // of the request, with the reason if it was cancelled
	parent context.Context // the caller's
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	token  magpie.Secret // which the server may repeat in what it says
	// reached is set once there is a connection: what fails from then on may be the fault of what was asked for.
	reached atomic.Bool
}

// do sends a request and checks everything about the response but its body, whose content type must be the given one.
func (c *Client) do(ctx context.Context, method, address, service string, body []byte) (*answer, error) {
	inner, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(inner, method, address, bytes.NewReader(body))
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Git-Protocol", "version=2")
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/x-git-"+service)
	// Asking for no encoding also keeps the transport from unpacking one behind our limits.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Cache-Control", "no-cache")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	}
	if c.token.Len() > 0 {
		req.Header.Set("Authorization", "Bearer "+string(c.token.Reveal()))
	}
	a := &answer{ctx: inner, parent: ctx, cancel: cancel, idle: c.limits.IdleTimeout, token: c.token}
	a.timer = time.AfterFunc(time.Hour, func() { cancel(errSilent) })
	a.timer.Stop()
	// The time runs from when a connection is asked for: before that, the request may have to wait for its turn, which
	// is nothing that the server does.
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { a.timer.Reset(c.limits.HeaderTimeout) },
		GotConn: func(httptrace.GotConnInfo) { a.reached.Store(true) },
	}
	a.resp, err = c.http.Do(req.WithContext(httptrace.WithClientTrace(inner, trace)))
	a.timer.Stop()
	if err != nil {
		err = a.explain(err)
		cancel(nil)
		return nil, err
	}
	if err := checkResponse(a.resp, "application/x-git-"+service); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// checkResponse fails unless the response is a good one with the given content type.
func checkResponse(resp *http.Response, want string) error {
	if resp.StatusCode != http.StatusOK {
		return statusError(resp)
	}
	host := resp.Request.URL.Host
	got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if got != want {
		e := magpie.Errorf(magpie.KindInvalid, "the server at %s answered with %q instead of git's protocol", host, printable(got))
		e.Hint = "check the repository's address"
		if got == "text/html" {
			e.Message = fmt.Sprintf("the server at %s answered with a web page instead of git's protocol", host)
			e.Hint = "check the repository's address; a login page means that the access token was not accepted"
		}
		return e
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return magpie.Errorf(magpie.KindUnavailable, "the server at %s compresses its answer although that was declined", host)
	}
	return nil
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	a.timer = time.AfterFunc(a.idle, func() { a.cancel(errSilent) })
	n, err := a.resp.Body.Read(p)
	a.timer.Stop()
	if err != nil && (err != io.EOF || a.ctx.Err() != nil) {
		err = a.explain(err)
	}
	return n, err
}

// Close ends the request.
func (a *answer) Close() error {
	err := a.resp.Body.Close()
	a.cancel(nil)
	return err
}

// explain turns an error of the transport into one that says what happened.
func (a *answer) explain(err error) error {
	if a.parent.Err() != nil {
		return fmt.Errorf("asking the git server: %w", context.Cause(a.parent))
	}
	if e, ok := errors.AsType[*magpie.Error](err); ok {
		return e
	}
	if errors.Is(context.Cause(a.ctx), errSilent) {
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the git server fell silent", Err: &BrokenError{errSilent}}
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if a.reached.Load() {
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the connection to the git server broke", Err: &BrokenError{err}}
	}
	return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the git server can't be reached", Err: err}
}
