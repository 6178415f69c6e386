package store

import (
	"context"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite" // also the SQLite driver of database/sql
)

// maxPrepared bounds how many statements one connection keeps. A server at work uses about a hundred; those whose text
// depends on what is asked for come and go.
const maxPrepared = 200

// preparing connects to SQLite. Its connections keep the statements that ran on them, which else would be parsed each time:
// of what a server does for an event, a third.
type preparing struct{ driver.Connector }

func newPreparing(dsn string) (preparing, error) {
	c, err := sqlite.NewConnector(dsn)
	return preparing{c}, err
}

// Connect implements driver.Connector.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	plain, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver's connections lack what is needed"), c.Close())
	}
	return &preparedConn{sqliteConn: plain, kept: map[string]*keptStmt{}}, nil
}

// sqliteConn is what database/sql uses of a connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// preparedConn is a connection that keeps its statements. Like every driver's connection it is used by one goroutine at a
// time.
type preparedConn struct {
	sqliteConn
	kept map[string]*keptStmt
}

// keptStmt is a statement that is ready to be run again, unless its rows are still being read.
type keptStmt struct {
	sqliteStmt
	busy bool
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// statement returns a statement that is ready to be run, or nil if the text is better run as it is: its statement is busy,
// since somebody runs it while going through its rows, or can't be kept.
func (c *preparedConn) statement(ctx context.Context, query string) (*keptStmt, error) {
	if s, ok := c.kept[query]; ok {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if err := c.makeRoom(); err != nil {
		return nil, err
	}
	made, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	plain, ok := made.(sqliteStmt)
	if !ok {
		return nil, made.Close()
	}
	s := &keptStmt{sqliteStmt: plain}
	c.kept[query] = s
	return s, nil
}

// makeRoom forgets any statement if there are too many.
func (c *preparedConn) makeRoom() error {
	if len(c.kept) < maxPrepared {
		return nil
	}
	for query, s := range c.kept {
		if !s.busy {
			delete(c.kept, query)
			return s.Close()
		}
	}
	return nil
}

// ExecContext implements driver.ExecerContext.
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return keptRows{rows, s}, nil
}

// Close implements driver.Conn.
func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// keptRows gives its statement back when it is closed.
type keptRows struct {
	driver.Rows
	statement *keptStmt
}

// Close implements driver.Rows.
func (r keptRows) Close() error {
	err := r.Rows.Close()
	r.statement.busy = false
	return err
}
