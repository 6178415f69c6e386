package store

import (
	"context"
	"time"

	"magpie"
)

// Tip is a ref's object up to which a repository has been looked at.
type Tip struct {
	magpie.Tip
	ScannedAt time.Time // zero for a baseline, which was taken but not itself scanned
}

// Tips returns where a repository has been looked at, the newest first.
func (tx *Tx) Tips(ctx context.Context, repo magpie.RepoID) ([]Tip, error) {
	return collect(ctx, tx, func(s scanner) (t Tip, err error) {
		err = s.Scan(&t.Ref, &t.Hash, timeColumn{&t.ScannedAt})
		return t, err
	}, `SELECT ref, hash, scanned_at FROM tip WHERE repo_id = $1 ORDER BY scanned_at DESC, ref`, repo)
}

// PutTip records up to where a ref has been looked at; a zero time marks a baseline.
func (tx *Tx) PutTip(ctx context.Context, repo magpie.RepoID, tip magpie.Tip, scannedAt time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO tip (repo_id, ref, hash, scanned_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repo_id, ref) DO UPDATE SET hash = excluded.hash, scanned_at = excluded.scanned_at`,
		repo, tip.Ref, tip.Hash, micros(scannedAt))
	return err
}

// DeleteTip forgets a ref that is gone.
func (tx *Tx) DeleteTip(ctx context.Context, repo magpie.RepoID, ref string) error {
	_, err := tx.exec(ctx, `DELETE FROM tip WHERE repo_id = $1 AND ref = $2`, repo, ref)
	return err
}

// BaselineTaken reports whether a repository's first tips were taken, so that a push can be compared with them. It may
// have none, being empty.
func (tx *Tx) BaselineTaken(ctx context.Context, repo magpie.RepoID) (bool, error) {
	var at int64
	err := tx.row(ctx, `SELECT baseline_at FROM repo WHERE id = $1`, repo).Scan(&at)
	return at != 0, err
}

// BaselineAt returns when a repository's first tips were taken, the zero time if they were not.
func (tx *Tx) BaselineAt(ctx context.Context, repo magpie.RepoID) (at time.Time, err error) {
	err = tx.row(ctx, `SELECT baseline_at FROM repo WHERE id = $1`, repo).Scan(timeColumn{&at})
	return at, err
}

// SetBaselineTaken records when a repository's first tips were taken.
func (tx *Tx) SetBaselineTaken(ctx context.Context, repo magpie.RepoID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE repo SET baseline_at = $1 WHERE id = $2`, micros(at), repo)
	return err
}
