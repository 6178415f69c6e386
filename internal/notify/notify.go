// Package notify tells another program about an incident by one HTTP POST: a webhook of the operator's own, or a chat's
// incoming webhook in the form that Slack made usual.
//
// The idea: a delivery is small, signed and repeatable. The body names the incident and links to it, and holds the masked
// value, never the secret. It is signed together with the time of sending, so a receiver can refuse what is forged or
// played back. A retry carries the same id, so a receiver can refuse what it has seen. docs/notifications.md is the
// reference for people who write receivers; the shape in event.go may gain fields and never loses one.
//
// The package sends once and says whether trying again makes sense; the outbox that keeps what must be sent, and tries
// again, is package alert. Redirects are not followed, and what the receiver answers is never passed on.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"magpie"
)

// Kind says what form a receiver expects.
type Kind string

// The kinds of receiver.
const (
	Webhook Kind = "webhook" // the event as JSON, signed
	Slack   Kind = "slack"   // {"text": …}, as Slack, Mattermost, Rocket.Chat and others take it; the URL is the credential
)

// The headers of a delivery to a Webhook.
const (
	HeaderEvent     = "X-Magpie-Event"     // the event's type
	HeaderDelivery  = "X-Magpie-Delivery"  // the event's id, the same in each attempt
	HeaderTimestamp = "X-Magpie-Timestamp" // when this attempt was made, in seconds since 1970
	HeaderSignature = "X-Magpie-Signature" // "sha256=" and Sign of the timestamp and the body, in hexadecimal
)

const (
	sendTimeout = 15 * time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be used again.
	maxAnswer = 16 << 10
	// minSecret is the least length of the signing secret in bytes.
	minSecret = 16
)

// Options says where a Sender sends.
type Options struct {
	// HTTP makes the requests; it must guard what it connects to, as package guard's does.
	HTTP *http.Client
	// Kind is the receiver's; empty means Webhook.
	Kind Kind
	// URL is the receiver's address: https, or http at a loopback address, which is reached without HTTP since nothing
	// leaves the machine. It may itself be a credential and is never shown.
	URL string
	// Secret signs deliveries to a Webhook; at least 16 bytes. Slack has none.
	Secret magpie.Secret
}

// Sender sends events to one receiver. It is safe for concurrent use.
type Sender struct {
	http   *http.Client
	kind   Kind
	url    string
	host   string
	secret magpie.Secret
	now    func() time.Time
}

// New returns a Sender, or a *magpie.Error that says what is wrong with the options.
func New(o Options) (*Sender, error) {
	if o.Kind == "" {
		o.Kind = Webhook
	}
	if err := Check(o.Kind, o.URL, o.Secret); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errAddress("")
	}
	s := &Sender{kind: o.Kind, url: o.URL, host: u.Host, secret: o.Secret, now: time.Now}
	client := http.Client{Transport: &http.Transport{}} // no proxy: this machine is asked directly
	if u.Scheme == "https" {
		client = *o.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.http = &client
	return s, nil
}

// Check reports what is wrong with a receiver, as a *magpie.Error, or nil.
func Check(kind Kind, address string, secret magpie.Secret) error {
	u, err := url.Parse(address)
	switch {
	case kind != Webhook && kind != Slack:
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "kind", Message: fmt.Sprintf("%q is not a kind of receiver", kind), Hint: "write webhook or slack"}
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errAddress("")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errAddress(u.Host)
	case u.User != nil || u.Fragment != "":
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "url", Message: "the receiver's address holds a user name or a fragment", Hint: "leave it out; deliveries are signed"}
	case kind == Webhook && secret.Len() < minSecret:
		return &magpie.Error{
			Kind: magpie.KindInvalid, Field: "secret", Message: fmt.Sprintf("a secret of %d bytes or more is needed to sign deliveries", minSecret),
			Hint: "make one with openssl rand -hex 32 and give it to the receiver too",
		}
	}
	return nil
}

func errAddress(host string) error {
	e := &magpie.Error{Kind: magpie.KindInvalid, Field: "url", Message: "the receiver's address is not a web address", Hint: "write it as https://example.com/path"}
	if host != "" {
		e.Message = "the address of the receiver " + host + " is not https"
		e.Hint = "use https; http is possible only to this machine, such as http://127.0.0.1:9000/"
	}
	return e
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// Name says in a few words who the receiver is, without its path, which may be a credential.
func (s *Sender) Name() string { return string(s.kind) + " " + s.host }

// Groups reports whether many incidents at once should come as one event of type Digest: people read a chat, programs
// want each incident.
func (s *Sender) Groups() bool { return s.kind == Slack }

// Send delivers an event once. An error is a *magpie.Error: of KindUnavailable if the receiver may take it later, of
// KindInvalid if it never will; or the context's own.
func (s *Sender) Send(ctx context.Context, e Event) error {
	limited, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := s.request(limited, e)
	if err != nil {
		return err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return s.explain(ctx, err)
	}
	defer resp.Body.Close()
	// Whether the answer's body arrives does not matter: the status says that the event did.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return s.judge(resp.StatusCode)
}

func (s *Sender) request(ctx context.Context, e Event) (*http.Request, error) {
	body, err := s.body(e)
	if err != nil {
		return nil, fmt.Errorf("writing event %s as JSON: %w", e.ID, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, errAddress("") // the cause would quote the address
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Magpie")
	if s.kind == Slack {
		return req, nil
	}
	timestamp := strconv.FormatInt(s.now().Unix(), 10)
	req.Header.Set(HeaderEvent, string(e.Type))
	req.Header.Set(HeaderDelivery, e.ID)
	req.Header.Set(HeaderTimestamp, timestamp)
	req.Header.Set(HeaderSignature, "sha256="+hex.EncodeToString(Sign(s.secret, timestamp, body)))
	return req, nil
}

// Sign returns HMAC-SHA256 under secret of the timestamp, a dot and the body.
func Sign(secret magpie.Secret, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret.Reveal())
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// explain turns a request that got no answer into an error that does not hold the address.
func (s *Sender) explain(ctx context.Context, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("notifying %s: %w", s.Name(), ctx.Err())
	}
	if known, ok := errors.AsType[*magpie.Error](err); ok {
		return known
	}
	e := &magpie.Error{Kind: magpie.KindUnavailable, Message: s.host + " could not be reached", Hint: "it will be tried again", Err: err}
	if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		e.Message = s.host + " did not answer in time"
	}
	return e
}

// judge is the one table from the receiver's status to what becomes of the delivery.
func (s *Sender) judge(status int) error {
	e := &magpie.Error{Kind: magpie.KindInvalid, Message: fmt.Sprintf("%s refuses the notification with status %d", s.host, status)}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests:
		e.Kind, e.Message = magpie.KindUnavailable, s.host+" asks for fewer notifications (status 429)"
	case status >= 500:
		e.Kind, e.Message = magpie.KindUnavailable, fmt.Sprintf("%s is in trouble (status %d)", s.host, status)
	case status >= 300 && status < 400:
		e.Message = fmt.Sprintf("%s redirects notifications (status %d), which is not followed", s.host, status)
		e.Hint = "set MAGPIE_NOTIFY_URL to the address that the receiver itself uses"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Hint = "check MAGPIE_NOTIFY_SECRET, or for a chat MAGPIE_NOTIFY_URL"
	case status == http.StatusNotFound || status == http.StatusGone:
		e.Hint = "check MAGPIE_NOTIFY_URL"
	}
	return e
}
