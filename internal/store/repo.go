package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"magpie"
)

// Queries for repositories select these from "repo r JOIN project p ON p.id = r.project_id".
const repoColumns = `r.id, r.integration_id, r.project_id, r.remote_id, p.key, r.slug, r.name, r.clone_url, r.browse_url,
	r.state, r.state_reason, r.monitored, r.hook_state, r.hook_reason, r.history, r.last_push_at, r.last_scan_at, r.created_at,
	r.default_branch, r.compared_at`

func scanRepo(s scanner) (r magpie.Repo, err error) {
	err = s.Scan(&r.ID, &r.IntegrationID, &r.ProjectID, &r.RemoteID, &r.ProjectKey, &r.Slug, &r.Name, &r.CloneURL, &r.BrowseURL,
		&r.State, &r.StateReason, &r.Monitored, &r.Hook, &r.HookReason, &r.History,
		timeColumn{&r.LastPushAt}, timeColumn{&r.LastScanAt}, timeColumn{&r.CreatedAt},
		&r.DefaultBranch, timeColumn{&r.ComparedAt})
	return r, err
}

// Repo returns one repository.
func (tx *Tx) Repo(ctx context.Context, id magpie.RepoID) (magpie.Repo, error) {
	return scanRepo(tx.row(ctx, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id WHERE r.id = $1`, id))
}

// RepoByRemoteID returns the repository with Bitbucket's numeric id.
func (tx *Tx) RepoByRemoteID(ctx context.Context, id magpie.IntegrationID, remoteID int64) (magpie.Repo, error) {
	return scanRepo(tx.row(ctx, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		WHERE r.integration_id = $1 AND r.remote_id = $2`, id, remoteID))
}

// PutRepo stores what Bitbucket says about a repository, found again by its numeric id: project, names, addresses, state.
// Everything else counts only for a new one, which also gets the id in r.
func (tx *Tx) PutRepo(ctx context.Context, r magpie.Repo, syncID string) error {
	_, err := tx.exec(ctx, `INSERT INTO repo (id, integration_id, project_id, remote_id, slug, name, clone_url, browse_url,
			state, state_reason, monitored, hook_state, hook_reason, history, last_push_at, last_scan_at, created_at, looked_at, seen_in_sync)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, $18)
		ON CONFLICT (integration_id, remote_id) DO UPDATE SET
			project_id = excluded.project_id, slug = excluded.slug, name = excluded.name, clone_url = excluded.clone_url,
			browse_url = excluded.browse_url, state = excluded.state, state_reason = excluded.state_reason,
			seen_in_sync = CASE WHEN excluded.seen_in_sync > repo.seen_in_sync THEN excluded.seen_in_sync ELSE repo.seen_in_sync END`,
		r.ID, r.IntegrationID, r.ProjectID, r.RemoteID, r.Slug, r.Name, r.CloneURL, r.BrowseURL,
		r.State, r.StateReason, r.Monitored, r.Hook, r.HookReason, r.History,
		micros(r.LastPushAt), micros(r.LastScanAt), micros(r.CreatedAt), syncID)
	return err
}

// ReposMissed returns the repositories with an id above after, in order, that the sync did not see though it listed their
// projects, and that are not known to be gone.
func (tx *Tx) ReposMissed(ctx context.Context, id magpie.IntegrationID, syncID string, after magpie.RepoID, limit int) ([]magpie.Repo, error) {
	return collect(ctx, tx, scanRepo, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		WHERE r.integration_id = $1 AND p.installed AND r.seen_in_sync < $2 AND r.state <> 'deleted' AND r.id > $3
		ORDER BY r.id LIMIT $4`, id, syncID, after, limit)
}

// SetRepoState stores whether a repository can be scanned. One that is gone has no hook any more either.
func (tx *Tx) SetRepoState(ctx context.Context, id magpie.RepoID, state magpie.RepoState, reason string) error {
	_, err := tx.exec(ctx, `UPDATE repo SET state = $2, state_reason = $3,
			hook_state = CASE WHEN $2 = 'deleted' THEN 'none' ELSE hook_state END,
			hook_reason = CASE WHEN $2 = 'deleted' THEN '' ELSE hook_reason END
		WHERE id = $1`, id, state, reason)
	return err
}

// SetRepoMonitored stores whether a repository is watched and with it what its hook is to become, and reports whether that
// changed anything.
func (tx *Tx) SetRepoMonitored(ctx context.Context, id magpie.RepoID, monitored bool) (changed bool, err error) {
	hook := magpie.HookNone
	if monitored {
		hook = magpie.HookPending
	}
	n, err := tx.exec(ctx, `UPDATE repo SET monitored = $2, hook_state = $3, hook_reason = '', hook_wait = 0, hook_retry_at = 0
		WHERE id = $1 AND monitored <> $2`, id, monitored, hook)
	return n > 0, err
}

// SetRepoHook stores the state of a repository's hook as settled for a repository that is, or is not, monitored. It reports
// false, and stores nothing, if that is no longer what it is. Without a reason there was no trouble, and none is waited out.
func (tx *Tx) SetRepoHook(ctx context.Context, id magpie.RepoID, monitored bool, state magpie.HookState, reason string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE repo SET hook_state = $3, hook_reason = $4,
			hook_wait = CASE WHEN $4 = '' THEN 0 ELSE hook_wait END, hook_retry_at = CASE WHEN $4 = '' THEN 0 ELSE hook_retry_at END
		WHERE id = $1 AND monitored = $2`,
		id, monitored, state, reason)
	return n > 0, err
}

