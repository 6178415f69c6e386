package store

import (
	"context"
	"time"

	"magpie"
)

// AuditEntry is one line of the record of who did what.
type AuditEntry struct {
	ID      magpie.AuditID
	At      time.Time
	ActorID magpie.UserID // empty when Magpie itself acted
	Actor   string        // e-mail at the time
	Action  string        // "incident.revealed", "integration.connected", …
	Subject string        // what it was done to, for people
	Detail  string
}

// Audit appends to the record of who did what, in the transaction that does it. The zero actor is Magpie itself.
func (tx *Tx) Audit(ctx context.Context, actor magpie.User, action, subject, detail string) error {
	_, err := tx.exec(ctx, `INSERT INTO audit (id, at, actor_id, actor, action, subject, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		NewID[magpie.AuditID](), time.Now().UnixMicro(), actor.ID, actor.Email, action, subject, detail)
	return err
}

// AuditEntries returns the newest entries older than before, an entry's id, or the newest of all if before is empty.
func (tx *Tx) AuditEntries(ctx context.Context, before magpie.AuditID, limit int) ([]AuditEntry, error) {
	return collect(ctx, tx, func(s scanner) (e AuditEntry, err error) {
		err = s.Scan(&e.ID, timeColumn{&e.At}, &e.ActorID, &e.Actor, &e.Action, &e.Subject, &e.Detail)
		return e, err
	}, `SELECT id, at, actor_id, actor, action, subject, detail FROM audit
		WHERE $1 = '' OR id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
}
