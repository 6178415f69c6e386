package perimeter

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Scans is what this stage asks of the next one.
type Scans interface {
	// Compare compares a repository with its scanned tips, now.
	Compare(ctx context.Context, id magpie.RepoID) (scan.Comparison, error)
	// Look makes a repository be compared with its scanned tips and what is new be scanned, and counts that in the sweep
	// that asks for it, if one does.
	Look(ctx context.Context, tx *store.Tx, id magpie.RepoID, sweep string) error
	// FirstLook begins, or resumes, the watch of a repository whose hook is in place.
	FirstLook(ctx context.Context, tx *store.Tx, id magpie.RepoID, history bool) error
	// RequestHistory starts a scan of a repository's whole past.
	RequestHistory(ctx context.Context, tx *store.Tx, id magpie.RepoID) (magpie.ScanID, error)
}

// Options configures a Service.
type Options struct {
	DB        *store.DB
	Keys      *seal.Keys
	HTTP      *http.Client // guarded, with a time limit
	GitHTTP   *http.Client // guarded, without one, for Git over HTTP; nil means HTTP
	PublicURL string       // where Bitbucket reaches us, without a trailing slash
	Scans     Scans
	// OnTokenInvalid is called in the transaction in which an integration gets into a state in which its token keeps it from
	// working: invalid, no licence or no permission, which its State says. It may be nil.
	OnTokenInvalid func(context.Context, *store.Tx, magpie.Integration) error
	// OnTokenExpires is called when a token expires within so many days, again and again while that is so, with the same
	// integration, date and days: who is told must be told once. It may be nil.
	OnTokenExpires func(ctx context.Context, tx *store.Tx, i magpie.Integration, days int) error
	// TokenGrace is for how long Bitbucket must keep refusing a token before that counts; 0 means at once.
	TokenGrace time.Duration
	SyncEvery  time.Duration    // between full syncs of an integration; 0 means 15 minutes
	SweepEvery time.Duration    // between looks at every monitored repository; 0 means 15 minutes
	Now        func() time.Time // nil means time.Now
	Log        *slog.Logger
}

const (
	defaultEvery = 15 * time.Minute
	retryEvery   = time.Minute // between syncs while one does not succeed
)

// Service is the stage. It is safe for concurrent use.
type Service struct {
	opts Options

	patience time.Duration // for how long a sweep waits for answers, and between attempts

	mu      sync.Mutex
	clients map[magpie.IntegrationID]knownClient
	paces   map[string]*bitbucket.Pace
	beaten  time.Time // when this process last said that it runs
}

// knownClient is a client and the sealed token it was made with.
type knownClient struct {
	client *bitbucket.Client
	sealed []byte
	user   string
}

// New returns a Service. Register its jobs before the job engine starts, and run Run beside it.
func New(o Options) *Service {
	if o.SyncEvery == 0 {
		o.SyncEvery = defaultEvery
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = defaultEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.GitHTTP == nil {
		o.GitHTTP = o.HTTP
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	return &Service{opts: o, patience: 15 * time.Second, clients: map[magpie.IntegrationID]knownClient{}, paces: map[string]*bitbucket.Pace{}}
}

// Client returns the one client of an integration, which keeps the pace of its token's user.
func (s *Service) Client(ctx context.Context, id magpie.IntegrationID) (*bitbucket.Client, error) {
	i, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) (magpie.Integration, error) { return tx.Integration(ctx, id) })
	if err != nil {
		return nil, err
	}
	return s.client(ctx, i)
}

// GitClient returns a client for Git over HTTP that keeps the same pace as Client. It sets no limit of time.
func (s *Service) GitClient(ctx context.Context, id magpie.IntegrationID) (*http.Client, error) {
	i, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) (magpie.Integration, error) { return tx.Integration(ctx, id) })
	if err != nil {
		return nil, err
	}
	own := *s.opts.GitHTTP
	own.Transport = s.pace(i.BaseURL, i.TokenUser).Transport(own.Transport)
	return &own, nil
}

func (s *Service) client(ctx context.Context, i magpie.Integration) (*bitbucket.Client, error) {
	sealed, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(ctx, i.ID) })
	if err != nil {
		return nil, err
	}
	pace := s.pace(i.BaseURL, i.TokenUser)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.clients[i.ID]; ok && known.user == i.TokenUser && bytes.Equal(known.sealed, sealed) {
		return known.client, nil
	}
	token, err := s.opts.Keys.Open(seal.Credentials, tokenPlace(i.ID), sealed)
	if err != nil {
		return nil, err
	}
	c := bitbucket.New(s.opts.HTTP, i.BaseURL, token, pace)
	s.clients[i.ID] = knownClient{c, sealed, i.TokenUser}
	return c, nil
}

func (s *Service) forgetClient(id magpie.IntegrationID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, id)
}

func tokenPlace(id magpie.IntegrationID) string { return seal.AAD("integration", "token", string(id)) }

func secretPlace(id magpie.HookID) string { return seal.AAD("hook", "secret", string(id)) }
