package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"magpie"
)

//go:embed migrations/*.sql
var migrations embed.FS

// NewID returns a new UUIDv7 as an id of the wanted type. Ids sort by the time they were made.
func NewID[ID ~string]() ID { return ID(uuid.Must(uuid.NewV7()).String()) }

// Enqueuer adds a job inside a transaction of the database's own kind: *sql.Tx on SQLite, pgx.Tx on PostgreSQL. The
// job engine implements it.
type Enqueuer interface {
	Insert(ctx context.Context, nativeTx any, job magpie.Job, opts magpie.JobOptions) error
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	// SQLite: one writing connection, because the engine allows one writer, and a pool of read-only ones, so that
	// pages don't wait for it. Nil on PostgreSQL.
	writer, reader *sql.DB
	// PostgreSQL; nil on SQLite.
	pool *pgxpool.Pool

	enqueuer Enqueuer
	order    order // of those who write to SQLite
	metrics  metrics
}

// Open connects to the database at address, "sqlite:PATH" or "postgres://…", and brings its schema up to date. It
// refuses a SQLite library with known data loss and a file on which the durability settings do not take.
func Open(ctx context.Context, address string) (*DB, error) {
	var db *DB
	var err error
	switch scheme, rest, _ := strings.Cut(address, ":"); scheme {
	case "sqlite":
		db, err = openSQLite(ctx, rest)
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, address)
	default:
		return nil, magpie.Errorf(magpie.KindInvalid, "the database address must start with sqlite: or postgres://")
	}
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// SetEnqueuer tells where Tx.Enqueue puts jobs. It must be called before the first Write that enqueues.
func (db *DB) SetEnqueuer(e Enqueuer) { db.enqueuer = e }

// Native returns the handle that the job engine shares: *sql.DB (the one writing connection) or *pgxpool.Pool.
func (db *DB) Native() any {
	if db.pool != nil {
		return db.pool
	}
	return db.writer
}

// NativeReader returns the handle of SQLite's reading connections, for the job engine to look without waiting for the one
// writer. It is nil on PostgreSQL.
func (db *DB) NativeReader() *sql.DB { return db.reader }

// Embedded reports whether the database is SQLite, which one process owns alone.
func (db *DB) Embedded() bool { return db.pool == nil }

// Close closes all connections.
func (db *DB) Close() error {
	if db.pool != nil {
		db.pool.Close()
		return nil
	}
	return errors.Join(db.reader.Close(), db.writer.Close())
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return db.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.row(ctx, "SELECT 1").Scan(&one)
	})
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	// Made here, because the driver would let the group and others read it; its journals take over the mode.
	created, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, magpie.Errorf(magpie.KindInvalid, "opening the database file: %w", err)
	}
	if err := created.Close(); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	file := "file:" + (&url.URL{Path: path}).EscapedPath()
	writerConns, err := newPreparing(file + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	readerConns, err := newPreparing(file + "?mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return nil, fmt.Errorf("opening %s for reading: %w", path, err)
	}
	writer, reader := sql.OpenDB(writerConns), sql.OpenDB(readerConns)
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(8)
	reader.SetMaxIdleConns(8) // each new connection reads the whole schema again
	db := &DB{writer: writer, reader: reader, metrics: newMetrics()}
	if err := db.checkSQLite(ctx, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkSQLite asserts what durability depends on, since a driver that ignores a setting says nothing.
func (db *DB) checkSQLite(ctx context.Context, path string) error {
	var version, journal string
	var synchronous, foreignKeys int
	for query, dest := range map[string]any{
		"SELECT sqlite_version()": &version,
		"PRAGMA journal_mode":     &journal,
		"PRAGMA synchronous":      &synchronous,
		"PRAGMA foreign_keys":     &foreignKeys,
	} {
		if err := db.writer.QueryRowContext(ctx, query).Scan(dest); err != nil {
			return fmt.Errorf("opening the database %s: %w", path, err)
		}
	}
	if journal != "wal" || synchronous != 2 || foreignKeys != 1 {
		return magpie.Errorf(magpie.KindInvalid,
			"the database %s can't be used safely: journal mode %s, synchronous %d; is it on a network file system?", path, journal, synchronous)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return fmt.Errorf("reading SQLite's version %q: %w", version, err)
	}
	// Before 3.51.3 a reset of the write-ahead log could corrupt the file.
	if major*1_000_000+minor*1_000+patch < 3_051_003 {
		return magpie.Errorf(magpie.KindInvalid, "SQLite %s is too old: 3.51.3 is needed", version)
	}
	return nil
}

func openPostgres(ctx context.Context, address string) (*DB, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		// pgx's own message would repeat the address, which may hold a password.
		return nil, magpie.Errorf(magpie.KindInvalid, "the database address is not a valid postgres:// URL")
	}
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	config.ConnConfig.RuntimeParams["application_name"] = "magpie"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL at %s: %w", config.ConnConfig.Host, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connecting to PostgreSQL at %s: %w", config.ConnConfig.Host, err)
	}
	return &DB{pool: pool, metrics: newMetrics()}, nil
}

