package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"magpie"
)

const password = "example-password"

// as lets the sender log in with a password.
func as(password string) func(*Options) {
	return func(o *Options) {
		o.Username = "magpie"
		o.Password = magpie.NewSecret(password)
	}
}

// identity is a self-signed certificate for 127.0.0.1 and who trusts it.
type identity struct {
	cert            tls.Certificate
	pool            *x509.CertPool
	certPEM, keyPEM []byte
}

func newIdentity(t *testing.T) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := identity{
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool: x509.NewCertPool(),
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	if !id.pool.AppendCertsFromPEM(id.certPEM) {
		t.Fatal("the certificate can't be added to a pool")
	}
	return id
}

// server is an SMTP server with faults to order.
type server struct {
	id       identity
	mailErr  error // answers to MAIL, RCPT and the end of DATA
	rcptErr  error
	dataErr  error
	hangUp   bool // closes the connection instead of answering MAIL
	noTLS    bool
	implicit bool

	mu       sync.Mutex
	messages []string
	users    []string
	listener net.Listener
}

func (s *server) start(t *testing.T) {
	t.Helper()
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &serverSession{server: s, conn: c}, nil }))
	srv.Domain = "mail.example"
	srv.ErrorLog = log.New(io.Discard, "", 0)
	config := &tls.Config{Certificates: []tls.Certificate{s.id.cert}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case s.implicit:
		l = tls.NewListener(l, config)
	case !s.noTLS:
		srv.TLSConfig = config
	}
	s.listener = l
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
}

func (s *server) options() Options {
	addr := s.listener.Addr().(*net.TCPAddr)
	o := Options{Host: "127.0.0.1", Port: addr.Port, RootCAs: s.id.pool, From: "Magpie <magpie@example.com>", Timeout: 10 * time.Second}
	if s.implicit {
		o.TLS = TLSImplicit
	}
	return o
}

func (s *server) caught() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

type serverSession struct {
	server *server
	conn   *smtp.Conn
}

func (s *serverSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *serverSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != "magpie" || pass != password {
			return smtp.ErrAuthFailed
		}
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.users = append(s.server.users, user)
		return nil
	}), nil
}

func (s *serverSession) Mail(string, *smtp.MailOptions) error {
	if s.server.hangUp {
		_ = s.conn.Conn().Close()
	}
	return s.server.mailErr
}
func (s *serverSession) Rcpt(string, *smtp.RcptOptions) error { return s.server.rcptErr }
func (s *serverSession) Reset()                               {}
func (s *serverSession) Logout() error                        { return nil }

func (s *serverSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.dataErr != nil {
		return s.server.dataErr
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.messages = append(s.server.messages, string(raw))
	return nil
}

func status(code int) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: "as ordered by the test"}
}

func sample() Message {
	return Message{
		To: "Jane Doe <jane@example.com>", Subject: "A secret leaked – now", Text: "Plain text, ünïcode\n.\nafter a dot",
		HTML: "<p>HTML text</p>", MessageID: "incident-1.user-2@magpie.example",
	}
}

func send(t *testing.T, o Options, m Message) error {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Send(t.Context(), m)
}

func TestSendOverTLS(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		for _, login := range []bool{false, true} {
			t.Run(fmt.Sprintf("implicit %v, login %v", implicit, login), func(t *testing.T) {
				t.Parallel()
				srv := &server{id: newIdentity(t), implicit: implicit}
				srv.start(t)
				o := srv.options()
				if login {
					as(password)(&o)
				}
				if err := send(t, o, sample()); err != nil {
					t.Fatal(err)
				}
				got := srv.caught()
				if len(got) != 1 || (len(srv.users) == 1) != login {
					t.Fatalf("%d messages, %d logins, want 1 and login = %v", len(got), len(srv.users), login)
				}
				checkMessage(t, got[0])
			})
		}
	}
}

// checkMessage checks the headers of the sample message.
func checkMessage(t *testing.T, raw string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From": `"Magpie" <magpie@example.com>`, "To": `"Jane Doe" <jane@example.com>`, "Message-Id": "<incident-1.user-2@magpie.example>",
		"Auto-Submitted": "auto-generated", "User-Agent": "", "X-Mailer": "", "Bcc": "", "Cc": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Errorf("Date: %v", err)
	}
	if got := m.Header.Get("Content-Type"); !strings.HasPrefix(got, "multipart/alternative") {
		t.Errorf("Content-Type = %q, want multipart/alternative", got)
	}
	if text, html := strings.Index(raw, "text/plain"), strings.Index(raw, "text/html"); text < 0 || html < text {
		t.Error("want a text part and behind it an HTML part")
	}
}

