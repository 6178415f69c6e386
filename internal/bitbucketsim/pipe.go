package bitbucketsim

import (
	"context"
	"net"
	"sync"
)

// Pipe is a listener in memory: connections are made by DialContext and never touch the network, so that a server and
// its clients can live in a testing/synctest bubble. Make it inside the bubble. The git program can't reach it, Go's
// HTTP clients can.
type Pipe struct {
	waiting chan net.Conn
	done    chan struct{}
	once    sync.Once
}

// NewPipe returns a listener in memory.
func NewPipe() *Pipe { return &Pipe{waiting: make(chan net.Conn), done: make(chan struct{})} }

// Accept waits for a connection.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and DialContext; connections stay.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr is only a name.
func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// DialContext connects to whoever accepts; the address does not matter.
func (p *Pipe) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.waiting <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
