package scan

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
	"magpie/internal/incident"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// excerptContext is how many lines before and after a finding its incident shows.
const excerptContext = 3

// Options says what a Service works with. All fields but the limits and TempDir are required.
type Options struct {
	DB        *store.DB
	Keys      *seal.Keys
	Engine    *detect.Engine
	Incidents *incident.Service
	// GitHTTP returns the client for Git over HTTP of an integration. It decides about certificates and addresses, and
	// keeps the pace that Bitbucket allows the integration.
	GitHTTP func(context.Context, magpie.IntegrationID) (*http.Client, error)
	TempDir string // where packs are spooled; empty is the system's
	Workers int    // scanning goroutines of one scan; 0 is one a core
	// Concurrency is how many history scans, and apart from them how many push scans, run at once; 0 is 2.
	Concurrency int
	Pack        pack.Limits
	Transfer    smarthttp.Limits
	Slicing     Slicing // how persistently packs are fetched, and when in slices
	Reserve     int64   // bytes that stay free where packs are spooled; 0 is 1 GiB, negative is none
	// OnTokenRefused is told, now and then, that an integration's token was refused. It may be nil.
	OnTokenRefused func(context.Context, magpie.IntegrationID) error
	// OnScanned is told, in the transaction that stores what a scan found, which refs are now scanned up to where they
	// stand. It may be nil.
	OnScanned func(context.Context, *store.Tx, magpie.Repo, []magpie.Tip) error
	Log       *slog.Logger
}

// Service scans repositories in background jobs. It is safe for concurrent use.
type Service struct {
	Options
	turns    turns
	rests    rests
	servers  smarthttp.Servers
	refusals refusals
	room     *Room
}

// New returns a service; Register must be called before its jobs can be enqueued.
func New(opts Options) *Service {
	if opts.Concurrency == 0 {
		opts.Concurrency = 2
	}
	return &Service{Options: opts, room: NewRoom(opts.TempDir, opts.Reserve)}
}

// Accept stores a signed event and the job that looks at what it announced, durably and together; of events that come
// faster than they are looked at, several share a job. A replay of a request id is accepted and changes nothing. A repository that is not monitored gives KindNotFound.
func (s *Service) Accept(ctx context.Context, repo magpie.RepoID, push magpie.Push) error {
	return s.DB.WriteEvent(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := tx.Repo(ctx, repo)
		if err != nil {
			return err
		}
		if !r.Monitored {
			return magpie.Errorf(magpie.KindNotFound, "repository %s is not monitored", r.FullName())
		}
		d := store.Delivery{ID: store.NewID[magpie.DeliveryID](), RepoID: repo, Push: push, ReceivedAt: time.Now()}
		isNew, err := tx.AddDelivery(ctx, d)
		if err != nil || !isNew {
			return err
		}
		if err := tx.SetRepoPushed(ctx, repo, d.ReceivedAt); err != nil {
			return err
		}
		return enqueuePush(ctx, tx, repo)
	})
}

// enqueuePush adds a job that deals with the events that wait, unless one is about to.
func enqueuePush(ctx context.Context, tx *store.Tx, repo magpie.RepoID) error {
	job := pushJob{RepoID: repo, ScanID: store.NewID[magpie.ScanID]()}
	return tx.Enqueue(ctx, job, magpie.JobOptions{Join: "repo_id"})
}

// FirstLook begins the watch of a repository whose hook is in place: it takes the present tips as the baseline for
// pushes and, if history is set, scans all that lies behind them. If the repository was watched before, what was
// missed meanwhile is scanned instead.
func (s *Service) FirstLook(ctx context.Context, tx *store.Tx, repo magpie.RepoID, history bool) error {
	return tx.Enqueue(ctx, firstLookJob{RepoID: repo, History: history}, magpie.JobOptions{Once: true})
}

// RequestHistory starts a scan of everything reachable from all refs. If one is under way the error is KindConflict.
func (s *Service) RequestHistory(ctx context.Context, tx *store.Tx, repo magpie.RepoID) (magpie.ScanID, error) {
	unfinished, err := tx.UnfinishedScans(ctx, repo)
	if err != nil {
		return "", err
	}
	for _, v := range unfinished {
		if v.Kind == magpie.ScanHistory {
			return "", magpie.Errorf(magpie.KindConflict, "a history scan of this repository is already under way")
		}
	}
	v := magpie.Scan{ID: store.NewID[magpie.ScanID](), RepoID: repo, Kind: magpie.ScanHistory, State: magpie.ScanQueued, CreatedAt: time.Now()}
	if err := tx.AddScan(ctx, v); err != nil {
		return "", err
	}
	if err := tx.SetRepoHistory(ctx, repo, magpie.HistoryPending); err != nil {
		return "", err
	}
	return v.ID, tx.Enqueue(ctx, historyJob{RepoID: repo, ScanID: v.ID}, magpie.JobOptions{})
}

// Cancel ends a scan that is queued or running, within about a second, on whichever instance it runs. Of a
// scan in slices what earlier slices found stays; all else is dropped, since it is stored only at the end.
func (s *Service) Cancel(ctx context.Context, actor magpie.User, id magpie.ScanID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		v, err := tx.Scan(ctx, id)
		if err != nil {
			return err
		}
		repo, err := tx.Repo(ctx, v.RepoID)
		if err != nil {
			return err
		}
		v.State, v.Error, v.EndedAt = magpie.ScanCanceled, "", time.Now()
		ended, err := tx.EndScan(ctx, v)
		if err != nil {
			return err
		}
		if !ended {
			return magpie.Errorf(magpie.KindConflict, "the scan has ended already")
		}
		if v.Kind == magpie.ScanHistory {
			if err := tx.SetRepoHistory(ctx, v.RepoID, magpie.HistoryNone); err != nil {
				return err
			}
		}
		return tx.Audit(ctx, actor, "scan.canceled", repo.FullName(), string(v.Kind))
	})
}

// turns lets one push scan of a repository wait for another in this process, which has probably done its work. Only one
// waits, since it will deal with all events; the others come again later, so that a busy repository does not take the
// places of all others.
type turns struct {
	mu    sync.Mutex
	repos map[magpie.RepoID]*turn
}

type turn struct {
	free    chan struct{} // closed when the scan that has the turn is done
	awaited bool
}

// take waits until no other scan has the repository's turn, and takes it. If another one waits already, the error is
// KindRateLimited.
func (t *turns) take(ctx context.Context, repo magpie.RepoID) (release func(), err error) {
	for {
		current, mine := t.enter(repo)
		switch {
		case mine:
			return func() { t.leave(repo, current) }, nil
		case current == nil:
			return nil, magpie.Errorf(magpie.KindRateLimited, "another scan of this repository is next")
		}
		select {
		case <-current.free:
		case <-ctx.Done():
			t.mu.Lock()
			defer t.mu.Unlock()
			current.awaited = false
			return nil, ctx.Err()
		}
	}
}

// enter returns a new turn and true if the repository is free, the turn to wait for, or nil if somebody waits for it.
func (t *turns) enter(repo magpie.RepoID) (*turn, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	current, taken := t.repos[repo]
	switch {
	case !taken:
		if t.repos == nil {
			t.repos = map[magpie.RepoID]*turn{}
		}
		current = &turn{free: make(chan struct{})}
		t.repos[repo] = current
		return current, true
	case current.awaited:
		return nil, false
	default:
		current.awaited = true
		return current, false
	}
}

func (t *turns) leave(repo magpie.RepoID, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.repos, repo)
	close(mine.free)
}
