package pack

import (
	"sync"
	"sync/atomic"
)

// crew deals a pack's trees of deltas out to workers. Who has none left is given a part of somebody else's, so that one
// large tree keeps all of them busy.
type crew struct {
	hungry atomic.Int32 // workers that wait

	mu      sync.Mutex
	cond    *sync.Cond
	roots   []int32
	parts   []part
	workers int
	ended   bool
}

// part is a part of a tree: the way down from its root to the object whose children, or some of them, are to be
// expanded.
type part []frame

func newCrew(roots []int32, workers int) *crew {
	c := &crew{roots: roots, workers: workers}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// take returns a part of a tree or the root of one, and waits where there is neither but others are still at work. ok is
// false at the end.
func (c *crew) take() (root int32, p part, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended {
		if n := len(c.parts); n > 0 {
			p = c.parts[n-1]
			c.parts = c.parts[:n-1]
			return 0, p, true
		}
		if len(c.roots) > 0 {
			root = c.roots[0]
			c.roots = c.roots[1:]
			return root, nil, true
		}
		if int(c.hungry.Add(1)) == c.workers {
			c.ended = true
			c.cond.Broadcast()
			break
		}
		c.cond.Wait()
		c.hungry.Add(-1)
	}
	return 0, nil, false
}

// give offers a part to whoever waits.
func (c *crew) give(p part) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts = append(c.parts, p)
	c.cond.Signal()
}

// end sends everybody home.
func (c *crew) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.cond.Broadcast()
}
