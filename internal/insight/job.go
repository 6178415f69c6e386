package insight

import (
	"context"
	"strconv"
	"strings"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// reportJob reports on the open pull requests whose source is a repository's ref.
type reportJob struct {
	RepoID magpie.RepoID `json:"repo_id"`
	Ref    string        `json:"ref"` // of a branch, or the one under which a target holds a pull request's source
}

// Kind implements magpie.Job.
func (reportJob) Kind() string { return "insight_report" }

const (
	branchPrefix  = "refs/heads/"
	reportTimeout = 2 * time.Minute
	claimFor      = reportTimeout + 30*time.Second // outlives any attempt
)

// pullRequestOf returns the number of the pull request whose source a ref such as refs/pull-requests/7/from holds.
func pullRequestOf(ref string) (int64, bool) {
	text, ok := strings.CutPrefix(ref, "refs/pull-requests/")
	if !ok {
		return 0, false
	}
	text, ok = strings.CutSuffix(text, "/from")
	n, err := strconv.ParseInt(text, 10, 64)
	return n, ok && err == nil
}

// view is a repository as one job sees it.
type view struct {
	repo    magpie.Repo
	project magpie.Project
	client  *bitbucket.Client // nil if there is nothing to do: nobody asks for reports, or the repository is gone
}

// open loads a repository and connects to its Bitbucket, unless no reports are wanted.
func (s *Service) open(ctx context.Context, id magpie.RepoID) (v view, err error) {
	var wanted bool
	var integration magpie.Integration
	err = s.opts.DB.Read(ctx, func(tx *store.Tx) error {
		if v.repo, err = tx.Repo(ctx, id); err != nil {
			return err
		}
		if v.project, err = tx.Project(ctx, v.repo.ProjectID); err != nil {
			return err
		}
		if integration, err = tx.Integration(ctx, v.repo.IntegrationID); err != nil {
			return err
		}
		wanted, err = tx.InsightsWanted(ctx, id)
		return err
	})
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return view{}, nil
	case err != nil:
		return view{}, err
	case !wanted || !v.repo.Monitored || v.repo.State == magpie.RepoDeleted || v.repo.State == magpie.RepoUnavailable:
		return view{}, nil
	case integration.State.Waits():
		return view{}, magpie.Errorf(magpie.KindTokenInvalid, "%s lets the token in no more; reports wait", integration.BaseURL)
	}
	v.client, err = s.opts.Client(ctx, integration.ID)
	return v, err
}

// orComplete ends a run that has nothing (more) to do, unless err says that it must be tried again.
func orComplete[J magpie.Job](ctx context.Context, s *Service, run *queue.Run[J], err error) error {
	if err != nil {
		return err
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error { return run.Complete(ctx, tx.Native()) })
}

// workReport brings the reports on the pull requests from one ref up to date.
func (s *Service) workReport(ctx context.Context, run *queue.Run[reportJob]) error {
	v, err := s.open(ctx, run.Args.RepoID)
	if err != nil || v.client == nil {
		return orComplete(ctx, s, run, err)
	}
	commit, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) (magpie.Hash, error) {
		return tx.ScannedTip(ctx, v.repo.ID, run.Args.Ref)
	})
	if err != nil {
		return err
	}
	var targets []target
	if !commit.IsZero() {
		if targets, err = s.targets(ctx, v, commit); err != nil {
			return orComplete(ctx, s, run, s.refused(ctx, v.project, err))
		}
	}
	for _, t := range targets {
		t.report.ViaRepo, t.report.ViaRef = v.repo.ID, run.Args.Ref
		if err := s.refused(ctx, t.project, s.report(ctx, v, t)); err != nil {
			return err
		}
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.forget(ctx, tx, run.Args, targets); err != nil {
			return err
		}
		return run.Complete(ctx, tx.Native())
	})
}

// forget drops the reports that a job set out to update and whose pull requests are not open any more, or have moved on.
func (s *Service) forget(ctx context.Context, tx *store.Tx, job reportJob, targets []target) error {
	reports, err := tx.InsightReportsVia(ctx, job.RepoID, job.Ref)
	if err != nil {
		return err
	}
	current := map[magpie.RepoID]magpie.Hash{}
	for _, t := range targets {
		current[t.report.RepoID] = t.report.Commit
	}
	for _, r := range reports {
		if current[r.RepoID] == r.Commit {
			continue
		}
		if err := tx.DeleteInsight(ctx, r.RepoID, r.Commit, s.opts.Now()); err != nil {
			return err
		}
	}
	return nil
}

