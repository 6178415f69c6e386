package store

import (
	"context"
	"time"

	"magpie"
)

// SeverityCount is how many open incidents have a severity.
type SeverityCount struct {
	Severity magpie.Severity
	Count    int64
}

// OpenBySeverity counts the open incidents of every severity, worst first, zeros included.
func (tx *Tx) OpenBySeverity(ctx context.Context) ([]SeverityCount, error) {
	found, err := collect(ctx, tx, func(s scanner) (c SeverityCount, err error) {
		err = s.Scan(&c.Severity, &c.Count)
		return c, err
	}, `SELECT severity, count(*) FROM incident WHERE status IN ('triggered', 'assigned') GROUP BY severity`)
	if err != nil {
		return nil, err
	}
	var all []SeverityCount
	for _, severity := range magpie.Severities() {
		count := SeverityCount{Severity: severity}
		for _, f := range found {
			if f.Severity == severity {
				count.Count = f.Count
			}
		}
		all = append(all, count)
	}
	return all, nil
}

// Coverage says how much of what is at Bitbucket is watched. All but Deleted count repositories that still exist.
type Coverage struct {
	Repos          int64
	Monitored      int64
	HooksInstalled int64 // of the monitored ones, as the following
	HooksPending   int64
	HooksFailed    int64
	HistoryDone    int64
	HistoryPending int64
	HistoryFailed  int64
	Unavailable    int64
	Deleted        int64
}

// Coverage counts the repositories of an integration, or of all if it is empty.
func (tx *Tx) Coverage(ctx context.Context, integration magpie.IntegrationID) (c Coverage, err error) {
	err = tx.row(ctx, `SELECT
		count(CASE WHEN state <> 'deleted' THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored AND hook_state = 'installed' THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored AND hook_state = 'pending' THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored AND hook_state = 'failed' THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored AND history = 'done' THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored AND history = 'pending' THEN 1 END),
		count(CASE WHEN state <> 'deleted' AND monitored AND history = 'failed' THEN 1 END),
		count(CASE WHEN state = 'unavailable' AND monitored THEN 1 END),
		count(CASE WHEN state = 'deleted' THEN 1 END)
		FROM repo WHERE ($1 = '' OR integration_id = $1)`, integration).Scan(&c.Repos, &c.Monitored, &c.HooksInstalled, &c.HooksPending,
		&c.HooksFailed, &c.HistoryDone, &c.HistoryPending, &c.HistoryFailed, &c.Unavailable, &c.Deleted)
	return c, err
}

// DayCount is how many incidents were found on a day of UTC.
type DayCount struct {
	Day   time.Time // its midnight
	Count int64
}

// IncidentsByDay counts the incidents found on each day from the one of since to the one of until, both included,
// oldest first, zeros included.
func (tx *Tx) IncidentsByDay(ctx context.Context, since, until time.Time) ([]DayCount, error) {
	const day = 24 * time.Hour
	first := since.UTC().Truncate(day)
	// Integer division of non-negative numbers truncates on both databases.
	found, err := collect(ctx, tx, func(s scanner) (c [2]int64, err error) {
		err = s.Scan(&c[0], &c[1])
		return c, err
	}, `SELECT first_seen_at / 86400000000, count(*) FROM incident WHERE first_seen_at >= $1 GROUP BY 1 ORDER BY 1`, micros(first))
	if err != nil {
		return nil, err
	}
	counts := map[int64]int64{}
	for _, c := range found {
		counts[c[0]] = c[1]
	}
	var all []DayCount
	for d := first; !d.After(until.UTC()); d = d.Add(day) {
		all = append(all, DayCount{Day: d, Count: counts[d.Unix()/int64(day/time.Second)]})
	}
	return all, nil
}

// WaitingAlerts returns how many messages have not left yet, and how many never will.
func (tx *Tx) WaitingAlerts(ctx context.Context) (waiting, failed int64, err error) {
	err = tx.row(ctx, `SELECT count(CASE WHEN state = 'waiting' THEN 1 END), count(CASE WHEN state = 'failed' THEN 1 END)
		FROM alert`).Scan(&waiting, &failed)
	return waiting, failed, err
}
