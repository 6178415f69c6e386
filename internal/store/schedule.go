package store

import (
	"context"
	"time"
)

// AddSchedule makes a recurring task due at the given time, unless it is scheduled already.
func (tx *Tx) AddSchedule(ctx context.Context, name string, due time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO schedule (name, due_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, micros(due))
	return err
}

// SetSchedule makes a recurring task due at the given time.
func (tx *Tx) SetSchedule(ctx context.Context, name string, due time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO schedule (name, due_at) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at`, name, micros(due))
	return err
}

// DueSchedules returns the names of the tasks that are due, the longest waiting first.
func (tx *Tx) DueSchedules(ctx context.Context, now time.Time) ([]string, error) {
	return collect(ctx, tx, scanOne[string], `SELECT name FROM schedule WHERE due_at <= $1 ORDER BY due_at, name`, micros(now))
}

// ClaimSchedule moves a due task on to next and reports whether it was still due. Of several that claim it at once exactly
// one is told true.
func (tx *Tx) ClaimSchedule(ctx context.Context, name string, now, next time.Time) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE schedule SET due_at = $3 WHERE name = $1 AND due_at <= $2`, name, micros(now), micros(next))
	return n > 0, err
}

// DeleteSchedule ends a recurring task.
func (tx *Tx) DeleteSchedule(ctx context.Context, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM schedule WHERE name = $1`, name)
	return err
}
