package queue

import (
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

// waitingOrRunning are the states in which a job still has its work before it.
var waitingOrRunning = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

// outcome is the one table from the kind of an error to what becomes of the job.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	switch magpie.KindOf(err) {
	case magpie.KindInvalid, magpie.KindNotFound, magpie.KindForbidden, magpie.KindConflict, magpie.KindTooLarge:
		return river.JobCancel(err) // the same input would fail again
	case magpie.KindTokenInvalid, magpie.KindNoLicence:
		return river.JobSnooze(30 * time.Second) // waits until we are let in again, without using up attempts
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
