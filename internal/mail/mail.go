// Package mail hands messages to an SMTP server.
//
// The idea: a message goes over TLS or not at all, and an error says whether trying again makes sense. STARTTLS is
// required by default: a server, or somebody in between, that does not offer it gets neither the password nor the message.
// The caller names each message by a Message-ID of its own, the same on every attempt, so that a message sent twice because
// an answer got lost can be recognised.
//
// A message goes to one address, so that recipients don't see each other and one bad address does not hold up the rest. The
// package knows no templates, keeps no queue and does not retry.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"magpie"
)

// TLSMode says how the connection to the server is secured.
type TLSMode string

// The ways to secure the connection. There is no opportunistic one, since that protects from nobody.
const (
	TLSStartTLS TLSMode = "starttls" // plain first, then STARTTLS, which must succeed; usually port 587 or 25; the default
	TLSImplicit TLSMode = "implicit" // TLS from the first byte; usually port 465
	TLSNone     TLSMode = "none"     // none at all; only to a server on this machine, and without password
)

const (
	defaultTimeout = 30 * time.Second
	maxSubject     = 250 // characters
)

// Options says where and as whom to send.
type Options struct {
	Host     string
	Port     int // 0 means 587, or 465 for TLSImplicit, or 25 for TLSNone
	Username string
	Password magpie.Secret
	TLS      TLSMode        // empty means TLSStartTLS
	RootCAs  *x509.CertPool // authorities to trust; nil means the system's
	From     string         // address, with or without name, such as "Magpie <magpie@example.com>"
	Timeout  time.Duration  // for one message in all; 0 means 30 s
}

// Sender sends messages by one server. It is safe for concurrent use; each message has a connection of its own.
type Sender struct {
	opts Options
	from *mail.Address
	addr string // host:port for people
}

// New checks the options and returns a Sender. It does not connect. Errors are *magpie.Error naming the field at fault.
func New(o Options) (*Sender, error) {
	if o.TLS == "" {
		o.TLS = TLSStartTLS
	}
	defaultPort, known := map[TLSMode]int{TLSStartTLS: 587, TLSImplicit: 465, TLSNone: 25}[o.TLS]
	if o.Port == 0 {
		o.Port = defaultPort
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	from, err := mail.ParseAddress(o.From)
	switch {
	case !known:
		return nil, invalid("tls", fmt.Sprintf("%q is not a way to secure SMTP", o.TLS), "use starttls or implicit")
	case o.Host == "" || strings.ContainsFunc(o.Host, notHost):
		return nil, invalid("host", "the SMTP server's host name is missing or wrong", "give its name without scheme and port")
	case o.Port < 1 || o.Port > 65535:
		return nil, invalid("port", fmt.Sprintf("%d is not a port", o.Port), "use 587 for STARTTLS or 465 for implicit TLS")
	case err != nil:
		return nil, invalid("from", "the sender is not an e-mail address", "write it as magpie@example.com or Magpie <magpie@example.com>")
	case o.TLS == TLSNone && !loopback(o.Host):
		return nil, invalid("tls", "SMTP without TLS is possible only to a server on this machine", "use starttls or implicit")
	case o.TLS == TLSNone && (o.Username != "" || o.Password.Len() > 0):
		return nil, invalid("tls", "a password is not sent without TLS", "use starttls or implicit, or leave out user name and password")
	case (o.Username == "") != (o.Password.Len() == 0):
		return nil, invalid("username", "user name and password belong together", "give both or neither")
	}
	return &Sender{opts: o, from: from, addr: net.JoinHostPort(o.Host, fmt.Sprint(o.Port))}, nil
}

// String names the server. Without it, printing a Sender would walk into the password.
func (s *Sender) String() string { return "mail by " + s.addr }

// GoString is String.
func (s *Sender) GoString() string { return s.String() }

func notHost(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' || r == '@' }

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func invalid(field, message, hint string) error {
	return &magpie.Error{Kind: magpie.KindInvalid, Field: field, Message: message, Hint: hint}
}

// Message is one mail to one address.
type Message struct {
	To        string // address, with or without name
	Subject   string // line breaks and control characters become spaces
	Text      string
	HTML      string // may be empty
	MessageID string // "left@right" without angle brackets, the same for every attempt
}

var messageIDForm = regexp.MustCompile(`^[A-Za-z0-9._=+-]{1,160}@[A-Za-z0-9.-]{1,80}$`)

// compose builds the message. No field can add a header: addresses are parsed, the id has a strict form, the subject loses
// its control characters, and bodies are encoded.
func (s *Sender) compose(m Message) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(m.To)
	if err != nil {
		return nil, invalid("to", "the recipient is not an e-mail address", "correct the address of the account")
	}
	if !messageIDForm.MatchString(m.MessageID) {
		return nil, fmt.Errorf("composing a mail: %q is not a Message-ID", m.MessageID)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(to)
	msg.Subject(oneLine(m.Subject))
	msg.SetMessageIDWithValue(m.MessageID)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no vacation answers, RFC 3834
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")  // the same for Exchange
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)      // the richer part comes last
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if r := []rune(s); len(r) > maxSubject {
		s = string(r[:maxSubject-1]) + "…"
	}
	return s
}

// Send delivers m to the server and returns when the server has taken it. Errors are *magpie.Error: KindUnavailable when
// it may work later (network, TLS, 4xx), KindTokenInvalid when the server refuses our password, KindInvalid when this
// message will never be taken (5xx, a bad address).
func (s *Sender) Send(ctx context.Context, m Message) error {
	msg, err := s.compose(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	conns := &connections{ctx: ctx, tls: s.tlsConfig(), implicit: s.opts.TLS == TLSImplicit}
	defer conns.close()
	client, err := s.client(conns)
	if err != nil {
		return fmt.Errorf("preparing to send mail: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // trouble while saying goodbye is none
		return nil
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return fmt.Errorf("sending mail by %s: %w", s.addr, context.Canceled)
	}
	return s.explain(err)
}

func (s *Sender) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.opts.Host, RootCAs: s.opts.RootCAs}
}

func (s *Sender) client(conns *connections) (*gomail.Client, error) {
	opts := []gomail.Option{
		gomail.WithPort(s.opts.Port), gomail.WithTimeout(s.opts.Timeout), gomail.WithTLSConfig(s.tlsConfig()),
		gomail.WithDialContextFunc(conns.dial), gomail.WithoutNoop(),
	}
	switch s.opts.TLS {
	case TLSImplicit:
		opts = append(opts, gomail.WithSSL())
	case TLSNone:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.opts.Username != "" {
		opts = append(opts, gomail.WithUsername(s.opts.Username), gomail.WithPassword(string(s.opts.Password.Reveal())),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256))
	}
	return gomail.NewClient(s.opts.Host, opts...)
}

// connections opens connections for one message and makes sure that each is closed, also when the library gave up on one
// half-way or the context ends while it waits for the server.
type connections struct {
	ctx      context.Context // of the message; the library's own covers only dialling
	tls      *tls.Config
	implicit bool
	stops    []func() bool
	open     []net.Conn
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{}
	var conn net.Conn
	var err error
	if c.implicit {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: c.tls}).DialContext(ctx, network, address)
	} else {
		conn, err = dialer.DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	c.open = append(c.open, conn)
	c.stops = append(c.stops, context.AfterFunc(c.ctx, func() { _ = conn.Close() }))
	return conn, nil
}

func (c *connections) close() {
	for i, conn := range c.open {
		c.stops[i]()
		_ = conn.Close()
	}
}