// HookWait returns for how long a repository's webhook waits since it was last refused; zero if it was not.
func (tx *Tx) HookWait(ctx context.Context, id magpie.RepoID) (time.Duration, error) {
	var wait int64
	err := tx.row(ctx, `SELECT hook_wait FROM repo WHERE id = $1`, id).Scan(&wait)
	return time.Duration(wait) * time.Microsecond, err
}

// SetHookWait stores that no sync shall try a repository's webhook again before a wait from now is over.
func (tx *Tx) SetHookWait(ctx context.Context, id magpie.RepoID, wait time.Duration, now time.Time) error {
	_, err := tx.exec(ctx, `UPDATE repo SET hook_wait = $2, hook_retry_at = $3 WHERE id = $1`, id, wait.Microseconds(), micros(now.Add(wait)))
	return err
}

// ForgetHookWaits makes the next sync try each refused webhook of an integration again.
func (tx *Tx) ForgetHookWaits(ctx context.Context, id magpie.IntegrationID) error {
	_, err := tx.exec(ctx, `UPDATE repo SET hook_wait = 0, hook_retry_at = 0 WHERE integration_id = $1 AND hook_retry_at > 0`, id)
	return err
}

// SetRepoHistory stores how far the scan of a repository's past is.
func (tx *Tx) SetRepoHistory(ctx context.Context, id magpie.RepoID, history magpie.HistoryState) error {
	_, err := tx.exec(ctx, `UPDATE repo SET history = $2 WHERE id = $1`, id, history)
	return err
}

// SetRepoScanned stores when a repository was last scanned; an older time changes nothing.
func (tx *Tx) SetRepoScanned(ctx context.Context, id magpie.RepoID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE repo SET last_scan_at = $2 WHERE id = $1 AND last_scan_at < $2`, id, micros(at))
	return err
}

// SetRepoCompared stores that all of a repository's refs, as they were at the given time, are known, and which of them is
// the default branch; an older time changes nothing.
func (tx *Tx) SetRepoCompared(ctx context.Context, id magpie.RepoID, at time.Time, branch string) error {
	_, err := tx.exec(ctx, `UPDATE repo SET compared_at = $2, default_branch = $3 WHERE id = $1 AND compared_at < $2`, id, micros(at), branch)
	return err
}

// SetReposCompared does so for several repositories whose default branch did not change.
func (tx *Tx) SetReposCompared(ctx context.Context, ids []magpie.RepoID, at time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	list, args := placeholders(2, ids)
	_, err := tx.exec(ctx, `UPDATE repo SET compared_at = $1 WHERE compared_at < $1 AND id IN (`+list+`)`, append([]any{micros(at)}, args...)...)
	return err
}

// SetRepoBranch stores which ref is a repository's default branch.
func (tx *Tx) SetRepoBranch(ctx context.Context, id magpie.RepoID, branch string) error {
	_, err := tx.exec(ctx, `UPDATE repo SET default_branch = $2 WHERE id = $1`, id, branch)
	return err
}

// SetRepoPushed stores when a repository was last pushed to; an older time changes nothing.
func (tx *Tx) SetRepoPushed(ctx context.Context, id magpie.RepoID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE repo SET last_push_at = $2 WHERE id = $1 AND last_push_at < $2`, id, micros(at))
	return err
}

