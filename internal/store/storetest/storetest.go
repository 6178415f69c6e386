// Package storetest gives tests real databases: a fresh SQLite file and, where MAGPIE_TEST_POSTGRES names a server, a
// fresh PostgreSQL database, each with the job engine's tables in it. `make test` starts such a server by itself.
package storetest

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"magpie/internal/queue"
	"magpie/internal/store"
)

// PostgresEnv names the environment variable with the address of a PostgreSQL server on which databases may be made,
// such as postgres://postgres@127.0.0.1:5433/postgres.
const PostgresEnv = "MAGPIE_TEST_POSTGRES"

// Each runs test once on SQLite and once on PostgreSQL, as parallel subtests on databases of their own. register adds
// the workers of the jobs that the test enqueues; it may be nil.
func Each(t *testing.T, register func(*queue.Engine, *store.DB), test func(*testing.T, *store.DB, *queue.Engine)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{"sqlite": SQLite, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, jobs := Open(t, address(t), register)
			test(t, db, jobs)
		})
	}
}

// Open opens the database at address with a job engine that can insert, and closes both when the test ends. The
// engine does not run jobs until the test starts it.
func Open(t testing.TB, address string, register func(*queue.Engine, *store.DB)) (*store.DB, *queue.Engine) {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	jobs := queue.New(queue.Options{Database: db.Native(), Reader: db.NativeReader(), Instance: store.NewID[string](), Log: slog.New(slog.DiscardHandler)})
	if register != nil {
		register(jobs, db)
	}
	if err := jobs.Open(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := jobs.Stop(stop); err != nil {
			t.Error(err)
		}
	})
	db.SetEnqueuer(jobs)
	return db, jobs
}

// Exec runs a statement that only tests need, such as one that fakes another process's trace.
func Exec(ctx context.Context, tx *store.Tx, statement string) error {
	var err error
	switch native := tx.Native().(type) {
	case *sql.Tx:
		_, err = native.ExecContext(ctx, statement)
	case pgx.Tx:
		_, err = native.Exec(ctx, statement)
	}
	return err
}

// UnfinishedJobs counts the jobs that wait or run, so that a test can see when all consequences have happened.
func UnfinishedJobs(ctx context.Context, db *store.DB) (int, error) {
	var n int
	err := db.Read(ctx, func(tx *store.Tx) error {
		const query = `SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'running', 'retryable', 'scheduled')`
		switch native := tx.Native().(type) {
		case *sql.Tx:
			return native.QueryRowContext(ctx, query).Scan(&n)
		case pgx.Tx:
			return native.QueryRow(ctx, query).Scan(&n)
		}
		return nil
	})
	return n, err
}

// Setting returns what is stored under a name, "" if nothing is.
func Setting(t testing.TB, db *store.DB, name string) string {
	t.Helper()
	value, err := store.Query(t.Context(), db, func(tx *store.Tx) (string, error) { return tx.Setting(t.Context(), name) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}
