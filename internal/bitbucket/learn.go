package bitbucket

import "time"

// Bitbucket's own limit is a token bucket per user, by default 60 tokens refilled at 5 a second, which git over HTTP may
// share. A pace starts within it, so that an instance with the limit on is not annoyed, and quickens slowly as long as
// nobody objects, so that one with the limit off is not crawled at 5 a second.
const (
	startRate   = 5.0 // requests a second
	startBurst  = 40.0
	leastBurst  = 5.0
	slowestRate = 0.5
	fastestRate = 50.0
	quickenBy   = 1.0 / 40 // requests a second, for each answer without complaint

	afterRefusal = 0.7              // of the ceiling is gone on with
	belowCeiling = 0.9              // of it is climbed back to
	tryAbove     = 10 * time.Minute // without a refusal before the ceiling is tried
	firstStep    = 0.1              // by which it is then raised; later steps double
	largestStep  = 0.4
	soon         = 30 * time.Second // after a pause, a refusal tells more than that the rate was too high
)

// learned is what is known about a server's limit.
type learned struct {
	rate      float64 // requests a second that are made now
	ceiling   float64 // the rate that was refused; 0 if none was
	burst     float64 // slots that may accumulate
	step      float64
	refusedAt time.Time // when the server last began to refuse
	resumedAt time.Time // when the pause after that ends
	triedAt   time.Time // when the ceiling was last raised
}

func newLearned() learned { return learned{rate: startRate, burst: startBurst, step: firstStep} }

// slots returns the time that n slots take.
func (l *learned) slots(n float64) time.Duration {
	return time.Duration(n / l.rate * float64(time.Second))
}

// quicken notes that the server served a request at the present rate.
func (l *learned) quicken(now time.Time) {
	top := fastestRate
	if l.ceiling > 0 {
		top = min(top, max(l.ceiling*belowCeiling, slowestRate))
	}
	l.rate = min(l.rate+quickenBy, top)
	if l.ceiling == 0 || l.rate < top || now.Sub(latest(l.refusedAt, l.triedAt)) < tryAbove {
		return
	}
	l.ceiling *= 1 + l.step
	l.tried(now)
	l.burst = min(l.burst+leastBurst, startBurst)
	if l.ceiling*belowCeiling > fastestRate {
		l.ceiling = 0
	}
}

// tried notes that the ceiling was raised.
func (l *learned) tried(now time.Time) {
	l.triedAt = now
	l.step = min(l.step*2, largestStep)
}

// follow takes over what another process learned, as if it had been learned here. Otherwise, after a limit is gone, each
// process would begin with small steps whenever it is the first to try the ceiling that others raised before.
func (l *learned) follow(rate, ceiling float64, now time.Time) {
	switch {
	case l.ceiling > 0 && (ceiling == 0 || ceiling > l.ceiling):
		l.tried(now)
	case ceiling != l.ceiling: // refused
		l.triedAt, l.step = now, firstStep
	}
	l.rate, l.ceiling = rate, ceiling
}

// slow notes that the server refused the present rate.
//
// What it refused the second time soon after a pause tells its limit quite exactly, since its bucket was empty both
// times: what it let through between is what came in meanwhile, during the pause and after it. The first time, the rate
// is only known to be too high, for how long the bucket lasted is not known.
func (l *learned) slow(now time.Time) {
	l.ceiling = l.rate
	if after := now.Sub(l.resumedAt); !l.refusedAt.IsZero() && after >= 0 && after < soon {
		if all := now.Sub(l.refusedAt); all > 0 {
			l.ceiling = l.rate * max(float64(after)/float64(all), 0.3)
		}
	}
	l.ceiling = max(l.ceiling, slowestRate)
	l.rate = max(l.ceiling*afterRefusal, slowestRate)
	l.burst = max(l.burst/2, leastBurst)
	l.step = firstStep
	l.refusedAt = now
}
