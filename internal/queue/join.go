package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"magpie"
)

// join reports whether a job of the same kind and with the same value of an argument waits that has never begun. That job
// does not begin before the transaction ends: on SQLite nobody else can write until then, on PostgreSQL its row is locked,
// and the job engine passes over locked rows.
func join(ctx context.Context, nativeTx any, queue string, job magpie.Job, argument string) (bool, error) {
	value, err := argumentOf(job, argument)
	if err != nil {
		return false, fmt.Errorf("enqueueing %s: %w", job.Kind(), err)
	}
	var id int64
	switch tx := nativeTx.(type) {
	case *sql.Tx:
		err = tx.QueryRowContext(ctx, `SELECT id FROM river_job WHERE state = 'available' AND queue = $1 AND kind = $2
			AND attempt = 0 AND json_extract(args, '$.' || $3) = $4 LIMIT 1`, queue, job.Kind(), argument, value).Scan(&id)
	case pgx.Tx:
		err = tx.QueryRow(ctx, `SELECT id FROM river_job WHERE state = 'available' AND queue = $1 AND kind = $2
			AND attempt = 0 AND args->>$3 = $4 LIMIT 1 FOR UPDATE SKIP LOCKED`, queue, job.Kind(), argument, value).Scan(&id)
	default:
		err = fmt.Errorf("unknown transaction %T", nativeTx)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking for a waiting %s: %w", job.Kind(), err)
	}
	return true, nil
}

// argumentOf returns a text argument of a job, by its name in JSON.
func argumentOf(job magpie.Job, name string) (string, error) {
	data, err := json.Marshal(job)
	if err != nil {
		return "", err
	}
	var args map[string]any
	if err := json.Unmarshal(data, &args); err != nil {
		return "", err
	}
	value, ok := args[name].(string)
	if !ok {
		return "", fmt.Errorf("it has no text argument %q to be joined by", name)
	}
	return value, nil
}
