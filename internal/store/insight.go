package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"magpie"
)

// InsightReport is the Code Insights report on the source commit of one or more open pull requests into a repository.
type InsightReport struct {
	RepoID      magpie.RepoID // the pull requests' target
	Commit      magpie.Hash
	ViaRepo     magpie.RepoID // the repository and
	ViaRef      string        // ref from which the job that updates it sets out
	Result      string        // "pass" or "fail"; empty until it was sent
	Annotations int64
	PostedAt    time.Time // zero if never
	Digest      string    // of what was sent; empty while it is not known what stands at Bitbucket
}

const insightColumns = `repo_id, commit_hash, via_repo_id, via_ref, result, annotations, posted_at, digest`

func scanInsight(s scanner) (r InsightReport, err error) {
	err = s.Scan(&r.RepoID, &r.Commit, &r.ViaRepo, &r.ViaRef, &r.Result, &r.Annotations, timeColumn{&r.PostedAt}, &r.Digest)
	return r, err
}

// InsightReports returns the reports on commits of pull requests into a repository, by commit.
func (tx *Tx) InsightReports(ctx context.Context, repo magpie.RepoID) ([]InsightReport, error) {
	return collect(ctx, tx, scanInsight, `SELECT `+insightColumns+` FROM insight_report WHERE repo_id = $1 ORDER BY commit_hash`, repo)
}

// InsightReportsVia returns the reports that a job setting out from a repository's ref updates.
func (tx *Tx) InsightReportsVia(ctx context.Context, repo magpie.RepoID, ref string) ([]InsightReport, error) {
	return collect(ctx, tx, scanInsight, `SELECT `+insightColumns+` FROM insight_report
		WHERE via_repo_id = $1 AND via_ref = $2 ORDER BY repo_id, commit_hash`, repo, ref)
}

// ClaimInsight lets the caller alone send a report until the given time, and returns it as it was last sent. It reports
// false if another one has it. What made the report wanted up to now is the caller's to look at.
func (tx *Tx) ClaimInsight(ctx context.Context, r InsightReport, now, until time.Time) (was InsightReport, claimed bool, err error) {
	was, err = scanInsight(tx.row(ctx, `INSERT INTO insight_report (repo_id, commit_hash, result, annotations, posted_at, via_repo_id, via_ref, claimed_until)
		VALUES ($1, $2, '', 0, 0, $3, $4, $6)
		ON CONFLICT (repo_id, commit_hash) DO UPDATE SET
			via_repo_id = excluded.via_repo_id, via_ref = excluded.via_ref, claimed_until = excluded.claimed_until, wanted = FALSE
			WHERE insight_report.claimed_until < $5
		RETURNING `+insightColumns, r.RepoID, r.Commit, r.ViaRepo, r.ViaRef, micros(now), micros(until)))
	if magpie.KindOf(err) == magpie.KindNotFound {
		return InsightReport{}, false, nil
	}
	return was, err == nil, err
}

// BeginInsight notes that a claimed report is about to be sent: until FinishInsight nobody knows what stands there.
func (tx *Tx) BeginInsight(ctx context.Context, repo magpie.RepoID, commit magpie.Hash) error {
	_, err := tx.exec(ctx, `UPDATE insight_report SET digest = '' WHERE repo_id = $1 AND commit_hash = $2`, repo, commit)
	return err
}

// ReleaseInsight ends a claim without a report having been sent.
func (tx *Tx) ReleaseInsight(ctx context.Context, repo magpie.RepoID, commit magpie.Hash) error {
	_, err := tx.exec(ctx, `UPDATE insight_report SET claimed_until = 0 WHERE repo_id = $1 AND commit_hash = $2`, repo, commit)
	return err
}

