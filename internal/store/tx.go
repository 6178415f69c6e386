package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"magpie"
)

// Tx is an open transaction. It is for one goroutine and must not be kept after the function that received it returned.
type Tx struct {
	conn
	native   any // *sql.Tx or pgx.Tx
	enqueuer Enqueuer
}

// Native returns the driver's transaction, *sql.Tx or pgx.Tx, for the job engine to complete a job in.
func (tx *Tx) Native() any { return tx.native }

// Enqueue adds a background job that exists if and only if the transaction commits.
func (tx *Tx) Enqueue(ctx context.Context, job magpie.Job, opts magpie.JobOptions) error {
	if tx.enqueuer == nil {
		return errors.New("enqueueing " + job.Kind() + ": the transaction has no job engine")
	}
	return tx.enqueuer.Insert(ctx, tx.native, job, opts)
}

// conn is what the statements need of a driver's transaction.
type conn interface {
	// exec runs a statement and returns how many rows it touched.
	exec(ctx context.Context, query string, args ...any) (int64, error)
	query(ctx context.Context, query string, args ...any) (rows, error)
	row(ctx context.Context, query string, args ...any) scanner
}

type scanner interface{ Scan(dest ...any) error }

type rows interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

type sqlConn struct{ tx *sql.Tx }

func (c sqlConn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, dbError(err)
	}
	return result.RowsAffected()
}

func (c sqlConn) query(ctx context.Context, query string, args ...any) (rows, error) {
	r, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, dbError(err)
	}
	return r, nil
}

func (c sqlConn) row(ctx context.Context, query string, args ...any) scanner {
	return errScanner{c.tx.QueryRowContext(ctx, query, args...)}
}

type pgConn struct{ tx pgx.Tx }

func (c pgConn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := c.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), dbError(err)
}

func (c pgConn) query(ctx context.Context, query string, args ...any) (rows, error) {
	r, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, dbError(err)
	}
	return pgRows{r}, nil
}

func (c pgConn) row(ctx context.Context, query string, args ...any) scanner {
	return errScanner{c.tx.QueryRow(ctx, query, args...)}
}

// pgRows gives pgx's rows the Close of database/sql.
type pgRows struct{ pgx.Rows }

// Close implements rows.
func (r pgRows) Close() error { r.Rows.Close(); return nil }

// errScanner translates the driver's "no rows" and other errors.
type errScanner struct{ s scanner }

// Scan implements scanner.
func (e errScanner) Scan(dest ...any) error { return dbError(e.s.Scan(dest...)) }

// collect runs a query and reads every row with scan.
func collect[T any](ctx context.Context, tx *Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, dbError(err)
		}
		all = append(all, v)
	}
	return all, dbError(rows.Err())
}

// scanOne reads a single column into a T, for collect.
func scanOne[T any](s scanner) (v T, err error) {
	err = s.Scan(&v)
	return v, err
}

// micros turns a time into its stored form; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeColumn scans a stored time.
type timeColumn struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return errors.New("a time column does not hold an integer")
	}
	*c.t = time.Time{}
	if n != 0 {
		*c.t = time.UnixMicro(n).UTC()
	}
	return nil
}

func subMigrations() (fs.FS, error) { return fs.Sub(migrations, "migrations") }
