package bitbucket

import (
	"context"
	"time"
)

const (
	leaseFor     = time.Second // how long a lease lasts at the present rate
	storeTimeout = 2 * time.Second
	storeRest    = 10 * time.Second // before a store that failed is asked again
	saveEvery    = 30 * time.Second // at most, what was learned is stored if nothing else is to be
)

// PaceState is what is stored of a pace, for the process that comes next and for those beside it.
type PaceState struct {
	Rate        float64   // requests a second that are made now
	Ceiling     float64   // the rate that is known to be refused; 0 if none is
	FreeAt      time.Time // the next slot that was not given out
	PausedUntil time.Time // nothing may be sent before
	ChangedAt   time.Time // when Rate or Ceiling changed; zero if nothing is stored
}

// PaceStore keeps one PaceState.
type PaceStore interface {
	// Change lets change alter the state, as one step beside all other processes, and stores it. All times in it are by
	// one clock, which reads now, and exact to the microsecond. change must not wait for anything.
	Change(ctx context.Context, change func(now time.Time, s *PaceState)) error
}

// sharing is the part of a Pace that deals with its store. Requests never wait inside of it: the store is asked by a
// goroutine of its own, for the slots of about a second at once.
type sharing struct {
	end      time.Time // of the lease: slots from Pace.free up to here are ours
	asking   bool
	read     bool      // the state was read once
	seen     time.Time // PaceState.ChangedAt as last read
	news     bool      // there is something to store
	urgently bool      // and it can't wait: a refusal
	saved    learned
	savedAt  time.Time
	restful  time.Time // the store failed and is not asked before
	askAt    time.Time // when background requests may ask for slots again
}

// leases reports whether slots come from the store now.
func (p *Pace) leases(now time.Time) bool {
	return p.o.Store != nil && p.o.Shared && !now.Before(p.shared.restful)
}

// supplied reports whether there are slots to give out. If not, it sees to it that dispatch runs when there are.
func (p *Pace) supplied(now time.Time, urgent bool) bool {
	s := &p.shared
	if p.o.Store == nil || now.Before(s.restful) {
		return true
	}
	if !p.o.Shared {
		if !s.read {
			p.ask(now, request{})
		}
		return s.read
	}
	p.free = latest(p.free, now.Add(-p.known.slots(p.known.burst)))
	if p.free.Before(s.end) {
		return true
	}
	if wait := latest(s.askAt, p.pausedUntil).Sub(now); wait > 0 && !(urgent && p.pausedUntil.Before(now)) {
		p.wakeIn(wait)
		return false
	}
	waiting := p.background.Len()
	if urgent {
		waiting = p.urgent.Len()
	}
	p.ask(now, request{urgent: urgent, waiting: max(float64(waiting), 1), lease: true})
	return false
}

// learnedMore notes that there is something to store, and stores it at once if it can't wait.
func (p *Pace) learnedMore(now time.Time, urgently bool) {
	s := &p.shared
	if p.o.Store == nil {
		return
	}
	s.news, s.urgently = true, s.urgently || urgently
	p.save(now)
}

// save stores what was learned, if that is due. Where slots are leased, the next lease takes it along.
func (p *Pace) save(now time.Time) {
	s := &p.shared
	changed := max(p.known.rate, s.saved.rate) > 1.05*min(p.known.rate, s.saved.rate) || p.known.ceiling != s.saved.ceiling
	rarely := !p.o.Shared && changed && now.Sub(s.savedAt) >= saveEvery
	if s.news && (s.urgently || rarely) && !now.Before(s.restful) {
		p.ask(now, request{})
	}
}

// request is what one visit to the store is for, with all that it needs to know.
type request struct {
	lease   bool
	urgent  bool
	waiting float64 // requests of the class

	known       learned
	seen        time.Time
	news, limit bool          // there is something to store; a refusal is
	pause       time.Duration // still to go
}

// grant is what came of a request.
type grant struct {
	state PaceState
	first time.Duration // until the first of the slots; negative if they accumulated
	slots float64
	retry time.Duration // until slots may be asked for again, if there are none
	pause time.Duration
}