// FinishInsight ends a claim and stores the report as it was sent, with the incidents that it counted.
func (tx *Tx) FinishInsight(ctx context.Context, r InsightReport, incidents []magpie.IncidentID) error {
	n, err := tx.exec(ctx, `UPDATE insight_report SET result = $3, annotations = $4, posted_at = $5, digest = $6, claimed_until = 0
		WHERE repo_id = $1 AND commit_hash = $2`, r.RepoID, r.Commit, r.Result, r.Annotations, micros(r.PostedAt), r.Digest)
	if err != nil || n == 0 { // the repository was removed meanwhile
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM insight_incident WHERE repo_id = $1 AND commit_hash = $2`, r.RepoID, r.Commit); err != nil {
		return err
	}
	for _, id := range incidents {
		if _, err := tx.exec(ctx, `INSERT INTO insight_incident (repo_id, commit_hash, incident_id) VALUES ($1, $2, $3)
			ON CONFLICT (repo_id, commit_hash, incident_id) DO NOTHING`, r.RepoID, r.Commit, id); err != nil {
			return err
		}
	}
	return nil
}

// DeleteInsight forgets a report whose pull requests are no longer open, unless a job has claimed it.
func (tx *Tx) DeleteInsight(ctx context.Context, repo magpie.RepoID, commit magpie.Hash, now time.Time) error {
	_, err := tx.exec(ctx, `DELETE FROM insight_report WHERE repo_id = $1 AND commit_hash = $2 AND claimed_until < $3`, repo, commit, micros(now))
	return err
}

// WantInsights marks the reports that counted an incident as to be sent anew, and returns those for which that was not
// on its way already.
func (tx *Tx) WantInsights(ctx context.Context, incident magpie.IncidentID) ([]InsightReport, error) {
	return collect(ctx, tx, scanInsight, `UPDATE insight_report SET wanted = TRUE WHERE NOT wanted AND EXISTS (
			SELECT 1 FROM insight_incident x WHERE x.incident_id = $1
				AND x.repo_id = insight_report.repo_id AND x.commit_hash = insight_report.commit_hash)
		RETURNING `+insightColumns, incident)
}

// InsightsWanted reports whether a push to a repository may concern a pull request to report on: its project asks for
// reports, or it is a personal one, where forks live, and another project of the integration does.
func (tx *Tx) InsightsWanted(ctx context.Context, repo magpie.RepoID) (bool, error) {
	ids, err := collect(ctx, tx, scanOne[string], `SELECT r.id FROM repo r JOIN project p ON p.id = r.project_id
		JOIN integration i ON i.id = r.integration_id
		WHERE r.id = $1 AND NOT i.removing AND (p.insights OR p.personal AND EXISTS (
			SELECT 1 FROM project q WHERE q.integration_id = r.integration_id AND q.insights))`, repo)
	return len(ids) > 0, err
}

// InsightRepos returns the monitored repositories with an id above after, in order, whose projects ask for reports and
// that were pushed to at the given time or later.
func (tx *Tx) InsightRepos(ctx context.Context, pushedSince time.Time, after magpie.RepoID, limit int) ([]magpie.Repo, error) {
	return collect(ctx, tx, scanRepo, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		JOIN integration i ON i.id = r.integration_id
		WHERE r.id > $1 AND p.insights AND r.monitored AND r.state = 'available' AND r.last_push_at >= $2 AND NOT i.removing
		ORDER BY r.id LIMIT $3`, after, micros(pushedSince), limit)
}

// ScannedRef is a ref whose present object was scanned.
type ScannedRef struct {
	RepoID magpie.RepoID
	Ref    string
}

// RefsScannedAt returns the refs of repositories that stand at an object which was scanned, by name.
func (tx *Tx) RefsScannedAt(ctx context.Context, repos []magpie.RepoID, hash magpie.Hash) ([]ScannedRef, error) {
	args := []any{hash}
	return collect(ctx, tx, func(s scanner) (r ScannedRef, err error) {
		err = s.Scan(&r.RepoID, &r.Ref)
		return r, err
	}, `SELECT repo_id, ref FROM tip WHERE hash = $1 AND scanned_at > 0 AND repo_id IN (`+list(&args, repos)+`) ORDER BY repo_id, ref`, args...)
}

