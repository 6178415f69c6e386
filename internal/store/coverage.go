package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"magpie"
)

// CoverageRepo is a monitored repository with how far it has been scanned.
type CoverageRepo struct {
	magpie.Repo
	ProjectName  string
	BaseURL      string    // of its Bitbucket
	Refs         int64     // that are known
	RefsScanned  int64     // of these, the ones whose tip was scanned, by a push's scan or by the history scan
	Waiting      int64     // events that were accepted and not yet dealt with
	WaitingSince time.Time // when the oldest of them came; zero if there is none
	Current      bool      // readable, compared at least once, and nothing is known that was not scanned
}

// CoveragePage is a part of the list of monitored repositories.
type CoveragePage struct {
	Repos []CoverageRepo
	Next  string // the cursor of the next page; empty if this is the last
}

// CoverageRef is one ref and the commit up to which it has been scanned.
type CoverageRef struct {
	Ref       string // full name
	Hash      magpie.Hash
	ScannedAt time.Time // zero: known since monitoring began, its history scan is still to come
	Default   bool      // whether it is the repository's default branch
}

// CoverageSums adds up the monitored repositories that are not gone.
type CoverageSums struct {
	Monitored      int64
	Current        int64 // as in CoverageRepo
	NeverCompared  int64
	Unreadable     int64     // out of the token's reach, offline, and the like
	Waiting        int64     // events
	OldestWaiting  time.Time // zero if none waits
	OldestCompared time.Time // of those that were compared; zero if none was
}

// Tips under such names stand for commits that no ref names any more but that a history scan will still ask for.
const keptTips = `'baseline:%'`

// isCurrent is CoverageRepo.Current of the repository r.
const isCurrent = `(r.state <> 'unavailable' AND r.compared_at > 0
	AND NOT EXISTS (SELECT 1 FROM tip t WHERE t.repo_id = r.id AND t.scanned_at = 0)
	AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.repo_id = r.id AND d.scanned_at = 0))`

// waitingRepos are the repositories of which something is known that was not scanned.
const waitingRepos = `(SELECT t.repo_id FROM tip t WHERE t.scanned_at = 0
	UNION SELECT d.repo_id FROM delivery d WHERE d.scanned_at = 0) waiting`

// coverageOf is what CoverageRepo adds to the columns of the repository r.
const coverageOf = `p.name, n.base_url,
	(SELECT count(*) FROM tip t WHERE t.repo_id = r.id AND t.ref NOT LIKE ` + keptTips + `),
	(SELECT count(*) FROM tip t WHERE t.repo_id = r.id AND t.ref NOT LIKE ` + keptTips + ` AND t.scanned_at > 0),
	(SELECT count(*) FROM delivery d WHERE d.repo_id = r.id AND d.scanned_at = 0),
	coalesce((SELECT min(d.received_at) FROM delivery d WHERE d.repo_id = r.id AND d.scanned_at = 0), 0),
	` + isCurrent

// CoverageRepos returns at most limit of the monitored repositories that the filter chooses, by instance, project key and
// slug, after the cursor, which is "" or a former page's Next.
func (tx *Tx) CoverageRepos(ctx context.Context, f PerimeterFilter, cursor string, limit int) (CoveragePage, error) {
	after, err := parsePerimeterCursor(cursor)
	if err != nil {
		return CoveragePage{}, err
	}
	args := append(f.args(), cursor == "", after[0], after[1], after[2], after[3], limit+1)
	all, err := collect(ctx, tx, readCoverageRepo, cutBegin+` AND r.monitored AND r.state <> 'deleted'`+cutEnd+
		`SELECT `+repoColumns+`, `+coverageOf+cutTables, args...)
	if err != nil || len(all) <= limit {
		return CoveragePage{Repos: all}, err
	}
	all = all[:limit]
	last := all[limit-1]
	next, err := json.Marshal([4]string{last.BaseURL, last.ProjectKey, last.Slug, string(last.ID)})
	return CoveragePage{Repos: all, Next: base64.RawURLEncoding.EncodeToString(next)}, err
}

func readCoverageRepo(s scanner) (r CoverageRepo, err error) {
	err = s.Scan(&r.ID, &r.IntegrationID, &r.ProjectID, &r.RemoteID, &r.ProjectKey, &r.Slug, &r.Name, &r.CloneURL, &r.BrowseURL,
		&r.State, &r.StateReason, &r.Monitored, &r.Hook, &r.HookReason, &r.History,
		timeColumn{&r.LastPushAt}, timeColumn{&r.LastScanAt}, timeColumn{&r.CreatedAt},
		&r.DefaultBranch, timeColumn{&r.ComparedAt}, &r.ProjectName, &r.BaseURL,
		&r.Refs, &r.RefsScanned, &r.Waiting, timeColumn{&r.WaitingSince}, &r.Current)
	return r, err
}

// CoverageRepo returns one repository, monitored or not.
func (tx *Tx) CoverageRepo(ctx context.Context, id magpie.RepoID) (CoverageRepo, error) {
	return readCoverageRepo(tx.row(ctx, `SELECT `+repoColumns+`, `+coverageOf+`
		FROM repo r JOIN project p ON p.id = r.project_id JOIN integration n ON n.id = r.integration_id WHERE r.id = $1`, id))
}

// CoverageRefs returns at most limit refs of a repository by name, those after the given name.
func (tx *Tx) CoverageRefs(ctx context.Context, repo magpie.RepoID, after string, limit int) ([]CoverageRef, error) {
	return collect(ctx, tx, func(s scanner) (c CoverageRef, err error) {
		err = s.Scan(&c.Ref, &c.Hash, timeColumn{&c.ScannedAt}, &c.Default)
		return c, err
	}, `SELECT t.ref, t.hash, t.scanned_at, t.ref = r.default_branch FROM tip t JOIN repo r ON r.id = t.repo_id
		WHERE t.repo_id = $1 AND t.ref > $2 AND t.ref NOT LIKE `+keptTips+` ORDER BY t.ref LIMIT $3`, repo, after, limit)
}

// CoverageSums adds up the monitored repositories of an integration, or of all if it is empty.
func (tx *Tx) CoverageSums(ctx context.Context, integration magpie.IntegrationID) (c CoverageSums, err error) {
	// Current ones are those that could be, without those of which something waits; this sets out from what waits, as
	// reposBehind does.
	if err := tx.row(ctx, `SELECT count(*),
			count(CASE WHEN r.state <> 'unavailable' AND r.compared_at > 0 THEN 1 END)
				- (SELECT count(*) FROM `+waitingRepos+` CROSS JOIN repo b WHERE b.id = waiting.repo_id AND b.monitored
					AND b.state NOT IN ('deleted', 'unavailable') AND b.compared_at > 0 AND ($1 = '' OR b.integration_id = $1)),
			count(CASE WHEN r.compared_at = 0 THEN 1 END),
			count(CASE WHEN r.state = 'unavailable' THEN 1 END),
			coalesce(min(CASE WHEN r.compared_at > 0 THEN r.compared_at END), 0)
		FROM repo r WHERE r.monitored AND r.state <> 'deleted' AND ($1 = '' OR r.integration_id = $1)`, integration).
		Scan(&c.Monitored, &c.Current, &c.NeverCompared, &c.Unreadable, timeColumn{&c.OldestCompared}); err != nil {
		return c, err
	}
	err = tx.row(ctx, `SELECT count(*), coalesce(min(d.received_at), 0) FROM delivery d JOIN repo r ON r.id = d.repo_id
		WHERE d.scanned_at = 0 AND r.monitored AND r.state <> 'deleted' AND ($1 = '' OR r.integration_id = $1)`, integration).
		Scan(&c.Waiting, timeColumn{&c.OldestWaiting})
	return c, err
}
