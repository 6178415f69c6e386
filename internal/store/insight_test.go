package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestOneJobAtATimeSendsAReport(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		_, r := sampleRepo(t, db)
		want := store.InsightReport{RepoID: r.ID, Commit: "c0", ViaRepo: r.ID, ViaRef: "refs/heads/topic"}
		now, later := perimeterTime, perimeterTime.Add(time.Minute)
		claim := func(at time.Time) (was store.InsightReport, claimed bool) {
			write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				was, claimed, err = tx.ClaimInsight(ctx, want, at, at.Add(time.Minute))
				return err
			})
			return was, claimed
		}
		if was, ok := claim(now); !ok || was.Digest != "" || was.Result != "" {
			t.Errorf("first claim: %+v, %v", was, ok)
		}
		if _, ok := claim(now); ok {
			t.Error("two jobs have one report")
		}
		if _, ok := claim(later.Add(time.Second)); !ok {
			t.Error("a claim that ran out keeps the report")
		}
		sent := want
		sent.Result, sent.Annotations, sent.PostedAt, sent.Digest = "fail", 2, later, "d"
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.BeginInsight(ctx, r.ID, "c0"); err != nil {
				return err
			}
			return tx.FinishInsight(ctx, sent, []magpie.IncidentID{"i1", "i2", "i1"})
		})
		if was, ok := claim(later); !ok || cmp.Diff(sent, was) != "" {
			t.Errorf("claim of a finished report: %v (-want +got)\n%s", ok, cmp.Diff(sent, was))
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.DeleteInsight(ctx, r.ID, "c0", later); err != nil {
				return err
			}
			list, err := tx.InsightReportsVia(ctx, r.ID, "refs/heads/topic")
			if err != nil || len(list) != 1 {
				t.Errorf("a claimed report was forgotten: %v, %v", list, err)
			}
			if err := tx.ReleaseInsight(ctx, r.ID, "c0"); err != nil {
				return err
			}
			if err := tx.DeleteInsight(ctx, r.ID, "c0", later); err != nil {
				return err
			}
			list, err = tx.InsightReports(ctx, r.ID)
			if err != nil || len(list) != 0 {
				t.Errorf("a report that was forgotten: %v, %v", list, err)
			}
			return nil
		})
	})
}

func TestAReportIsWantedOnceWhenItsIncidentChanges(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		_, r := sampleRepo(t, db)
		report := store.InsightReport{RepoID: r.ID, Commit: "c0", ViaRepo: r.ID, ViaRef: "refs/heads/topic", Result: "fail", Digest: "d", PostedAt: perimeterTime}
		wanted := func(id magpie.IncidentID) (list []store.InsightReport) {
			write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				list, err = tx.WantInsights(ctx, id)
				return err
			})
			return list
		}
		claim := func() {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				_, _, err := tx.ClaimInsight(ctx, report, perimeterTime, perimeterTime.Add(time.Minute))
				return err
			})
		}
		claim()
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishInsight(ctx, report, []magpie.IncidentID{"i1"})
		})
		if got := wanted("i2"); len(got) != 0 {
			t.Errorf("an incident that it did not count: %v", got)
		}
		if diff := cmp.Diff([]store.InsightReport{report}, wanted("i1")); diff != "" {
			t.Errorf("first change (-want +got):\n%s", diff)
		}
		if got := wanted("i1"); len(got) != 0 {
			t.Errorf("second change before the job looked: %v", got)
		}
		claim()
		if got := wanted("i1"); len(got) != 1 {
			t.Errorf("a change after the job looked: %v", got)
		}
	})
}

