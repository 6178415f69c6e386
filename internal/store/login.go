package store

import (
	"context"
	"time"
)

// CountLogin counts one attempt to log in against a subject, an account or an address, and returns how many there
// have been in the subject's window, this one included, and when the window ends. A subject without a window, or with
// one that has ended, gets a new one that ends at windowEnd. Attempts at the same moment in several instances are all
// counted, each with a number of its own.
func (tx *Tx) CountLogin(ctx context.Context, subject string, now, windowEnd time.Time) (int64, time.Time, error) {
	var n int64
	var end time.Time
	err := tx.row(ctx, `INSERT INTO login_failure (subject, count, window_end) VALUES ($1, 1, $2)
		ON CONFLICT (subject) DO UPDATE SET
			count = CASE WHEN login_failure.window_end <= $3 THEN 1 ELSE login_failure.count + 1 END,
			window_end = CASE WHEN login_failure.window_end <= $3 THEN excluded.window_end ELSE login_failure.window_end END
		RETURNING count, window_end`, subject, micros(windowEnd), micros(now)).Scan(&n, timeColumn{&end})
	return n, end, err
}

// UncountLogin takes back one counted attempt, because it succeeded.
func (tx *Tx) UncountLogin(ctx context.Context, subject string) error {
	_, err := tx.exec(ctx, `UPDATE login_failure SET count = count - 1 WHERE subject = $1 AND count > 0`, subject)
	return err
}

// ForgetLogins forgets the attempts of a subject.
func (tx *Tx) ForgetLogins(ctx context.Context, subject string) error {
	_, err := tx.exec(ctx, `DELETE FROM login_failure WHERE subject = $1`, subject)
	return err
}

// PruneLogins forgets the windows that have ended.
func (tx *Tx) PruneLogins(ctx context.Context, now time.Time) error {
	_, err := tx.exec(ctx, `DELETE FROM login_failure WHERE window_end <= $1`, micros(now))
	return err
}
