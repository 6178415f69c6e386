package queue

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"magpie"
)

// maxAttempts is how often a failing job is tried before it is given up. With retryPolicy the last attempt comes about
// a day after the first.
const maxAttempts = 30

// After patience attempts, an hour or so, a job whose outside system does not answer is tried every longestWait, for as
// long as it takes.
const (
	patience    = 12
	longestWait = time.Hour
)

// A job that Bitbucket does not let in waits for shortWait, each time that much longer, up to longWait: when a token is
// dead for days, all the histories of a large instance wait.
const (
	shortWait = 30 * time.Second
	longWait  = 10 * time.Minute
)

// waitingOrRunning are the states in which a job still has its work before it.
var waitingOrRunning = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

// waits reports whether an error of this kind says nothing about the job, which waits without using up attempts.
func waits(kind magpie.Kind) bool {
	return kind == magpie.KindTokenInvalid || kind == magpie.KindNoLicence || kind == magpie.KindRateLimited
}

// outcome is the one table from the kind of an error to what becomes of the job, which has waited so many times before.
func outcome(err error, waited int) error {
	if err == nil {
		return nil
	}
	switch magpie.KindOf(err) {
	case magpie.KindInvalid, magpie.KindNotFound, magpie.KindForbidden, magpie.KindConflict, magpie.KindTooLarge:
		return river.JobCancel(err) // the same input would fail again
	case magpie.KindTokenInvalid, magpie.KindNoLicence:
		return river.JobSnooze(min(shortWait*time.Duration(waited+1), longWait)) // until we are let in again
	case magpie.KindRateLimited:
		return river.JobSnooze(10 * time.Second)
	default:
		return err
	}
}

// retryPolicy waits 1, 2, 4, … seconds, at most one hour.
type retryPolicy struct{}

// NextRetry implements river.ClientRetryPolicy.
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	wait := longestWait
	if n := len(job.Errors); n < patience {
		wait = time.Second << n
	}
	return time.Now().Add(wait)
}

// waited returns how many times a job has waited, which River counts in its metadata.
func waited(job *rivertype.JobRow) int {
	var metadata struct {
		Snoozes int `json:"snoozes"`
	}
	_ = json.Unmarshal(job.Metadata, &metadata) // of a job that never waited there may be none
	return max(metadata.Snoozes, 0)
}
