package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

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
	var err error
	switch tx := nativeTx.(type) {
	case *sql.Tx:
		_, err = river.JobCompleteTx[*riversqlite.Driver](ctx, tx, r.row)
	case pgx.Tx:
		_, err = river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, r.row)
	default:
		err = fmt.Errorf("unknown transaction %T", nativeTx)
	}
	if err != nil {
		return fmt.Errorf("completing job %s %d: %w", r.Args.Kind(), r.ID, err)
	}
	return nil
}

// worker adapts a stage's function to River.
type worker[J magpie.Job] struct {
	river.WorkerDefaults[J]
	work    func(context.Context, *Run[J]) error
	timeout time.Duration
	log     *slog.Logger
}

// Timeout implements river.Worker.
func (w *worker[J]) Timeout(*river.Job[J]) time.Duration { return w.timeout }

// Work implements river.Worker.
func (w *worker[J]) Work(ctx context.Context, job *river.Job[J]) error {
	run := &Run[J]{Args: job.Args, ID: job.ID, Attempt: job.Attempt, Last: job.Attempt >= job.MaxAttempts, row: job}
	err := w.work(ctx, run)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("job did not complete", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "error", err)
	}
	return outcome(err)
}
