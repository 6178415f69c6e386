package store

import (
	"context"
	"time"

	"magpie"
)

// Hook is a webhook that we put, or are about to put, on a repository.
type Hook struct {
	ID           magpie.HookID
	RepoID       magpie.RepoID
	SecretSealed []byte
	URL          string    // under which it is known at Bitbucket
	RemoteID     int64     // Bitbucket's id; 0 until it was created there
	CheckedAt    time.Time // when it was last seen at Bitbucket as it should be; zero if never
	AskedAt      time.Time // when it was last about to be created at Bitbucket
}

const hookColumns = `h.id, h.repo_id, h.secret_sealed, h.url, h.remote_id, h.checked_at, h.created_at`

func scanHook(s scanner) (h Hook, err error) {
	err = s.Scan(&h.ID, &h.RepoID, &h.SecretSealed, &h.URL, &h.RemoteID, timeColumn{&h.CheckedAt}, timeColumn{&h.AskedAt})
	return h, err
}

// InsertHook stores a webhook before it is created at Bitbucket.
func (tx *Tx) InsertHook(ctx context.Context, h Hook) error {
	_, err := tx.exec(ctx, `INSERT INTO hook (id, repo_id, secret_sealed, url, remote_id, created_at, checked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, h.ID, h.RepoID, h.SecretSealed, h.URL, h.RemoteID, micros(h.AskedAt), micros(h.CheckedAt))
	return err
}

// LiveHook returns a hook and its repository, if that is monitored; the hooks of others are KindNotFound like unknown ones.
func (tx *Tx) LiveHook(ctx context.Context, id magpie.HookID) (Hook, magpie.Repo, error) {
	h, err := scanHook(tx.row(ctx, `SELECT `+hookColumns+` FROM hook h WHERE h.id = $1`, id))
	if err != nil {
		return Hook{}, magpie.Repo{}, err
	}
	repo, err := scanRepo(tx.row(ctx, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		WHERE r.id = $1 AND r.monitored`, h.RepoID))
	return h, repo, err
}

// HookOf returns a repository's hook, monitored or not.
func (tx *Tx) HookOf(ctx context.Context, id magpie.RepoID) (Hook, error) {
	return scanHook(tx.row(ctx, `SELECT `+hookColumns+` FROM hook h WHERE h.repo_id = $1`, id))
}

// Hooks returns hooks on an integration's repositories, those of repositories above after, in order of repository.
func (tx *Tx) Hooks(ctx context.Context, id magpie.IntegrationID, after magpie.RepoID, limit int) ([]Hook, error) {
	return collect(ctx, tx, scanHook, `SELECT `+hookColumns+` FROM hook h JOIN repo r ON r.id = h.repo_id
		WHERE r.integration_id = $1 AND h.repo_id > $2 ORDER BY h.repo_id LIMIT $3`, id, after, limit)
}

// SetHookChecked stores that a hook was seen at Bitbucket as it should be, and as what.
func (tx *Tx) SetHookChecked(ctx context.Context, id magpie.HookID, url string, remoteID int64, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE hook SET url = $2, remote_id = $3, checked_at = $4 WHERE id = $1`, id, url, remoteID, micros(at))
	return err
}

// SetHookAsked stores that a hook is about to be created at Bitbucket, once more.
func (tx *Tx) SetHookAsked(ctx context.Context, id magpie.HookID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE hook SET created_at = $2 WHERE id = $1`, id, micros(at))
	return err
}

// DeleteHook forgets a hook.
func (tx *Tx) DeleteHook(ctx context.Context, id magpie.HookID) error {
	_, err := tx.exec(ctx, `DELETE FROM hook WHERE id = $1`, id)
	return err
}
