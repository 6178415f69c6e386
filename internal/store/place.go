package store

import (
	"context"

	"magpie"
)

// SyncPlace returns how far an unfinished sync of an integration came, as JSON; empty if none is under way.
func (tx *Tx) SyncPlace(ctx context.Context, id magpie.IntegrationID) (string, error) {
	var text string
	err := tx.row(ctx, `SELECT sync_place FROM integration WHERE id = $1`, id).Scan(&text)
	return text, err
}

// SetSyncPlace stores how far a sync of an integration came.
func (tx *Tx) SetSyncPlace(ctx context.Context, id magpie.IntegrationID, text string) error {
	_, err := tx.exec(ctx, `UPDATE integration SET sync_place = $2 WHERE id = $1`, id, text)
	return err
}

// ReposByRemoteIDs returns those of an integration's repositories that have one of Bitbucket's numeric ids.
func (tx *Tx) ReposByRemoteIDs(ctx context.Context, id magpie.IntegrationID, remote []int64) ([]magpie.Repo, error) {
	if len(remote) == 0 {
		return nil, nil
	}
	list, args := placeholders(2, remote)
	return collect(ctx, tx, scanRepo, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		WHERE r.integration_id = $1 AND r.remote_id IN (`+list+`)`, append([]any{id}, args...)...)
}

// ProjectsByRemoteIDs returns those of an integration's projects that have one of Bitbucket's numeric ids.
func (tx *Tx) ProjectsByRemoteIDs(ctx context.Context, id magpie.IntegrationID, remote []int64) ([]magpie.Project, error) {
	if len(remote) == 0 {
		return nil, nil
	}
	list, args := placeholders(2, remote)
	return collect(ctx, tx, scanProject, `SELECT `+projectColumns+` FROM project
		WHERE integration_id = $1 AND remote_id IN (`+list+`)`, append([]any{id}, args...)...)
}

// SetReposSeen stores that a sync saw repositories and found nothing to change.
func (tx *Tx) SetReposSeen(ctx context.Context, ids []magpie.RepoID, syncID string) error {
	if len(ids) == 0 {
		return nil
	}
	list, args := placeholders(2, ids)
	_, err := tx.exec(ctx, `UPDATE repo SET seen_in_sync = $1 WHERE seen_in_sync < $1 AND id IN (`+list+`)`, append([]any{syncID}, args...)...)
	return err
}

// SetProjectsSeen stores that a sync saw projects and found nothing to change.
func (tx *Tx) SetProjectsSeen(ctx context.Context, ids []magpie.ProjectID, syncID string) error {
	if len(ids) == 0 {
		return nil
	}
	list, args := placeholders(2, ids)
	_, err := tx.exec(ctx, `UPDATE project SET seen_in_sync = $1 WHERE seen_in_sync < $1 AND id IN (`+list+`)`, append([]any{syncID}, args...)...)
	return err
}

// RepoSeen returns the sync that last saw a repository under the name it has.
func (tx *Tx) RepoSeen(ctx context.Context, id magpie.RepoID) (string, error) {
	var seen string
	err := tx.row(ctx, `SELECT seen_in_sync FROM repo WHERE id = $1`, id).Scan(&seen)
	return seen, err
}

// CountHooks returns how many of an integration's repositories have an installed webhook.
func (tx *Tx) CountHooks(ctx context.Context, id magpie.IntegrationID) (int, error) {
	var n int
	err := tx.row(ctx, `SELECT count(*) FROM repo WHERE integration_id = $1 AND monitored AND hook_state = 'installed'`, id).Scan(&n)
	return n, err
}
