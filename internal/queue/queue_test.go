package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

type countJob struct {
	Name string `json:"name"`
}

func (countJob) Kind() string { return "count" }

// ledger is a worker that records each run's effect in the settings table, in the transaction that completes the job.
type ledger struct {
	db   *store.DB
	runs atomic.Int64
	done chan string
	fail func(run int64) error // asked before the effect is stored
}

func (l *ledger) register(e *queue.Engine, db *store.DB) {
	l.db = db
	queue.Register(e, queue.WorkerOptions{Queue: "test", Concurrency: 4}, func(ctx context.Context, run *queue.Run[countJob]) error {
		if err := l.fail(l.runs.Add(1)); err != nil {
			return err
		}
		err := db.Write(ctx, func(tx *store.Tx) error {
			if err := tx.PutSetting(ctx, "ran:"+run.Args.Name, "true"); err != nil {
				return err
			}
			return run.Complete(ctx, tx.Native())
		})
		if err == nil {
			l.done <- run.Args.Name
		}
		return err
	})
}

func newLedger() *ledger {
	return &ledger{done: make(chan string, 100), fail: func(int64) error { return nil }}
}

func (l *ledger) wait(t *testing.T) string {
	t.Helper()
	select {
	case name := <-l.done:
		return name
	case <-time.After(time.Minute):
		t.Fatal("no job completed within 20 s")
		return ""
	}
}

func TestJobIsBornAndCompletedWithItsTransaction(t *testing.T) {
	l := map[string]*ledger{"sqlite": newLedger(), "postgres": newLedger()}
	storetest.Each(t, func(e *queue.Engine, db *store.DB) { l[engineName(db)].register(e, db) }, func(t *testing.T, db *store.DB, jobs *queue.Engine) {
		ctx, l := t.Context(), l[engineName(db)]
		undone := errors.New("undo")
		err := db.Write(ctx, func(tx *store.Tx) error {
			if err := tx.Enqueue(ctx, countJob{Name: "never"}, magpie.JobOptions{}); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatalf("Write = %v, want the function's own error", err)
		}
		enqueue(t, db, "kept", magpie.JobOptions{})
		if err := jobs.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if got := l.wait(t); got != "kept" {
			t.Errorf("job %q ran, want only the committed one", got)
		}
		if got := storetest.Setting(t, db, "ran:kept"); got != "true" {
			t.Errorf("the job's effect = %q, want it stored", got)
		}
		if got := l.runs.Load(); got != 1 {
			t.Errorf("%d runs, want 1", got)
		}
	})
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		err  error
		runs int64
	}{
		{"a passing fault is tried again", errors.New("network"), 2},
		{"a permanent one is given up", magpie.Errorf(magpie.KindInvalid, "bad"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			failed := make(chan struct{}, 10)
			l.fail = func(run int64) error {
				if run > 1 {
					return nil
				}
				failed <- struct{}{}
				return tt.err
			}
			db, jobs := storetest.Open(t, storetest.SQLite(t), l.register)
			enqueue(t, db, "first", magpie.JobOptions{})
			if err := jobs.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-failed
			if tt.runs == 2 {
				l.wait(t)
			} else {
				// A job behind it shows that the queue went on without the first.
				enqueue(t, db, "second", magpie.JobOptions{})
				if got := l.wait(t); got != "second" {
					t.Errorf("%q completed, want the first given up", got)
				}
			}
		})
	}
}

func TestOnceDropsAWaitingTwin(t *testing.T) {
	l := map[string]*ledger{"sqlite": newLedger(), "postgres": newLedger()}
	storetest.Each(t, func(e *queue.Engine, db *store.DB) { l[engineName(db)].register(e, db) }, func(t *testing.T, db *store.DB, jobs *queue.Engine) {
		l := l[engineName(db)]
		for range 3 {
			enqueue(t, db, "twin", magpie.JobOptions{Once: true})
		}
		enqueue(t, db, "last", magpie.JobOptions{})
		if err := jobs.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{l.wait(t): 1}
		got[l.wait(t)]++
		if got["twin"] != 1 || got["last"] != 1 || l.runs.Load() != 2 {
			t.Errorf("completed %v in %d runs, want each once", got, l.runs.Load())
		}
	})
}

// TestCrashedJobRunsAgain leaves a job in the state in which a killed process leaves it and opens the engine anew.
func TestCrashedJobRunsAgain(t *testing.T) {
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := address(t)
			first := newLedger()
			started := make(chan struct{})
			first.fail = func(int64) error {
				close(started)
				<-t.Context().Done() // never finishes, as if the process had died
				return context.Canceled
			}
			db, jobs := storetest.Open(t, at, first.register)
			enqueue(t, db, "orphan", magpie.JobOptions{})
			if err := jobs.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-started
			// On PostgreSQL the dead instance must look silent to the new one.
			if name == "postgres" {
				if err := db.Write(t.Context(), func(tx *store.Tx) error { return storetest.Exec(t.Context(), tx, "DELETE FROM queue_instance") }); err != nil {
					t.Fatal(err)
				}
			}
			second := newLedger()
			_, again := storetest.Open(t, at, second.register)
			if err := again.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := second.wait(t); got != "orphan" {
				t.Errorf("%q completed, want the orphan", got)
			}
		})
	}
}

// TestJoin enqueues jobs that a waiting one will do for; one that has begun won't, since it may have read already what they
// are about.
func TestJoin(t *testing.T) {
	l := map[string]*ledger{"sqlite": newLedger(), "postgres": newLedger()}
	storetest.Each(t, func(e *queue.Engine, db *store.DB) { l[engineName(db)].register(e, db) }, func(t *testing.T, db *store.DB, jobs *queue.Engine) {
		l := l[engineName(db)]
		started, resume := make(chan struct{}), make(chan struct{})
		l.fail = func(run int64) error {
			if run == 1 {
				close(started)
				<-resume
			}
			return nil
		}
		join := magpie.JobOptions{Join: "name"}
		for range 3 {
			enqueue(t, db, "a", join)
		}
		if err := jobs.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-started
		enqueue(t, db, "a", join)
		enqueue(t, db, "b", join)
		got := map[string]int{l.wait(t): 1} // the first is still running
		got[l.wait(t)]++
		close(resume)
		got[l.wait(t)]++
		if got["a"] != 2 || got["b"] != 1 || l.runs.Load() != 3 {
			t.Errorf("completed %v in %d runs, want a twice and b once", got, l.runs.Load())
		}
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			return tx.Enqueue(t.Context(), countJob{Name: "a"}, magpie.JobOptions{Join: "nothing"})
		})
		if err == nil {
			t.Error("a job was joined by an argument that it does not have")
		}
	})
}

func enqueue(t *testing.T, db *store.DB, name string, opts magpie.JobOptions) {
	t.Helper()
	ctx := t.Context()
	if err := db.Write(ctx, func(tx *store.Tx) error { return tx.Enqueue(ctx, countJob{Name: name}, opts) }); err != nil {
		t.Fatal(err)
	}
}

func engineName(db *store.DB) string {
	if db.Embedded() {
		return "sqlite"
	}
	return "postgres"
}
