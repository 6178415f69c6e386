package insight

import (
	"context"
	"hash/fnv"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// roundJob makes the repositories be looked at whose turn it is.
type roundJob struct{}

// Kind implements magpie.Job.
func (roundJob) Kind() string { return "insight_round" }

// lookJob looks at the open pull requests of a repository.
type lookJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
	// All asks for a report on every pull request into the repository or from it; otherwise only for those into it whose
	// source commit has none.
	All bool `json:"all,omitempty"`
}

// Kind implements magpie.Job.
func (lookJob) Kind() string { return "insight_look" }

// A look costs one request for each repository. Those pushed to within a day are looked at in every round, those pushed
// to within two weeks in one of eight; older ones wait for a push. At the default of a round in 15 minutes, 300 busy
// repositories and 3,000 quieter ones make 675 requests in 15 minutes, 0.75 a second.
const (
	lookSchedule = "insight.look"
	busyFor      = 24 * time.Hour
	quietFor     = 14 * 24 * time.Hour
	quietRounds  = 8
	lookBatch    = 200
	tickEvery    = time.Second
)

// Run starts the looks when they are due, until ctx ends. Several instances may run it: each round is started by one.
func (s *Service) Run(ctx context.Context) error {
	err := s.opts.DB.Write(ctx, func(tx *store.Tx) error { return tx.AddSchedule(ctx, lookSchedule, s.opts.Now()) })
	if err != nil && ctx.Err() == nil {
		return err
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	var due time.Time
	for {
		if now := s.opts.Now(); !now.Before(due) {
			if err := s.Tick(ctx); err != nil && ctx.Err() == nil {
				s.opts.Log.Error("starting a look at pull requests did not succeed; it is tried again", "error", err)
			}
			due = now.Add(min(s.opts.LookEvery, time.Minute)) // another instance may have moved the schedule
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Tick starts a round if one is due.
func (s *Service) Tick(ctx context.Context) error {
	now := s.opts.Now()
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		claimed, err := tx.ClaimSchedule(ctx, lookSchedule, now, now.Add(s.opts.LookEvery))
		if err != nil || !claimed {
			return err
		}
		return tx.Enqueue(ctx, roundJob{}, magpie.JobOptions{Once: true})
	})
}

// workRound enqueues the looks of one round.
func (s *Service) workRound(ctx context.Context, run *queue.Run[roundJob]) error {
	now := s.opts.Now()
	round := now.UnixNano() / int64(s.opts.LookEvery)
	for after := magpie.RepoID(""); ; {
		repos, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]magpie.Repo, error) {
			return tx.InsightRepos(ctx, now.Add(-quietFor), after, lookBatch)
		})
		if err != nil {
			return err
		}
		last := len(repos) < lookBatch
		err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
			for _, r := range repos {
				if !inRound(r, round, now) {
					continue
				}
				if err := tx.Enqueue(ctx, lookJob{RepoID: r.ID}, magpie.JobOptions{Once: true}); err != nil {
					return err
				}
			}
			if last {
				return run.Complete(ctx, tx.Native())
			}
			return nil
		})
		if err != nil || last {
			return err
		}
		after = repos[len(repos)-1].ID
	}
}

// inRound reports whether it is a repository's turn; the quiet ones are spread over the rounds by their ids.
func inRound(r magpie.Repo, round int64, now time.Time) bool {
	if now.Sub(r.LastPushAt) < busyFor {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.ID))
	return int64(h.Sum32()%quietRounds) == round%quietRounds
}

// workLook asks for reports on the pull requests of a repository that have none, and forgets the reports whose pull
// requests are closed.
func (s *Service) workLook(ctx context.Context, run *queue.Run[lookJob]) error {
	v, err := s.open(ctx, run.Args.RepoID)
	if err != nil || v.client == nil {
		return orComplete(ctx, s, run, err)
	}
	var pulls []bitbucket.PullRequest
	for p, err := range v.client.OpenPullRequestsTo(ctx, v.repo.ProjectKey, v.repo.Slug) {
		if err != nil {
			return orComplete(ctx, s, run, s.refused(ctx, v.project, err))
		}
		pulls = append(pulls, p)
	}
	into := len(pulls)
	if run.Args.All {
		for p, err := range v.client.OpenPullRequestsFrom(ctx, v.repo.ProjectKey, v.repo.Slug, "") {
			if err != nil {
				return orComplete(ctx, s, run, s.refused(ctx, v.project, err))
			}
			pulls = append(pulls, p)
		}
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		reported, err := s.prune(ctx, tx, v.repo.ID, pulls[:into])
		if err != nil {
			return err
		}
		asked := map[reportJob]bool{}
		for _, p := range pulls {
			if reported[p.From.Commit] && !run.Args.All {
				continue
			}
			job, ok, err := s.jobFor(ctx, tx, v, p)
			if err != nil {
				return err
			}
			if !ok || asked[job] {
				continue
			}
			asked[job] = true
			if err := tx.Enqueue(ctx, job, magpie.JobOptions{}); err != nil {
				return err
			}
		}
		return run.Complete(ctx, tx.Native())
	})
}

// prune forgets the reports of a repository that none of the open pull requests into it needs, and returns the commits
// of the others that stand at Bitbucket as they should.
func (s *Service) prune(ctx context.Context, tx *store.Tx, repo magpie.RepoID, open []bitbucket.PullRequest) (map[magpie.Hash]bool, error) {
	tips := map[magpie.Hash]bool{}
	for _, p := range open {
		tips[p.From.Commit] = true
	}
	reports, err := tx.InsightReports(ctx, repo)
	if err != nil {
		return nil, err
	}
	reported := map[magpie.Hash]bool{}
	for _, r := range reports {
		if tips[r.Commit] {
			reported[r.Commit] = r.Digest != ""
		} else if err := tx.DeleteInsight(ctx, repo, r.Commit, s.opts.Now()); err != nil {
			return nil, err
		}
	}
	return reported, nil
}

// jobFor returns the job that reports on a pull request, if its source commit was scanned.
func (s *Service) jobFor(ctx context.Context, tx *store.Tx, v view, p bitbucket.PullRequest) (reportJob, bool, error) {
	var ids []magpie.RepoID
	for _, remote := range []int64{p.From.RemoteRepoID, p.To.RemoteRepoID} {
		r, err := tx.RepoByRemoteID(ctx, v.repo.IntegrationID, remote)
		switch {
		case magpie.KindOf(err) == magpie.KindNotFound:
		case err != nil:
			return reportJob{}, false, err
		default:
			ids = append(ids, r.ID)
		}
	}
	refs, err := tx.RefsScannedAt(ctx, ids, p.From.Commit)
	if err != nil {
		return reportJob{}, false, err
	}
	for _, r := range refs {
		if n, isPull := pullRequestOf(r.Ref); r.Ref == p.From.Ref || isPull && n == p.ID {
			return reportJob{RepoID: r.RepoID, Ref: r.Ref}, true, nil
		}
	}
	return reportJob{}, false, nil
}
