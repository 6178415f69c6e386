package store

import (
	"context"
	"time"

	"magpie"
)

// ScanFilter chooses scans. The zero value chooses all.
type ScanFilter struct {
	Kind  magpie.ScanKind
	State magpie.ScanState
	Repo  magpie.RepoID
}

// ListedScan is a scan with what people call its repository.
type ListedScan struct {
	magpie.Scan
	RepoName  string // "KEY/slug"
	BrowseURL string
	Readable  bool // the repository is monitored and can be read, so that a scan could be started
}

// ScanPage is a part of a list of scans.
type ScanPage struct {
	Scans []ListedScan
	Next  string // the cursor of the next page; empty if this is the last
}

const listedScan = `SELECT s.id, s.repo_id, s.kind, s.state, s.phase, s.time_left, s.bytes_received, s.objects, s.objects_total, s.blobs, s.blob_bytes,
	s.findings, s.skipped, s.skipped_why, s.error, s.created_at, s.started_at, s.ended_at, p.key || '/' || r.slug, r.browse_url,
	r.monitored AND r.state IN ('available', 'archived')
	FROM scan s JOIN repo r ON r.id = s.repo_id JOIN project p ON p.id = r.project_id WHERE `

// ActiveScans returns at most limit scans that run or wait, running ones first, then in the order they were asked for.
func (tx *Tx) ActiveScans(ctx context.Context, limit int) ([]ListedScan, error) {
	return collect(ctx, tx, readListedScan, listedScan+`s.ended_at = 0
		ORDER BY CASE s.state WHEN 'running' THEN 0 ELSE 1 END, s.id LIMIT $1`, limit)
}

// CountActiveScans returns how many scans run and how many wait.
func (tx *Tx) CountActiveScans(ctx context.Context) (running, queued int64, err error) {
	err = tx.row(ctx, `SELECT count(CASE WHEN state = 'running' THEN 1 END), count(CASE WHEN state = 'queued' THEN 1 END)
		FROM scan WHERE ended_at = 0`).Scan(&running, &queued)
	return running, queued, err
}

// EndedScans returns at most limit scans that the filter chooses and that have ended, the last started ones first,
// before the cursor, which is "" or a former page's Next.
func (tx *Tx) EndedScans(ctx context.Context, f ScanFilter, cursor string, limit int) (ScanPage, error) {
	all, err := collect(ctx, tx, readListedScan, listedScan+`s.ended_at > 0 AND ($1 = '' OR s.kind = $1) AND ($2 = '' OR s.state = $2)
		AND ($3 = '' OR s.repo_id = $3) AND ($4 = '' OR s.id < $4) ORDER BY s.id DESC LIMIT $5`,
		f.Kind, f.State, f.Repo, cursor, limit+1)
	if err != nil || len(all) <= limit {
		return ScanPage{Scans: all}, err
	}
	return ScanPage{Scans: all[:limit], Next: string(all[limit-1].ID)}, nil
}

// ListedScan returns one scan with its repository's name.
func (tx *Tx) ListedScan(ctx context.Context, id magpie.ScanID) (ListedScan, error) {
	return readListedScan(tx.row(ctx, listedScan+`s.id = $1`, id))
}

func readListedScan(s scanner) (v ListedScan, err error) {
	p := &v.Progress
	var left int64
	err = s.Scan(&v.ID, &v.RepoID, &v.Kind, &v.State, &p.Phase, &left, &p.BytesReceived, &p.Objects, &p.ObjectsTotal, &p.Blobs, &p.BlobBytes,
		&p.Findings, &p.Skipped, &v.SkippedWhy, &v.Error, timeColumn{&v.CreatedAt}, timeColumn{&v.StartedAt}, timeColumn{&v.EndedAt},
		&v.RepoName, &v.BrowseURL, &v.Readable)
	p.Left = time.Duration(left) * time.Microsecond
	return v, err
}

// AllScans returns at most limit scans that the filter chooses, whatever their state, the last ones asked for first,
// before the cursor, which is "" or a former page's Next.
func (tx *Tx) AllScans(ctx context.Context, f ScanFilter, cursor string, limit int) (ScanPage, error) {
	all, err := collect(ctx, tx, readListedScan, listedScan+`($1 = '' OR s.kind = $1) AND ($2 = '' OR s.state = $2)
		AND ($3 = '' OR s.repo_id = $3) AND ($4 = '' OR s.id < $4) ORDER BY s.id DESC LIMIT $5`,
		f.Kind, f.State, f.Repo, cursor, limit+1)
	if err != nil || len(all) <= limit {
		return ScanPage{Scans: all}, err
	}
	return ScanPage{Scans: all[:limit], Next: string(all[limit-1].ID)}, nil
}
