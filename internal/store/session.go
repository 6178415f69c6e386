package store

import (
	"context"
	"time"

	"magpie"
)

// Session is one browser that is signed in. It is known by the hash of the token in its cookie, so that a copy of the
// database signs nobody in.
type Session struct {
	IDHash    []byte // SHA-256
	User      magpie.User
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
}

// AddSession stores a new session of s.User.
func (tx *Tx) AddSession(ctx context.Context, s Session) error {
	_, err := tx.exec(ctx, `INSERT INTO session (id_hash, account_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		s.IDHash, s.User.ID, micros(s.CreatedAt), micros(s.SeenAt), micros(s.ExpiresAt))
	return err
}

// Session returns a session with its user, whether or not it has expired.
func (tx *Tx) Session(ctx context.Context, idHash []byte) (Session, error) {
	v := Session{IDHash: idHash}
	u := &v.User
	err := tx.row(ctx, `SELECT a.id, a.email, a.name, a.role, a.disabled, a.created_at, s.created_at, s.seen_at, s.expires_at
		FROM session s JOIN account a ON a.id = s.account_id WHERE s.id_hash = $1`, idHash).
		Scan(&u.ID, &u.Email, &u.Name, &u.Role, &u.Disabled, timeColumn{&u.CreatedAt},
			timeColumn{&v.CreatedAt}, timeColumn{&v.SeenAt}, timeColumn{&v.ExpiresAt})
	return v, err
}

// TouchSession records that a session was used.
func (tx *Tx) TouchSession(ctx context.Context, idHash []byte, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE session SET seen_at = $1 WHERE id_hash = $2`, micros(at), idHash)
	return err
}

// DeleteSession ends a session and reports whether there was one.
func (tx *Tx) DeleteSession(ctx context.Context, idHash []byte) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM session WHERE id_hash = $1`, idHash)
	return n == 1, err
}

// DeleteSessionsOf ends all sessions of an account.
func (tx *Tx) DeleteSessionsOf(ctx context.Context, user magpie.UserID) error {
	_, err := tx.exec(ctx, `DELETE FROM session WHERE account_id = $1`, user)
	return err
}

// PruneSessions forgets sessions that have expired or were last seen before a time.
func (tx *Tx) PruneSessions(ctx context.Context, now, seenBefore time.Time) error {
	_, err := tx.exec(ctx, `DELETE FROM session WHERE expires_at <= $1 OR seen_at <= $2`, micros(now), micros(seenBefore))
	return err
}
