package bitbucketsim

import "time"

const (
	breakerFailures = 5
	breakerFirst    = 10 * time.Second
	breakerMax      = 10 * time.Hour
)

// breaker stops deliveries of one webhook after failures in a row: for ten seconds, then for twice as long after each
// further failure, up to ten hours. A success closes it.
type breaker struct {
	failures int
	pause    time.Duration
	until    time.Time
}

func (b *breaker) open(now time.Time) bool { return now.Before(b.until) }

func (b *breaker) record(success bool, now time.Time) {
	if success {
		*b = breaker{}
		return
	}
	b.failures++
	if b.failures < breakerFailures || b.open(now) {
		return
	}
	b.pause = min(max(breakerFirst, 2*b.pause), breakerMax)
	b.until = now.Add(b.pause)
}

// breaker returns a webhook's breaker; e.mu must be held.
func (e *engine) breaker(hook int) *breaker {
	b := e.breakers[hook]
	if b == nil {
		b = &breaker{}
		e.breakers[hook] = b
	}
	return b
}

func (e *engine) allowed(hook int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.breaker(hook).open(e.s.now())
}

// ResetBreaker closes a webhook's breaker and forgets its failures.
func (s *Server) ResetBreaker(hookID int) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	*s.hooks.breaker(hookID) = breaker{}
}

// BreakerOpenUntil says until when deliveries of a webhook are skipped; it is zero or past when they are not.
func (s *Server) BreakerOpenUntil(hookID int) time.Time {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	return s.hooks.breaker(hookID).until
}
