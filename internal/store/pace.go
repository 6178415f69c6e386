package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pace is what is known about how quickly an outside system may be asked, and which slots for requests were given out.
type Pace struct {
	Rate        int64     // requests in 1,000 seconds
	Ceiling     int64     // the rate that is known to be refused, in the same unit; 0 if none is
	FreeAt      time.Time // the first slot that was not given out
	PausedUntil time.Time
	ChangedAt   time.Time // when Rate or Ceiling changed; zero for a subject that is not stored
}

// ChangePace lets change alter the pace of a subject, with no other process doing so at the same time, and stores it if
// it changed. now and all times in it are by the database's clock where several processes share the database, since
// their own may differ.
func (tx *Tx) ChangePace(ctx context.Context, subject string, change func(now time.Time, p *Pace)) error {
	if _, err := tx.exec(ctx, `INSERT INTO pace (subject, rate, ceiling, free_at, paused_until, changed_at) VALUES ($1, 0, 0, 0, 0, 0)
		ON CONFLICT (subject) DO NOTHING`, subject); err != nil {
		return err
	}
	query, now := `SELECT rate, ceiling, free_at, paused_until, changed_at, $2 FROM pace WHERE subject = $1`, time.Now()
	args := []any{subject, micros(now)}
	if _, shared := tx.native.(pgx.Tx); shared {
		// Two statements, because the clock must be read after the wait for the row.
		query = `SELECT rate, ceiling, free_at, paused_until, changed_at, (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT
			FROM pace WHERE subject = $1`
		args = args[:1]
		if _, err := tx.exec(ctx, `SELECT 1 FROM pace WHERE subject = $1 FOR UPDATE`, subject); err != nil {
			return err
		}
	}
	var p Pace
	if err := tx.row(ctx, query, args...).Scan(&p.Rate, &p.Ceiling, timeColumn{&p.FreeAt}, timeColumn{&p.PausedUntil},
		timeColumn{&p.ChangedAt}, timeColumn{&now}); err != nil {
		return err
	}
	before := p
	change(now, &p)
	if p == before {
		return nil
	}
	_, err := tx.exec(ctx, `UPDATE pace SET rate = $2, ceiling = $3, free_at = $4, paused_until = $5, changed_at = $6 WHERE subject = $1`,
		subject, p.Rate, p.Ceiling, micros(p.FreeAt), micros(p.PausedUntil), micros(p.ChangedAt))
	return err
}
