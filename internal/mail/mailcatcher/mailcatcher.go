// Package mailcatcher is an SMTP server that delivers nothing: it keeps what it is sent in memory, for the demo and for
// tests, and shows it as a small inbox over HTTP.
//
// The idea: the product sends real mail over real TLS and anyone can read it without a mailbox. STARTTLS is required once a
// certificate is given, as a real server for submission would do. The oldest messages are dropped when there are too many; nothing
// is written to disk, and the inbox has no login, so it belongs on a loopback address.
package mailcatcher

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"magpie"
)

const (
	defaultKeep     = 1000
	maxMessageBytes = 1 << 20
	maxRecipients   = 50
	ioTimeout       = 30 * time.Second
)

// Options says how the server behaves. The zero value takes mail from anyone without TLS.
type Options struct {
	Certificate *tls.Certificate // offers STARTTLS and takes no mail without it; nil means no TLS
	Username    string           // if not empty, mail is taken only after AUTH PLAIN
	Password    magpie.Secret
	Keep        int // messages; 0 means 1,000
}

// Message is one caught mail.
type Message struct {
	Number    int       `json:"number"` // counts from 1 in the order of arrival
	Received  time.Time `json:"received"`
	Envelope  Envelope  `json:"envelope"`
	From      string    `json:"from"` // header, decoded
	To        string    `json:"to"`   // header, decoded
	Subject   string    `json:"subject"`
	MessageID string    `json:"message_id"` // without angle brackets
	Text      string    `json:"text"`
	HTML      string    `json:"html,omitempty"`
	Raw       string    `json:"-"`
}

// Envelope is what SMTP said, which is where the mail would have gone.
type Envelope struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	TLS  bool     `json:"tls"`
}

// Catcher is the server. It is safe for concurrent use.
type Catcher struct {
	opts   Options
	server *smtp.Server

	mu       sync.Mutex
	messages []Message     // oldest first
	count    int           // of all that ever came
	arrived  chan struct{} // closed and replaced when a message arrives
}

// New returns a server that is not yet listening.
func New(o Options) *Catcher {
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	c := &Catcher{opts: o, arrived: make(chan struct{})}
	s := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		return &session{catcher: c, conn: conn}, nil
	}))
	s.Domain = "mailcatcher"
	s.MaxMessageBytes, s.MaxRecipients = maxMessageBytes, maxRecipients
	s.ReadTimeout, s.WriteTimeout = ioTimeout, ioTimeout
	s.EnableSMTPUTF8 = true
	s.AllowInsecureAuth = o.Certificate == nil
	s.ErrorLog = log.New(io.Discard, "", 0) // broken connections are no news
	if o.Certificate != nil {
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*o.Certificate}}
	}
	c.server = s
	return c
}

// Serve answers SMTP on l until Close.
func (c *Catcher) Serve(l net.Listener) error {
	err := c.server.Serve(l)
	if errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close ends Serve and all connections.
func (c *Catcher) Close() error { return c.server.Close() }

// Messages returns what was caught and kept, oldest first.
func (c *Catcher) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.messages)
}

// Wait returns the first kept message that ok accepts, waiting for one until ctx ends.
func (c *Catcher) Wait(ctx context.Context, ok func(Message) bool) (Message, error) {
	seen := 0
	for {
		c.mu.Lock()
		messages, arrived := slices.Clone(c.messages), c.arrived
		c.mu.Unlock()
		for _, m := range messages {
			if m.Number > seen && ok(m) {
				return m, nil
			}
			seen = max(seen, m.Number)
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("waiting for a mail, %d seen: %w", seen, ctx.Err())
		}
	}
}

// Clear forgets all messages. Numbers go on.
func (c *Catcher) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = nil
}

func (c *Catcher) add(m Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	m.Number = c.count
	c.messages = append(c.messages, m)
	if extra := len(c.messages) - c.opts.Keep; extra > 0 {
		c.messages = slices.Delete(c.messages, 0, extra)
	}
	close(c.arrived)
	c.arrived = make(chan struct{})
}

// session is one SMTP connection.
type session struct {
	catcher  *Catcher
	conn     *smtp.Conn
	authed   bool
	envelope Envelope
}

var errNeedTLS = &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Must issue a STARTTLS command first"}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string {
	if s.catcher.opts.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		o := s.catcher.opts
		user := subtle.ConstantTimeCompare([]byte(username), []byte(o.Username))
		pass := subtle.ConstantTimeCompare([]byte(password), o.Password.Reveal())
		if user&pass != 1 {
			return smtp.ErrAuthFailed
		}
		s.authed = true
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, secure := s.conn.TLSConnectionState()
	switch {
	case s.catcher.opts.Certificate != nil && !secure:
		return errNeedTLS
	case s.catcher.opts.Username != "" && !s.authed:
		return smtp.ErrAuthRequired
	}
	s.envelope = Envelope{From: from, TLS: secure}
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.envelope.To = append(s.envelope.To, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(r); err != nil {
		return err
	}
	m, err := parse(raw.Bytes())
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Can't read the message"}
	}
	m.Received, m.Envelope = time.Now(), s.envelope
	s.catcher.add(m)
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.envelope = Envelope{} }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }
