package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"magpie"
)

// PerimeterState groups repositories by what a person wants to know first.
type PerimeterState string

// The groups. The zero value is all that exist at Bitbucket.
const (
	PerimeterAll          PerimeterState = ""
	PerimeterMonitored    PerimeterState = "monitored"
	PerimeterUnmonitored  PerimeterState = "unmonitored"
	PerimeterTrouble      PerimeterState = "trouble" // monitored, but hook or history failed, or the repository is out of reach
	PerimeterPending      PerimeterState = "pending" // monitored, hook or history still to come
	PerimeterDeleted      PerimeterState = "deleted"
	PerimeterNeverScanned PerimeterState = "never_scanned" // monitored, and no scan of it has finished yet
	PerimeterBehind       PerimeterState = "behind"        // monitored, with something known that was not scanned, or never compared
)

// PerimeterFilter chooses repositories. The zero value chooses all that exist.
type PerimeterFilter struct {
	Integration magpie.IntegrationID
	Project     magpie.ProjectID
	State       PerimeterState
	Hook        magpie.HookState // empty: any
	Text        string           // part of "KEY/slug", or of the name of the repository or project
}

// PerimeterRepo is a repository as the perimeter shows it.
type PerimeterRepo struct {
	magpie.Repo
	ProjectName string
	Personal    bool
	BaseURL     string // of its Bitbucket
	Open        int64  // open incidents with an occurrence in it
}

// PerimeterPage is a part of the perimeter.
type PerimeterPage struct {
	Repos []PerimeterRepo
	Next  string // the cursor of the next page; empty if this is the last
}

// textMatches chooses the repositories r that PerimeterFilter.Text means, by the arguments of textArgs. Projects are matched
// once each and not with each of their repositories, which is most of the work; "KEY/slug" is matched in two parts, since
// neither holds a slash.
const textMatches = `($4 = '' OR lower(r.slug) LIKE $4 ESCAPE '\' OR lower(r.name) LIKE $4 ESCAPE '\'
	OR r.project_id IN (SELECT tp.id FROM project tp WHERE lower(tp.key) LIKE $4 ESCAPE '\' OR lower(tp.name) LIKE $4 ESCAPE '\')
	OR ($5 <> '' AND lower(r.slug) LIKE $6 ESCAPE '\' AND r.project_id IN (SELECT tp.id FROM project tp WHERE lower(tp.key) LIKE $5 ESCAPE '\')))`

// The cross joins keep SQLite from looking up a project for each repository.
const perimeterAnyState = ` FROM integration n CROSS JOIN project p CROSS JOIN repo r WHERE p.integration_id = n.id AND r.project_id = p.id AND
	($1 = '' OR n.id = $1) AND ($2 = '' OR p.id = $2) AND ($3 = '' OR r.hook_state = $3) AND ` + textMatches

const perimeterFrom = perimeterAnyState + ` AND
	CASE $7
		WHEN 'monitored' THEN r.monitored AND r.state <> 'deleted'
		WHEN 'unmonitored' THEN NOT r.monitored AND r.state <> 'deleted'
		WHEN 'trouble' THEN r.monitored AND (r.hook_state = 'failed' OR r.history = 'failed' OR r.state = 'unavailable')
		WHEN 'pending' THEN r.monitored AND (r.hook_state = 'pending' OR r.history = 'pending')
		WHEN 'deleted' THEN r.state = 'deleted'
		WHEN 'never_scanned' THEN r.monitored AND r.state <> 'deleted' AND r.last_scan_at = 0
		WHEN 'behind' THEN r.monitored AND r.state <> 'deleted' AND (r.compared_at = 0
			OR EXISTS (SELECT 1 FROM tip t WHERE t.repo_id = r.id AND t.scanned_at = 0)
			OR EXISTS (SELECT 1 FROM delivery d WHERE d.repo_id = r.id AND d.scanned_at = 0))
		ELSE r.state <> 'deleted'
	END`

// Between these two stands what a list demands besides the filter. They cut a page out of what is chosen before anything is
// read or counted of it, so that a page costs what it holds and not what there is.
const (
	cutBegin = `WITH page AS MATERIALIZED (
		SELECT r.id AS repo_id, n.base_url AS base_url, p.key AS key, r.slug AS slug` + perimeterFrom
	cutEnd = ` AND ($8 OR (n.base_url, p.key, r.slug, r.id) > ($9, $10, $11, $12))
		ORDER BY n.base_url, p.key, r.slug, r.id LIMIT $13) `
	cutTables = ` FROM page JOIN repo r ON r.id = page.repo_id JOIN project p ON p.id = r.project_id JOIN integration n ON n.id = r.integration_id
		ORDER BY page.base_url, page.key, page.slug, page.repo_id`
)

func (f PerimeterFilter) args() []any {
	return append(append([]any{f.Integration, f.Project, f.Hook}, textArgs(f.Text)...), f.State)
}

// textArgs returns the patterns for any one name, for the end of a key, and for the beginning of a slug. The latter two are
// empty unless the text can be a part of "KEY/slug" that holds the slash.
func textArgs(text string) []any {
	key, slug := "", ""
	if before, after, ok := strings.Cut(foldText(text), "/"); ok && !strings.Contains(after, "/") {
		key, slug = "%"+likeEscape(before), likeEscape(after)+"%"
	}
	return []any{likePattern(text), key, slug}
}

