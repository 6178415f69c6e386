package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"magpie"
)

// Run is one attempt at one job.
type Run[J magpie.Job] struct {
	Args    J
	ID      int64
	Attempt int  // from 1
	Last    bool // a failure of this attempt is final
	row     *river.Job[J]
}

// Complete marks the job done inside nativeTx, the transaction that stores its result. It fails if the job is no longer
// this run's to complete, and then the transaction must not commit.
func (r *Run[J]) Complete(ctx context.Context, nativeTx any) error {
	var done *river.Job[J]
	var err error
	switch tx := nativeTx.(type) {
	case *sql.Tx:
		done, err = river.JobCompleteTx[*riversqlite.Driver](ctx, tx, r.row)
	case pgx.Tx:
		done, err = river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, r.row)
	default:
		err = fmt.Errorf("unknown transaction %T", nativeTx)
	}
	// River leaves a job alone that is not running, and says nothing.
	if err == nil && (done.State != rivertype.JobStateCompleted || !sameTime(done.AttemptedAt, r.row.AttemptedAt)) {
		err = errors.New("it was handed to another run meanwhile")
	}
	if err != nil {
		return fmt.Errorf("completing job %s %d: %w", r.Args.Kind(), r.ID, err)
	}
	return nil
}

// Later ends a run before it has done anything: the job runs again after wait, as if for the first time.
func (r *Run[J]) Later(wait time.Duration) error { return river.JobSnooze(wait) }

func sameTime(a, b *time.Time) bool { return a != nil && b != nil && a.Equal(*b) }

// worker adapts a stage's function to River.
type worker[J magpie.Job] struct {
	river.WorkerDefaults[J]
	work func(context.Context, *Run[J]) error
	opts WorkerOptions
	log  *slog.Logger
}

// Timeout implements river.Worker.
func (w *worker[J]) Timeout(*river.Job[J]) time.Duration { return w.opts.Timeout }

// Work implements river.Worker.
func (w *worker[J]) Work(ctx context.Context, job *river.Job[J]) error {
	run := &Run[J]{Args: job.Args, ID: job.ID, Attempt: job.Attempt, Last: job.Attempt >= job.MaxAttempts, row: job}
	err := w.work(ctx, run)
	if _, later := errors.AsType[*rivertype.JobSnoozeError](err); later {
		return err
	}
	if err != nil && ctx.Err() == nil {
		level := slog.LevelWarn
		if waits(magpie.KindOf(err)) { // who waits for what is told once, where it shows
			level = slog.LevelDebug
		}
		w.log.Log(ctx, level, "job did not complete", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "error", err)
	}
	if magpie.KindOf(err) == magpie.KindUnavailable && job.Attempt >= patience && !w.opts.GivesUp {
		return river.JobSnooze(longestWait) // a long outage of another system uses up no attempts
	}
	return outcome(err, waited(job.JobRow))
}
