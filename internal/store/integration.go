package store

import (
	"context"
	"time"

	"magpie"
)

const integrationColumns = `id, mode, base_url, version, token_user, state, state_reason, autoscan, auto_monitor,
	created_by, created_at, synced_at, sync_error, removing, auth_failing_since, token_expires_at`

func scanIntegration(s scanner) (i magpie.Integration, err error) {
	err = s.Scan(&i.ID, &i.Mode, &i.BaseURL, &i.Version, &i.TokenUser, &i.State, &i.StateReason, &i.Autoscan, &i.AutoMonitor,
		&i.CreatedBy, timeColumn{&i.CreatedAt}, timeColumn{&i.SyncedAt}, &i.SyncError, &i.Removing,
		timeColumn{&i.AuthFailingSince}, timeColumn{&i.TokenExpiresAt})
	return i, err
}

// InsertIntegration stores a new integration and its sealed access token.
func (tx *Tx) InsertIntegration(ctx context.Context, i magpie.Integration, tokenSealed []byte) error {
	_, err := tx.exec(ctx, `INSERT INTO integration (id, mode, base_url, version, token_sealed, token_user, state, state_reason,
			state_since, autoscan, auto_monitor, created_by, created_at, synced_at, sync_error, sync_wanted, removing, token_expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		i.ID, i.Mode, i.BaseURL, i.Version, tokenSealed, i.TokenUser, i.State, i.StateReason,
		micros(i.CreatedAt), i.Autoscan, i.AutoMonitor, i.CreatedBy, micros(i.CreatedAt), micros(i.SyncedAt), i.SyncError, 0, i.Removing, micros(i.TokenExpiresAt))
	return err
}

// Integration returns one integration.
func (tx *Tx) Integration(ctx context.Context, id magpie.IntegrationID) (magpie.Integration, error) {
	return scanIntegration(tx.row(ctx, `SELECT `+integrationColumns+` FROM integration WHERE id = $1`, id))
}

// Integrations returns all integrations, oldest first, those being removed too.
func (tx *Tx) Integrations(ctx context.Context) ([]magpie.Integration, error) {
	return collect(ctx, tx, scanIntegration, `SELECT `+integrationColumns+` FROM integration ORDER BY id`)
}

// IntegrationToken returns an integration's sealed access token.
func (tx *Tx) IntegrationToken(ctx context.Context, id magpie.IntegrationID) ([]byte, error) {
	var sealed []byte
	err := tx.row(ctx, `SELECT token_sealed FROM integration WHERE id = $1`, id).Scan(&sealed)
	return sealed, err
}

// SetIntegrationToken replaces an integration's sealed access token.
func (tx *Tx) SetIntegrationToken(ctx context.Context, id magpie.IntegrationID, sealed []byte) error {
	_, err := tx.exec(ctx, `UPDATE integration SET token_sealed = $2 WHERE id = $1`, id, sealed)
	return err
}

// SetTokenExpiry stores when an integration's token expires; zero means never, or not known.
func (tx *Tx) SetTokenExpiry(ctx context.Context, id magpie.IntegrationID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE integration SET token_expires_at = $2 WHERE id = $1`, id, micros(at))
	return err
}

// SetIntegrationIdentity stores what a probe told: the version and the name of the token's owner.
func (tx *Tx) SetIntegrationIdentity(ctx context.Context, id magpie.IntegrationID, version, tokenUser string) error {
	_, err := tx.exec(ctx, `UPDATE integration SET version = $2, token_user = $3
		WHERE id = $1 AND (version <> $2 OR token_user <> $3)`, id, version, tokenUser)
	return err
}

// SetIntegrationState moves an integration to a state, with the reason for people, and reports whether it was in another
// one before. Of several transactions that do so at once exactly one is told true.
func (tx *Tx) SetIntegrationState(ctx context.Context, id magpie.IntegrationID, state magpie.IntegrationState, reason string, at time.Time) (changed bool, err error) {
	n, err := tx.exec(ctx, `UPDATE integration SET state = $2, state_reason = $3, state_since = $4
		WHERE id = $1 AND state <> $2`, id, state, reason, micros(at))
	if err != nil || n > 0 {
		return n > 0, err
	}
	_, err = tx.exec(ctx, `UPDATE integration SET state_reason = $2 WHERE id = $1 AND state_reason <> $2`, id, reason)
	return false, err
}

// NoteRefusal stores that the token of an integration was refused at a time. It returns since when it is refused without a
// success between, and how much of that time counts: each stretch from one refusal to the next, cut to longest, but none in
// which Bitbucket gave no answer about the token, which NoteSilence says.
func (tx *Tx) NoteRefusal(ctx context.Context, id magpie.IntegrationID, at time.Time, longest time.Duration) (since time.Time, counted time.Duration, err error) {
	if _, err := tx.exec(ctx, `UPDATE integration SET
			auth_refused_for = auth_refused_for + CASE WHEN auth_refused_at = 0 OR auth_refused_at > $2 THEN 0
				WHEN $2 - auth_refused_at > $3 THEN $3 ELSE $2 - auth_refused_at END,
			auth_failing_since = CASE WHEN auth_failing_since = 0 THEN $2 ELSE auth_failing_since END,
			auth_refused_at = $2
		WHERE id = $1`, id, micros(at), longest.Microseconds()); err != nil {
		return since, 0, err
	}
	var n int64
	err = tx.row(ctx, `SELECT auth_failing_since, auth_refused_for FROM integration WHERE id = $1`, id).Scan(timeColumn{&since}, &n)
	return since, time.Duration(n) * time.Microsecond, err
}

