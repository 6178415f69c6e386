package store

import (
	"context"
	"time"

	"magpie"
)

const projectColumns = `id, integration_id, remote_id, key, name, personal, installed, synced_at, auto_monitor, insights, insights_error`

func scanProject(s scanner) (p magpie.Project, err error) {
	err = s.Scan(&p.ID, &p.IntegrationID, &p.RemoteID, &p.Key, &p.Name, &p.Personal, &p.Installed, timeColumn{&p.SyncedAt}, &p.AutoMonitor, &p.Insights, &p.InsightsError)
	return p, err
}

// PutProject stores what Bitbucket says about a project, found again by its numeric id, and returns the stored row.
// Whether it is installed counts only for a new one.
func (tx *Tx) PutProject(ctx context.Context, p magpie.Project, syncID string) (magpie.Project, error) {
	return scanProject(tx.row(ctx, `INSERT INTO project (id, integration_id, remote_id, key, name, personal, installed, synced_at, seen_in_sync)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)
		ON CONFLICT (integration_id, remote_id) DO UPDATE SET
			key = excluded.key, name = excluded.name, personal = excluded.personal,
			seen_in_sync = CASE WHEN excluded.seen_in_sync > project.seen_in_sync THEN excluded.seen_in_sync ELSE project.seen_in_sync END
		RETURNING `+projectColumns,
		NewID[magpie.ProjectID](), p.IntegrationID, p.RemoteID, p.Key, p.Name, p.Personal, p.Installed, syncID))
}

// Project returns one project.
func (tx *Tx) Project(ctx context.Context, id magpie.ProjectID) (magpie.Project, error) {
	return scanProject(tx.row(ctx, `SELECT `+projectColumns+` FROM project WHERE id = $1`, id))
}

// Projects returns an integration's projects by key.
func (tx *Tx) Projects(ctx context.Context, id magpie.IntegrationID) ([]magpie.Project, error) {
	return collect(ctx, tx, scanProject, `SELECT `+projectColumns+` FROM project WHERE integration_id = $1 ORDER BY key, id`, id)
}

// SetProjectInstalled stores whether a user chose a project, and reports whether that changed. A project that is chosen
// anew counts as never listed, so that all its repositories are taken in.
func (tx *Tx) SetProjectInstalled(ctx context.Context, id magpie.ProjectID, installed bool) (changed bool, err error) {
	n, err := tx.exec(ctx, `UPDATE project SET installed = $2, synced_at = 0 WHERE id = $1 AND installed <> $2`, id, installed)
	return n > 0, err
}

// SetProjectSynced stores that a project's repositories were listed to the end.
func (tx *Tx) SetProjectSynced(ctx context.Context, id magpie.ProjectID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE project SET synced_at = $2 WHERE id = $1`, id, micros(at))
	return err
}

// ProjectInstalledBy returns the other integration of the same instance through which a project is installed, or ""
// if there is none.
func (tx *Tx) ProjectInstalledBy(ctx context.Context, p magpie.Project) (magpie.IntegrationID, error) {
	var other magpie.IntegrationID
	err := tx.row(ctx, `SELECT i.id FROM project p JOIN integration i ON i.id = p.integration_id
		WHERE p.remote_id = $1 AND p.installed AND i.id <> $2 AND NOT i.removing
			AND i.base_url = (SELECT base_url FROM integration WHERE id = $2)
		ORDER BY i.id LIMIT 1`, p.RemoteID, p.IntegrationID).Scan(&other)
	if magpie.KindOf(err) == magpie.KindNotFound {
		return "", nil
	}
	return other, err
}

// DeleteProjectsMissed deletes the projects that a complete sync did not see, unless they hold repositories that we know
// or were chosen by a user.
func (tx *Tx) DeleteProjectsMissed(ctx context.Context, id magpie.IntegrationID, syncID string) error {
	_, err := tx.exec(ctx, `DELETE FROM project WHERE integration_id = $1 AND seen_in_sync < $2
		AND NOT EXISTS (SELECT 1 FROM repo r WHERE r.project_id = project.id)
		AND NOT (installed AND 'project' = (SELECT mode FROM integration i WHERE i.id = project.integration_id))`, id, syncID)
	return err
}

// SetProjectSettings stores whether repositories that appear in a project are monitored, and whether leaks are reported to
// Bitbucket.
func (tx *Tx) SetProjectSettings(ctx context.Context, id magpie.ProjectID, autoMonitor magpie.ProjectDefault, insights bool) error {
	_, err := tx.exec(ctx, `UPDATE project SET auto_monitor = $2, insights = $3 WHERE id = $1`, id, autoMonitor, insights)
	return err
}
