package bitbucketsim

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// RateLimit is a token bucket per user, from which REST and git requests take alike.
type RateLimit struct {
	Capacity   int     // requests at once; 0 switches the limit off
	FillRate   float64 // requests a second
	RetryAfter int     // seconds to say in Retry-After; default 5, as observed
	HTTPDate   bool    // say Retry-After as a date
	NoAfter    bool    // say no Retry-After at all
	SpareGit   bool    // git requests do not count and are never refused
	Empty      bool    // answer with an empty body
	Exempt     []string
}

type limiter struct {
	mu      sync.Mutex
	set     RateLimit
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// SetRateLimit switches rate limiting on with full buckets, or off.
func (s *Server) SetRateLimit(l RateLimit) {
	setDefault(&l.RetryAfter, 5)
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.limits.set, s.limits.buckets = l, map[string]*bucket{}
}

// take takes one request out of a user's bucket.
func (l *limiter) take(user string, now time.Time) (RateLimit, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set.Capacity <= 0 {
		return l.set, true
	}
	for _, name := range l.set.Exempt {
		if name == user {
			return l.set, true
		}
	}
	b := l.buckets[user]
	if b == nil {
		b = &bucket{tokens: float64(l.set.Capacity), at: now}
		l.buckets[user] = b
	}
	b.tokens = math.Min(float64(l.set.Capacity), b.tokens+now.Sub(b.at).Seconds()*l.set.FillRate)
	b.at = now
	if b.tokens < 1 {
		return l.set, false
	}
	b.tokens--
	return l.set, true
}

// after is the text of Retry-After.
func (l RateLimit) after(now time.Time) string {
	if l.HTTPDate {
		return now.Add(time.Duration(l.RetryAfter) * time.Second).UTC().Format(http.TimeFormat)
	}
	return strconv.Itoa(l.RetryAfter)
}

func (l *limiter) countsGit() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.set.SpareGit
}

// limited answers 429 when the caller's bucket is empty. Anonymous callers have none.
func (c *call) limited() bool { return c.s.limited(c.w, c.who) }

func (s *Server) limited(w http.ResponseWriter, who identity) bool {
	if who.user == nil {
		return false
	}
	set, ok := s.limits.take(who.user.Slug, s.now())
	if ok {
		return false
	}
	if !set.NoAfter {
		w.Header().Set("Retry-After", set.after(s.now()))
	}
	f := Failure{Status: http.StatusTooManyRequests, Body: BodyEmpty}
	if !set.Empty {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(f.Status)
		w.Write([]byte(`{"errors":[{"context":null,"message":"You have been rate limited","exceptionName":"com.atlassian.bitbucket.ratelimit.RateLimitExceededException"}]}`))
		return true
	}
	writeFailure(w, f)
	return true
}
