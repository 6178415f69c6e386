package insight

import (
	"context"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// report brings the report of one target up to date. Only one job at a time does so for one report, from looking at what
// stands there to the end of sending it: annotations are added, not replaced, and what was seen earlier must not
// overwrite what was seen later.
func (s *Service) report(ctx context.Context, v view, t target) (err error) {
	now := s.opts.Now()
	var was store.InsightReport
	var claimed bool
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		was, claimed, err = tx.ClaimInsight(ctx, t.report, now, now.Add(claimFor))
		return err
	})
	if err != nil {
		return err
	}
	if !claimed {
		return magpie.Errorf(magpie.KindRateLimited, "another job reports on %s", t.report.Commit.Short())
	}
	sent := false
	defer func() {
		if sent {
			return
		}
		release := context.WithoutCancel(ctx)
		releaseErr := s.opts.DB.Write(release, func(tx *store.Tx) error {
			return tx.ReleaseInsight(release, t.report.RepoID, t.report.Commit)
		})
		if err == nil {
			err = releaseErr
		}
	}()
	found, err := s.collect(ctx, v, t)
	if err != nil {
		return err
	}
	d := s.compose(t, v.repo.History == magpie.HistoryDone, found)
	digest, err := d.digest()
	if err != nil || digest == was.Digest {
		return err
	}
	if err := s.send(ctx, v.client, t, was, d); err != nil {
		return err
	}
	sent = true
	return s.finish(ctx, t, d, digest, found)
}

// send puts a report with its annotations where the former one stands. Until it is known to stand there as a whole, its
// row says that nobody knows what does.
func (s *Service) send(ctx context.Context, client *bitbucket.Client, t target, was store.InsightReport, d document) error {
	key, slug, commit := t.repo.ProjectKey, t.repo.Slug, t.report.Commit
	err := s.opts.DB.Write(ctx, func(tx *store.Tx) error { return tx.BeginInsight(ctx, t.report.RepoID, commit) })
	if err != nil {
		return err
	}
	err = client.PutReport(ctx, key, slug, commit, s.key, d.Report)
	if magpie.KindOf(err) == magpie.KindForbidden {
		// Only who made a report may replace it, which was the user of an earlier token; who administers the repository may
		// delete it.
		if client.DeleteReport(ctx, key, slug, commit, s.key) == nil {
			err = client.PutReport(ctx, key, slug, commit, s.key, d.Report)
		}
	}
	if err != nil {
		return err
	}
	if was.Digest == "" || was.Annotations > 0 {
		if err := client.DeleteAnnotations(ctx, key, slug, commit, s.key); err != nil {
			return err
		}
	}
	return client.AddAnnotations(ctx, key, slug, commit, s.key, d.Annotations)
}

// finish stores a report as it was sent.
func (s *Service) finish(ctx context.Context, t target, d document, digest string, found survey) error {
	r := t.report
	r.Annotations, r.PostedAt, r.Digest = int64(len(d.Annotations)), s.opts.Now(), digest
	if r.Result = "pass"; d.Report.Result == bitbucket.ReportFail {
		r.Result = "fail"
	}
	var ids []magpie.IncidentID
	for _, v := range found.found {
		ids = append(ids, v.IncidentID)
	}
	s.opts.Log.Info("reported on a pull request", "repo", t.repo.FullName(), "commit", r.Commit.Short(), "result", r.Result, "annotations", r.Annotations)
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := accepted(ctx, tx, t.project); err != nil {
			return err
		}
		return tx.FinishInsight(ctx, r, ids)
	})
}
