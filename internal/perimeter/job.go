package perimeter

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// syncJob brings an integration's rows in step with its Bitbucket.
type syncJob struct {
	IntegrationID magpie.IntegrationID `json:"integration_id"`
}

// Kind implements magpie.Job.
func (syncJob) Kind() string { return "perimeter_sync" }

// refreshJob asks for one repository's present name and state.
type refreshJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
}

// Kind implements magpie.Job.
func (refreshJob) Kind() string { return "perimeter_refresh" }

// strayJob takes a repository's webhook away from another one, which has the numeric id At.
type strayJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
	At     int64         `json:"at"`
}

// Kind implements magpie.Job.
func (strayJob) Kind() string { return "perimeter_stray" }

// settleJob makes a repository's webhook be as its row wants it.
type settleJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
}

// Kind implements magpie.Job.
func (settleJob) Kind() string { return "perimeter_settle" }

// removeJob takes an integration's webhooks away, and then the integration.
type removeJob struct {
	IntegrationID magpie.IntegrationID `json:"integration_id"`
}

// Kind implements magpie.Job.
func (removeJob) Kind() string { return "perimeter_remove" }

// Register adds the workers of this stage's jobs.
func (s *Service) Register(e *queue.Engine) {
	queue.Register(e, queue.WorkerOptions{Queue: "sync", Concurrency: 4, Timeout: 2 * time.Hour}, s.workSync)
	// These have a queue of their own: one new name does not wait for the webhooks of ten thousand repositories.
	queue.Register(e, queue.WorkerOptions{Queue: "refresh", Concurrency: 2, Timeout: 10 * time.Minute}, s.workRefresh)
	queue.Register(e, queue.WorkerOptions{Queue: "refresh", Concurrency: 2, Timeout: 10 * time.Minute}, s.workStray)
	queue.Register(e, queue.WorkerOptions{Queue: "hooks", Concurrency: 4, Timeout: 10 * time.Minute}, s.workSettle)
	queue.Register(e, queue.WorkerOptions{Queue: "remove", Concurrency: 2, Timeout: 12 * time.Hour, GivesUp: true}, s.workRemove)
	queue.Register(e, queue.WorkerOptions{Queue: "sweep", Concurrency: 16, Timeout: sweepLongest}, s.workSweep)
}

// enqueueSettle adds the job that settles a repository's hook. One that runs already will notice what changed, since it
// stores its result only for what is still wanted.
func enqueueSettle(ctx context.Context, tx *store.Tx, id magpie.RepoID) error {
	return tx.Enqueue(ctx, settleJob{RepoID: id}, magpie.JobOptions{Once: true})
}

// wantSync makes an integration be synced soon, by a sync that begins after now.
func (s *Service) wantSync(ctx context.Context, tx *store.Tx, id magpie.IntegrationID) error {
	if err := tx.WantSync(ctx, id, s.opts.Now()); err != nil {
		return err
	}
	return tx.Enqueue(ctx, syncJob{IntegrationID: id}, magpie.JobOptions{Once: true})
}

// complete ends a job that has nothing to store.
func complete[J magpie.Job](ctx context.Context, db *store.DB, run *queue.Run[J]) error {
	return db.Write(ctx, func(tx *store.Tx) error { return run.Complete(ctx, tx.Native()) })
}
