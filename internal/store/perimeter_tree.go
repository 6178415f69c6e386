package store

import (
	"context"
	"fmt"
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
	const live = `r.state <> 'deleted' AND r.monitored`
	return collect(ctx, tx, readPerimeterNode, `SELECT p.id, p.integration_id, p.remote_id, p.key, p.name, p.personal, p.installed,
		p.synced_at, p.auto_monitor, p.insights, p.insights_error, n.base_url,
		count(CASE WHEN r.state <> 'deleted' THEN 1 END),
		count(CASE WHEN `+live+` THEN 1 END),
		count(CASE WHEN `+live+` AND r.hook_state = 'installed' THEN 1 END),
		count(CASE WHEN `+live+` AND r.hook_state = 'failed' THEN 1 END),
		count(CASE WHEN `+live+` AND r.hook_state = 'pending' THEN 1 END),
		count(CASE WHEN `+live+` AND r.history = 'done' THEN 1 END),
		count(CASE WHEN r.monitored AND (r.hook_state = 'failed' OR r.history = 'failed' OR r.state = 'unavailable') THEN 1 END),
		count(CASE WHEN r.monitored AND (r.hook_state = 'pending' OR r.history = 'pending') THEN 1 END),
		count(CASE WHEN `+live+` AND (r.compared_at = 0
			OR r.id IN (SELECT t.repo_id FROM tip t WHERE t.scanned_at = 0)
			OR r.id IN (SELECT d.repo_id FROM delivery d WHERE d.scanned_at = 0)) THEN 1 END),
		count(CASE WHEN r.state = 'deleted' THEN 1 END),
		coalesce(max(CASE WHEN r.state <> 'deleted' THEN r.last_push_at END), 0),
		coalesce(max(CASE WHEN r.state <> 'deleted' THEN r.last_scan_at END), 0),
		coalesce(min(CASE WHEN `+live+` AND r.compared_at > 0 THEN r.compared_at END), 0)
		FROM project p JOIN integration n ON n.id = p.integration_id LEFT JOIN repo r ON r.project_id = p.id
			AND ($3 = '' OR lower(p.key || '/' || r.slug) LIKE $3 ESCAPE '\' OR lower(r.name) LIKE $3 ESCAPE '\' OR lower(p.name) LIKE $3 ESCAPE '\')
			AND ($4 = '' OR r.hook_state = $4)
		WHERE ($1 = '' OR p.integration_id = $1) AND ($2 = '' OR p.id = $2) AND (r.id IS NOT NULL OR $3 = '' AND $4 = '')
		GROUP BY p.id, n.id
		ORDER BY n.base_url, n.id, p.key, p.id`, f.Integration, f.Project, likePattern(f.Text), f.Hook)
}

func readPerimeterNode(s scanner) (p PerimeterNode, err error) {
	err = s.Scan(&p.ID, &p.IntegrationID, &p.RemoteID, &p.Key, &p.Name, &p.Personal, &p.Installed, timeColumn{&p.SyncedAt},
		&p.AutoMonitor, &p.Insights, &p.InsightsError, &p.BaseURL, &p.Repos, &p.Monitored, &p.Hooked, &p.HookFailed, &p.HookPending, &p.HistoryDone,
		&p.Trouble, &p.Pending, &p.Behind, &p.Deleted,
		timeColumn{&p.LastPushAt}, timeColumn{&p.LastScanAt}, timeColumn{&p.ComparedAt})
	return p, err
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

// OpenIncidentsOf counts the open incidents with an occurrence in a repository of an integration.
func (tx *Tx) OpenIncidentsOf(ctx context.Context, id magpie.IntegrationID) (open int64, err error) {
	err = tx.row(ctx, `SELECT count(*) FROM incident i WHERE i.status IN ('triggered', 'assigned') AND EXISTS (
		SELECT 1 FROM occurrence o JOIN repo r ON r.id = o.repo_id WHERE o.incident_id = i.id AND r.integration_id = $1)`, id).Scan(&open)
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