// target is a repository with open pull requests whose source stands at one commit.
type target struct {
	repo    magpie.Repo
	project magpie.Project
	pulls   []bitbucket.PullRequest
	report  store.InsightReport
}

// targets returns where pull requests from a repository at a commit are to be reported. All refs that stand there count,
// since their pull requests share the report.
func (s *Service) targets(ctx context.Context, v view, commit magpie.Hash) ([]target, error) {
	refs, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]store.ScannedRef, error) {
		return tx.RefsScannedAt(ctx, []magpie.RepoID{v.repo.ID}, commit)
	})
	if err != nil {
		return nil, err
	}
	var targets []target
	seen := map[[2]int64]bool{}
	for _, r := range refs {
		pulls, err := pullRequestsAt(ctx, v, r.Ref)
		if err != nil {
			return nil, err
		}
		for _, p := range pulls {
			id := [2]int64{p.To.RemoteRepoID, p.ID}
			if !p.Open || p.From.Commit != commit || seen[id] { // one that has moved on waits for the scan of that
				continue
			}
			seen[id] = true
			if targets, err = s.addTarget(ctx, v, targets, p); err != nil {
				return nil, err
			}
		}
	}
	return targets, nil
}

// pullRequestsAt returns the pull requests whose source is a ref, the open ones at least.
func pullRequestsAt(ctx context.Context, v view, ref string) ([]bitbucket.PullRequest, error) {
	if n, isPull := pullRequestOf(ref); isPull {
		p, err := v.client.PullRequest(ctx, v.repo.ProjectKey, v.repo.Slug, n)
		if magpie.KindOf(err) == magpie.KindNotFound {
			return nil, nil
		}
		return []bitbucket.PullRequest{p}, err
	}
	if !strings.HasPrefix(ref, branchPrefix) {
		return nil, nil
	}
	var pulls []bitbucket.PullRequest
	for p, err := range v.client.OpenPullRequestsFrom(ctx, v.repo.ProjectKey, v.repo.Slug, ref) {
		if err != nil {
			return nil, err
		}
		if p.From.Ref == ref && p.From.RemoteRepoID == v.repo.RemoteID {
			pulls = append(pulls, p)
		}
	}
	return pulls, nil
}

// addTarget adds a pull request to its target, if that is a repository of a project that asks for reports.
func (s *Service) addTarget(ctx context.Context, v view, targets []target, p bitbucket.PullRequest) ([]target, error) {
	for i := range targets {
		if targets[i].repo.RemoteID == p.To.RemoteRepoID {
			targets[i].pulls = append(targets[i].pulls, p)
			return targets, nil
		}
	}
	t := target{pulls: []bitbucket.PullRequest{p}}
	err := s.opts.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if t.repo, err = tx.RepoByRemoteID(ctx, v.repo.IntegrationID, p.To.RemoteRepoID); err != nil {
			return err
		}
		t.project, err = tx.Project(ctx, t.repo.ProjectID)
		return err
	})
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return targets, nil
	case err != nil:
		return nil, err
	case !t.project.Insights || !t.repo.Monitored:
		return targets, nil
	}
	t.report = store.InsightReport{RepoID: t.repo.ID, Commit: p.From.Commit}
	return append(targets, t), nil
}

// refused notes with a project that Bitbucket takes no report, and takes that for dealt with: trying the same again would
// not help, and the next push does. It returns all other errors.
func (s *Service) refused(ctx context.Context, p magpie.Project, err error) error {
	switch magpie.KindOf(err) {
	case magpie.KindForbidden, magpie.KindNotFound, magpie.KindInvalid, magpie.KindConflict, magpie.KindTooLarge:
	default:
		return err
	}
	if !p.Insights { // a fork's; what becomes of its pull requests is another project's affair
		s.opts.Log.Info("the pull requests of a repository can't be listed", "project", p.Key, "error", err)
		return nil
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		why := magpie.Explain(err)
		changed, err := tx.SetInsightsError(ctx, p.ID, why)
		if err != nil || !changed {
			return err
		}
		s.opts.Log.Warn("Bitbucket takes no Code Insights report", "project", p.Key, "why", why)
		return tx.Audit(ctx, magpie.User{}, "insights.refused", p.Key, why)
	})
}

// accepted notes with a project that Bitbucket takes reports.
func accepted(ctx context.Context, tx *store.Tx, p magpie.Project) error {
	changed, err := tx.SetInsightsError(ctx, p.ID, "")
	if err != nil || !changed {
		return err
	}
	return tx.Audit(ctx, magpie.User{}, "insights.accepted", p.Key, "Bitbucket takes reports again")
}
