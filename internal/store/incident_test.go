package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// fullIncident has every field set, so that a column in the wrong place shows.
func fullIncident() magpie.Incident {
	return magpie.Incident{
		ID: store.NewID[magpie.IncidentID](), Rule: "rule", Title: "title", Provider: "provider", Severity: magpie.SeverityLow,
		Confidence: magpie.ConfidenceMedium, Status: magpie.IncidentIgnored, IgnoreReason: magpie.IgnoreLowRisk, SecretRevoked: true, Regressed: true,
		AssigneeID: "assignee", Masked: "ab••••yz", Occurrences: 7, FirstSeenAt: at, LastSeenAt: at.Add(1e9), FirstCommitAt: at.Add(2e9),
		ClosedAt: at.Add(3e9), FromHistory: true, FirstRepoID: "repo", FirstRepo: "KEY/repo", FirstFile: "file", FirstAuthor: "author", FirstAuthorEml: "mail",
		Validity: magpie.ValidityUnknown, CheckedAt: at.Add(4e9),
	}
}

func addIncident(ctx context.Context, t *testing.T, tx *store.Tx, v magpie.Incident) magpie.Incident {
	t.Helper()
	if err := tx.LockIncidents(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if v.Number, err = tx.NextIncidentNumber(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tx.AddIncident(ctx, v, "fingerprint of "+string(v.ID), []byte{0, 9, 255}); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestIncidentRow(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			want := addIncident(ctx, t, tx, fullIncident())
			check := func(what string, got magpie.Incident, err error) {
				t.Helper()
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%s, %v (-want +got):\n%s", what, err, diff)
				}
			}
			got, err := tx.Incident(ctx, want.ID)
			check("Incident", got, err)
			got, err = tx.LockIncident(ctx, want.ID)
			check("LockIncident", got, err)
			got, err = tx.LockIncidentByFingerprint(ctx, "fingerprint of "+string(want.ID))
			check("LockIncidentByFingerprint", got, err)
			if sealed, err := tx.IncidentSecret(ctx, want.ID); err != nil || string(sealed) != "\x00\x09\xff" {
				t.Errorf("IncidentSecret = %x, %v", sealed, err)
			}

			want.Status, want.IgnoreReason, want.SecretRevoked, want.Regressed, want.AssigneeID = magpie.IncidentTriggered, "", false, false, ""
			want.Occurrences, want.LastSeenAt, want.FirstCommitAt, want.ClosedAt = 9, at.Add(4e9), at.Add(5e9), time.Time{}
			want.FirstRepoID, want.FirstRepo, want.FirstFile, want.FirstAuthor, want.FirstAuthorEml = "r2", "K/r2", "f2", "a2", "m2"
			if err := tx.UpdateIncident(ctx, want); err != nil {
				return err
			}
			got, err = tx.Incident(ctx, want.ID)
			check("after UpdateIncident", got, err)

			want.Rule, want.Title, want.Provider, want.Confidence, want.Severity = "r", "t", "p", magpie.ConfidenceProven, magpie.SeverityCritical
			if err := tx.SetIncidentDetector(ctx, want); err != nil {
				return err
			}
			got, err = tx.Incident(ctx, want.ID)
			check("after SetIncidentDetector", got, err)

			want.Severity = magpie.SeverityInfo
			if err := tx.SetIncidentSeverity(ctx, want.ID, magpie.SeverityInfo); err != nil {
				return err
			}
			other := want
			other.Rule, want.Rule, other.Severity = "r3", "r3", magpie.SeverityHigh
			if err := tx.SetIncidentDetector(ctx, other); err != nil {
				return err
			}
			got, err = tx.Incident(ctx, want.ID)
			check("after a person chose the severity", got, err)
			want.Validity, want.CheckedAt = magpie.ValidityValid, at.Add(5e9)
			if err := tx.SetIncidentValidity(ctx, want.ID, want.Validity, want.CheckedAt); err != nil {
				return err
			}
			got, err = tx.Incident(ctx, want.ID)
			check("after SetIncidentValidity", got, err)
			return nil
		})
	})
}

