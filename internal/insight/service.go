package insight

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/detect"
	"magpie/internal/queue"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Options says what a Service works with. DB, Keys, Engine and Client are required.
type Options struct {
	DB     *store.DB
	Keys   *seal.Keys
	Engine *detect.Engine
	// Client returns the shared client of an integration.
	Client func(context.Context, magpie.IntegrationID) (*bitbucket.Client, error)
	// PublicURL is where people reach the web app, without a slash at the end; empty makes reports without links.
	PublicURL string
	LookEvery time.Duration    // between looks for pull requests that were opened after the push; 0 means 15 minutes
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger
}

// Service sends reports. It is safe for concurrent use.
type Service struct {
	opts Options
	key  string
}

// New returns a Service. Register its jobs before the job engine starts, and run Run beside it.
func New(o Options) *Service {
	if o.LookEvery == 0 {
		o.LookEvery = 15 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	return &Service{opts: o, key: reportKey(o.Keys)}
}

// reportKey tells this installation's reports from those of another Magpie on the same Bitbucket. It depends on the data
// key alone, so all instances agree on it and a restored backup keeps it.
func reportKey(keys *seal.Keys) string {
	return "magpie." + keys.Fingerprint(magpie.NewSecret("key of the code insights report"))[:8]
}

// Key returns the key of our reports, which a merge check that demands one must name.
func (s *Service) Key() string { return s.key }

// Register adds the workers of this package's jobs.
func (s *Service) Register(e *queue.Engine) {
	queue.Register(e, queue.WorkerOptions{Queue: "insight", Concurrency: 4, Timeout: reportTimeout}, s.workReport)
	queue.Register(e, queue.WorkerOptions{Queue: "insight_look", Concurrency: 2, Timeout: 10 * time.Minute}, s.workLook)
	queue.Register(e, queue.WorkerOptions{Queue: "insight_look", Concurrency: 2, Timeout: 10 * time.Minute}, s.workRound)
}

// manyTips is how many refs one scan may have moved for each to be asked about by itself.
const manyTips = 20

// Scanned is for the end of a scan, in its transaction: the refs that it moved may be sources of pull requests.
func (s *Service) Scanned(ctx context.Context, tx *store.Tx, repo magpie.Repo, tips []magpie.Tip) error {
	refs := sources(tips)
	if len(refs) == 0 {
		return nil
	}
	if wanted, err := tx.InsightsWanted(ctx, repo.ID); err != nil || !wanted {
		return err
	}
	if len(refs) > manyTips {
		return tx.Enqueue(ctx, lookJob{RepoID: repo.ID, All: true}, magpie.JobOptions{})
	}
	for _, ref := range refs {
		if err := tx.Enqueue(ctx, reportJob{RepoID: repo.ID, Ref: ref}, magpie.JobOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// IncidentChanged is for the end of a change of an incident's state or severity, in its transaction: the reports that
// counted it are sent anew.
func (s *Service) IncidentChanged(ctx context.Context, tx *store.Tx, id magpie.IncidentID) error {
	reports, err := tx.WantInsights(ctx, id)
	if err != nil {
		return err
	}
	for _, r := range reports {
		if err := tx.Enqueue(ctx, reportJob{RepoID: r.ViaRepo, Ref: r.ViaRef}, magpie.JobOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// sources returns the refs that can be the source of a pull request: branches, and what a target holds of pull requests
// unless that is a branch of its own.
func sources(tips []magpie.Tip) []string {
	var refs []string
	branches := map[magpie.Hash]bool{}
	for _, t := range tips {
		if strings.HasPrefix(t.Ref, branchPrefix) {
			refs, branches[t.Hash] = append(refs, t.Ref), true
		}
	}
	for _, t := range tips {
		if _, isPull := pullRequestOf(t.Ref); isPull && !branches[t.Hash] {
			refs = append(refs, t.Ref)
		}
	}
	return refs
}
