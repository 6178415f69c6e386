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
// while a server uses the database, and sees one consistent state of it.
func CopySQLite(ctx context.Context, path, target string) error {
	if _, err := os.Stat(target); err == nil {
		return magpie.Errorf(magpie.KindInvalid, "%s exists already", target)
	}
	db, err := openPlain(ctx, path)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", target)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copying the database to %s: %w", target, err)
	}
	// SQLite does not sync what VACUUM INTO wrote.
	f, err := os.OpenFile(target, os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", target, err)
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
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
