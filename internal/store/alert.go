package store

import (
	"cmp"
	"context"
	"time"

	"magpie"
)

// AlertState says what became of a message.
type AlertState string

// The states of a message.
const (
	AlertWaiting AlertState = "waiting" // to be sent; Error says what is in the way, if anything is
	AlertSent    AlertState = "sent"
	AlertFailed  AlertState = "failed" // given up; Error says why
)

// AlertChannel says by what way a message leaves.
type AlertChannel string

// The ways.
const (
	AlertByMail   AlertChannel = "mail"
	AlertByNotify AlertChannel = "notify" // the webhook or chat
)

// Alert is one message to one person, or to the one webhook or chat, that must leave once.
type Alert struct {
	ID        magpie.AlertID
	DedupeKey string       // says what "once" means
	Channel   AlertChannel // empty means AlertByMail
	Kind      string
	Subject   string        // id of the incident, digest or integration it is about
	UserID    magpie.UserID // empty for a webhook or chat
	Recipient string        // e-mail address, or the name of the webhook or chat
	State     AlertState
	Error     string // for people
	CreatedAt time.Time
	SentAt    time.Time // zero until sent
}

// alertColumns are what readAlert reads, in its order.
const alertColumns = `id, dedupe_key, channel, kind, subject_id, account_id, recipient, state, error, created_at, sent_at`

func readAlert(s scanner) (a Alert, err error) {
	err = s.Scan(&a.ID, &a.DedupeKey, &a.Channel, &a.Kind, &a.Subject, &a.UserID, &a.Recipient, &a.State, &a.Error,
		timeColumn{&a.CreatedAt}, timeColumn{&a.SentAt})
	return a, err
}

// AddAlert stores a message. It reports false and changes nothing if there is one with the same dedupe key.
func (tx *Tx) AddAlert(ctx context.Context, a Alert) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO alert (id, dedupe_key, channel, kind, subject_id, account_id, recipient, state, error, created_at, sent_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (dedupe_key) DO NOTHING`,
		a.ID, a.DedupeKey, cmp.Or(a.Channel, AlertByMail), a.Kind, a.Subject, a.UserID, a.Recipient, a.State, a.Error, micros(a.CreatedAt), micros(a.SentAt))
	return n == 1, err
}

// Alert returns a message.
func (tx *Tx) Alert(ctx context.Context, id magpie.AlertID) (Alert, error) {
	return readAlert(tx.row(ctx, `SELECT `+alertColumns+` FROM alert WHERE id = $1`, id))
}

// SettleAlert stores what became of a waiting message, and reports false if it was settled before.
func (tx *Tx) SettleAlert(ctx context.Context, id magpie.AlertID, state AlertState, why string, sentAt time.Time) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE alert SET state = $1, error = $2, sent_at = $3 WHERE id = $4 AND state = 'waiting'`,
		state, why, micros(sentAt), id)
	return n == 1, err
}

// AlertsToSend returns the messages not yet sent or given up whose ids come after another one, oldest first.
func (tx *Tx) AlertsToSend(ctx context.Context, after magpie.AlertID, limit int) ([]Alert, error) {
	return collect(ctx, tx, readAlert, `SELECT `+alertColumns+` FROM alert
		WHERE state = 'waiting' AND id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// AlertsAbout returns the messages about an incident, a digest or an integration, oldest first.
func (tx *Tx) AlertsAbout(ctx context.Context, subject string) ([]Alert, error) {
	return collect(ctx, tx, readAlert, `SELECT `+alertColumns+` FROM alert WHERE subject_id = $1 ORDER BY id`, subject)
}

// AddToDigest puts an incident on the list that the messages about a digest show.
func (tx *Tx) AddToDigest(ctx context.Context, digest string, incident magpie.IncidentID) error {
	_, err := tx.exec(ctx, `INSERT INTO alert_digest (digest_id, incident_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, digest, incident)
	return err
}

// DigestIncidents returns how many incidents a digest lists and the worst of them, at most limit.
func (tx *Tx) DigestIncidents(ctx context.Context, digest string, limit int) (int64, []magpie.Incident, error) {
	var n int64
	if err := tx.row(ctx, `SELECT count(*) FROM alert_digest WHERE digest_id = $1`, digest).Scan(&n); err != nil {
		return 0, nil, err
	}
	list, err := collect(ctx, tx, readIncident, `SELECT `+incidentColumns+` FROM incident
		WHERE id IN (SELECT incident_id FROM alert_digest WHERE digest_id = $1) ORDER BY severity_rank, number LIMIT $2`, digest, limit)
	return n, list, err
}
