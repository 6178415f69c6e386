package store

import (
	"context"
	"time"

	"magpie"
)

// Sweep is one comparison of all monitored repositories with what was scanned.
type Sweep struct {
	ID        string
	Reason    string    // schedule, start, token, or request
	DownSince time.Time // when Magpie was last alive before an outage of its own; zero if there was none
	BeganAt   time.Time
	EndedAt   time.Time // zero while repositories are still being compared
	Repos     int64     // to compare: as counted at the beginning, and what it came to at the end
	Compared  int64     // done, or found to need no comparison any more
	Behind    int64     // of these, with something new that no event had announced and that was then scanned
	Failed    int64     // of these, given up
}

const sweepColumns = `id, reason, down_since, began_at, ended_at, repos, compared, behind, failed`

func scanSweep(s scanner) (v Sweep, err error) {
	err = s.Scan(&v.ID, &v.Reason, timeColumn{&v.DownSince}, timeColumn{&v.BeganAt}, timeColumn{&v.EndedAt},
		&v.Repos, &v.Compared, &v.Behind, &v.Failed)
	return v, err
}

// Sweeps returns the newest sweeps, newest first.
func (tx *Tx) Sweeps(ctx context.Context, limit int) ([]Sweep, error) {
	return collect(ctx, tx, scanSweep, `SELECT `+sweepColumns+` FROM sweep ORDER BY id DESC LIMIT $1`, limit)
}

// RunningSweep returns the sweep that has not ended, KindNotFound if there is none.
func (tx *Tx) RunningSweep(ctx context.Context) (Sweep, error) {
	return scanSweep(tx.row(ctx, `SELECT `+sweepColumns+` FROM sweep WHERE ended_at = 0 ORDER BY id DESC LIMIT 1`))
}

// AddSweep stores a sweep that begins, and gives each integration that can be swept a place in it, from which its
// repositories are to be walked. It returns those integrations. Repos is counted here.
func (tx *Tx) AddSweep(ctx context.Context, v Sweep) ([]magpie.IntegrationID, error) {
	_, err := tx.exec(ctx, `INSERT INTO sweep (id, reason, down_since, began_at, ended_at, repos, compared, behind, failed)
		SELECT $1, $2, $3, $4, 0, count(*), 0, 0, 0 FROM repo r JOIN integration i ON i.id = r.integration_id WHERE `+toSweep,
		v.ID, v.Reason, micros(v.DownSince), micros(v.BeganAt))
	if err != nil {
		return nil, err
	}
	return collect(ctx, tx, scanOne[magpie.IntegrationID], `UPDATE integration SET sweep_id = $1, sweep_after = ''
		WHERE NOT removing AND state NOT IN ('token_invalid', 'no_licence') RETURNING id`, v.ID)
}

// toSweep chooses the repositories r of integrations i that can be compared with what was scanned: monitored and
// available, looked at before, of integrations that Bitbucket lets in.
const toSweep = `r.monitored AND r.state = 'available' AND r.looked_at > 0
	AND i.state NOT IN ('token_invalid', 'no_licence') AND NOT i.removing`

// SweepPlace returns after which repository an integration's walk in a sweep goes on. ok is false if it has no part in it,
// or no longer.
func (tx *Tx) SweepPlace(ctx context.Context, id magpie.IntegrationID, sweep string) (after magpie.RepoID, ok bool, err error) {
	found, err := collect(ctx, tx, scanOne[magpie.RepoID], `SELECT sweep_after FROM integration WHERE id = $1 AND sweep_id = $2`, id, sweep)
	if err != nil || len(found) == 0 {
		return "", false, err
	}
	return found[0], true, nil
}

// SweepRepo is a repository as a sweep meets it.
type SweepRepo struct {
	ID         magpie.RepoID
	ComparedAt time.Time
}

