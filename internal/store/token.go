package store

import (
	"context"
	"time"

	"magpie"
)

// APIToken is a user's key to the API. The token itself is not kept, only its hash.
type APIToken struct {
	ID        magpie.TokenID
	UserID    magpie.UserID
	Name      string
	CreatedAt time.Time
	UsedAt    time.Time // zero if never; exact to a minute
	ExpiresAt time.Time // zero: never
}

// AddAPIToken stores a new token by its SHA-256.
func (tx *Tx) AddAPIToken(ctx context.Context, t APIToken, hash []byte) error {
	_, err := tx.exec(ctx, `INSERT INTO api_token (id, account_id, name, token_hash, created_at, used_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, 0, $6)`, t.ID, t.UserID, t.Name, hash, micros(t.CreatedAt), micros(t.ExpiresAt))
	return err
}

// APITokenByHash returns a token and its user, whether or not it has expired.
func (tx *Tx) APITokenByHash(ctx context.Context, hash []byte) (t APIToken, u magpie.User, err error) {
	err = tx.row(ctx, `SELECT t.id, t.name, t.created_at, t.used_at, t.expires_at,
			a.id, a.email, a.name, a.role, a.disabled, a.created_at
		FROM api_token t JOIN account a ON a.id = t.account_id WHERE t.token_hash = $1`, hash).
		Scan(&t.ID, &t.Name, timeColumn{&t.CreatedAt}, timeColumn{&t.UsedAt}, timeColumn{&t.ExpiresAt},
			&u.ID, &u.Email, &u.Name, &u.Role, &u.Disabled, timeColumn{&u.CreatedAt})
	t.UserID = u.ID
	return t, u, err
}

// APITokensOf returns a user's tokens, newest first.
func (tx *Tx) APITokensOf(ctx context.Context, user magpie.UserID) ([]APIToken, error) {
	return collect(ctx, tx, func(s scanner) (t APIToken, err error) {
		err = s.Scan(&t.ID, &t.UserID, &t.Name, timeColumn{&t.CreatedAt}, timeColumn{&t.UsedAt}, timeColumn{&t.ExpiresAt})
		return t, err
	}, `SELECT id, account_id, name, created_at, used_at, expires_at FROM api_token WHERE account_id = $1 ORDER BY id DESC`, user)
}

// TouchAPIToken records that a token was used.
func (tx *Tx) TouchAPIToken(ctx context.Context, id magpie.TokenID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE api_token SET used_at = $1 WHERE id = $2`, micros(at), id)
	return err
}

// DeleteAPIToken ends a user's token and reports whether the user had it.
func (tx *Tx) DeleteAPIToken(ctx context.Context, user magpie.UserID, id magpie.TokenID) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM api_token WHERE id = $1 AND account_id = $2`, id, user)
	return n == 1, err
}

// DeleteAPITokensOf ends all tokens of an account.
func (tx *Tx) DeleteAPITokensOf(ctx context.Context, user magpie.UserID) error {
	_, err := tx.exec(ctx, `DELETE FROM api_token WHERE account_id = $1`, user)
	return err
}
