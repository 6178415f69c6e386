// Package guard makes the one HTTP client that may talk to addresses a user typed: a Bitbucket instance, a custom
// webhook, a self-hosted vendor.
//
// The idea: an address is judged where it can't lie any more, after name resolution and just before the connection is
// opened. So tricks with names, odd number forms, DNS answers that change between two look-ups, and redirects all meet
// the same check. Addresses of this machine and of private networks need the operator's permission (MAGPIE_OUTGOING_ALLOW);
// link-local and cloud metadata addresses can't be permitted at all. TLS is verified always: there is no switch to turn that
// off, only extra authorities to trust (MAGPIE_CA_FILE). A redirect is followed only within the same scheme, host and port,
// so credentials can't be carried elsewhere.
//
// Every refusal and every network or TLS failure comes back as a *magpie.Error that says which and what to do. The package
// does not limit response bodies, does not retry, and knows nothing about what is asked of the other side.
package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"magpie"
)

// The settings that refusals point to.
const (
	allowSetting = "MAGPIE_OUTGOING_ALLOW"
	caSetting    = "MAGPIE_CA_FILE"
)

// Limits of every guarded client.
const (
	dialTimeout           = 10 * time.Second
	tlsTimeout            = 10 * time.Second
	headerTimeout         = 60 * time.Second // a server that computes a large pack may think for a while first
	idleTimeout           = 90 * time.Second
	maxResponseHeaderSize = 64 << 10
	maxRedirects          = 5
)

// Options says what a Guard permits. The zero value permits public addresses, verified by the system's authorities.
type Options struct {
	// RootCAs are the authorities trusted for TLS; nil means the system's. LoadRoots makes a pool of both.
	RootCAs *x509.CertPool
	// AllowPrivate are the loopback, private and shared ranges that connections may go to. Ranges that are always
	// refused stay refused even if listed here. ParseAllow reads it from text.
	AllowPrivate []netip.Prefix
	// Proxy uses the proxy named by the environment (HTTPS_PROXY, NO_PROXY). The proxy resolves names then, so only
	// its own address is checked here and the proxy must refuse what should not be reached.
	Proxy bool
	// Resolver looks up names; nil means net.DefaultResolver.
	Resolver *net.Resolver
}

// Guard opens guarded connections. It is safe for concurrent use; make one per process, its connections are pooled.
type Guard struct {
	allow     []netip.Prefix
	transport *http.Transport
}

// New returns a Guard with the given permissions.
func New(o Options) *Guard {
	g := &Guard{allow: normalise(o.AllowPrivate)}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: o.Resolver, Control: g.control}
	g.transport = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: maxResponseHeaderSize,
		ForceAttemptHTTP2:      true,
	}
	if o.Proxy {
		g.transport.Proxy = http.ProxyFromEnvironment
	}
	return g
}

// Client returns a client whose requests may each take timeout in all, body included; 0 sets no limit, for streams that
// the caller bounds by context. Clients of one Guard share its connections. Cookies are not kept.
func (g *Guard) Client(timeout time.Duration) *http.Client {
	// http.Client.Timeout would hide the cause of an error behind a text, so the round tripper keeps the time.
	return &http.Client{Transport: roundTripper{g.transport, timeout}, CheckRedirect: checkRedirect}
}

// CloseIdle closes the pooled connections that are not in use.
func (g *Guard) CloseIdle() { g.transport.CloseIdleConnections() }

// control runs once the address of a connection is known and before the connection is opened.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading the resolved address %q: %w", address, err)
	}
	return g.Check(ap.Addr())
}

// roundTripper refuses anything but https, limits the time and explains failures.
type roundTripper struct {
	next    *http.Transport
	timeout time.Duration // 0 means none
}

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "url",
			Message: fmt.Sprintf("the address %s is not https", origin(req.URL)),
			Hint:    "type an address that starts with https://; connections without TLS are not made",
		}
	}
	ctx, cancel := req.Context(), func() {}
	if t.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, t.timeout)
	}
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		defer cancel()
		return nil, explain(req.Context(), req.URL.Host, err)
	}
	resp.Body = &body{ReadCloser: resp.Body, req: req, ctx: ctx, cancel: cancel}
	return resp, nil
}

// body is a response body whose failures are explained and whose end ends the request's time.
type body struct {
	io.ReadCloser
	req    *http.Request
	ctx    context.Context // the request's, with its time limit
	cancel func()
	ended  bool // the end was reached in time
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.ended {
		// When time is up the connection is closed, and a server that notices may end its answer in good order before we
		// stop reading. Such an end is not one.
		if late := b.ctx.Err(); late != nil {
			err = late
		} else {
			b.ended = true
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = explain(b.req.Context(), b.req.URL.Host, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (t roundTripper) CloseIdleConnections() { t.next.CloseIdleConnections() }

// checkRedirect lets a redirect pass only inside one origin, and only if it repeats the request as it was.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	refuse := func(why string) error {
		return &magpie.Error{
			Kind: magpie.KindInvalid, Field: "url",
			Message: fmt.Sprintf("%s redirects %s", origin(first.URL), why),
			Hint:    "type the address that the server itself uses, without anything that redirects in between",
		}
	}
	switch {
	case origin(req.URL) != origin(first.URL):
		return refuse("to another server, " + origin(req.URL))
	case req.URL.User != nil:
		return refuse("to an address with credentials in it")
	case len(via) > maxRedirects:
		return refuse(fmt.Sprintf("more than %d times", maxRedirects))
	case req.Method != first.Method:
		return refuse("a " + first.Method + " request in a way that would turn it into " + req.Method)
	}
	return nil
}

// origin returns scheme, host and explicit port in one comparable form.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// LoadRoots returns the system's authorities and those in the given PEM files. Every file must hold at least one
// certificate.
func LoadRoots(files ...string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificate authorities: %w", err)
	}
	for _, name := range files {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate authorities named by %s: %w", caSetting, err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, &magpie.Error{
				Kind: magpie.KindInvalid, Field: caSetting,
				Message: fmt.Sprintf("%s holds no certificate in PEM form", name),
				Hint:    "a PEM file has a line -----BEGIN CERTIFICATE-----; convert a DER file with openssl x509 -inform der",
			}
		}
	}
	return pool, nil
}
