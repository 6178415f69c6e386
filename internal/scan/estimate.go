package scan

import (
	"math"
	"time"

	"magpie"
)

// stand is how far a scan was at a time.
type stand struct {
	at          time.Duration // since some beginning
	phase       magpie.ScanPhase
	bytes       int64 // received so far
	done, total int64 // objects of the phase; total is 0 until it is known
}

// estimator estimates how long a scan will still take. It is a pure function of what it observes: it knows no clock.
//
// The present phase ends when its objects are dealt with at the rate of the last while. What comes after it is estimated
// from the bytes that there are, or from how long its predecessor took. The answer follows that estimate slowly, so that
// it neither jumps from one look to the next nor when a phase ends otherwise than was thought.
type estimator struct {
	window []stand       // of the present phase, at most estimateWindow of them, the last one being the latest
	left   time.Duration // what was answered last; 0 if nothing was
}

const (
	// estimateWindow is over how long the rate is measured, and estimateLeast from when on it can be.
	estimateWindow = 20 * time.Second
	estimateLeast  = 2 * time.Second
	// estimateInertia is how long the answer takes to follow most of a change.
	estimateInertia = 6 * time.Second
	// maxEstimate is the longest time that is still told.
	maxEstimate = 99 * time.Hour
	// scanSpeed is how many bytes of a pack are scanned in a second, before that can be measured.
	scanSpeed = 10e6
	// placeShare is how long placing takes, as a part of the time that scanning took.
	placeShare = 0.5
)

// observe takes how far the scan is and returns the time left: at least a second, or 0 as long as nothing can be said.
// Observations come in the order of their times.
func (e *estimator) observe(s stand) time.Duration {
	if s.phase == "" {
		*e = estimator{}
		return 0
	}
	elapsed := e.push(s)
	raw, ok := e.raw()
	if e.left == 0 {
		if ok {
			e.left = clampLeft(raw)
		}
		return e.left
	}
	expected := e.left.Seconds() - elapsed.Seconds()
	switch {
	case ok:
		// However large the new estimate is, not all at once.
		raw = min(raw, 2*e.left.Seconds()+10)
		expected += (raw - expected) * -math.Expm1(-elapsed.Seconds()/estimateInertia.Seconds())
	case s.at-e.window[0].at >= estimateLeast: // it stands still, and so does what is left
		expected = e.left.Seconds()
	}
	e.left = clampLeft(expected)
	return e.left
}

// clampLeft makes seconds a time that can be told.
func clampLeft(seconds float64) time.Duration {
	return time.Duration(min(max(seconds, 1), maxEstimate.Seconds()) * float64(time.Second))
}

// push adds an observation, and returns the time since the one before. The window begins anew with a phase, and when the
// counts go back, as they do when a part is fetched again.
func (e *estimator) push(s stand) time.Duration {
	var elapsed time.Duration
	if n := len(e.window); n > 0 {
		last := e.window[n-1]
		elapsed = max(s.at-last.at, 0)
		if last.phase != s.phase || s.done < last.done || s.bytes < last.bytes {
			e.window = e.window[:0]
		}
	}
	old := 0
	for old+1 < len(e.window) && s.at-e.window[old+1].at >= estimateWindow {
		old++
	}
	e.window = append(e.window[:0], e.window[old:]...)
	e.window = append(e.window, s)
	return elapsed
}

// raw returns the seconds left as the window tells them, if it does.
func (e *estimator) raw() (float64, bool) {
	first, now := e.window[0], e.window[len(e.window)-1]
	span, grown := (now.at - first.at).Seconds(), now.done-first.done
	if span < estimateLeast.Seconds() || grown <= 0 || now.total <= 0 {
		return 0, false
	}
	left := float64(max(now.total-now.done, 0)) * span / float64(grown)
	switch now.phase {
	case magpie.PhaseReceiving:
		size := float64(now.bytes) * float64(now.total) / float64(now.done)
		left += size / scanSpeed * (1 + placeShare)
	case magpie.PhaseScanning:
		// As long as the rate says that all of the phase takes.
		left += float64(now.total) * span / float64(grown) * placeShare
	}
	return left, true
}
