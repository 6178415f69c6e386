package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"magpie/internal/queue"
	"magpie/internal/store"
)

// Migrating a database takes longer than most of the tests that need one, so each process does it once for each engine, and
// tests get copies.

// migrate brings the database at an address up to date, the job engine's tables included.
func migrate(ctx context.Context, address string) (err error) {
	db, err := store.Open(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return queue.New(queue.Options{Database: db.Native(), Instance: "template", Log: slog.New(slog.DiscardHandler)}).Open(ctx)
}

// sqliteTemplate returns the contents of a migrated database file.
var sqliteTemplate = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "magpie-template-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "magpie.db")
	if err := migrate(context.Background(), "sqlite:"+path); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("closing the database left its log, so its file is not all: %w", err)
	}
	return os.ReadFile(path)
})

// SQLite returns the address of a database file of the test's own, with all tables and nothing in them.
func SQLite(t *testing.T) string {
	t.Helper()
	file, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "magpie.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// Postgres returns the address of a PostgreSQL database of the test's own, with all tables and nothing in them, dropped
// when the test ends. Without a server it skips.
func Postgres(t *testing.T) string {
	t.Helper()
	server := connect(t)
	if err := server.migrate(); err != nil {
		t.Fatal(err)
	}
	return server.create(t, " TEMPLATE "+server.name(0)+server.strategy())
}

// EmptyPostgres is Postgres without tables, for tests that begin where a user begins.
func EmptyPostgres(t *testing.T) string {
	t.Helper()
	return connect(t).create(t, "")
}

func connect(t *testing.T) *server {
	t.Helper()
	if os.Getenv(PostgresEnv) == "" {
		t.Skipf("%s is not set; `make test` starts PostgreSQL and sets it", PostgresEnv)
	}
	server, err := postgresServer()
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// server is the PostgreSQL server with this process's databases, of which number 0 is the template. Their names hold id, and
// so does the application name of a connection that stays open as long as the process lives: by that, others know which
// databases were left by processes that were killed.
type server struct {
	env   string
	id    string
	alive *pgx.Conn
	count atomic.Int64

	migrate func() error // makes the template, once
}

// create makes a database that is dropped when the test ends, and returns its address.
func (s *server) create(t *testing.T, options string) string {
	t.Helper()
	name := s.name(s.count.Add(1))
	if err := s.exec(t.Context(), "CREATE DATABASE "+name+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.address(name)
}

func (s *server) name(n int64) string { return fmt.Sprintf("magpietest_%s_%d", s.id, n) }

// address returns the address of a database on the server.
func (s *server) address(name string) string {
	base, query, _ := strings.Cut(s.env, "?")
	return base[:strings.LastIndexByte(base, '/')+1] + name + "?" + query
}

// strategy returns how a template is copied fastest: file by file, where the server can do otherwise.
func (s *server) strategy() string {
	var major int
	if _, err := fmt.Sscan(s.alive.PgConn().ParameterStatus("server_version"), &major); err == nil && major < 15 {
		return ""
	}
	return " STRATEGY FILE_COPY"
}

// exec runs a statement on a connection of its own, since tests run side by side.
func (s *server) exec(ctx context.Context, statement string) error {
	conn, err := pgx.ConnectConfig(ctx, s.alive.Config())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// postgresServer connects to the server.
var postgresServer = sync.OnceValues(func() (*server, error) {
	ctx := context.Background()
	s := &server{env: os.Getenv(PostgresEnv), id: strings.ReplaceAll(store.NewID[string](), "-", "")}
	s.migrate = sync.OnceValue(func() error {
		if err := s.exec(ctx, "CREATE DATABASE "+s.name(0)); err != nil {
			return err
		}
		return migrate(ctx, s.address(s.name(0)))
	})
	config, err := pgx.ParseConfig(s.env)
	if err != nil {
		return nil, errors.New(PostgresEnv + " is not a PostgreSQL address")
	}
	config.RuntimeParams["application_name"] = s.id
	if s.alive, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, err
	}
	return s, s.sweep(ctx)
})

// sweep drops the databases of processes that are gone. Several may be at it, so one that somebody else just dropped is none.
func (s *server) sweep(ctx context.Context) error {
	rows, err := s.alive.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'magpietest\_%'
		AND split_part(datname, '_', 2) NOT IN (SELECT application_name FROM pg_stat_activity)`)
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := s.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}
