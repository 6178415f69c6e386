package queue

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the SQLite driver of database/sql
)

// TestLookingForJobsPassesTheWriter takes the one writing connection away and asks for jobs.
func TestLookingForJobsPassesTheWriter(t *testing.T) {
	file := "file:" + filepath.Join(t.TempDir(), "jobs.db")
	writer, err := sql.Open("sqlite", file+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	writer.SetMaxOpenConns(1)
	migrator, err := rivermigrate.New(riversqlite.New(writer), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	reader, err := sql.Open("sqlite", file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	jobs := newEmbeddedDriver(writer, reader).GetExecutor()
	get := func(queue string) (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := jobs.JobGetAvailable(ctx, &riverdriver.JobGetAvailableParams{ClientID: "me", MaxAttemptedBy: 10, MaxToLock: 10, Queue: queue})
		if err != nil {
			return 0, err
		}
		return len(got.Jobs), nil
	}

	tx, err := writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const insert = `INSERT INTO river_job (args, kind, max_attempts, queue, state, scheduled_at) VALUES ('{}', 'k', 3, $1, 'available', $2)`
	for queue, at := range map[string]string{"now": "2020-01-01 00:00:00.000", "later": "2999-01-01 00:00:00.000"} {
		if _, err := tx.ExecContext(t.Context(), insert, queue, at); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := get("now"); n != 0 || err != nil {
		t.Errorf("while another writes: %d jobs, %v; want none at once", n, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		queue string
		want  int
	}{{"now", 1}, {"now", 0}, {"later", 0}, {"empty", 0}} {
		if n, err := get(step.queue); n != step.want || err != nil {
			t.Errorf("queue %s: %d jobs, %v; want %d", step.queue, n, err, step.want)
		}
	}
}
