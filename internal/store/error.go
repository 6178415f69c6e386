package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"magpie"
)

// SQLite's extended result codes that mean "a row like this exists" (https://sqlite.org/rescode.html).
const (
	sqliteConstraintPrimaryKey = 1555
	sqliteConstraintUnique     = 2067
	sqliteFull                 = 13
)

// Error codes of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	pgUniqueViolation      = "23505"
	pgSerializationFailure = "40001"
	pgDeadlockDetected     = "40P01"
)

// conflicts reports whether PostgreSQL ended a transaction only because of another one, so that it may succeed anew.
func conflicts(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == pgSerializationFailure || pg.Code == pgDeadlockDetected)
}

// dbError translates what the drivers say into our kinds: no row is KindNotFound, a duplicate is KindConflict, a full
// disk or a database that does not answer is KindUnavailable. Errors that are already ours pass unchanged.
func dbError(err error) error {
	if err == nil || magpie.KindOf(err) != magpie.KindInternal {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, pgx.ErrNoRows) {
		return &magpie.Error{Kind: magpie.KindNotFound, Message: "there is no such thing", Err: err}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == pgUniqueViolation {
		return &magpie.Error{Kind: magpie.KindConflict, Message: "it exists already", Err: err}
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		switch lite.Code() {
		case sqliteConstraintPrimaryKey, sqliteConstraintUnique:
			return &magpie.Error{Kind: magpie.KindConflict, Message: "it exists already", Err: err}
		case sqliteFull:
			return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the disk with the database is full", Err: err}
		}
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok && !errors.Is(err, context.Canceled) {
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the database does not answer", Err: err}
	}
	return err
}
