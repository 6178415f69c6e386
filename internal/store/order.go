package store

import (
	"context"
	"slices"
	"sync"
)

// order decides who writes next to SQLite, which has one writer at a time: before all others the group of changes that has
// an event in it, since Bitbucket waits for its answer and gives up after a while; but after inARow such groups it is the
// turn of somebody who writes alone. The job engine's own statements are not in it; they are short.
type order struct {
	mu   sync.Mutex
	busy bool
	// Waiting to be written together, the events before the others.
	events, others []*part
	alone          []chan struct{} // waiting to write alone; closed when it is their turn
	row            int             // groups that were written since one last wrote alone
}

// inARow is how many groups go before somebody who waits to write alone.
const inARow = 4

// join adds a change to the next group that has room.
func (o *order) join(p *part, write func([]*part)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.event {
		o.events = append(o.events, p)
	} else {
		o.others = append(o.others, p)
	}
	if !o.busy {
		o.next(write)
	}
}

// drop takes a change back, if its group has not begun.
func (o *order) drop(p *part) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, waiting := range []*[]*part{&o.events, &o.others} {
		if i := slices.Index(*waiting, p); i >= 0 {
			*waiting = slices.Delete(*waiting, i, i+1)
			return true
		}
	}
	return false
}

// enter waits for the turn of somebody who writes alone, and leave must follow; unless ctx ends before, which is the error.
func (o *order) enter(ctx context.Context, write func([]*part)) error {
	turn := make(chan struct{})
	o.mu.Lock()
	o.alone = append(o.alone, turn)
	if !o.busy {
		o.next(write)
	}
	o.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.alone, turn); i >= 0 {
		o.alone = slices.Delete(o.alone, i, i+1)
	} else {
		o.next(write) // it came at the same moment; to the next one
	}
	return ctx.Err()
}

// leave ends a turn.
func (o *order) leave(write func([]*part)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next(write)
}

// next gives the turn to the next one; o.mu must be held.
func (o *order) next(write func([]*part)) {
	group := len(o.events)+len(o.others) > 0
	switch {
	case len(o.alone) > 0 && (!group || o.row >= inARow || o.row > 0 && len(o.events) == 0):
		o.busy, o.row = true, 0
		close(o.alone[0])
		o.alone = o.alone[1:]
	case group:
		o.busy = true
		o.row++
		parts := append(takeSome(&o.events, mostEvents), takeSome(&o.others, mostOthers)...)
		go func() {
			write(parts)
			o.leave(write)
		}()
	default:
		o.busy, o.row = false, 0
	}
}

// takeSome takes the first ones, at most n.
func takeSome(waiting *[]*part, n int) []*part {
	n = min(len(*waiting), n)
	taken := slices.Clone((*waiting)[:n])
	*waiting = slices.Delete(*waiting, 0, n)
	return taken
}
