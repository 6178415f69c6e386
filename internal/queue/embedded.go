package queue

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// embeddedDriver is River's driver for SQLite, but what only looks does so beside the one writer: each queue asks for jobs
// twice a second, and the listener for news twenty times, mostly in vain, and whoever has something to write would wait for
// them.
type embeddedDriver struct {
	*riversqlite.Driver
	reader *sql.DB
}

func newEmbeddedDriver(writer, reader *sql.DB) embeddedDriver {
	return embeddedDriver{riversqlite.New(writer), reader}
}

// GetExecutor implements riverdriver.Driver.
func (d embeddedDriver) GetExecutor() riverdriver.Executor {
	return embeddedExecutor{d.Driver.GetExecutor(), d.reader}
}

// GetListener implements riverdriver.Driver.
func (d embeddedDriver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return riversqlite.New(d.reader).GetListener(params)
}

type embeddedExecutor struct {
	riverdriver.Executor
	reader *sql.DB
}

// JobGetAvailable implements riverdriver.Executor. The writer is only asked if there is a job to be had.
func (e embeddedExecutor) JobGetAvailable(ctx context.Context, params *riverdriver.JobGetAvailableParams) (*riverdriver.JobGetAvailableResult, error) {
	var waits bool
	err := e.reader.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM river_job WHERE state = 'available' AND queue = $1
		AND scheduled_at <= datetime('now', 'subsec'))`, params.Queue).Scan(&waits)
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for jobs of the queue %s: %w", params.Queue, err)
	case !waits:
		return &riverdriver.JobGetAvailableResult{}, nil
	}
	return e.Executor.JobGetAvailable(ctx, params)
}