// PerimeterRepos returns at most limit repositories that the filter chooses, by instance, project key and slug, after
// the cursor, which is "" or a former page's Next.
func (tx *Tx) PerimeterRepos(ctx context.Context, f PerimeterFilter, cursor string, limit int) (PerimeterPage, error) {
	after, err := parsePerimeterCursor(cursor)
	if err != nil {
		return PerimeterPage{}, err
	}
	args := append(f.args(), cursor == "", after[0], after[1], after[2], after[3], limit+1)
	all, err := collect(ctx, tx, readPerimeterRepo, cutBegin+cutEnd+`SELECT `+repoColumns+`, p.name, p.personal, n.base_url,
		(SELECT count(DISTINCT o.incident_id) FROM occurrence o JOIN incident i ON i.id = o.incident_id
			WHERE o.repo_id = r.id AND i.status IN ('triggered', 'assigned'))`+cutTables, args...)
	if err != nil || len(all) <= limit {
		return PerimeterPage{Repos: all}, err
	}
	all = all[:limit]
	last := all[limit-1]
	next, err := json.Marshal([4]string{last.BaseURL, last.ProjectKey, last.Slug, string(last.ID)})
	return PerimeterPage{Repos: all, Next: base64.RawURLEncoding.EncodeToString(next)}, err
}

// PerimeterStates returns how many repositories each state's list would hold, whatever the state in the filter.
func (tx *Tx) PerimeterStates(ctx context.Context, f PerimeterFilter) (map[PerimeterState]int64, error) {
	var all, monitored, trouble, pending, deleted int64
	err := tx.row(ctx, `SELECT
		count(CASE WHEN r.state <> 'deleted' THEN 1 END),
		count(CASE WHEN r.monitored AND r.state <> 'deleted' THEN 1 END),
		count(CASE WHEN r.monitored AND (r.hook_state = 'failed' OR r.history = 'failed' OR r.state = 'unavailable') THEN 1 END),
		count(CASE WHEN r.monitored AND (r.hook_state = 'pending' OR r.history = 'pending') THEN 1 END),
		count(CASE WHEN r.state = 'deleted' THEN 1 END)`+perimeterAnyState, f.args()[:6]...).
		Scan(&all, &monitored, &trouble, &pending, &deleted)
	return map[PerimeterState]int64{
		PerimeterAll: all, PerimeterMonitored: monitored, PerimeterUnmonitored: all - monitored, PerimeterTrouble: trouble,
		PerimeterPending: pending, PerimeterDeleted: deleted,
	}, err
}

// PerimeterProject is a project with the sums of its repositories.
type PerimeterProject struct {
	magpie.Project
	Repos     int64 // that exist
	Monitored int64
	Hooked    int64 // monitored with an installed hook
	Trouble   int64 // as PerimeterTrouble
}

// PerimeterProjects returns all projects of an integration, or of all if it is empty, by key.
func (tx *Tx) PerimeterProjects(ctx context.Context, integration magpie.IntegrationID) ([]PerimeterProject, error) {
	return collect(ctx, tx, func(s scanner) (p PerimeterProject, err error) {
		err = s.Scan(&p.ID, &p.IntegrationID, &p.RemoteID, &p.Key, &p.Name, &p.Personal, &p.Installed,
			timeColumn{&p.SyncedAt}, &p.AutoMonitor, &p.Insights, &p.InsightsError, &p.Repos, &p.Monitored, &p.Hooked, &p.Trouble)
		return p, err
	}, `SELECT p.id, p.integration_id, p.remote_id, p.key, p.name, p.personal, p.installed,
		p.synced_at, p.auto_monitor, p.insights, p.insights_error,
		count(CASE WHEN r.state <> 'deleted' THEN 1 END),
		count(CASE WHEN r.state <> 'deleted' AND r.monitored THEN 1 END),
		count(CASE WHEN r.state <> 'deleted' AND r.monitored AND r.hook_state = 'installed' THEN 1 END),
		count(CASE WHEN r.monitored AND (r.hook_state = 'failed' OR r.history = 'failed' OR r.state = 'unavailable') THEN 1 END)
		FROM project p LEFT JOIN repo r ON r.project_id = p.id
		WHERE ($1 = '' OR p.integration_id = $1)
		GROUP BY p.id
		ORDER BY p.key, p.id`, integration)
}

// ReposOfFilter returns the ids of all repositories that the filter chooses, to change them together.
func (tx *Tx) ReposOfFilter(ctx context.Context, f PerimeterFilter) ([]magpie.RepoID, error) {
	return collect(ctx, tx, scanOne[magpie.RepoID], `SELECT r.id`+perimeterFrom+` ORDER BY r.id`, f.args()...)
}

func readPerimeterRepo(s scanner) (r PerimeterRepo, err error) {
	err = s.Scan(&r.ID, &r.IntegrationID, &r.ProjectID, &r.RemoteID, &r.ProjectKey, &r.Slug, &r.Name, &r.CloneURL, &r.BrowseURL,
		&r.State, &r.StateReason, &r.Monitored, &r.Hook, &r.HookReason, &r.History, timeColumn{&r.LastPushAt},
		timeColumn{&r.LastScanAt}, timeColumn{&r.CreatedAt},
		&r.DefaultBranch, timeColumn{&r.ComparedAt}, &r.ProjectName, &r.Personal, &r.BaseURL, &r.Open)
	return r, err
}

func parsePerimeterCursor(cursor string) (after [4]string, err error) {
	if cursor == "" {
		return after, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(raw, &after) != nil {
		return after, errCursor()
	}
	return after, nil
}
