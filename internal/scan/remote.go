package scan

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/smarthttp"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// remote is a repository at Bitbucket, as one scan sees it.
type remote struct {
	repo     magpie.Repo
	autoscan bool // the integration wants histories scanned
	client   *smarthttp.Client
}

// unavailable reports whether a repository is watched, but can't be read for the time being.
func (r remote) unavailable() bool { return r.repo.Monitored && r.repo.State == magpie.RepoUnavailable }

// unwatched says why a repository is not looked at.
func (r remote) unwatched() string {
	if r.unavailable() {
		return "the repository can't be read now; what is new is looked for when it can"
	}
	return notMonitored
}

// open loads a repository and connects to it. watched is false, without an error, if it is not to be looked at: it is
// not monitored (any more), gone, or can't be read.
func (s *Service) open(ctx context.Context, id magpie.RepoID) (r remote, watched bool, err error) {
	var token magpie.Secret
	var integration magpie.Integration
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		if r.repo, err = tx.Repo(ctx, id); err != nil {
			return err
		}
		if integration, err = tx.Integration(ctx, r.repo.IntegrationID); err != nil {
			return err
		}
		sealed, err := tx.IntegrationToken(ctx, integration.ID)
		if err != nil {
			return err
		}
		token, err = s.Keys.Open(seal.Credentials, seal.AAD("integration", "token", string(integration.ID)), sealed)
		return err
	})
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return remote{}, false, nil
	case err != nil:
		return remote{}, false, fmt.Errorf("loading repository %s: %w", id, err)
	case !r.repo.Monitored || r.repo.State == magpie.RepoDeleted || r.repo.State == magpie.RepoUnavailable:
		// What waits is taken up by the sync that finds the repository back.
		return r, false, nil
	case integration.State == magpie.IntegrationNoLicence:
		return remote{}, false, magpie.Errorf(magpie.KindNoLicence, "%s lets the token's user in no more for want of a licence; %s waits",
			integration.BaseURL, r.repo.FullName())
	case integration.State.Waits():
		return remote{}, false, magpie.Errorf(magpie.KindTokenInvalid, "the token of %s is not valid; %s waits for a new one",
			integration.BaseURL, r.repo.FullName())
	}
	r.autoscan = integration.Autoscan
	client, err := s.GitHTTP(ctx, integration.ID)
	if err != nil {
		return remote{}, false, fmt.Errorf("connecting to %s: %w", integration.BaseURL, err)
	}
	r.client, err = smarthttp.New(smarthttp.Options{HTTP: client, URL: r.repo.CloneURL, Token: token, Limits: s.Transfer, Known: &s.servers})
	return r, true, err
}

// refusalEvery is how often, at most, a token that Git over HTTP refuses is reported for one integration. A repository
// that the token's owner may not read gives the same answer, again and again.
const refusalEvery = 5 * time.Minute

// noteRefusal reports that Bitbucket refused the token, if err says so, and returns err.
func (s *Service) noteRefusal(ctx context.Context, r remote, err error) error {
	if magpie.KindOf(err) != magpie.KindTokenInvalid || s.OnTokenRefused == nil || !s.refusals.due(r.repo.IntegrationID, time.Now()) {
		return err
	}
	if noteErr := s.OnTokenRefused(ctx, r.repo.IntegrationID); noteErr != nil {
		s.Log.Error("reporting a refused token", "integration", r.repo.IntegrationID, "error", noteErr)
	}
	return err
}

// refusals remembers when a refused token was last reported.
type refusals struct {
	mu   sync.Mutex
	last map[magpie.IntegrationID]time.Time
}

func (f *refusals) due(id magpie.IntegrationID, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.last[id]) < refusalEvery {
		return false
	}
	if f.last == nil {
		f.last = map[magpie.IntegrationID]time.Time{}
	}
	f.last[id] = now
	return true
}

// seen is what a repository's refs were at a time.
type seen struct {
	tips   []magpie.Tip
	branch string // the default branch, a full ref name; empty if there is none
	format git.Format
	at     time.Time // just before they were asked for
}

// tips lists the refs that count: all but those that Bitbucket makes by itself for merge previews, which no one pushed.
func (s *Service) tips(ctx context.Context, r remote) (seen, error) {
	v := seen{at: time.Now()}
	listing, err := r.client.LsRefs(ctx)
	if err = s.noteRefusal(ctx, r, err); err != nil {
		return v, fmt.Errorf("listing the refs of %s: %w", r.repo.FullName(), err)
	}
	v.format = listing.Format
	for _, ref := range listing.Refs {
		switch {
		case ref.Name == "HEAD":
			v.branch = storable(ref.Target)
		case ref.Target == "" && !isMergePreview(ref.Name):
			v.tips = append(v.tips, magpie.Tip{Ref: storable(ref.Name), Hash: ref.Hash})
		}
	}
	return v, nil
}

func isMergePreview(ref string) bool {
	return strings.HasPrefix(ref, "refs/pull-requests/") && strings.HasSuffix(ref, "/merge")
}

// fetch says what a scan asks a server for.
type fetch struct {
	request  smarthttp.Request
	optional []magpie.Hash // named by an event; they may be gone
	since    time.Time     // from when on they are asked for; zero if there are none
}

func (f fetch) empty() bool { return len(f.request.Wants) == 0 && len(f.optional) == 0 }

// want is what f asks for, in a repository whose last history scan received expect bytes; 0 if that is not known.
func (f fetch) want(expect int64) Want {
	return Want{Tips: f.request.Wants, Optional: f.optional, Known: f.request.Haves, Format: f.request.Format, Expect: expect}
}

// fetcher returns what fetches and examines a repository.
func (s *Service) fetcher(r remote, meter *Meter) *Fetcher {
	return &Fetcher{
		Client: r.client, Dir: s.TempDir, Pack: s.Pack, Room: s.room, Slicing: s.Slicing, Log: s.Log.With("repo", r.repo.FullName()),
		Examination: Examination{Engine: s.Engine, Workers: s.Workers, Context: excerptContext, Progress: meter},
	}
}

// distinct returns the hashes of tips, each once, in order.
func distinct(tips []magpie.Tip) []magpie.Hash {
	var hashes []magpie.Hash
	seen := map[magpie.Hash]bool{}
	for _, t := range tips {
		if !t.Hash.IsZero() && !seen[t.Hash] {
			seen[t.Hash] = true
			hashes = append(hashes, t.Hash)
		}
	}
	return hashes
}
