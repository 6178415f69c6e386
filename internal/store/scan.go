package store

import (
	"context"
	"time"

	"magpie"
)

// scanColumns are what readScan reads, in its order.
const scanColumns = `id, repo_id, kind, state, phase, time_left, bytes_received, objects, objects_total, blobs, blob_bytes, findings,
	skipped, skipped_why, error, created_at, started_at, ended_at`

func readScan(s scanner) (v magpie.Scan, err error) {
	p := &v.Progress
	var left int64
	err = s.Scan(&v.ID, &v.RepoID, &v.Kind, &v.State, &p.Phase, &left, &p.BytesReceived, &p.Objects, &p.ObjectsTotal, &p.Blobs, &p.BlobBytes,
		&p.Findings, &p.Skipped, &v.SkippedWhy, &v.Error, timeColumn{&v.CreatedAt}, timeColumn{&v.StartedAt}, timeColumn{&v.EndedAt})
	p.Left = time.Duration(left) * time.Microsecond
	return v, err
}

// AddScan stores a new scan; one that is there stays as it is.
func (tx *Tx) AddScan(ctx context.Context, v magpie.Scan) error {
	_, err := tx.exec(ctx, `INSERT INTO scan (id, repo_id, kind, state, phase, time_left, bytes_received, objects, objects_total, blobs,
		blob_bytes, findings, skipped, skipped_why, error, position, created_at, started_at, ended_at)
		VALUES ($1, $2, $3, $4, '', 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', $5, $6, 0) ON CONFLICT (id) DO NOTHING`,
		v.ID, v.RepoID, v.Kind, v.State, micros(v.CreatedAt), micros(v.StartedAt))
	return err
}

// Scan returns a scan.
func (tx *Tx) Scan(ctx context.Context, id magpie.ScanID) (magpie.Scan, error) {
	return readScan(tx.row(ctx, `SELECT `+scanColumns+` FROM scan WHERE id = $1`, id))
}

// UnfinishedScans returns the scans of a repository that are queued or running.
func (tx *Tx) UnfinishedScans(ctx context.Context, repo magpie.RepoID) ([]magpie.Scan, error) {
	return collect(ctx, tx, readScan, `SELECT `+scanColumns+` FROM scan WHERE repo_id = $1 AND ended_at = 0 ORDER BY id`, repo)
}

// StartScan marks a scan as running, unless it has ended, and reports whether it is.
func (tx *Tx) StartScan(ctx context.Context, id magpie.ScanID, at time.Time) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE scan SET state = 'running', started_at = $1 WHERE id = $2 AND ended_at = 0`, micros(at), id)
	return n == 1, err
}

// SetScanProgress stores what a scan has done so far and why its last attempt failed, if it did. It reports false if
// the scan has ended, which tells a running one that it was canceled.
func (tx *Tx) SetScanProgress(ctx context.Context, id magpie.ScanID, p magpie.Progress, lastError string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE scan SET bytes_received = $1, objects = $2, objects_total = $3, blobs = $4, blob_bytes = $5,
		findings = $6, skipped = $7, error = $8, phase = $9, time_left = $10 WHERE id = $11 AND ended_at = 0`,
		p.BytesReceived, p.Objects, p.ObjectsTotal, p.Blobs, p.BlobBytes, p.Findings, p.Skipped, lastError, p.Phase, p.Left.Microseconds(), id)
	return n == 1, err
}

// ScanPosition returns how far a scan in slices has come, as it was stored; empty if it is not one, or at its start.
func (tx *Tx) ScanPosition(ctx context.Context, id magpie.ScanID) (position string, err error) {
	err = tx.row(ctx, `SELECT position FROM scan WHERE id = $1`, id).Scan(&position)
	return position, err
}

// SetScanPosition stores how far a scan in slices has come and what it has done so far. It reports false if the scan has
// ended.
func (tx *Tx) SetScanPosition(ctx context.Context, id magpie.ScanID, position string, p magpie.Progress) (bool, error) {
	open, err := tx.SetScanProgress(ctx, id, p, "")
	if err != nil || !open {
		return false, err
	}
	_, err = tx.exec(ctx, `UPDATE scan SET position = $1 WHERE id = $2`, position, id)
	return err == nil, err
}

// LastHistoryBytes returns how many bytes the last finished history scan of a repository received, 0 if there is none.
func (tx *Tx) LastHistoryBytes(ctx context.Context, repo magpie.RepoID) (n int64, err error) {
	err = tx.row(ctx, `SELECT coalesce((SELECT bytes_received FROM scan WHERE repo_id = $1 AND kind = 'history' AND state = 'finished'
		ORDER BY id DESC LIMIT 1), 0)`, repo).Scan(&n)
	return n, err
}

// EndScan stores how a scan ended, unless it had ended before, and reports whether it did so now.
func (tx *Tx) EndScan(ctx context.Context, v magpie.Scan) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE scan SET state = $1, skipped_why = $2, error = $3, ended_at = $4, phase = '', time_left = 0,
		position = '' WHERE id = $5 AND ended_at = 0`,
		v.State, v.SkippedWhy, v.Error, micros(v.EndedAt), v.ID)
	return n == 1, err
}
