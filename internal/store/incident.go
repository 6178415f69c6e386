package store

import (
	"cmp"
	"context"
	"time"

	"magpie"
)

// incidentColumns are what readIncident reads, in its order.
const incidentColumns = `id, number, rule, title, provider, severity, confidence, status, ignore_reason, secret_revoked, regressed,
	assignee_id, masked, occurrences, first_seen_at, last_seen_at, first_commit_at, closed_at, from_history,
	first_repo_id, first_repo, first_file, first_author, first_email, validity, checked_at`

func readIncident(s scanner) (v magpie.Incident, err error) {
	err = s.Scan(&v.ID, &v.Number, &v.Rule, &v.Title, &v.Provider, &v.Severity, &v.Confidence, &v.Status, &v.IgnoreReason,
		&v.SecretRevoked, &v.Regressed, &v.AssigneeID, &v.Masked, &v.Occurrences, timeColumn{&v.FirstSeenAt},
		timeColumn{&v.LastSeenAt}, timeColumn{&v.FirstCommitAt}, timeColumn{&v.ClosedAt}, &v.FromHistory,
		&v.FirstRepoID, &v.FirstRepo, &v.FirstFile, &v.FirstAuthor, &v.FirstAuthorEml,
		&v.Validity, timeColumn{&v.CheckedAt})
	return v, err
}

// LockIncidents makes every other transaction that records findings wait until this one ends. It must come before the
// first incident of the transaction is touched: then numbers have no gaps, one secret has one incident, and two
// transactions with the same secrets in different orders can't block each other for ever.
func (tx *Tx) LockIncidents(ctx context.Context) error {
	_, err := tx.exec(ctx, `UPDATE counter SET value = value WHERE name = 'incident'`)
	return err
}

// NextIncidentNumber counts one up.
func (tx *Tx) NextIncidentNumber(ctx context.Context) (int64, error) {
	var n int64
	err := tx.row(ctx, `UPDATE counter SET value = value + 1 WHERE name = 'incident' RETURNING value`).Scan(&n)
	return n, err
}

// AddIncident stores a new incident with the keyed fingerprint and the sealed value of its secret.
func (tx *Tx) AddIncident(ctx context.Context, v magpie.Incident, fingerprint string, sealed []byte) error {
	_, err := tx.exec(ctx, `INSERT INTO incident (id, number, fingerprint, rule, title, provider, severity, severity_rank,
			severity_chosen, confidence, status, ignore_reason, secret_revoked, regressed, assignee_id, masked, secret_sealed,
			occurrences, first_seen_at, last_seen_at, first_commit_at, closed_at, from_history,
			first_repo_id, first_repo, first_file, first_author, first_email, validity, checked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, FALSE, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
			$23, $24, $25, $26, $27, $28, $29)`,
		v.ID, v.Number, fingerprint, v.Rule, v.Title, v.Provider, v.Severity, severityRank(v.Severity),
		v.Confidence, v.Status, v.IgnoreReason, v.SecretRevoked, v.Regressed, v.AssigneeID, v.Masked, sealed,
		v.Occurrences, micros(v.FirstSeenAt), micros(v.LastSeenAt), micros(v.FirstCommitAt), micros(v.ClosedAt), v.FromHistory,
		v.FirstRepoID, v.FirstRepo, v.FirstFile, v.FirstAuthor, v.FirstAuthorEml,
		cmp.Or(v.Validity, magpie.ValidityNotChecked), micros(v.CheckedAt))
	return err
}

// Incident returns an incident.
func (tx *Tx) Incident(ctx context.Context, id magpie.IncidentID) (magpie.Incident, error) {
	return readIncident(tx.row(ctx, `SELECT `+incidentColumns+` FROM incident WHERE id = $1`, id))
}

// LockIncident is Incident, and lets nobody else change the incident until the transaction ends.
func (tx *Tx) LockIncident(ctx context.Context, id magpie.IncidentID) (magpie.Incident, error) {
	return readIncident(tx.row(ctx, `UPDATE incident SET number = number WHERE id = $1 RETURNING `+incidentColumns, id))
}

// LockIncidentByFingerprint is LockIncident for the incident of a secret.
func (tx *Tx) LockIncidentByFingerprint(ctx context.Context, fingerprint string) (magpie.Incident, error) {
	return readIncident(tx.row(ctx, `UPDATE incident SET number = number WHERE fingerprint = $1 RETURNING `+incidentColumns, fingerprint))
}

