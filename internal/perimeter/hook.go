package perimeter

import (
	"context"
	"errors"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Hook returns the repository that a webhook belongs to and the secret its events are signed with. The hook of a repository
// that is not monitored is KindNotFound like one that never was, from the moment of deselection.
func (s *Service) Hook(ctx context.Context, id magpie.HookID) (repo magpie.Repo, secret magpie.Secret, err error) {
	var hook store.Hook
	err = s.opts.DB.Read(ctx, func(tx *store.Tx) error {
		hook, repo, err = tx.LiveHook(ctx, id)
		return err
	})
	if err != nil {
		return magpie.Repo{}, magpie.Secret{}, err
	}
	secret, err = s.opts.Keys.Open(seal.Credentials, secretPlace(hook.ID), hook.SecretSealed)
	return repo, secret, err
}

// HookStrayed is for an event that the webhook of one repository sent about another: names were changed while it was being
// installed. It is taken away there, and put where it belongs.
func (s *Service) HookStrayed(ctx context.Context, owner magpie.RepoID, at int64) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.Enqueue(ctx, strayJob{RepoID: owner, At: at}, magpie.JobOptions{Once: true})
	})
}

// workStray deletes a webhook from a repository that it does not belong to. One that we do not know is left to a sync.
func (s *Service) workStray(ctx context.Context, run *queue.Run[strayJob]) error {
	repo, i, err := s.repo(ctx, run.Args.RepoID)
	if magpie.KindOf(err) == magpie.KindNotFound || err == nil && (i.Removing || i.State.Waits()) {
		return complete(ctx, s.opts.DB, run)
	}
	if err != nil {
		return err
	}
	var other magpie.Repo
	var hook store.Hook
	err = s.opts.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if other, err = tx.RepoByRemoteID(ctx, i.ID, run.Args.At); err != nil {
			return err
		}
		hook, err = tx.HookOf(ctx, repo.ID)
		return err
	})
	known := magpie.KindOf(err) != magpie.KindNotFound
	if err != nil && known {
		return err
	}
	if known && other.ID != repo.ID {
		c, err := s.client(ctx, i)
		if err != nil {
			return err
		}
		if err := s.dropOurs(ctx, c, other, hook); err != nil && !errors.Is(err, errInFlight) && !refusedForGood(err) {
			return err
		}
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := enqueueSettle(ctx, tx, repo.ID); err != nil {
			return err
		}
		if !known {
			if err := s.wantSync(ctx, tx, i.ID); err != nil {
				return err
			}
		}
		return run.Complete(ctx, tx.Native())
	})
}

// RepositoryModified is for an event that says that a repository was renamed or moved: it is asked for soon.
func (s *Service) RepositoryModified(ctx context.Context, id magpie.RepoID) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.Enqueue(ctx, refreshJob{RepoID: id}, magpie.JobOptions{})
	})
}
