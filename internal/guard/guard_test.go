package guard

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"magpie"
)

// authority signs certificates for test servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue makes a certificate for 127.0.0.1 and bitbucket.example, after change had its way.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"bitbucket.example"},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// serve starts a TLS server and returns its address.
func serve(t *testing.T, config *tls.Config, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func text(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

// localGuard permits loopback and trusts ca.
func localGuard(t *testing.T, ca *authority) *Guard {
	t.Helper()
	allow, err := ParseAllow("loopback")
	if err != nil {
		t.Fatal(err)
	}
	g := New(Options{RootCAs: ca.pool(), AllowPrivate: allow})
	t.Cleanup(g.CloseIdle)
	return g
}

func get(g *Guard, target string) (string, error) {
	resp, err := g.Client(5 * time.Second).Get(target)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestTrustedServerIsReached(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}, text("hello"))
	if body, err := get(localGuard(t, ca), url); err != nil || body != "hello" {
		t.Errorf("got %q, %v, want hello", body, err)
	}
}

func TestTLSFailuresAreExplained(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	config := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	old := config(ca.issue(t, nil))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, tc := range []struct {
		name, message, hint string
		config              *tls.Config
	}{
		{"unknown authority", "does not trust", caSetting, config(stranger.issue(t, nil))},
		{"expired", "expired on", "renew", config(ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))},
		{"not yet valid", "not valid before", "clock", config(ca.issue(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}))},
		{"wrong host", "for another name (bitbucket.example)", "name", config(ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil }))},
		{"outdated TLS", "outdated versions", "TLS 1.2", old},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := get(localGuard(t, ca), serve(t, tc.config, text("reached")))
			wantError(t, err, magpie.KindUnavailable, tc.message, tc.hint)
		})
	}
}

func wantError(t *testing.T, err error, kind magpie.Kind, message, hint string) {
	t.Helper()
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *magpie.Error", err)
	}
	if e.Kind != kind || e.Field != "url" || !strings.Contains(e.Message, message) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got kind %q, field %q, message %q, hint %q; want kind %q, field url, %q, %q", e.Kind, e.Field, e.Message, e.Hint, kind, message, hint)
	}
}

func TestSelfSignedIsRefusedUntilAdded(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}, text("hello"))
	allow, _ := ParseAllow("loopback")
	_, err := get(New(Options{AllowPrivate: allow}), url)
	wantError(t, err, magpie.KindUnavailable, "does not trust", caSetting)

	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := LoadRoots(file)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := get(New(Options{AllowPrivate: allow, RootCAs: roots}), url); err != nil || body != "hello" {
		t.Errorf("with the authority added: got %q, %v, want hello", body, err)
	}
}

func TestLoadRootsRefusesFilesWithoutCertificate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadRoots(file); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("LoadRoots of no PEM = %v, want KindInvalid", err)
	}
	if _, err := LoadRoots(file + ".missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadRoots of a missing file = %v, want os.ErrNotExist", err)
	}
}

func TestNotTLSAtAll(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	plain := httptest.NewServer(text("plain"))
	t.Cleanup(plain.Close)
	_, err := get(localGuard(t, ca), strings.Replace(plain.URL, "http:", "https:", 1))
	wantError(t, err, magpie.KindUnavailable, "does not speak TLS", "port")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			_ = conn.Close()
		}
	}()
	_, err = get(localGuard(t, ca), "https://"+l.Addr().String())
	wantError(t, err, magpie.KindUnavailable, "does not speak TLS", "port")
}

func TestPlainHTTPIsRefused(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(plain.Close)
	_, err := get(localGuard(t, newAuthority(t)), plain.URL)
	wantError(t, err, magpie.KindInvalid, "not https", "https://")
	if hits.Load() != 0 {
		t.Error("the plain server was asked")
	}
}

func TestNetworkFailuresAreExplained(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = get(localGuard(t, newAuthority(t)), "https://"+addr)
	wantError(t, err, magpie.KindUnavailable, "refuses connections", "port")
}

func TestTimeoutIsExplained(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	release := make(chan struct{})
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}},
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}))
	t.Cleanup(func() { close(release) })
	_, err := localGuard(t, ca).Client(100 * time.Millisecond).Get(url)
	wantError(t, err, magpie.KindUnavailable, "did not answer in time", "firewall")
}

// A server that stops in the middle of the body must not hold anyone longer than the timeout, nor show as a plain end.
func TestBodyTimeoutIsExplained(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
	resp, err := localGuard(t, ca).Client(2 * time.Second).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if string(got) != "half" {
		t.Errorf("got %q, want half", got)
	}
	wantError(t, err, magpie.KindUnavailable, "did not answer in time", "firewall")
}

func TestCanceledStaysCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = localGuard(t, newAuthority(t)).Client(time.Second).Do(req)
	if !errors.Is(err, context.Canceled) || magpie.KindOf(err) != magpie.KindInternal {
		t.Errorf("got %v, want plain context.Canceled", err)
	}
}

