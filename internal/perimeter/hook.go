package perimeter

import (
	"context"

	"magpie"
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

// RepositoryModified is for an event that says that a repository was renamed or moved: it is asked for soon.
func (s *Service) RepositoryModified(ctx context.Context, id magpie.RepoID) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.Enqueue(ctx, refreshJob{RepoID: id}, magpie.JobOptions{})
	})
}
