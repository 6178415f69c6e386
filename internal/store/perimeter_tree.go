package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"magpie"
)

// PerimeterNode is a project of the perimeter with the sums of those of its repositories that a filter chooses. All
// counts but Deleted are of repositories that exist; those after Monitored are of the monitored ones.
type PerimeterNode struct {
	magpie.Project
	BaseURL     string // of its Bitbucket
	Repos       int64
	Monitored   int64
	Hooked      int64 // with an installed hook
	HookFailed  int64
	HookPending int64
	HistoryDone int64
	Trouble     int64 // as PerimeterTrouble
	Pending     int64 // as PerimeterPending
	Behind      int64 // as PerimeterBehind
	Deleted     int64

	LastPushAt time.Time // the newest of all; zero if none was seen
	LastScanAt time.Time // the newest of all; zero if none was scanned
	ComparedAt time.Time // the oldest of the monitored ones that were compared; zero if none was
}

// PerimeterTree returns the projects that hold something the filter chooses, by instance, integration and key; without a
// text and a hook state in the filter also those that hold nothing. The filter's State does not count: its groups are
// among the sums.
func (tx *Tx) PerimeterTree(ctx context.Context, f PerimeterFilter) ([]PerimeterNode, error) {
	groups, err := tx.repoGroups(ctx, f)
	if err != nil {
		return nil, err
	}
	behind, err := tx.reposBehind(ctx, f)
	if err != nil {
		return nil, err
	}
	nodes, err := collect(ctx, tx, readPerimeterNode, `SELECT p.id, p.integration_id, p.remote_id, p.key, p.name, p.personal, p.installed,
		p.synced_at, p.auto_monitor, p.insights, p.insights_error, n.base_url FROM project p JOIN integration n ON n.id = p.integration_id
		WHERE ($1 = '' OR p.integration_id = $1) AND ($2 = '' OR p.id = $2)
		ORDER BY n.base_url, n.id, p.key, p.id`, f.Integration, f.Project)
	if err != nil {
		return nil, err
	}
	of := map[magpie.ProjectID]*PerimeterNode{}
	for n := range nodes {
		of[nodes[n].ID] = &nodes[n]
	}
	chosen := map[magpie.ProjectID]bool{}
	for _, g := range groups {
		if node := of[g.project]; node != nil {
			node.add(g)
			chosen[g.project] = true
		}
	}
	for _, b := range behind {
		if node := of[b.project]; node != nil {
			node.Behind += b.repos
		}
	}
	if f.Text == "" && f.Hook == "" {
		return nodes, nil
	}
	return slices.DeleteFunc(nodes, func(p PerimeterNode) bool { return !chosen[p.ID] }), nil
}

// repoGroup is repositories of one project that are alike.
type repoGroup struct {
	project    magpie.ProjectID
	state      magpie.RepoState
	monitored  bool
	hook       magpie.HookState
	history    magpie.HistoryState
	repos      int64
	uncompared int64
	lastPushAt time.Time // the newest
	lastScanAt time.Time // the newest
	comparedAt time.Time // the oldest of those that were compared; zero if none was
}

// groups returns the condition for repositories r of what PerimeterTree counts, and its arguments. The text is in it only if there
// is one: its columns are in no index.
func (f PerimeterFilter) groups() (where string, args []any) {
	where = `($1 = '' OR r.integration_id = $1) AND ($2 = '' OR r.project_id = $2) AND ($3 = '' OR r.hook_state = $3)`
	args = []any{f.Integration, f.Project, f.Hook}
	if text := textArgs(f.Text); text[0] != "" {
		where, args = where+` AND `+textMatches, append(args, text...)
	}
	return where, args
}

// repoGroups groups the repositories that the filter chooses. Adding up the groups in Go takes a third of the time that
// one count for each sum takes in SQL, where thousands of repositories are alike. Without a text the index repo_perimeter
// answers it alone, in its order.
func (tx *Tx) repoGroups(ctx context.Context, f PerimeterFilter) ([]repoGroup, error) {
	where, args := f.groups()
	return collect(ctx, tx, func(s scanner) (g repoGroup, err error) {
		err = s.Scan(&g.project, &g.state, &g.monitored, &g.hook, &g.history, &g.repos, &g.uncompared,
			timeColumn{&g.lastPushAt}, timeColumn{&g.lastScanAt}, timeColumn{&g.comparedAt})
		return g, err
	}, `SELECT r.project_id, r.state, r.monitored, r.hook_state, r.history, count(*),
		count(CASE WHEN r.compared_at = 0 THEN 1 END),
		max(r.last_push_at), max(r.last_scan_at), coalesce(min(NULLIF(r.compared_at, 0)), 0)
		FROM repo r WHERE `+where+`
		GROUP BY r.project_id, r.state, r.monitored, r.hook_state, r.history`, args...)
}

// repoCount is how many repositories of a project are of some kind.
type repoCount struct {
	project magpie.ProjectID
	repos   int64
}

// reposBehind counts, by project, those repositories that the filter chooses that are behind though they were compared. It
// sets out from what waits, which is little unless much is amiss.
func (tx *Tx) reposBehind(ctx context.Context, f PerimeterFilter) ([]repoCount, error) {
	where, args := f.groups()
	return collect(ctx, tx, func(s scanner) (c repoCount, err error) {
		err = s.Scan(&c.project, &c.repos)
		return c, err
	}, `SELECT r.project_id, count(*) FROM `+waitingRepos+` CROSS JOIN repo r
		WHERE r.id = waiting.repo_id AND r.monitored AND r.state <> 'deleted' AND r.compared_at > 0 AND `+where+`
		GROUP BY r.project_id`, args...)
}

