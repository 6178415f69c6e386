package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// WriteTogether is Write for changes that come in crowds, such as events: on SQLite those that wait for their turn share a
// transaction, so that the disk is waited for once for all of them. Each stands or falls by itself all the same: one whose
// fn returns an error leaves nothing, and the others are kept. fn gets a context that is not canceled with ctx, and must not
// act on anything outside the transaction. If ctx ends before the outcome is known, the change may be kept nevertheless.
func (db *DB) WriteTogether(ctx context.Context, fn func(context.Context, *Tx) error) error {
	if db.pool != nil { // it gathers commits itself
		return db.Write(ctx, func(tx *Tx) error { return fn(ctx, tx) })
	}
	p := &part{fn: func(tx *Tx) error { return fn(context.WithoutCancel(ctx), tx) }, done: make(chan error, 1)}
	db.crowd.mu.Lock()
	db.crowd.waiting = append(db.crowd.waiting, p)
	if !db.crowd.busy {
		db.crowd.busy = true
		go db.writeCrowd()
	}
	db.crowd.mu.Unlock()
	select {
	case err := <-p.done:
		return dbError(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowd holds the changes that wait to be written together.
type crowd struct {
	mu      sync.Mutex
	waiting []*part
	busy    bool // somebody writes, and looks at waiting when that is done
}

// part is one change among several.
type part struct {
	fn   func(*Tx) error
	err  error
	done chan error
}

// Bounds of one transaction of many parts.
const (
	crowdSize    = 64
	crowdTimeout = time.Minute
)

func (c *crowd) take() []*part {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), crowdSize)
	parts := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	c.busy = n > 0
	return parts
}

// writeCrowd writes until nobody waits.
func (db *DB) writeCrowd() {
	for parts := db.crowd.take(); len(parts) > 0; parts = db.crowd.take() {
		err := db.writeParts(parts)
		for _, p := range parts {
			if p.err == nil {
				p.err = err
			}
			p.done <- p.err
		}
	}
}

// writeParts writes some parts in one transaction. The error is about all that have none of their own.
func (db *DB) writeParts(parts []*part) error {
	ctx, cancel := context.WithTimeout(context.Background(), crowdTimeout)
	defer cancel()
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