// IncidentSecret returns the sealed value of an incident's secret.
func (tx *Tx) IncidentSecret(ctx context.Context, id magpie.IncidentID) ([]byte, error) {
	var sealed []byte
	err := tx.row(ctx, `SELECT secret_sealed FROM incident WHERE id = $1`, id).Scan(&sealed)
	return sealed, err
}

// UpdateIncident stores what happens to an incident in its life: state, assignee, counts, and what is known best about
// the secret and its first place. Number, secret and the time of discovery never change; nor does the severity, which
// SetIncidentSeverity and SetIncidentDetector change.
func (tx *Tx) UpdateIncident(ctx context.Context, v magpie.Incident) error {
	_, err := tx.exec(ctx, `UPDATE incident SET status = $1, ignore_reason = $2, secret_revoked = $3, regressed = $4, assignee_id = $5,
			occurrences = $6, last_seen_at = $7, first_commit_at = $8, closed_at = $9,
			first_repo_id = $10, first_repo = $11, first_file = $12, first_author = $13, first_email = $14
		WHERE id = $15`,
		v.Status, v.IgnoreReason, v.SecretRevoked, v.Regressed, v.AssigneeID,
		v.Occurrences, micros(v.LastSeenAt), micros(v.FirstCommitAt), micros(v.ClosedAt),
		v.FirstRepoID, v.FirstRepo, v.FirstFile, v.FirstAuthor, v.FirstAuthorEml, v.ID)
	return err
}

// SetIncidentDetector stores that a better detector recognised an incident's secret, and with it that detector's
// severity unless a person has chosen one.
func (tx *Tx) SetIncidentDetector(ctx context.Context, v magpie.Incident) error {
	_, err := tx.exec(ctx, `UPDATE incident SET rule = $1, title = $2, provider = $3, confidence = $4,
			severity = CASE WHEN severity_chosen THEN severity ELSE $5 END,
			severity_rank = CASE WHEN severity_chosen THEN severity_rank ELSE $6 END
		WHERE id = $7`, v.Rule, v.Title, v.Provider, v.Confidence, v.Severity, severityRank(v.Severity), v.ID)
	return err
}

// SetIncidentSeverity stores the severity that a person chose.
func (tx *Tx) SetIncidentSeverity(ctx context.Context, id magpie.IncidentID, severity magpie.Severity) error {
	_, err := tx.exec(ctx, `UPDATE incident SET severity = $1, severity_rank = $2, severity_chosen = TRUE WHERE id = $3`,
		severity, severityRank(severity), id)
	return err
}

// SetIncidentValidity stores what came of asking the vendor about an incident's secret, and when; the zero time means that
// nobody could be asked.
func (tx *Tx) SetIncidentValidity(ctx context.Context, id magpie.IncidentID, validity magpie.Validity, checkedAt time.Time) error {
	_, err := tx.exec(ctx, `UPDATE incident SET validity = $1, checked_at = $2 WHERE id = $3`, validity, micros(checkedAt), id)
	return err
}

// AddIncidentEvent appends to an incident's history.
func (tx *Tx) AddIncidentEvent(ctx context.Context, id magpie.IncidentID, e magpie.IncidentEvent) error {
	_, err := tx.exec(ctx, `INSERT INTO incident_event (id, incident_id, at, actor_id, action, detail) VALUES ($1, $2, $3, $4, $5, $6)`,
		NewID[string](), id, micros(e.At), e.Actor, e.Action, e.Detail)
	return err
}

// IncidentEvents returns an incident's history, oldest first.
func (tx *Tx) IncidentEvents(ctx context.Context, id magpie.IncidentID) ([]magpie.IncidentEvent, error) {
	return collect(ctx, tx, func(s scanner) (e magpie.IncidentEvent, err error) {
		err = s.Scan(timeColumn{&e.At}, &e.Actor, &e.Action, &e.Detail)
		return e, err
	}, `SELECT at, actor_id, action, detail FROM incident_event WHERE incident_id = $1 ORDER BY id`, id)
}

// CountIncidentEvents returns how often something happened to an incident.
func (tx *Tx) CountIncidentEvents(ctx context.Context, id magpie.IncidentID, action string) (int64, error) {
	var n int64
	err := tx.row(ctx, `SELECT count(*) FROM incident_event WHERE incident_id = $1 AND action = $2`, id, action).Scan(&n)
	return n, err
}