func TestServerAnswersAreSorted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		server  *server
		change  func(*Options)
		kind    magpie.Kind
		message string
	}{
		{"MAIL 451", &server{mailErr: status(451)}, nil, magpie.KindUnavailable, "try later (status 451)"},
		{"RCPT 450", &server{rcptErr: status(450)}, nil, magpie.KindUnavailable, "try later (status 450)"},
		{"DATA 452", &server{dataErr: status(452)}, nil, magpie.KindUnavailable, "try later (status 452)"},
		{"MAIL 550", &server{mailErr: status(550)}, nil, magpie.KindInvalid, "status 550"},
		{"RCPT 550", &server{rcptErr: status(550)}, nil, magpie.KindInvalid, "status 550"},
		{"DATA 554", &server{dataErr: status(554)}, nil, magpie.KindInvalid, "status 554"},
		{"MAIL 530", &server{mailErr: status(530)}, nil, magpie.KindTokenInvalid, "wants a user name"},
		{"hangs up", &server{hangUp: true}, nil, magpie.KindUnavailable, "broke"},
		{"STARTTLS stripped", &server{noTLS: true}, nil, magpie.KindUnavailable, "offers no STARTTLS"},
		{
			"STARTTLS stripped, with password", &server{noTLS: true}, as(password),
			magpie.KindUnavailable, "offers no STARTTLS",
		},
		{"untrusted certificate", &server{}, func(o *Options) { o.RootCAs = x509.NewCertPool() }, magpie.KindUnavailable, "not trusted"},
		{"untrusted certificate, implicit", &server{implicit: true}, func(o *Options) { o.RootCAs = x509.NewCertPool() }, magpie.KindUnavailable, "not trusted"},
		{"other host's certificate", &server{}, func(o *Options) { o.Host = "localhost" }, magpie.KindUnavailable, "not trusted"},
		{"wrong password", &server{}, as("wrong"), magpie.KindTokenInvalid, "refuses the user name"},
		{"TLS where none is", &server{}, func(o *Options) { o.TLS = TLSImplicit }, magpie.KindUnavailable, "can't be used"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.server.id = newIdentity(t)
			tc.server.start(t)
			o := tc.server.options()
			if tc.change != nil {
				tc.change(&o)
			}
			err := send(t, o, sample())
			e, ok := errors.AsType[*magpie.Error](err)
			if !ok || e.Kind != tc.kind || !strings.Contains(e.Message, tc.message) {
				t.Errorf("got %v (kind %q), want kind %q and %q", err, magpie.KindOf(err), tc.kind, tc.message)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), password) {
				t.Error("the error shows the password")
			}
			if got := tc.server.caught(); len(got) != 0 {
				t.Errorf("%d messages got through, want none", len(got))
			}
			if len(tc.server.users) != 0 {
				t.Error("the password got through")
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	srv := &server{id: newIdentity(t)}
	srv.start(t)
	o := srv.options()
	_ = srv.listener.Close()
	if err := send(t, o, sample()); magpie.KindOf(err) != magpie.KindUnavailable {
		t.Errorf("got %v, want KindUnavailable", err)
	}
}

// silent accepts connections and says nothing.
func silent(t *testing.T) Options {
	t.Helper()
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
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return Options{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, From: "magpie@example.com"}
}

func TestSilentServerTimesOut(t *testing.T) {
	t.Parallel()
	o := silent(t)
	o.Timeout = 200 * time.Millisecond
	if err := send(t, o, sample()); magpie.KindOf(err) != magpie.KindUnavailable {
		t.Errorf("got %v, want KindUnavailable", err)
	}
}

func TestCanceledSendReturnsAtOnce(t *testing.T) {
	t.Parallel()
	s, err := New(silent(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	if err := s.Send(ctx, sample()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v, want no longer than until it was canceled", took)
	}
}

// No field of a message may become a header or a command.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	srv := &server{id: newIdentity(t)}
	srv.start(t)
	for _, evil := range []string{
		"x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rBcc: eve@example.com", "x\x00y", "\u2028Bcc: eve@example.com",
		"=?utf-8?q?x=0d=0aBcc:_eve=40example.com?=",
	} {
		m := sample()
		m.Subject = evil
		if err := send(t, srv.options(), m); err != nil {
			t.Errorf("subject %q: %v", evil, err)
		}
		m = sample()
		m.To = evil
		if err := send(t, srv.options(), m); magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("recipient %q: got %v, want KindInvalid", evil, err)
		}
		m = sample()
		m.To = fmt.Sprintf("%q <jane@example.com>", evil)
		_ = send(t, srv.options(), m)
		m = sample()
		m.To = "jane@example.com" + evil
		_ = send(t, srv.options(), m)
		m = sample()
		m.MessageID = evil + "@example.com"
		if err := send(t, srv.options(), m); err == nil {
			t.Errorf("Message-ID %q was accepted", m.MessageID)
		}
		if _, err := New(Options{Host: "mail.example", From: "magpie@example.com" + evil}); err == nil {
			t.Errorf("sender %q was accepted", evil)
		}
	}
	for _, raw := range srv.caught() {
		m, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Bcc") != "" || len(m.Header["Subject"]) != 1 || len(m.Header["To"]) != 1 {
			t.Errorf("a header was added: %v", m.Header)
		}
	}
}

