package store

import (
	"context"

	"magpie"
)

// accountColumns are what readAccount reads, in its order.
const accountColumns = `id, email, name, role, disabled, created_at`

func readAccount(s scanner) (u magpie.User, err error) {
	err = s.Scan(&u.ID, &u.Email, &u.Name, &u.Role, &u.Disabled, timeColumn{&u.CreatedAt})
	return u, err
}

// AddAccount stores a new account. A second one with the same e-mail, or a second Owner, is a KindConflict.
func (tx *Tx) AddAccount(ctx context.Context, u magpie.User, passwordHash string) error {
	_, err := tx.exec(ctx, `INSERT INTO account (id, email, name, role, disabled, password_hash, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, u.ID, u.Email, u.Name, u.Role, u.Disabled, passwordHash, micros(u.CreatedAt))
	return err
}

// Account returns an account.
func (tx *Tx) Account(ctx context.Context, id magpie.UserID) (magpie.User, error) {
	return readAccount(tx.row(ctx, `SELECT `+accountColumns+` FROM account WHERE id = $1`, id))
}

// LockAccount is Account, and lets nobody else change the account until the transaction ends.
func (tx *Tx) LockAccount(ctx context.Context, id magpie.UserID) (magpie.User, error) {
	return readAccount(tx.row(ctx, `UPDATE account SET email = email WHERE id = $1 RETURNING `+accountColumns, id))
}

// AccountByEmail returns the account with an e-mail, which must be in lower case, and its password's hash.
func (tx *Tx) AccountByEmail(ctx context.Context, email string) (u magpie.User, passwordHash string, err error) {
	err = tx.row(ctx, `SELECT id, email, name, role, disabled, created_at, password_hash FROM account WHERE email = $1`, email).
		Scan(&u.ID, &u.Email, &u.Name, &u.Role, &u.Disabled, timeColumn{&u.CreatedAt}, &passwordHash)
	return u, passwordHash, err
}

// Accounts returns all accounts, oldest first.
func (tx *Tx) Accounts(ctx context.Context) ([]magpie.User, error) {
	return collect(ctx, tx, readAccount, `SELECT `+accountColumns+` FROM account ORDER BY id`)
}

// OwnerExists reports whether there is an Owner.
func (tx *Tx) OwnerExists(ctx context.Context) (bool, error) {
	ids, err := collect(ctx, tx, scanOne[string], `SELECT id FROM account WHERE role = 'owner'`)
	return len(ids) > 0, err
}

// SetAccountPassword replaces the hash of an account's password.
func (tx *Tx) SetAccountPassword(ctx context.Context, id magpie.UserID, hash string) error {
	_, err := tx.exec(ctx, `UPDATE account SET password_hash = $1 WHERE id = $2`, hash, id)
	return err
}

// SetAccountRole gives an account another role.
func (tx *Tx) SetAccountRole(ctx context.Context, id magpie.UserID, role magpie.Role) error {
	_, err := tx.exec(ctx, `UPDATE account SET role = $1 WHERE id = $2`, role, id)
	return err
}

// SetAccountDisabled shuts an account out, or lets it in again.
func (tx *Tx) SetAccountDisabled(ctx context.Context, id magpie.UserID, disabled bool) error {
	_, err := tx.exec(ctx, `UPDATE account SET disabled = $1 WHERE id = $2`, disabled, id)
	return err
}
