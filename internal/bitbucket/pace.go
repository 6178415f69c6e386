package bitbucket

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bitbucket's own limit is a token bucket per user, by default 60 tokens refilled at 5 a second, which git over HTTP may
// share. The client starts within it, so that an instance with the limit on is not annoyed, and quickens slowly as long as
// nobody objects, so that one with the limit off is not crawled at 5 a second.
const (
	startRate     = 5  // requests a second
	startBurst    = 40 // requests at once
	slowestRate   = 1
	fastestRate   = 50
	quickenAfter  = 40 // answers without complaint before the rate goes up by one
	defaultWait   = 5 * time.Second
	maxRetryAfter = time.Minute // a longer wait is left to the caller
)

// pace holds requests back. It is safe for concurrent use.
type pace struct {
	limiter *rate.Limiter

	mu    sync.Mutex
	until time.Time // nobody sends before
	calm  int       // answers since the last change of rate
}

func newPace() *pace { return &pace{limiter: rate.NewLimiter(startRate, startBurst)} }

// wait returns when the next request may be sent.
func (p *pace) wait(ctx context.Context) error {
	if err := p.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return context.DeadlineExceeded // the limiter saw that the deadline comes first
	}
	p.mu.Lock()
	pause := time.Until(p.until)
	p.mu.Unlock()
	if pause <= 0 {
		return nil
	}
	return sleep(ctx, pause)
}

// slower notes a 429: everyone pauses, and then goes on at half the rate and with a small burst.
func (p *pace) slower(pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = 0
	if until := time.Now().Add(min(pause, maxRetryAfter)); until.After(p.until) {
		p.until = until
		p.limiter.SetLimit(max(p.limiter.Limit()/2, slowestRate))
		p.limiter.SetBurst(5)
	}
}

// faster notes an answer without complaint.
func (p *pace) faster() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm++
	if p.calm >= quickenAfter {
		p.calm = 0
		p.limiter.SetLimit(min(p.limiter.Limit()+1, fastestRate))
	}
}

// retryAfter reads a Retry-After header, which is seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return defaultWait
}