// ScannedTip returns where a ref was last scanned at, or the zero Hash if it was not, or is gone.
func (tx *Tx) ScannedTip(ctx context.Context, repo magpie.RepoID, ref string) (magpie.Hash, error) {
	hashes, err := collect(ctx, tx, scanOne[magpie.Hash], `SELECT hash FROM tip WHERE repo_id = $1 AND ref = $2 AND scanned_at > 0`, repo, ref)
	if err != nil || len(hashes) == 0 {
		return "", err
	}
	return hashes[0], nil
}

// InsightSecret is an occurrence with what a report needs to know of its incident.
type InsightSecret struct {
	ID          magpie.OccurrenceID
	RepoID      magpie.RepoID
	File        string
	Line        int
	Blob        magpie.Hash
	IncidentID  magpie.IncidentID
	Number      int64
	Title       string
	Severity    magpie.Severity
	Status      magpie.IncidentStatus
	Revoked     bool
	Fingerprint string
}

const insightSecretQuery = `SELECT o.id, o.repo_id, o.file, o.line_start, o.blob_hash, i.id, i.number, i.title, i.severity,
	i.status, i.secret_revoked, i.fingerprint FROM occurrence o JOIN incident i ON i.id = o.incident_id WHERE `

func scanInsightSecret(s scanner) (v InsightSecret, err error) {
	err = s.Scan(&v.ID, &v.RepoID, &v.File, &v.Line, &v.Blob, &v.IncidentID, &v.Number, &v.Title, &v.Severity, &v.Status, &v.Revoked, &v.Fingerprint)
	return v, err
}

// insightBatch is how many blobs or files one statement asks about.
const insightBatch = 200

// SecretsInBlobs returns the occurrences in blobs, in whatever repository, since equal blobs hold equal secrets.
func (tx *Tx) SecretsInBlobs(ctx context.Context, blobs []magpie.Hash) ([]InsightSecret, error) {
	var all []InsightSecret
	for batch := range slices.Chunk(blobs, insightBatch) {
		var args []any
		found, err := collect(ctx, tx, scanInsightSecret, insightSecretQuery+`o.blob_hash IN (`+list(&args, batch)+`) ORDER BY o.id`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// SecretsInFiles returns the occurrences in files of repositories, at whatever commit.
func (tx *Tx) SecretsInFiles(ctx context.Context, repos []magpie.RepoID, files []string) ([]InsightSecret, error) {
	var all []InsightSecret
	for batch := range slices.Chunk(files, insightBatch) {
		var args []any
		found, err := collect(ctx, tx, scanInsightSecret, insightSecretQuery+
			`o.repo_id IN (`+list(&args, repos)+`) AND o.file IN (`+list(&args, batch)+`) ORDER BY o.id`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// SetInsightsError stores why Bitbucket takes no report of a project, empty if it does, and reports whether that changed.
func (tx *Tx) SetInsightsError(ctx context.Context, id magpie.ProjectID, why string) (changed bool, err error) {
	n, err := tx.exec(ctx, `UPDATE project SET insights_error = $2 WHERE id = $1 AND insights_error <> $2`, id, why)
	return n > 0, err
}

// InsightsError returns why Bitbucket takes no report of a project, empty while it does.
func (tx *Tx) InsightsError(ctx context.Context, id magpie.ProjectID) (why string, err error) {
	err = tx.row(ctx, `SELECT insights_error FROM project WHERE id = $1`, id).Scan(&why)
	return why, err
}

// list appends values to the arguments of a statement and returns their placeholders; without values, one that equals
// nothing.
func list[T any](args *[]any, values []T) string {
	if len(values) == 0 {
		return "NULL"
	}
	marks := make([]string, 0, len(values))
	for _, v := range values {
		*args = append(*args, v)
		marks = append(marks, "$"+strconv.Itoa(len(*args)))
	}
	return strings.Join(marks, ", ")
}
