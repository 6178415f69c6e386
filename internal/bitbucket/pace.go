package bitbucket

import (
	fifo "container/list"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"magpie"
)

// How requests share what the server allows.
const (
	backgroundShare = 0.85 // of the rate may be used by requests that nobody waits for
	reservedSlots   = 5    // are left to urgent requests when background ones take from what has accumulated
	urgentInARow    = 20   // then one in the background has its turn, lest it never has
	defaultWait     = 5 * time.Second
	shortestPause   = time.Second
	longestPause    = 15 * time.Minute
	maxRetryAfter   = time.Minute // a longer pause is left to the caller
)

// PaceOptions configures a Pace. The zero value makes one that is on its own and forgets.
type PaceOptions struct {
	// Store keeps what was learned, so that a restart need not learn it again; nil keeps nothing.
	Store PaceStore
	// Shared says that other processes send requests under the same limit, and that the slots for requests are therefore
	// given out by Store.
	Shared bool
	Log    *slog.Logger // nil logs nothing
}

// Pace holds requests back so that a server that limits their rate hardly ever has to refuse one. There should be one for
// each limit: for Bitbucket that is each user of each instance, whatever asks, REST or Git.
//
// It gives out slots at a rate that it learns: slowly quicker while nobody objects, well below the refused rate after a
// refusal. Urgent requests go before all others and have slots of their own to count on. A Pace is safe for
// concurrent use and needs no closing.
type Pace struct {
	o PaceOptions

	mu          sync.Mutex
	known       learned
	free        time.Time // the next slot; it lags behind the clock by what has accumulated
	pausedUntil time.Time
	urgent      fifo.List // of *waiter, the first come first
	background  fifo.List
	inARow      int         // urgent requests served while background ones waited
	timer       *time.Timer // runs dispatch when the next slot is due; nil until needed
	shared      sharing
}

// waiter is a request that waits for its slot.
type waiter struct {
	ready  chan struct{} // closed when ticket or err is set
	ticket ticket
	err    error
}

// ticket is the permission to send one request. What became of it is told to answered or refused.
type ticket struct {
	at     time.Time // when it was given out
	waited bool      // the request had to wait, so the pace is what limits the rate
}

// NewPace returns a Pace that begins within Bitbucket's default limit.
func NewPace(o PaceOptions) *Pace {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Pace{o: o, known: newLearned()}
}

type urgentKey struct{}

// Urgent marks the requests made with a context as ones that a push or a person waits for: they go before all others.
func Urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey{}, true) }

func isUrgent(ctx context.Context) bool { return ctx.Value(urgentKey{}) != nil }

// Wait returns when the next request may be sent. If that is more than a minute away, because the server said so, it
// returns a *magpie.Error of KindRateLimited at once.
func (p *Pace) Wait(ctx context.Context) error {
	_, err := p.acquire(ctx)
	return err
}

// acquire waits for a slot.
func (p *Pace) acquire(ctx context.Context) (ticket, error) {
	if err := ctx.Err(); err != nil {
		return ticket{}, err
	}
	w := &waiter{ready: make(chan struct{})}
	p.mu.Lock()
	queue := &p.background
	if isUrgent(ctx) {
		queue = &p.urgent
	}
	place := queue.PushBack(w)
	p.dispatch()
	select {
	case <-w.ready:
		p.mu.Unlock()
		return w.ticket, w.err
	default:
	}
	p.mu.Unlock()
	select {
	case <-w.ready:
		w.ticket.waited = true
		return w.ticket, w.err
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		queue.Remove(place) // nothing happens if it was just served
		return ticket{}, ctx.Err()
	}
}

// dispatch serves all waiters whose slot has come and arranges to be called again for the next one. p.mu is held.
func (p *Pace) dispatch() {
	for {
		queue, urgent := p.next()
		if queue == nil {
			return
		}
		now := time.Now()
		if pause := p.pausedUntil.Sub(now); pause > maxRetryAfter {
			p.serve(queue, ticket{}, askedToWait(pause))
			continue
		}
		if !p.supplied(now, urgent) {
			return
		}
		if wait := p.due(now, urgent).Sub(now); wait > 0 {
			p.wakeIn(wait)
			return
		}
		if p.inARow++; queue == &p.background || p.background.Len() == 0 {
			p.inARow = 0
		}
		slots := 1.0
		if queue == &p.background {
			slots = 1 / backgroundShare
		}
		p.free = p.free.Add(p.known.slots(slots))
		p.serve(queue, ticket{at: now}, nil)
	}
}

