package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// TestOrder lets events, other changes and somebody who writes alone wait for one that writes, and more events come while
// these are written.
func TestOrder(t *testing.T) {
	var o order
	var got []string
	event, other := &part{event: true}, &part{}
	more := inARow + 3
	var write func(parts []*part)
	write = func(parts []*part) {
		text := ""
		for _, p := range parts {
			if p.event {
				text += "e"
			} else {
				text += "o"
			}
		}
		got = append(got, text)
		if more > 0 {
			more--
			o.join(&part{event: true}, write) // comes while this group is written
		}
	}
	if err := o.enter(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := o.enter(t.Context(), write); err != nil {
			t.Error(err)
		}
		got = append(got, "alone")
		o.leave(write)
		close(written)
	})
	for waits := 0; waits == 0; {
		o.mu.Lock()
		waits = len(o.alone)
		o.mu.Unlock()
	}
	o.join(other, write)
	o.join(event, write)
	o.leave(write)
	wg.Wait()
	for busy := true; busy; { // the groups after it
		o.mu.Lock()
		busy = o.busy
		o.mu.Unlock()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	want := []string{"eo", "e", "e", "e", "alone", "e", "e", "e", "e"}
	if !slices.Equal(got, want) {
		t.Errorf("written in the order %q, want %q", got, want)
	}
}

// TestOrderIsLeft gives up waiting for a turn, also at the moment when it comes.
func TestOrderIsLeft(t *testing.T) {
	var o order
	write := func([]*part) {}
	if err := o.enter(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.enter(left, write); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled wait ended with %v", err)
	}
	p := &part{}
	o.join(p, write)
	if !o.drop(p) || o.drop(p) {
		t.Error("a change that waits can't be taken back, or twice")
	}
	o.leave(write)
	for range 1000 { // whichever is first, the turn is not lost
		hurried, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(cancel)
		if err := o.enter(hurried, write); err == nil {
			o.leave(write)
		}
		wg.Wait()
	}
	if err := o.enter(t.Context(), write); err != nil {
		t.Error(err)
	}
}