// add adds a group of the node's repositories.
func (p *PerimeterNode) add(g repoGroup) {
	if g.monitored && (g.hook == magpie.HookFailed || g.history == magpie.HistoryFailed || g.state == magpie.RepoUnavailable) {
		p.Trouble += g.repos
	}
	if g.monitored && (g.hook == magpie.HookPending || g.history == magpie.HistoryPending) {
		p.Pending += g.repos
	}
	if g.state == magpie.RepoDeleted {
		p.Deleted += g.repos
		return
	}
	p.Repos += g.repos
	p.LastPushAt, p.LastScanAt = newer(p.LastPushAt, g.lastPushAt), newer(p.LastScanAt, g.lastScanAt)
	if !g.monitored {
		return
	}
	p.Monitored += g.repos
	p.Behind += g.uncompared
	switch g.hook {
	case magpie.HookInstalled:
		p.Hooked += g.repos
	case magpie.HookFailed:
		p.HookFailed += g.repos
	case magpie.HookPending:
		p.HookPending += g.repos
	}
	if g.history == magpie.HistoryDone {
		p.HistoryDone += g.repos
	}
	if p.ComparedAt.IsZero() || !g.comparedAt.IsZero() && g.comparedAt.Before(p.ComparedAt) {
		p.ComparedAt = g.comparedAt
	}
}

func newer(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func readPerimeterNode(s scanner) (p PerimeterNode, err error) {
	err = s.Scan(&p.ID, &p.IntegrationID, &p.RemoteID, &p.Key, &p.Name, &p.Personal, &p.Installed, timeColumn{&p.SyncedAt},
		&p.AutoMonitor, &p.Insights, &p.InsightsError, &p.BaseURL)
	return p, err
}

// CountOpen counts all open incidents.
func (tx *Tx) CountOpen(ctx context.Context) (open int64, err error) {
	err = tx.row(ctx, `SELECT count(*) FROM incident WHERE status IN ('triggered', 'assigned')`).Scan(&open)
	return open, err
}

// OpenIncidents counts the open incidents with an occurrence in each of the projects. A project without any is not in
// the answer.
func (tx *Tx) OpenIncidents(ctx context.Context, projects []magpie.ProjectID) (map[magpie.ProjectID]int64, error) {
	open := map[magpie.ProjectID]int64{}
	if len(projects) == 0 {
		return open, nil
	}
	args, places := make([]any, len(projects)), make([]string, len(projects))
	for n, id := range projects {
		args[n], places[n] = id, fmt.Sprintf("$%d", n+1)
	}
	type count struct {
		project magpie.ProjectID
		open    int64
	}
	all, err := collect(ctx, tx, func(s scanner) (c count, err error) {
		err = s.Scan(&c.project, &c.open)
		return c, err
		// A cross join keeps SQLite from beginning with all open incidents of all projects.
	}, `SELECT r.project_id, count(DISTINCT o.incident_id) FROM repo r CROSS JOIN occurrence o CROSS JOIN incident i
		WHERE o.repo_id = r.id AND i.id = o.incident_id AND i.status IN ('triggered', 'assigned') AND r.project_id IN (`+strings.Join(places, ", ")+`)
		GROUP BY r.project_id`, args...)
	for _, c := range all {
		open[c.project] = c.open
	}
	return open, err
}

// OpenIncidentsOf counts the open incidents with an occurrence in a repository of an integration. While there was never
// another one, all of them have one, and none need be visited.
func (tx *Tx) OpenIncidentsOf(ctx context.Context, id magpie.IntegrationID) (open int64, err error) {
	err = tx.row(ctx, `SELECT CASE
		WHEN NOT EXISTS (SELECT 1 FROM former_repo) AND NOT EXISTS (SELECT 1 FROM integration n WHERE n.id <> $1)
		THEN (SELECT count(*) FROM incident i WHERE i.status IN ('triggered', 'assigned'))
		ELSE (SELECT count(*) FROM incident i WHERE i.status IN ('triggered', 'assigned') AND EXISTS (
			SELECT 1 FROM occurrence o JOIN repo r ON r.id = o.repo_id WHERE o.incident_id = i.id AND r.integration_id = $1))
		END`, id).Scan(&open)
	return open, err
}

// RemovedIntegrations returns the record's newest entries, newest first, about integrations that were removed since a time:
// their Detail says which webhooks were left behind.
func (tx *Tx) RemovedIntegrations(ctx context.Context, since time.Time, limit int) ([]AuditEntry, error) {
	return collect(ctx, tx, func(s scanner) (e AuditEntry, err error) {
		err = s.Scan(&e.ID, timeColumn{&e.At}, &e.ActorID, &e.Actor, &e.Action, &e.Subject, &e.Detail)
		return e, err
	}, `SELECT id, at, actor_id, actor, action, subject, detail FROM audit
		WHERE action = 'integration.removed' AND at >= $1 ORDER BY id DESC LIMIT $2`, micros(since), limit)
}