// next returns the queue whose first request is next, nil if none waits, and whether that has the rights of an urgent one.
func (p *Pace) next() (queue *fifo.List, urgent bool) {
	switch waits := p.background.Len() > 0; {
	case waits && p.inARow >= urgentInARow:
		return &p.background, true
	case p.urgent.Len() > 0:
		return &p.urgent, true
	case waits:
		return &p.background, false
	}
	return nil, false
}

// serve ends the wait of the first in a queue.
func (p *Pace) serve(queue *fifo.List, t ticket, err error) {
	w := queue.Remove(queue.Front()).(*waiter)
	w.ticket, w.err = t, err
	close(w.ready)
}

// due returns when the next request of a class may be sent.
func (p *Pace) due(now time.Time, urgent bool) time.Time {
	p.free = latest(p.free, now.Add(-p.known.slots(p.known.burst)))
	due := p.free
	if !urgent && !p.leases(now) { // of a lease, what is urgent was kept before it was given
		due = due.Add(p.known.slots(min(reservedSlots, p.known.burst/2)))
	}
	return latest(due, p.pausedUntil)
}

// wakeIn makes dispatch run after d.
func (p *Pace) wakeIn(d time.Duration) {
	if p.timer != nil {
		p.timer.Reset(d)
		return
	}
	p.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dispatch()
	})
}

// answered tells that the server served a request.
func (p *Pace) answered(t ticket) {
	if !t.waited {
		return // says nothing about what a higher rate would do
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, before := time.Now(), p.known
	if p.known.quicken(now); p.known != before { // to store it once more would void what others learn meanwhile
		p.learnedMore(now, false)
	}
}

// refused tells that the server answered 429 and how long it wants to be left alone. Refusals of requests that were sent
// before the last pause began belong to it.
func (p *Pace) refused(t ticket, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	pause = min(max(pause, shortestPause), longestPause)
	again := !t.at.After(p.known.refusedAt)
	if again && !now.Add(pause).After(p.pausedUntil) {
		return
	}
	if !again {
		p.known.slow(now)
		p.o.Log.Info("Bitbucket limits the rate of requests", "pause", pause.String(), "requests_per_second", p.known.rate)
	}
	p.pauseUntil(now.Add(pause))
	p.learnedMore(now, true)
	p.dispatch()
}

// pauseUntil stops all requests until then. What had accumulated before is not there any more afterwards.
func (p *Pace) pauseUntil(until time.Time) {
	p.pausedUntil = latest(p.pausedUntil, until)
	p.known.resumedAt = p.pausedUntil
	p.free = latest(p.free, p.pausedUntil)
	p.shared.end = time.Time{} // slots given out before are void
}

// Transport returns a round tripper that waits before each request and learns from each answer. A request that the
// server refuses for its rate is repeated, when its turn comes again, as long as that makes sense.
func (p *Pace) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return pacedTransport{p, next}
}

type pacedTransport struct {
	pace *Pace
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t pacedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		ticket, err := t.pace.acquire(req.Context())
		if err != nil {
			if req.Body != nil {
				_ = req.Body.Close()
			}
			return nil, err
		}
		resp, err := t.next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		t.pace.heard(ticket, resp.StatusCode, resp.Header)
		again := resp.StatusCode == http.StatusTooManyRequests && attempt < maxAttempts &&
			retryAfter(resp.Header.Get("Retry-After"), time.Now()) <= maxRetryAfter
		if !again || !rewind(&req) {
			return resp, nil
		}
		_ = resp.Body.Close()
	}
}

// rewind replaces a request by one that can be sent once more, and reports whether there can be one.
func rewind(req **http.Request) bool {
	if (*req).Body == nil || (*req).Body == http.NoBody {
		return true
	}
	if (*req).GetBody == nil {
		return false
	}
	body, err := (*req).GetBody()
	if err != nil {
		return false
	}
	next := (*req).Clone((*req).Context())
	next.Body = body
	*req = next
	return true
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (t pacedTransport) CloseIdleConnections() {
	if next, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// heard learns from an answer.
func (p *Pace) heard(t ticket, status int, header http.Header) {
	if status == http.StatusTooManyRequests {
		p.refused(t, retryAfter(header.Get("Retry-After"), time.Now()))
		return
	}
	p.answered(t)
}

func askedToWait(pause time.Duration) error {
	return &magpie.Error{
		Kind: magpie.KindRateLimited, Message: "Bitbucket limits the rate of requests",
		Hint: fmt.Sprintf("it asks to wait %s; an administrator of Bitbucket can exempt the token's user from rate limiting",
			pause.Round(time.Second)),
	}
}

// retryAfter reads a Retry-After header, which is seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), 24*time.Hour)
	}
	return defaultWait
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
