package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	heartbeat = 5 * time.Second  // how often an instance says that it is alive
	deadAfter = 30 * time.Second // how long it may be silent
)

// rescueDB finds jobs whose process is gone and makes them available again. They keep their count of attempts, so that a
// job which kills its process does not do so for ever.
type rescueDB interface {
	prepare(ctx context.Context) error
	// boot hands out again what an earlier process was running. It returns how many jobs that were.
	boot(ctx context.Context, instance string) (int64, error)
	// beat says that instance is alive and hands out again what silent ones were running.
	beat(ctx context.Context, instance string) (int64, error)
}

// rescuer calls a rescueDB at boot and then at every heartbeat.
type rescuer struct {
	db       rescueDB
	instance string
	log      *slog.Logger

	stopOnce sync.Once
	cancel   context.CancelFunc
	done     chan struct{}
}

func (r *rescuer) prepare(ctx context.Context) error {
	if err := r.db.prepare(ctx); err != nil {
		return fmt.Errorf("preparing the rescue of crashed jobs: %w", err)
	}
	return nil
}

func (r *rescuer) start(ctx context.Context) error {
	n, err := r.db.boot(ctx, r.instance)
	if err != nil {
		return fmt.Errorf("handing out again the jobs of a crashed process: %w", err)
	}
	if n > 0 {
		r.log.Info("jobs of a process that ended abruptly run again", "jobs", n)
	}
	ctx, r.cancel = context.WithCancel(ctx)
	r.done = make(chan struct{})
	go r.loop(ctx)
	return nil
}

func (r *rescuer) loop(ctx context.Context) {
	defer close(r.done)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := r.db.beat(ctx, r.instance)
		if err != nil && ctx.Err() == nil {
			r.log.Error("the heartbeat of this instance failed", "error", err)
		}
		if n > 0 {
			r.log.Warn("jobs of an instance that fell silent run again", "jobs", n)
		}
	}
}

func (r *rescuer) stop() {
	r.stopOnce.Do(func() {
		if r.cancel != nil {
			r.cancel()
			<-r.done
		}
	})
}

// embedded is a SQLite file that this process owns alone, so at boot no job can truly be running.
type embedded struct{ db *sql.DB }

func (embedded) prepare(context.Context) error               { return nil }
func (embedded) beat(context.Context, string) (int64, error) { return 0, nil }
func (e embedded) boot(ctx context.Context, _ string) (int64, error) {
	result, err := e.db.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// shared is a PostgreSQL database with several instances. A job belongs to the instance that took it last.
type shared struct{ pool *pgxpool.Pool }

func (s shared) prepare(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS queue_instance (id TEXT PRIMARY KEY, seen_at TIMESTAMPTZ NOT NULL)`)
	return err
}

func (s shared) boot(ctx context.Context, instance string) (int64, error) {
	return s.beat(ctx, instance)
}

func (s shared) beat(ctx context.Context, instance string) (int64, error) {
	if _, err := s.pool.Exec(ctx, `INSERT INTO queue_instance (id, seen_at) VALUES ($1, now())
		ON CONFLICT (id) DO UPDATE SET seen_at = now()`, instance); err != nil {
		return 0, err
	}
	// The clock is the database's, so instances need not agree on the time. An instance without a row never beat at
	// all and counts as silent.
	tag, err := s.pool.Exec(ctx, `UPDATE river_job SET state = 'available'
		WHERE state = 'running' AND NOT EXISTS (SELECT 1 FROM queue_instance i
			WHERE i.id = attempted_by[array_upper(attempted_by, 1)] AND i.seen_at > now() - make_interval(secs => $1))`,
		deadAfter.Seconds())
	if err != nil {
		return 0, err
	}
	_, err = s.pool.Exec(ctx, `DELETE FROM queue_instance WHERE seen_at < now() - interval '1 day'`)
	return tag.RowsAffected(), err
}