func TestLongSubjectIsCut(t *testing.T) {
	t.Parallel()
	if got := []rune(oneLine(strings.Repeat("ü", 1000))); len(got) != maxSubject || got[maxSubject-1] != '…' {
		t.Errorf("%d characters, want %d with an ellipsis", len(got), maxSubject)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	good := Options{Host: "mail.example", From: "magpie@example.com"}
	for _, tc := range []struct {
		name, field string
		change      func(*Options)
	}{
		{"no host", "host", func(o *Options) { o.Host = "" }},
		{"host with scheme", "host", func(o *Options) { o.Host = "smtp://mail.example" }},
		{"negative port", "port", func(o *Options) { o.Port = -1 }},
		{"large port", "port", func(o *Options) { o.Port = 65536 }},
		{"no sender", "from", func(o *Options) { o.From = "" }},
		{"sender is no address", "from", func(o *Options) { o.From = "Magpie" }},
		{"unknown mode", "tls", func(o *Options) { o.TLS = "opportunistic" }},
		{"plain to another machine", "tls", func(o *Options) { o.TLS = TLSNone }},
		{"plain to a private address", "tls", func(o *Options) { o.TLS, o.Host = TLSNone, "10.0.0.1" }},
		{"password without TLS", "tls", func(o *Options) {
			o.TLS, o.Host, o.Username, o.Password = TLSNone, "127.0.0.1", "u", magpie.NewSecret("p")
		}},
		{"user without password", "username", func(o *Options) { o.Username = "u" }},
		{"password without user", "username", func(o *Options) { o.Password = magpie.NewSecret("p") }},
	} {
		o := good
		tc.change(&o)
		_, err := New(o)
		e, ok := errors.AsType[*magpie.Error](err)
		if !ok || e.Kind != magpie.KindInvalid || e.Field != tc.field || e.Hint == "" {
			t.Errorf("%s: got %v, want KindInvalid for the field %s with a hint", tc.name, err, tc.field)
		}
	}
	if _, err := New(good); err != nil {
		t.Errorf("good options: %v", err)
	}
}

func TestPlainToThisMachine(t *testing.T) {
	t.Parallel()
	srv := &server{id: newIdentity(t), noTLS: true}
	srv.start(t)
	o := srv.options()
	o.TLS = TLSNone
	if err := send(t, o, sample()); err != nil || len(srv.caught()) != 1 {
		t.Errorf("got %v and %d messages, want 1", err, len(srv.caught()))
	}
}

func TestSenderPrintsNoPassword(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Host: "mail.example", From: "magpie@example.com", Username: "magpie", Password: magpie.NewSecret(password)})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v", s, s, s)
	if strings.Contains(text, password) || strings.Contains(text, strings.Trim(fmt.Sprint([]byte(password)), "[]")) {
		t.Error("a printed form shows the password")
	}
}