// migrate applies the migrations that the database lacks. On PostgreSQL a session lock lets one of several starting
// instances do it while the others wait.
func (db *DB) migrate(ctx context.Context) error {
	dir, err := subMigrations()
	if err != nil {
		return err
	}
	dialect, handle, opts := goose.DialectSQLite3, db.writer, []goose.ProviderOption(nil)
	if db.pool != nil {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("preparing the migration lock: %w", err)
		}
		dialect, handle, opts = goose.DialectPostgres, stdlib.OpenDBFromPool(db.pool), append(opts, goose.WithSessionLocker(locker))
		defer handle.Close()
	}
	provider, err := goose.NewProvider(dialect, handle, dir, opts...)
	if err != nil {
		return fmt.Errorf("reading the database migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

// Write runs fn in a transaction and commits it durably if fn returns nil. On an error nothing of it is kept. fn may
// run again after a serialisation conflict, so it must not act on anything outside the transaction.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	if db.pool != nil {
		return db.writePostgres(ctx, fn)
	}
	came := time.Now()
	if err := db.order.enter(ctx, db.writeGroup); err != nil {
		return err
	}
	defer db.order.leave(db.writeGroup)
	began := time.Now()
	db.metrics.waited(writesAlone, began.Sub(came))
	defer db.metrics.wrote(began)
	return dbError(inSQLTx(ctx, db.writer, nil, func(native *sql.Tx) error {
		return fn(&Tx{conn: sqlConn{native}, native: native, enqueuer: db.enqueuer})
	}))
}

// writeTries is how often a transaction is begun that others keep from ending.
const writeTries = 5

func (db *DB) writePostgres(ctx context.Context, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{}, func(native pgx.Tx) error {
			return fn(&Tx{conn: pgConn{native}, native: native, enqueuer: db.enqueuer})
		})
		if !conflicts(err) || try == writeTries || ctx.Err() != nil {
			return dbError(err)
		}
	}
}

// Read runs fn in a read-only transaction that sees one consistent state of the database.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	if db.pool != nil {
		opts := pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}
		return dbError(pgx.BeginTxFunc(ctx, db.pool, opts, func(native pgx.Tx) error {
			return fn(&Tx{conn: pgConn{native}, native: native})
		}))
	}
	return dbError(inSQLTx(ctx, db.reader, &sql.TxOptions{ReadOnly: true}, func(native *sql.Tx) error {
		return fn(&Tx{conn: sqlConn{native}, native: native})
	}))
}

// Query is Read for a single result.
func Query[T any](ctx context.Context, db *DB, fn func(*Tx) (T, error)) (T, error) {
	var result T
	err := db.Read(ctx, func(tx *Tx) (err error) {
		result, err = fn(tx)
		return err
	})
	return result, err
}

func inSQLTx(ctx context.Context, handle *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	native, err := handle.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer native.Rollback() // after a commit it does nothing
	if err := fn(native); err != nil {
		return err
	}
	return native.Commit()
}