// ReposToSweep returns an integration's repositories with ids above after, in order, that can be compared with what was
// scanned.
func (tx *Tx) ReposToSweep(ctx context.Context, id magpie.IntegrationID, after magpie.RepoID, limit int) ([]SweepRepo, error) {
	return collect(ctx, tx, func(s scanner) (r SweepRepo, err error) {
		err = s.Scan(&r.ID, timeColumn{&r.ComparedAt})
		return r, err
	}, `SELECT r.id, r.compared_at FROM repo r JOIN integration i ON i.id = r.integration_id
		WHERE i.id = $1 AND r.id > $2 AND `+toSweep+` ORDER BY r.id LIMIT $3`, id, after, limit)
}

// MoveSweep stores that an integration's walk came from one repository to another, met so many repositories on the way
// and dealt with so many of them; the others have looks of their own that count themselves. It reports false, and stores
// nothing, if the walk is not at from any more.
func (tx *Tx) MoveSweep(ctx context.Context, id magpie.IntegrationID, sweep string, from, to magpie.RepoID, walked, compared int) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE integration SET sweep_after = $4 WHERE id = $1 AND sweep_id = $2 AND sweep_after = $3`, id, sweep, from, to)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.exec(ctx, `UPDATE sweep SET walked = walked + $2, compared = compared + $3 WHERE id = $1`, sweep, walked, compared)
	return true, err
}

// LeaveSweep stores that an integration's walk in a sweep is at its end.
func (tx *Tx) LeaveSweep(ctx context.Context, id magpie.IntegrationID, sweep string) error {
	_, err := tx.exec(ctx, `UPDATE integration SET sweep_id = '', sweep_after = '' WHERE id = $1 AND sweep_id = $2`, id, sweep)
	return err
}

// CountLook adds one look to the sweep that asked for it. A sweep that has ended does not change any more.
func (tx *Tx) CountLook(ctx context.Context, sweep string, behind, failed bool) error {
	if sweep == "" {
		return nil
	}
	_, err := tx.exec(ctx, `UPDATE sweep SET compared = compared + 1,
			behind = behind + CASE WHEN $2 THEN 1 ELSE 0 END, failed = failed + CASE WHEN $3 THEN 1 ELSE 0 END
		WHERE id = $1 AND ended_at = 0`, sweep, behind, failed)
	return err
}

// SweepRuns reports whether a sweep has not ended.
func (tx *Tx) SweepRuns(ctx context.Context, sweep string) (bool, error) {
	found, err := collect(ctx, tx, scanOne[int64], `SELECT ended_at FROM sweep WHERE id = $1`, sweep)
	return err == nil && len(found) == 1 && found[0] == 0, err
}

// EndSweep ends a sweep if all that takes part was walked and every look has counted itself, or, with force, as it
// stands. It reports whether it ended now, and returns it as it then is.
func (tx *Tx) EndSweep(ctx context.Context, sweep string, at time.Time, force bool) (v Sweep, ended bool, err error) {
	found, err := collect(ctx, tx, scanSweep, `UPDATE sweep SET ended_at = $2, repos = CASE WHEN $3 THEN repos ELSE walked END
		WHERE id = $1 AND ended_at = 0 AND ($3 OR compared >= walked
			AND NOT EXISTS (SELECT 1 FROM integration i WHERE i.sweep_id = $1))
		RETURNING `+sweepColumns, sweep, micros(at), force)
	if err != nil || len(found) == 0 {
		return Sweep{}, false, err
	}
	_, err = tx.exec(ctx, `UPDATE integration SET sweep_id = '', sweep_after = '' WHERE sweep_id = $1`, sweep)
	return found[0], true, err
}

// PruneSweeps forgets sweeps that ended before a time.
func (tx *Tx) PruneSweeps(ctx context.Context, before time.Time) (int64, error) {
	return tx.exec(ctx, `DELETE FROM sweep WHERE ended_at > 0 AND ended_at < $1`, micros(before))
}

// PruneScans forgets push scans that found nothing and ended before a time.
func (tx *Tx) PruneScans(ctx context.Context, before time.Time) (int64, error) {
	return tx.exec(ctx, `DELETE FROM scan WHERE kind = 'push' AND state IN ('finished', 'canceled') AND findings = 0
		AND ended_at > 0 AND ended_at < $1`, micros(before))
}
