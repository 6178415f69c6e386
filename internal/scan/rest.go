package scan

import (
	"sync"
	"time"

	"magpie"
)

// A repository that was scanned for a push rests restFactor times as long as that took, at most longestRest, before it is
// scanned for the next one: while people push without a pause, their pushes are looked at together, and neither Bitbucket
// nor this machine is kept busy by one repository. What comes after a pause is looked at at once.
const (
	restFactor  = 19
	longestRest = 3 * time.Second
)

// rests tells how long repositories still rest.
type rests struct {
	mu    sync.Mutex
	until map[magpie.RepoID]time.Time
}

// left returns how long a repository still rests at a time; 0 or less if it does not.
func (r *rests) left(repo magpie.RepoID, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, resting := r.until[repo]
	if !resting {
		return 0
	}
	return until.Sub(now)
}

// begin lets a repository rest from now on, after a scan that took so long. Those that have rested are forgotten now and
// then.
func (r *rests) begin(repo magpie.RepoID, now time.Time, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[magpie.RepoID]time.Time{}
	}
	if len(r.until) >= restingAtMost {
		for other, until := range r.until {
			if !now.Before(until) {
				delete(r.until, other)
			}
		}
	}
	r.until[repo] = now.Add(min(restFactor*took, longestRest))
}

const restingAtMost = 1000