// SetRepoLooked stores that the first look at a repository was asked for.
func (tx *Tx) SetRepoLooked(ctx context.Context, id magpie.RepoID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE repo SET looked_at = $2 WHERE id = $1 AND looked_at = 0`, id, micros(at))
	return err
}

// RepoLooked reports whether the first look at a repository was ever asked for.
func (tx *Tx) RepoLooked(ctx context.Context, id magpie.RepoID) (looked bool, err error) {
	err = tx.row(ctx, `SELECT looked_at > 0 FROM repo WHERE id = $1`, id).Scan(&looked)
	return looked, err
}

// ReposToSettle returns the ids above after, in order, of an integration's repositories whose hook is not as it should be as
// far as is known: wanted and not installed, installed under an address that does not start with prefix, or left over on
// a repository that is not monitored. Those that wait at the time of now, since they were refused, are left out.
func (tx *Tx) ReposToSettle(ctx context.Context, id magpie.IntegrationID, prefix string, after magpie.RepoID, limit int, now time.Time) ([]magpie.RepoID, error) {
	return collect(ctx, tx, scanOne[magpie.RepoID], reposToSettle, id, after, prefix, limit, micros(now))
}

const reposToSettle = `SELECT r.id FROM repo r LEFT JOIN hook h ON h.repo_id = r.id
	WHERE r.integration_id = $1 AND r.id > $2 AND r.hook_retry_at <= $5 AND (
		r.monitored AND r.state = 'available' AND (r.hook_state <> 'installed' OR h.id IS NULL OR h.url <> $3 || h.id)
		OR r.monitored AND r.state = 'archived' AND r.hook_state = 'pending'
		OR NOT r.monitored AND h.id IS NOT NULL AND r.state <> 'deleted')
	ORDER BY r.id LIMIT $4`

// HoldReposToSettle is ReposToSettle for a transaction that acts on the answer: until it ends, none of them can be settled,
// or refused, by anybody else.
func (tx *Tx) HoldReposToSettle(ctx context.Context, id magpie.IntegrationID, prefix string, after magpie.RepoID, limit int, now time.Time) ([]magpie.RepoID, error) {
	query := reposToSettle
	if _, shared := tx.native.(pgx.Tx); shared {
		query += ` FOR UPDATE OF r`
	}
	return collect(ctx, tx, scanOne[magpie.RepoID], query, id, after, prefix, limit, micros(now))
}

// ReposToCheck returns the ids of an integration's repositories whose installed hook was last seen, or heard of by an
// event, before the given time, the longest unseen first.
func (tx *Tx) ReposToCheck(ctx context.Context, id magpie.IntegrationID, before time.Time, limit int) ([]magpie.RepoID, error) {
	return collect(ctx, tx, scanOne[magpie.RepoID], `SELECT r.id FROM repo r JOIN hook h ON h.repo_id = r.id
		WHERE r.integration_id = $1 AND r.monitored AND r.state = 'available' AND r.hook_state = 'installed' AND h.checked_at < $2 AND r.last_push_at < $2
		ORDER BY h.checked_at, r.id LIMIT $3`, id, micros(before), limit)
}

// ProjectRepoIDs returns the ids of a project's repositories that are not gone.
func (tx *Tx) ProjectRepoIDs(ctx context.Context, id magpie.ProjectID) ([]magpie.RepoID, error) {
	return collect(ctx, tx, scanOne[magpie.RepoID],
		`SELECT id FROM repo WHERE project_id = $1 AND state <> 'deleted' ORDER BY id`, id)
}

// UnmonitorAll ends the monitoring of all repositories of an integration.
func (tx *Tx) UnmonitorAll(ctx context.Context, id magpie.IntegrationID) error {
	_, err := tx.exec(ctx, `UPDATE repo SET monitored = FALSE, hook_state = 'none', hook_reason = ''
		WHERE integration_id = $1 AND monitored`, id)
	return err
}

// DropAllQueued does for all repositories of an integration what DropQueued does for one.
func (tx *Tx) DropAllQueued(ctx context.Context, id magpie.IntegrationID, why string, at time.Time) error {
	if _, err := tx.exec(ctx, `DELETE FROM delivery WHERE scanned_at = 0 AND repo_id IN (SELECT id FROM repo WHERE integration_id = $1)`, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE scan SET state = 'canceled', error = $2, ended_at = $3
		WHERE ended_at = 0 AND repo_id IN (SELECT id FROM repo WHERE integration_id = $1)`, id, why, micros(at))
	return err
}

// RepoName returns "KEY/slug" and the page of a repository, also of one whose integration was removed.
func (tx *Tx) RepoName(ctx context.Context, id magpie.RepoID) (fullName, browseURL string, err error) {
	err = tx.row(ctx, `SELECT p.key || '/' || r.slug, r.browse_url FROM repo r JOIN project p ON p.id = r.project_id WHERE r.id = $1
		UNION ALL SELECT full_name, browse_url FROM former_repo WHERE id = $1 LIMIT 1`, id).Scan(&fullName, &browseURL)
	return fullName, browseURL, err
}

// DropQueued ends what is under way for a repository that is no longer watched: its scans are canceled, and its events
// forgotten. A history scan that did not come to its end is to be asked for again when the repository comes back.
func (tx *Tx) DropQueued(ctx context.Context, id magpie.RepoID, why string, at time.Time) error {
	if _, err := tx.exec(ctx, `DELETE FROM delivery WHERE repo_id = $1 AND scanned_at = 0`, id); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `UPDATE scan SET state = 'canceled', error = $2, ended_at = $3 WHERE repo_id = $1 AND ended_at = 0`, id, why, micros(at)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE repo SET history = 'none' WHERE id = $1 AND history = 'pending'`, id)
	return err
}

// placeholders returns the list of an IN with so many values as all has, numbered from first, and the values.
func placeholders[T any](first int, all []T) (list string, args []any) {
	var text strings.Builder
	for n, v := range all {
		if n > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('$')
		text.WriteString(strconv.Itoa(first + n))
		args = append(args, v)
	}
	return text.String(), args
}
