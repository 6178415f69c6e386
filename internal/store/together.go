package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// WriteEvent is WriteTogether for what is answered once it is stored, and comes in crowds: it goes before what else waits to
// be written.
func (db *DB) WriteEvent(ctx context.Context, fn func(context.Context, *Tx) error) error {
	return db.writeTogether(ctx, fn, true)
}

// WriteTogether is Write for small changes that come often: on SQLite those that wait for their turn share a transaction, so
// that the disk is waited for once for all of them. Each stands or falls by itself all the same: one whose fn returns an
// error leaves nothing, and the others are kept. fn gets a context that is not canceled with ctx, and must not act on
// anything outside the transaction. If ctx ends before its turn comes nothing is written; later the outcome is waited for.
func (db *DB) WriteTogether(ctx context.Context, fn func(context.Context, *Tx) error) error {
	return db.writeTogether(ctx, fn, false)
}

func (db *DB) writeTogether(ctx context.Context, fn func(context.Context, *Tx) error, event bool) error {
	if db.pool != nil { // it gathers commits itself
		return db.Write(ctx, func(tx *Tx) error { return fn(ctx, tx) })
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &part{
		fn: func(tx *Tx) error { return fn(context.WithoutCancel(ctx), tx) }, event: event, came: time.Now(), done: make(chan error, 1),
	}
	db.order.join(p, db.writeGroup)
	select {
	case err := <-p.done:
		return dbError(err)
	case <-ctx.Done():
	}
	if db.order.drop(p) {
		return ctx.Err()
	}
	return dbError(<-p.done)
}

// part is one change among several.
type part struct {
	fn    func(*Tx) error
	event bool
	came  time.Time
	err   error
	done  chan error
}

// Bounds of one transaction of many parts.
const (
	mostEvents   = 64
	mostOthers   = 16
	groupTimeout = time.Minute
)

// writeGroup writes some parts and tells each its outcome.
func (db *DB) writeGroup(parts []*part) {
	for _, p := range parts {
		db.metrics.waited(p.kind(), time.Since(p.came))
	}
	err := db.writeParts(parts)
	for _, p := range parts {
		if p.err == nil {
			p.err = err
		}
		p.done <- p.err
	}
}

func (p *part) kind() string {
	if p.event {
		return writesEvent
	}
	return writesTogether
}

// writeParts writes some parts in one transaction. The error is about all that have none of their own.
func (db *DB) writeParts(parts []*part) error {
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	defer db.metrics.wrote(time.Now())
	return inSQLTx(ctx, db.writer, nil, func(native *sql.Tx) error {
		tx := &Tx{conn: sqlConn{native}, native: native, enqueuer: db.enqueuer}
		for _, p := range parts {
			if err := p.write(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// write runs one part so that it can be undone alone. Its own error is left in p.err.
func (p *part) write(ctx context.Context, tx *Tx) error {
	if _, err := tx.exec(ctx, `SAVEPOINT part`); err != nil {
		return err
	}
	if p.err = p.run(tx); p.err != nil {
		if _, err := tx.exec(ctx, `ROLLBACK TO part`); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, `RELEASE part`)
	return err
}

// run calls fn; that it panics must not take the others along.
func (p *part) run(tx *Tx) (err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("writing to the database: panic: %v", why)
		}
	}()
	return p.fn(tx)
}
