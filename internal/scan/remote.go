package scan

import (
	"context"
	"fmt"
	"strings"

	"magpie"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// remote is a repository at Bitbucket, as one scan sees it.
type remote struct {
	repo   magpie.Repo
	client *smarthttp.Client
}

// open loads a repository and connects to it. watched is false, without an error, if it need not be looked at: it is
// not monitored (any more) or gone.
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
	case !r.repo.Monitored || r.repo.State == magpie.RepoDeleted:
		return remote{}, false, nil
	case integration.State == magpie.IntegrationTokenInvalid:
		return remote{}, false, magpie.Errorf(magpie.KindTokenInvalid, "the token of %s is not valid; %s waits for a new one",
			integration.BaseURL, r.repo.FullName())
	}
	r.client, err = smarthttp.New(smarthttp.Options{HTTP: s.HTTP, URL: r.repo.CloneURL, Token: token, Limits: s.Transfer})
	return r, true, err
}

// tips lists the refs that count: all but those that Bitbucket makes by itself for merge previews, which no one pushed.
func (r remote) tips(ctx context.Context) ([]magpie.Tip, *smarthttp.Listing, error) {
	listing, err := r.client.LsRefs(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("listing the refs of %s: %w", r.repo.FullName(), err)
	}
	var tips []magpie.Tip
	for _, ref := range listing.Refs {
		if ref.Target == "" && !isMergePreview(ref.Name) {
			tips = append(tips, magpie.Tip{Ref: storable(ref.Name), Hash: ref.Hash})
		}
	}
	return tips, listing, nil
}

func isMergePreview(ref string) bool {
	return strings.HasPrefix(ref, "refs/pull-requests/") && strings.HasSuffix(ref, "/merge")
}

// fetch says what a scan asks a server for.
type fetch struct {
	request  smarthttp.Request
	optional []magpie.Hash // named by an event; they may be gone
}

func (f fetch) empty() bool { return len(f.request.Wants) == 0 && len(f.optional) == 0 }

// spool brings what f asks for to this machine. It returns nil if nothing of it exists any more.
func (s *Service) spool(ctx context.Context, r remote, f fetch, meter *Meter) (*pack.Spooled, error) {
	stream, dropped, err := r.client.FetchAvailable(ctx, f.request, f.optional)
	if len(dropped) > 0 {
		s.Log.Info("objects named by an event are gone at the server", "repo", r.repo.FullName(), "objects", len(dropped))
	}
	if magpie.KindOf(err) == magpie.KindNotFound && len(f.request.Wants) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetching from %s: %w", r.repo.FullName(), err)
	}
	defer stream.Close()
	spooled, err := pack.Spool(ctx, stream, s.TempDir, f.request.Format, s.Pack, meter.received)
	if err != nil {
		return nil, fmt.Errorf("receiving the pack of %s: %w", r.repo.FullName(), err)
	}
	return spooled, nil
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