func TestOccurrenceRow(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			v := addIncident(ctx, t, tx, fullIncident())
			want := magpie.Occurrence{
				ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: "repo", ScanID: "scan", File: "dir/file ü", LineStart: 1, LineEnd: 2,
				ColumnStart: 3, ColumnEnd: 4, DecodedFrom: "base64", Blob: "b10b", Commit: "c0", Author: "author", Email: "mail", CommitAt: at, FoundAt: at.Add(1e9),
			}
			add := func(o magpie.Occurrence, wantNew bool) {
				t.Helper()
				o.ID = store.NewID[magpie.OccurrenceID]()
				if added, err := tx.AddOccurrence(ctx, o, []byte("x")); err != nil || added != wantNew {
					t.Errorf("AddOccurrence(%+v) = %t, %v, want %t", o, added, err, wantNew)
				}
			}
			if added, err := tx.AddOccurrence(ctx, want, []byte("sealed")); err != nil || !added {
				t.Errorf("AddOccurrence = %t, %v, want true", added, err)
			}
			add(want, false)
			for _, change := range []func(*magpie.Occurrence){
				func(o *magpie.Occurrence) { o.RepoID = "other" },
				func(o *magpie.Occurrence) { o.File = "other" },
				func(o *magpie.Occurrence) { o.Commit, o.CommitAt = "other", at.Add(-1e9) },
				func(o *magpie.Occurrence) { o.LineStart, o.CommitAt = 99, time.Time{} },
				func(o *magpie.Occurrence) { o.ColumnStart = 99 },
			} {
				o := want
				change(&o)
				add(o, true)
				add(o, false)
			}
			list, err := tx.Occurrences(ctx, v.ID, "", 100)
			if err != nil || len(list) != 6 {
				t.Fatalf("%d occurrences, %v, want 6", len(list), err)
			}
			if diff := cmp.Diff(store.Occurrence{Occurrence: want, ExcerptSealed: []byte("sealed")}, list[0]); diff != "" {
				t.Errorf("occurrence (-want +got):\n%s", diff)
			}
			if next, err := tx.Occurrences(ctx, v.ID, list[3].ID, 1); err != nil || len(next) != 1 || next[0].ID != list[4].ID {
				t.Errorf("the page after the fourth = %v, %v, want the fifth", next, err)
			}
			if first, err := tx.EarliestOccurrence(ctx, v.ID); err != nil || first.Commit != "other" {
				t.Errorf("EarliestOccurrence is at commit %q, %v, want the earliest date", first.Commit, err)
			}
			if last, err := tx.LatestOccurrence(ctx, v.ID); err != nil || last.ID != list[5].ID {
				t.Errorf("LatestOccurrence = %v, %v, want the last found", last.ID, err)
			}
			return nil
		})
	})
}

func TestAlertRow(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			want := store.Alert{
				ID: store.NewID[magpie.AlertID](), DedupeKey: "key", Channel: store.AlertByMail, Kind: "kind", Subject: "subject", UserID: "user", Recipient: "a@example.com",
				State: store.AlertWaiting, Error: "why", CreatedAt: at,
			}
			twin := want
			twin.ID = store.NewID[magpie.AlertID]()
			for i, a := range []store.Alert{want, twin} {
				if added, err := tx.AddAlert(ctx, a); err != nil || added != (i == 0) {
					t.Errorf("AddAlert number %d = %t, %v", i+1, added, err)
				}
			}
			if list, err := tx.AlertsToSend(ctx, "", 10); err != nil || !cmp.Equal(list, []store.Alert{want}) {
				t.Errorf("AlertsToSend = %+v, %v", list, err)
			}
			if list, err := tx.AlertsToSend(ctx, want.ID, 10); err != nil || len(list) != 0 {
				t.Errorf("AlertsToSend after the last = %+v, %v", list, err)
			}
			for i, wantChanged := range []bool{true, false} {
				if changed, err := tx.SettleAlert(ctx, want.ID, store.AlertSent, "", at.Add(1e9)); err != nil || changed != wantChanged {
					t.Errorf("SettleAlert number %d = %t, %v, want %t", i+1, changed, err, wantChanged)
				}
			}
			want.State, want.Error, want.SentAt = store.AlertSent, "", at.Add(1e9)
			if list, err := tx.AlertsAbout(ctx, "subject"); err != nil || !cmp.Equal(list, []store.Alert{want}) {
				t.Errorf("AlertsAbout = %+v, %v, want %+v", list, err, want)
			}
			if list, err := tx.AlertsToSend(ctx, "", 10); err != nil || len(list) != 0 {
				t.Errorf("AlertsToSend after it was sent = %+v, %v", list, err)
			}
			low, high := fullIncident(), fullIncident()
			high.Severity = magpie.SeverityHigh
			low, high = addIncident(ctx, t, tx, low), addIncident(ctx, t, tx, high)
			for _, id := range []magpie.IncidentID{low.ID, high.ID, low.ID} {
				if err := tx.AddToDigest(ctx, "digest", id); err != nil {
					return err
				}
			}
			if n, list, err := tx.DigestIncidents(ctx, "digest", 1); err != nil || n != 2 || !cmp.Equal(list, []magpie.Incident{high}) {
				t.Errorf("DigestIncidents = %d, %+v, %v, want 2 and the worst", n, list, err)
			}
			return nil
		})
	})
}
