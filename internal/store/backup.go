package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"magpie"
)

// CopySQLite writes a complete, compact copy of the SQLite database at path to target, which must not exist. It can run
// while a server uses the database, and sees one consistent state of it. Nobody but the user may read the copy, at no
// time; when it can't be completed nothing is left of it.
func CopySQLite(ctx context.Context, path, target string) (err error) {
	// Ours before anything is in it: SQLite would make it for all to read.
	f, err := os.OpenFile(target, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return magpie.Errorf(magpie.KindInvalid, "%s exists already", target)
	}
	if err != nil {
		return magpie.Errorf(magpie.KindInvalid, "making %s: %w", target, err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(target))
		}
	}()
	db, err := openPlain(ctx, path)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", target) // into the empty file
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copying the database to %s: %w", target, err)
	}
	if err := f.Sync(); err != nil { // which VACUUM INTO does not do
		return fmt.Errorf("syncing %s: %w", target, err)
	}
	return nil
}

// EndLogins ends all sessions and API tokens in the database file at path, which no server may use meanwhile. A copy
// brings back those that were ended after it was made.
func EndLogins(ctx context.Context, path string) error {
	db, err := openPlain(ctx, path)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "DELETE FROM session; DELETE FROM api_token")
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("ending the sessions and API tokens in %s: %w", path, err)
	}
	return nil
}

// CheckSQLite reports whether the file at path is an intact database of ours.
func CheckSQLite(ctx context.Context, path string) error {
	db, err := openPlain(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil || verdict != "ok" {
		return &magpie.Error{Kind: magpie.KindInvalid, Message: path + " is not an intact SQLite database", Err: err}
	}
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name IN ('incident', 'data_key')").Scan(&tables); err != nil {
		return fmt.Errorf("reading the tables of %s: %w", path, err)
	}
	if tables != 2 {
		return magpie.Errorf(magpie.KindInvalid, "%s is a database, but not one of Magpie", path)
	}
	return nil
}

// openPlain opens a database file that must exist, without migrating it.
func openPlain(ctx context.Context, path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, magpie.Errorf(magpie.KindInvalid, "the database %s can't be read: %w", path, err)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	// The first statement is what reads the file.
	var version int64
	if err := db.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version); err != nil {
		return nil, errors.Join(&magpie.Error{Kind: magpie.KindInvalid, Message: path + " is not an intact SQLite database", Err: err}, db.Close())
	}
	return db, nil
}
