package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"magpie"
	"magpie/internal/mail"
	"magpie/internal/notify"
	"magpie/internal/store"
)

// Sender sends one mail. An error of magpie.KindInvalid means that the message will never be taken; others are passing.
// mail.Sender is one.
type Sender interface {
	Send(ctx context.Context, m mail.Message) error
}

// Options says what a Service works with.
type Options struct {
	DB *store.DB
	// Mail sends the messages; nil means that no mail server is configured, and messages wait.
	Mail Sender
	// Notify is the webhook or chat that is told about each incident besides; nil means that there is none.
	Notify *notify.Sender
	// PublicURL is where people reach the web app, without a slash at the end, such as "https://magpie.example.com".
	PublicURL string
	Log       *slog.Logger
}

// Service tells people. It is safe for concurrent use.
type Service struct {
	db        *store.DB
	mail      Sender
	notify    *notify.Sender
	publicURL string
	domain    string // right side of Message-IDs
	log       *slog.Logger
}

// New returns a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	domain := "magpie.invalid"
	if u, err := url.Parse(o.PublicURL); err == nil && messageIDHost(u.Hostname()) {
		domain = u.Hostname()
	}
	return &Service{db: o.DB, mail: o.Mail, notify: o.Notify, publicURL: strings.TrimRight(o.PublicURL, "/"), domain: domain, log: o.Log}
}

// messageIDHost reports whether a host can stand in a Message-ID; an IPv6 address can't.
func messageIDHost(host string) bool {
	return host != "" && len(host) <= 80 && strings.Trim(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// Configured reports whether there is a mail server, for pages that explain why messages wait.
func (s *Service) Configured() bool { return s.mail != nil }

// Why says what happened to incidents that people hear about.
type Why string

// The reasons to tell people about incidents.
const (
	Opened   Why = "opened"
	Reopened Why = "reopened" // by a new occurrence after it was resolved
)

// The kinds of message.
const (
	kindOpened   = "incident.opened"
	kindReopened = "incident.reopened"
	kindDigest   = "incident.digest"
	kindAssigned = "incident.assigned"
)

// digestAbove is how many incidents of one call are told one by one; more come in one mail.
const digestAbove = 20

// IncidentsOpened tells all enabled accounts about incidents. A reopened one must already have its "regressed" event, by
// the count of which one reopening is told from the next.
func (s *Service) IncidentsOpened(ctx context.Context, tx *store.Tx, ids []magpie.IncidentID, why Why) error {
	if len(ids) == 0 {
		return nil
	}
	people, err := recipients(ctx, tx, magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(ids))
	for _, id := range ids {
		key, err := incidentKey(ctx, tx, id, why)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	if err := s.notifyIncidents(ctx, tx, ids, keys, why); err != nil {
		return err
	}
	if len(ids) > digestAbove {
		return s.tellDigest(ctx, tx, people, ids, keys)
	}
	for i, id := range ids {
		if err := s.tell(ctx, tx, people, "incident."+string(why), string(id), keys[i]); err != nil {
			return err
		}
	}
	return nil
}

// incidentKey says which one event of an incident's life a message is about.
func incidentKey(ctx context.Context, tx *store.Tx, id magpie.IncidentID, why Why) (string, error) {
	if why == Opened {
		return "opened|" + string(id), nil
	}
	n, err := tx.CountIncidentEvents(ctx, id, "regressed")
	return fmt.Sprintf("reopened|%s|%d", id, n), err
}

// digestName names a digest by its content.
func digestName(keys []string) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(keys)), "\n")))
	return hex.EncodeToString(sum[:16])
}

// tellDigest tells about many incidents in one mail.
func (s *Service) tellDigest(ctx context.Context, tx *store.Tx, people []magpie.User, ids []magpie.IncidentID, keys []string) error {
	digest := digestName(keys)
	for _, id := range ids {
		if err := tx.AddToDigest(ctx, digest, id); err != nil {
			return err
		}
	}
	return s.tell(ctx, tx, people, kindDigest, digest, "digest|"+digest)
}

// IncidentAssigned tells a user that somebody gave them an incident; event names the one time it happened.
func (s *Service) IncidentAssigned(ctx context.Context, tx *store.Tx, id magpie.IncidentID, to magpie.User, event string) error {
	if to.Disabled {
		return nil
	}
	return s.tell(ctx, tx, []magpie.User{to}, kindAssigned, string(id), "assigned|"+string(id)+"|"+event)
}

func recipients(ctx context.Context, tx *store.Tx, roles ...magpie.Role) ([]magpie.User, error) {
	all, err := tx.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(u magpie.User) bool { return u.Disabled || !slices.Contains(roles, u.Role) }), nil
}

// tell puts one message for each of the people into the outbox, unless it is there already.
func (s *Service) tell(ctx context.Context, tx *store.Tx, people []magpie.User, kind, subject, key string) error {
	for _, user := range people {
		a := store.Alert{
			ID: store.NewID[magpie.AlertID](), DedupeKey: key + "|" + string(user.ID), Kind: kind, Subject: subject,
			UserID: user.ID, Recipient: user.Email, State: store.AlertWaiting, CreatedAt: time.Now(),
		}
		if s.mail == nil {
			a.Error = notConfigured
		}
		added, err := tx.AddAlert(ctx, a)
		if err != nil {
			return err
		}
		if !added {
			continue
		}
		if err := s.enqueue(ctx, tx, a, magpie.JobOptions{}); err != nil {
			return err
		}
	}
	return nil
}
