package store

import (
	"context"

	"magpie"
)

// Occurrence is an occurrence with what is needed to show it.
type Occurrence struct {
	magpie.Occurrence
	Repo          string // "KEY/slug"; empty if the repository is no longer in the database
	BrowseURL     string // the repository's page at Bitbucket; empty if unknown
	ExcerptSealed []byte // JSON of a magpie.Excerpt, sealed for "occurrence|excerpt|<id>"
}

// occurrenceColumns are what readOccurrence reads, in its order.
const occurrenceColumns = `o.id, o.incident_id, o.repo_id, o.scan_id, o.file, o.line_start, o.line_end, o.column_start, o.column_end,
	o.decoded_from, o.blob_hash, o.commit_hash, o.author, o.email, o.commit_at, o.found_at, o.presence, o.presence_at, o.excerpt_sealed,
	COALESCE(p.key || '/' || r.slug, ''), COALESCE(r.browse_url, '')`

// occurrenceTables joins what occurrenceColumns names. Occurrences outlive their repository's rows.
const occurrenceTables = `occurrence o LEFT JOIN repo r ON r.id = o.repo_id LEFT JOIN project p ON p.id = r.project_id`

func readOccurrence(s scanner) (v Occurrence, err error) {
	err = s.Scan(&v.ID, &v.IncidentID, &v.RepoID, &v.ScanID, &v.File, &v.LineStart, &v.LineEnd, &v.ColumnStart, &v.ColumnEnd,
		&v.DecodedFrom, &v.Blob, &v.Commit, &v.Author, &v.Email, timeColumn{&v.CommitAt}, timeColumn{&v.FoundAt}, &v.Presence, timeColumn{&v.PresenceAt}, &v.ExcerptSealed,
		&v.Repo, &v.BrowseURL)
	return v, err
}

// AddOccurrence stores where a secret occurs. It reports false and changes nothing if that place is known, except for what
// v says of its presence.
func (tx *Tx) AddOccurrence(ctx context.Context, v magpie.Occurrence, excerptSealed []byte) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO occurrence (id, incident_id, repo_id, scan_id, file, line_start, line_end, column_start,
			column_end, decoded_from, blob_hash, commit_hash, author, email, commit_at, found_at, excerpt_sealed, presence, presence_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (incident_id, repo_id, file, commit_hash, line_start, column_start) DO NOTHING`,
		v.ID, v.IncidentID, v.RepoID, v.ScanID, v.File, v.LineStart, v.LineEnd, v.ColumnStart,
		v.ColumnEnd, v.DecodedFrom, v.Blob, v.Commit, v.Author, v.Email, micros(v.CommitAt), micros(v.FoundAt), excerptSealed, v.Presence, micros(v.PresenceAt))
	if err != nil || n == 1 || v.Presence == magpie.PresenceUnknown {
		return n == 1, err
	}
	_, err = tx.exec(ctx, `UPDATE occurrence SET presence = $1, presence_at = $2
		WHERE incident_id = $3 AND repo_id = $4 AND file = $5 AND commit_hash = $6 AND line_start = $7 AND column_start = $8`,
		v.Presence, micros(v.PresenceAt), v.IncidentID, v.RepoID, v.File, v.Commit, v.LineStart, v.ColumnStart)
	return false, err
}

// OccurrenceKnown reports whether the secret with a fingerprint is known to occur in a repository's file, at whatever
// commit.
func (tx *Tx) OccurrenceKnown(ctx context.Context, fingerprint string, repo magpie.RepoID, file string) (bool, error) {
	ids, err := collect(ctx, tx, scanOne[string], `SELECT o.id FROM incident i JOIN occurrence o ON o.incident_id = i.id
		WHERE i.fingerprint = $1 AND o.repo_id = $2 AND o.file = $3 LIMIT 1`, fingerprint, repo, file)
	return len(ids) > 0, err
}

// OccurrenceOfBlob reports whether the secret with a fingerprint is known to occur in a version of a file in a repository,
// at whatever commit and path.
func (tx *Tx) OccurrenceOfBlob(ctx context.Context, fingerprint string, repo magpie.RepoID, blob magpie.Hash) (bool, error) {
	ids, err := collect(ctx, tx, scanOne[string], `SELECT o.id FROM incident i JOIN occurrence o ON o.incident_id = i.id
		WHERE i.fingerprint = $1 AND o.repo_id = $2 AND o.blob_hash = $3 LIMIT 1`, fingerprint, repo, blob)
	return len(ids) > 0, err
}

// OccurrenceElsewhere reports whether an incident has an occurrence in the same file at the same commit of a repository
// other than repo.
func (tx *Tx) OccurrenceElsewhere(ctx context.Context, incident magpie.IncidentID, repo magpie.RepoID, file string, commit magpie.Hash) (bool, error) {
	ids, err := collect(ctx, tx, scanOne[string], `SELECT id FROM occurrence
		WHERE incident_id = $1 AND repo_id <> $2 AND file = $3 AND commit_hash = $4 LIMIT 1`, incident, repo, file, commit)
	return len(ids) > 0, err
}

// Occurrences returns an incident's occurrences that were found after another one, in the order in which they were
// found; the empty id means from the first.
func (tx *Tx) Occurrences(ctx context.Context, incident magpie.IncidentID, after magpie.OccurrenceID, limit int) ([]Occurrence, error) {
	return collect(ctx, tx, readOccurrence, `SELECT `+occurrenceColumns+` FROM `+occurrenceTables+`
		WHERE o.incident_id = $1 AND o.id > $2 ORDER BY o.id LIMIT $3`, incident, after, limit)
}

// EarliestOccurrence returns the occurrence of an incident with the earliest commit; one without a date comes last.
func (tx *Tx) EarliestOccurrence(ctx context.Context, incident magpie.IncidentID) (Occurrence, error) {
	return readOccurrence(tx.row(ctx, `SELECT `+occurrenceColumns+` FROM `+occurrenceTables+`
		WHERE o.incident_id = $1 ORDER BY CASE WHEN o.commit_at = 0 THEN 1 ELSE 0 END, o.commit_at, o.id LIMIT 1`, incident))
}

// LatestOccurrence returns the occurrence of an incident that was found last.
func (tx *Tx) LatestOccurrence(ctx context.Context, incident magpie.IncidentID) (Occurrence, error) {
	return readOccurrence(tx.row(ctx, `SELECT `+occurrenceColumns+` FROM `+occurrenceTables+`
		WHERE o.incident_id = $1 ORDER BY o.id DESC LIMIT 1`, incident))
}