// ask visits the store in the background. One visit at a time: what else there is follows.
func (p *Pace) ask(now time.Time, r request) {
	s := &p.shared
	if s.asking {
		return
	}
	r.known, r.seen, r.news, r.limit, r.pause = p.known, s.seen, s.news, s.urgently, p.pausedUntil.Sub(now)
	s.asking, s.news, s.urgently, s.savedAt, s.saved = true, false, false, now, p.known
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		var g grant
		err := p.o.Store.Change(ctx, func(now time.Time, state *PaceState) { g = r.apply(now, state) })
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked(time.Now(), r, g, err)
	}()
}

// asked takes over what came of a visit to the store.
func (p *Pace) asked(now time.Time, r request, g grant, err error) {
	s := &p.shared
	s.asking = false
	if err != nil {
		s.news, s.urgently = s.news || r.news, s.urgently || r.limit
		s.restful = now.Add(storeRest)
		p.free = latest(p.free, now)
		p.o.Log.Warn("the pace of requests is kept without the database", "error", err)
		p.dispatch()
		return
	}
	if !s.read && !r.news && g.state.Ceiling > 0 {
		p.free = latest(p.free, now) // a server with a limit may remember what we did before the restart
	}
	s.read = true
	if !s.urgently && !g.state.ChangedAt.Equal(s.seen) {
		p.known.follow(g.state.Rate, g.state.Ceiling, now)
		s.saved = p.known
	}
	s.seen = g.state.ChangedAt
	if until := now.Add(g.pause); g.pause > 0 {
		if until.Sub(p.pausedUntil) > shortestPause/2 { // not just the one we reported, as another clock has it
			p.known.refusedAt = now // what is still under way was sent before
		}
		p.pauseUntil(until)
	}
	switch {
	case g.slots > 0 && !now.Before(p.pausedUntil):
		p.free = now.Add(g.first)
		s.end = p.free.Add(p.known.slots(g.slots))
		s.askAt = s.end.Add(p.known.slots(min(reservedSlots, p.known.burst/2))) // not earlier would there be more
	case g.retry > 0:
		s.askAt = now.Add(g.retry)
	}
	p.save(now)
	p.dispatch()
}

// apply brings news and state together and takes slots. It is pure, since the store may call it more than once.
func (r request) apply(now time.Time, s *PaceState) (g grant) {
	switch paused := s.PausedUntil.After(now); {
	case s.ChangedAt.IsZero(), r.news && s.ChangedAt.Equal(r.seen):
		s.Rate, s.Ceiling, s.ChangedAt = r.known.rate, r.known.ceiling, now
	case r.limit && !paused:
		// Others quickened meanwhile, or made slower some time ago; the refusal is the latest news.
		s.Rate, s.Ceiling, s.ChangedAt = min(s.Rate, r.known.rate), r.known.ceiling, now
	}
	if s.Rate <= 0 {
		s.Rate = startRate
	}
	if until := now.Add(r.pause); until.After(s.PausedUntil) && r.pause > 0 {
		s.PausedUntil = until
		s.FreeAt = latest(s.FreeAt, until)
	}
	if r.lease {
		r.take(now, s, &g)
	}
	g.state, g.pause = *s, s.PausedUntil.Sub(now)
	return g
}

// take takes slots, or says when to try again. What accumulates is bounded by the burst.
func (r request) take(now time.Time, s *PaceState, g *grant) {
	every := func(n float64) time.Duration { return time.Duration(n / s.Rate * float64(time.Second)) }
	next := latest(s.FreeAt, now.Add(-every(r.known.burst)))
	free := now.Sub(next) // what has accumulated; negative if others took slots that are still to come
	kept := every(min(reservedSlots, r.known.burst/2))
	switch {
	case s.PausedUntil.After(now):
		g.retry = s.PausedUntil.Sub(now)
		return
	case !r.urgent && free < kept:
		g.retry = kept - free
		return
	}
	g.first = -free
	g.slots = max(s.Rate*leaseFor.Seconds(), 1)
	switch usable := (free - kept).Seconds() * s.Rate; {
	case free < 0:
		g.slots = min(g.slots, r.waiting) // no more than needed, since the urgent ones of others wait as well
	case usable > g.slots:
		g.slots = max(g.slots, min(r.waiting/backgroundShare, usable))
	}
	s.FreeAt = next.Add(every(g.slots))
}