// Every way to write an address of this machine must end at the check, or nowhere.
func TestForbiddenAddressForms(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var hits atomic.Int32
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}},
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "https://"), ":")
	g := New(Options{RootCAs: ca.pool()})
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
		"localhost", "LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]",
		"0.0.0.0", "0", "[::]", "[64:ff9b::7f00:1]", "[::127.0.0.1]", "127.0.0.1.", "１２７.0.0.1",
		"bitbucket.example@127.0.0.1", "169.254.169.254", "[fd00:ec2::254]",
	} {
		_, err := get(g, "https://"+host+":"+port+"/")
		if err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the server was asked %d times, want 0", n)
	}
}

// nameServer answers every question for an A record with the next of its addresses, and for AAAA with none.
func nameServer(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		next := 0
		for {
			buf := make([]byte, 512)
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			question := buf[12:n]
			end := 0
			for question[end] != 0 {
				end += int(question[end]) + 1
			}
			kind := binary.BigEndian.Uint16(question[end+1:])
			reply := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[:end+5]...)
			if kind == 1 {
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				addr := netip.MustParseAddr(answers[next%len(answers)]).As4()
				reply = append(reply, addr[:]...)
				next++
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestNamesThatResolveToForbiddenAddresses(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1", "10.0.0.5", "169.254.169.254", "100.64.0.1", "0.0.0.0", "192.168.0.1"} {
		g := New(Options{Resolver: nameServer(t, addr)})
		_, err := get(g, "https://rebind.test.example/")
		wantError(t, err, magpie.KindInvalid, addr+" are not permitted", allowSetting)
	}
}

// A name whose answer changes between two look-ups must be judged by the address that is connected to.
func TestRebindingIsJudgedByTheConnection(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var hits atomic.Int32
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}},
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "https://"), ":")
	allow, _ := ParseAllow("127.0.0.2") // not where the server listens
	g := New(Options{RootCAs: ca.pool(), AllowPrivate: allow, Resolver: nameServer(t, "127.0.0.2", "127.0.0.1")})
	for range 6 {
		_, _ = get(g, "https://bitbucket.example:"+port+"/")
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the forbidden address was reached %d times", n)
	}
}

func TestUnknownNameIsExplained(t *testing.T) {
	t.Parallel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server in this test")
	}}
	_, err := get(New(Options{Resolver: resolver}), "https://nowhere.test.example/")
	wantError(t, err, magpie.KindUnavailable, "nowhere.test.example could not be looked up", "name servers")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}
	var foreignAuth atomic.Int32
	foreign := serve(t, config, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { foreignAuth.Add(1) }))
	var plainHits atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plainHits.Add(1) }))
	t.Cleanup(plain.Close)

	mux := http.NewServeMux()
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/end", http.StatusFound) })
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Authorization")) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/foreign", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, foreign, http.StatusFound) })
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) })
	mux.HandleFunc("/meta", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://169.254.169.254/latest/meta-data", http.StatusFound)
	})
	mux.HandleFunc("/user", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://u:p@"+r.Host+"/end", http.StatusFound)
	})
	url := serve(t, config, mux)
	g := localGuard(t, ca)
	do := func(method, path string) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer made-up")
		resp, err := g.Client(5 * time.Second).Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}

	if got, err := do(http.MethodGet, "/same"); err != nil || got != "Bearer made-up" {
		t.Errorf("within one origin: got %q, %v, want the authorization to arrive", got, err)
	}
	for path, message := range map[string]string{
		"/loop": "more than 5 times", "/foreign": "to another server", "/plain": "to another server", "/meta": "to another server",
		"/user": "credentials in it",
	} {
		_, err := do(http.MethodGet, path)
		wantError(t, err, magpie.KindInvalid, message, "type the address")
	}
	_, err := do(http.MethodPost, "/same")
	wantError(t, err, magpie.KindInvalid, "turn it into GET", "")
	if foreignAuth.Load()+plainHits.Load() != 0 {
		t.Error("a redirect to another server was followed")
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"https://h.example/x", "https://H.example:443/y", true},
		{"https://h.example", "https://h.example:8443", false},
		{"https://h.example", "http://h.example", false},
		{"https://h.example", "https://g.h.example", false},
	} {
		a, b := mustURL(t, tc.a), mustURL(t, tc.b)
		if got := origin(a) == origin(b); got != tc.same {
			t.Errorf("origin(%s) == origin(%s) is %v, want %v", tc.a, tc.b, got, tc.same)
		}
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}},
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 2*maxResponseHeaderSize))
		}))
	if _, err := get(localGuard(t, ca), url); magpie.KindOf(err) != magpie.KindUnavailable {
		t.Errorf("got %v, want KindUnavailable", err)
	}
}

// The environment's proxy must not be used unless asked for.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	t.Parallel()
	if New(Options{}).transport.Proxy != nil {
		t.Error("a proxy is used by default")
	}
	if New(Options{Proxy: true}).transport.Proxy == nil {
		t.Error("no proxy is used although asked for")
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