func TestInsightsAreWantedWhereAProjectAsksForThem(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		i, r := sampleRepo(t, db)
		var fork magpie.Repo
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			p, err := tx.PutProject(ctx, magpie.Project{IntegrationID: i.ID, RemoteID: 4, Key: "~dev", Name: "Dev", Personal: true, Installed: true}, "s1")
			if err != nil {
				return err
			}
			fork = r
			fork.ID, fork.ProjectID, fork.RemoteID, fork.Slug = store.NewID[magpie.RepoID](), p.ID, 8, "fork"
			return tx.PutRepo(ctx, fork, "s1")
		})
		check := func(repo magpie.RepoID, want bool) {
			t.Helper()
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.InsightsWanted(ctx, repo)
				if got != want {
					t.Errorf("wanted: %v, want %v", got, want)
				}
				return err
			})
		}
		check(r.ID, false)
		check(fork.ID, false)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetRepoPushed(ctx, r.ID, perimeterTime); err != nil {
				return err
			}
			return storetest.Exec(ctx, tx, fmt.Sprintf("UPDATE project SET insights = TRUE WHERE id = '%s'", r.ProjectID))
		})
		check(r.ID, true)
		check(fork.ID, true)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			list, err := tx.InsightRepos(ctx, perimeterTime, "", 10)
			if err != nil || len(list) != 1 || list[0].ID != r.ID {
				t.Errorf("repositories pushed to: %v, %v", list, err)
			}
			list, err = tx.InsightRepos(ctx, perimeterTime.Add(time.Second), "", 10)
			if err != nil || len(list) != 0 {
				t.Errorf("repositories pushed to later: %v, %v", list, err)
			}
			for _, step := range []struct {
				why     string
				changed bool
			}{{"refused", true}, {"refused", false}, {"", true}} {
				if changed, err := tx.SetInsightsError(ctx, r.ProjectID, step.why); err != nil || changed != step.changed {
					t.Errorf("error %q changed: %v, %v", step.why, changed, err)
				}
			}
			why, err := tx.InsightsError(ctx, r.ProjectID)
			if why != "" {
				t.Errorf("error %q, want none", why)
			}
			return err
		})
	})
}

func TestSecretsAreFoundByBlobAndByFile(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		_, r := sampleRepo(t, db)
		var blobs []magpie.Hash
		var files []string
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			v := magpie.Incident{ID: "i1", Number: 1, Title: "Test key", Severity: magpie.SeverityHigh, Status: magpie.IncidentTriggered}
			if err := tx.AddIncident(ctx, v, "print", []byte{1}); err != nil {
				return err
			}
			for n := range 450 { // more than one statement takes
				blobs, files = append(blobs, magpie.Hash(fmt.Sprintf("%040x", n))), append(files, fmt.Sprintf("file-%d", n))
				o := magpie.Occurrence{ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: r.ID, File: files[n], LineStart: n, Blob: blobs[n]}
				if _, err := tx.AddOccurrence(ctx, o, []byte{1}); err != nil {
					return err
				}
			}
			return tx.PutTip(ctx, r.ID, magpie.Tip{Ref: "refs/heads/topic", Hash: "c0"}, perimeterTime)
		})
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			byBlob, err := tx.SecretsInBlobs(ctx, blobs)
			if err != nil || len(byBlob) != 450 || byBlob[7].Line != 7 || byBlob[7].Fingerprint != "print" || byBlob[7].Number != 1 {
				t.Errorf("by blob: %d, %v", len(byBlob), err)
			}
			byFile, err := tx.SecretsInFiles(ctx, []magpie.RepoID{"other", r.ID}, files[:300])
			if err != nil || len(byFile) != 300 {
				t.Errorf("by file: %d, %v", len(byFile), err)
			}
			byFile, err = tx.SecretsInFiles(ctx, []magpie.RepoID{"other"}, files)
			if err != nil || len(byFile) != 0 {
				t.Errorf("in another repository: %d, %v", len(byFile), err)
			}
			refs, err := tx.RefsScannedAt(ctx, []magpie.RepoID{r.ID}, "c0")
			if diff := cmp.Diff([]store.ScannedRef{{RepoID: r.ID, Ref: "refs/heads/topic"}}, refs); err != nil || diff != "" {
				t.Errorf("refs (%v, -want +got):\n%s", err, diff)
			}
			tip, err := tx.ScannedTip(ctx, r.ID, "refs/heads/topic")
			if err != nil || tip != "c0" {
				t.Errorf("tip %q, %v", tip, err)
			}
			tip, err = tx.ScannedTip(ctx, r.ID, "refs/heads/none")
			if err != nil || tip != "" {
				t.Errorf("tip of no ref %q, %v", tip, err)
			}
			return nil
		})
	})
}
