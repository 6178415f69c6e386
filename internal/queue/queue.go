package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"magpie"
)

// Options configures an Engine.
type Options struct {
	Database any     // *sql.DB for SQLite, *pgxpool.Pool for PostgreSQL; the store's own
	Reader   *sql.DB // SQLite: the store's connections for reading; nil is Database
	Instance string  // unique name of this process, for rescue
	Log      *slog.Logger
}

// Engine stores and runs jobs. Register all workers, then Open, then Start.
type Engine struct {
	opts    Options
	workers *river.Workers
	queues  map[string]int    // name → most jobs at once
	queueOf map[string]string // kind of job → its queue
	client  client
	rescuer *rescuer
}

// client is the part of river.Client that does not depend on the driver's transaction type.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// New returns an engine without workers.
func New(opts Options) *Engine {
	return &Engine{opts: opts, workers: river.NewWorkers(), queues: map[string]int{}, queueOf: map[string]string{}}
}

// WorkerOptions says how the jobs of one kind are run.
type WorkerOptions struct {
	Queue       string        // jobs of one queue share its workers; a slow kind needs its own
	Concurrency int           // most jobs of the queue at once in this process; the largest asked for counts
	Timeout     time.Duration // a run's context ends after it; 0 means one minute
	GivesUp     bool          // the last attempt is final also where an outside system was to blame (KindUnavailable)
}

// defaultTimeout bounds a run whose worker named no timeout.
const defaultTimeout = time.Minute

// longestTimeout bounds every run. River hands a job out again when it has run for longer than twice this, so no worker
// may ask for more.
const longestTimeout = 24 * time.Hour

// Register adds the worker of one kind of job. The worker may be run more than once for the same job and must change
// nothing the second time. It panics on a kind registered twice, which is a fault in the wiring.
func Register[J magpie.Job](e *Engine, opts WorkerOptions, work func(context.Context, *Run[J]) error) {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	opts.Timeout = min(opts.Timeout, longestTimeout)
	var zero J
	e.queueOf[zero.Kind()] = opts.Queue
	e.queues[opts.Queue] = max(e.queues[opts.Queue], opts.Concurrency, 1)
	river.AddWorker(e.workers, &worker[J]{work: work, opts: opts, log: e.opts.Log})
}

// Open brings the job tables up to date and connects to them. Jobs can be inserted from then on.
func (e *Engine) Open(ctx context.Context) error {
	switch handle := e.opts.Database.(type) {
	case *sql.DB:
		reader := e.opts.Reader
		if reader == nil {
			reader = handle
		}
		return open(ctx, e, newEmbeddedDriver(handle, reader), embedded{handle})
	case *pgxpool.Pool:
		return open(ctx, e, riverpgxv5.New(handle), shared{handle})
	default:
		return fmt.Errorf("opening the job engine: unknown database handle %T", handle)
	}
}

func open[TTx any](ctx context.Context, e *Engine, driver riverdriver.Driver[TTx], db rescueDB) error {
	quiet := slog.New(levelFilter{e.opts.Log.Handler(), slog.LevelWarn})
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return fmt.Errorf("preparing the job tables: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrating the job tables: %w", err)
	}
	queues := map[string]river.QueueConfig{}
	for name, n := range e.queues {
		// To ask for jobs is a transaction. What comes within the cooldown after one, which is asked at once, comes together.
		queues[name] = river.QueueConfig{MaxWorkers: n, FetchCooldown: 100 * time.Millisecond, FetchPollInterval: 500 * time.Millisecond}
	}
	config := &river.Config{
		ID:                   e.opts.Instance,
		Logger:               quiet,
		Queues:               queues,
		Workers:              e.workers,
		RescueStuckJobsAfter: 2 * longestTimeout,
		JobTimeout:           longestTimeout,
		MaxAttempts:          maxAttempts,
		RetryPolicy:          retryPolicy{},
		// Finished jobs are only of use while somebody looks into trouble.
		CompletedJobRetentionPeriod: time.Hour,
	}
	if len(queues) == 0 { // a process that only inserts
		config.Queues, config.Workers = nil, nil
	}
	c, err := river.NewClient(driver, config)
	if err != nil {
		return fmt.Errorf("opening the job engine: %w", err)
	}
	e.client = c
	e.rescuer = &rescuer{db: db, instance: e.opts.Instance, log: e.opts.Log}
	return e.rescuer.prepare(ctx)
}

// Insert implements the store's Enqueuer: the job exists if and only if nativeTx commits.
func (e *Engine) Insert(ctx context.Context, nativeTx any, job magpie.Job, opts magpie.JobOptions) error {
	queue, ok := e.queueOf[job.Kind()]
	if !ok {
		return fmt.Errorf("enqueueing %s: no worker is registered for it", job.Kind())
	}
	insert := &river.InsertOpts{Queue: queue, ScheduledAt: opts.RunAt}
	if opts.Once {
		insert.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: waitingOrRunning}
	}
	if opts.Join != "" {
		if joined, err := join(ctx, nativeTx, queue, job, opts.Join); err != nil || joined {
			return err
		}
	}
	var err error
	switch tx := nativeTx.(type) {
	case *sql.Tx:
		_, err = e.client.(*river.Client[*sql.Tx]).InsertTx(ctx, tx, job, insert)
	case pgx.Tx:
		_, err = e.client.(*river.Client[pgx.Tx]).InsertTx(ctx, tx, job, insert)
	default:
		err = fmt.Errorf("unknown transaction %T", nativeTx)
	}
	if err != nil {
		return fmt.Errorf("enqueueing %s: %w", job.Kind(), err)
	}
	return nil
}

// Start hands crashed work back and begins to run jobs. Runs get contexts derived from ctx.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.rescuer.start(ctx); err != nil {
		return err
	}
	if err := e.client.Start(ctx); err != nil {
		return fmt.Errorf("starting the job engine: %w", err)
	}
	return nil
}

// Stop lets running jobs finish until ctx ends, then cancels their contexts and waits for them. Canceled jobs are run
// again after the next start. It may be called more than once, and without Start.
func (e *Engine) Stop(ctx context.Context) error {
	if e.client == nil {
		return nil
	}
	err := e.client.Stop(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = e.client.StopAndCancel(hard)
	}
	e.rescuer.stop()
	return err
}
