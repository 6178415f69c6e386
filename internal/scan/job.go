package scan

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// pushJob looks at what is new in a repository of which events wait.
type pushJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
	// ScanID is the scan to make if there is something to fetch. It is fixed when the job is born, so that an attempt
	// after a crash goes on with the same scan.
	ScanID magpie.ScanID `json:"scan_id"`
}

// Kind implements magpie.Job.
func (pushJob) Kind() string { return "scan_push" }

// lookJob looks at what is new in a repository although no event announced anything.
type lookJob struct {
	RepoID magpie.RepoID `json:"repo_id" river:"unique"`
	Sweep  string        `json:"sweep,omitempty" river:"unique"` // that asked for it and counts it; empty if none did
	ScanID magpie.ScanID `json:"scan_id"`                        // as in pushJob
}

// Kind implements magpie.Job.
func (lookJob) Kind() string { return "scan_look" }

// firstLookJob begins the watch of a repository.
type firstLookJob struct {
	RepoID  magpie.RepoID `json:"repo_id"`
	History bool          `json:"history"`
}

// Kind implements magpie.Job.
func (firstLookJob) Kind() string { return "scan_first_look" }

// historyJob scans everything in a repository.
type historyJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
	ScanID magpie.ScanID `json:"scan_id"`
}

// Kind implements magpie.Job.
func (historyJob) Kind() string { return "scan_history" }

// Longest times for one attempt. A push waits for no history: they have queues of their own.
const (
	pushTimeout    = 30 * time.Minute
	historyTimeout = 12 * time.Hour
)

// Register adds the workers of this stage's jobs.
func (s *Service) Register(e *queue.Engine) {
	queue.Register(e, queue.WorkerOptions{Queue: "push", Concurrency: max(s.Concurrency, 4), Timeout: pushTimeout}, s.workPush)
	queue.Register(e, queue.WorkerOptions{Queue: "look", Concurrency: s.Concurrency, Timeout: pushTimeout}, s.workLook)
	queue.Register(e, queue.WorkerOptions{Queue: "first_look", Concurrency: 4, Timeout: 5 * time.Minute}, s.workFirstLook)
	queue.Register(e, queue.WorkerOptions{Queue: "history", Concurrency: s.Concurrency, Timeout: historyTimeout}, s.workHistory)
}

// complete ends a job that has nothing to store.
func complete[J magpie.Job](ctx context.Context, db *store.DB, run *queue.Run[J]) error {
	return db.WriteTogether(ctx, func(ctx context.Context, tx *store.Tx) error { return run.Complete(ctx, tx.Native()) })
}