// NoteSilence stores that Bitbucket said nothing about the token of an integration: the time to the next refusal does not
// count, and what counted so far stays.
func (tx *Tx) NoteSilence(ctx context.Context, id magpie.IntegrationID) error {
	_, err := tx.exec(ctx, `UPDATE integration SET auth_refused_at = 0 WHERE id = $1 AND auth_refused_at <> 0`, id)
	return err
}

// ForgetRefusals stores that the token of an integration works, or is another one.
func (tx *Tx) ForgetRefusals(ctx context.Context, id magpie.IntegrationID) error {
	_, err := tx.exec(ctx, `UPDATE integration SET auth_failing_since = 0, auth_refused_at = 0, auth_refused_for = 0
		WHERE id = $1 AND auth_failing_since <> 0`, id)
	return err
}

// MonitoredSample returns some monitored repositories of an integration that were there when they were last seen, those
// with a webhook first.
func (tx *Tx) MonitoredSample(ctx context.Context, id magpie.IntegrationID, limit int) ([]magpie.Repo, error) {
	return collect(ctx, tx, scanRepo, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		WHERE r.integration_id = $1 AND r.monitored AND r.state <> 'deleted'
		ORDER BY CASE WHEN r.hook_state = 'installed' THEN 0 ELSE 1 END, r.id LIMIT $2`, id, limit)
}

// MonitoredRemoteIDs returns Bitbucket's ids of the monitored repositories of an integration that are not archived or gone.
func (tx *Tx) MonitoredRemoteIDs(ctx context.Context, id magpie.IntegrationID) ([]int64, error) {
	return collect(ctx, tx, func(s scanner) (n int64, err error) { return n, s.Scan(&n) },
		`SELECT remote_id FROM repo WHERE integration_id = $1 AND monitored AND state NOT IN ('deleted', 'archived')`, id)
}

// MonitoredProjects returns Bitbucket's ids of the projects with monitored repositories, and whether each is personal.
func (tx *Tx) MonitoredProjects(ctx context.Context, id magpie.IntegrationID) (map[int64]bool, error) {
	type row struct {
		id       int64
		personal bool
	}
	all, err := collect(ctx, tx, func(s scanner) (r row, err error) { return r, s.Scan(&r.id, &r.personal) },
		`SELECT DISTINCT p.remote_id, p.personal FROM repo r JOIN project p ON p.id = r.project_id
			WHERE r.integration_id = $1 AND r.monitored AND r.state <> 'deleted'`, id)
	found := map[int64]bool{}
	for _, r := range all {
		found[r.id] = r.personal
	}
	return found, err
}

// SetIntegrationSwitches stores whether histories of new repositories are scanned, and whether new ones are monitored.
func (tx *Tx) SetIntegrationSwitches(ctx context.Context, id magpie.IntegrationID, autoscan, autoMonitor bool) error {
	_, err := tx.exec(ctx, `UPDATE integration SET autoscan = $2, auto_monitor = $3 WHERE id = $1`, id, autoscan, autoMonitor)
	return err
}

// WantSync notes that an integration must be synced with what it is at the given time or later. A sync that began before
// will not count as finished.
func (tx *Tx) WantSync(ctx context.Context, id magpie.IntegrationID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE integration SET sync_wanted = $2 WHERE id = $1 AND sync_wanted < $2`, id, micros(at))
	return err
}

// SyncWanted returns when a sync of an integration was last asked for.
func (tx *Tx) SyncWanted(ctx context.Context, id magpie.IntegrationID) (time.Time, error) {
	var at time.Time
	err := tx.row(ctx, `SELECT sync_wanted FROM integration WHERE id = $1`, id).Scan(timeColumn{&at})
	return at, err
}

// FinishSync stores that a sync ended, successfully if trouble is empty. It reports false, and stores nothing, if another
// sync was asked for since the one that ended read wanted; then it must run again.
func (tx *Tx) FinishSync(ctx context.Context, id magpie.IntegrationID, wanted, at time.Time, trouble string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE integration SET synced_at = CASE WHEN $4 = '' THEN $3 ELSE synced_at END, sync_error = $4
		WHERE id = $1 AND sync_wanted <= $2`, id, micros(wanted), micros(at), trouble)
	return n > 0, err
}

// SetIntegrationRemoving marks an integration as being removed and reports whether it was not so before.
func (tx *Tx) SetIntegrationRemoving(ctx context.Context, id magpie.IntegrationID) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE integration SET removing = TRUE WHERE id = $1 AND NOT removing`, id)
	return n > 0, err
}

// DeleteIntegration deletes an integration with its projects, repositories, hooks, tips, deliveries and scans. Incidents
// stay, and the names of the repositories stay readable through RepoName.
func (tx *Tx) DeleteIntegration(ctx context.Context, id magpie.IntegrationID) error {
	if _, err := tx.exec(ctx, `INSERT INTO former_repo (id, full_name, browse_url)
		SELECT r.id, p.key || '/' || r.slug, r.browse_url FROM repo r JOIN project p ON p.id = r.project_id
			WHERE r.integration_id = $1
		ON CONFLICT (id) DO NOTHING`, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM integration WHERE id = $1`, id)
	return err
}
