package incident_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/incident"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestOneSecretIsOneIncident(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		later := finding(1, "b.txt", 5)
		out := b.push(later, finding(1, "a.txt", 2), finding(2, "a.txt", 3))
		if want := (incident.Outcome{Opened: 2}); out != want {
			t.Errorf("Record = %+v, want %+v", out, want)
		}
		list := b.incidents()
		if len(list) != 2 {
			t.Fatalf("%d incidents, want 2", len(list))
		}
		got := list[0]
		if got.ID == "" || got.FirstSeenAt.IsZero() || got.FirstSeenAt != got.LastSeenAt {
			t.Errorf("id %q, seen first %v and last %v", got.ID, got.FirstSeenAt, got.LastSeenAt)
		}
		got.ID, got.FirstSeenAt, got.LastSeenAt = "", time.Time{}, time.Time{}
		want := magpie.Incident{
			Number: 1, Rule: "test-key", Title: "Test key", Provider: "Example", Severity: magpie.SeverityHigh, Confidence: magpie.ConfidenceHigh,
			Status: magpie.IncidentTriggered, Masked: secret(1).Masked(), Occurrences: 2, FirstCommitAt: day.AddDate(0, 0, 2),
			FirstRepoID: b.repo.ID, FirstRepo: "KEY/app", FirstFile: "a.txt", FirstAuthor: "Author 2", FirstAuthorEml: "author@example.com",
			Validity: magpie.ValidityNotChecked,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("incident (-want +got):\n%s", diff)
		}
		wantMails := []string{
			"incident.opened robin@example.com", "incident.opened sasha@example.com",
			"incident.opened robin@example.com", "incident.opened sasha@example.com",
		}
		if diff := cmp.Diff(wantMails, b.mails()); diff != "" {
			t.Errorf("outbox (-want +got):\n%s", diff)
		}
	})
}

// TestForkDoesNotReopen finds the commits of a resolved incident again in another repository, and then a new one there.
func TestForkDoesNotReopen(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		known := finding(1, "a.txt", 1)
		b.push(known)
		id := b.incidents()[0].ID
		if err := b.Resolve(t.Context(), b.robin, id, true); err != nil {
			t.Fatal(err)
		}
		fork := b.addRepo("FORK", "copy")
		record := func(f magpie.Finding) (out incident.Outcome) {
			b.write(func(ctx context.Context, tx *store.Tx) (err error) {
				out, err = b.Record(ctx, tx, incident.Source{Repo: fork, Kind: magpie.ScanHistory}, []magpie.Finding{f})
				return err
			})
			return out
		}
		if out := record(known); out != (incident.Outcome{Joined: 1}) || b.incidents()[0].Status != magpie.IncidentResolved {
			t.Errorf("the fork's copy gives %+v and status %s, want it joined and resolved", out, b.incidents()[0].Status)
		}
		if out := record(finding(1, "a.txt", 2)); out != (incident.Outcome{Reopened: 1}) {
			t.Errorf("a new commit in the fork gives %+v, want the incident reopened", out)
		}
	})
}

func TestReplayChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		batch := []magpie.Finding{finding(1, "a.txt", 1), finding(2, "a.txt", 1), finding(1, "b.txt", 2)}
		b.push(batch...)
		before, mails := b.incidents(), b.mails()
		for range 3 {
			slices.Reverse(batch)
			if out := b.push(batch...); out != (incident.Outcome{}) {
				t.Errorf("Record again = %+v, want nothing", out)
			}
		}
		if diff := cmp.Diff(before, b.incidents()); diff != "" {
			t.Errorf("incidents after the replay (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(mails, b.mails()); diff != "" {
			t.Errorf("outbox after the replay (-before +after):\n%s", diff)
		}
		if got := b.events(before[0].ID); !slices.Equal(got, []string{"opened"}) {
			t.Errorf("history %v, want only that it was opened", got)
		}
		// A resolved incident stays so, too.
		if err := b.Resolve(t.Context(), b.robin, before[0].ID, true); err != nil {
			t.Fatal(err)
		}
		b.push(batch...)
		if got := b.incidents()[0].Status; got != magpie.IncidentResolved {
			t.Errorf("a replay makes a resolved incident %s", got)
		}
	})
}

func TestNewOccurrence(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		tests := []struct {
			name    string
			prepare func(magpie.IncidentID) error
			out     incident.Outcome
			status  magpie.IncidentStatus
			event   string
			mails   int // more
		}{
			{
				"of an open incident", func(magpie.IncidentID) error { return nil },
				incident.Outcome{Joined: 1},
				magpie.IncidentTriggered, "occurrence", 0,
			},
			{
				"of an assigned one", func(id magpie.IncidentID) error { return b.Assign(ctx, b.robin, id, b.robin.ID) },
				incident.Outcome{Joined: 1},
				magpie.IncidentAssigned, "occurrence", 0,
			},
			{
				"of a resolved one that was assigned", func(id magpie.IncidentID) error { return b.Resolve(ctx, b.robin, id, true) },
				incident.Outcome{Reopened: 1},
				magpie.IncidentAssigned, "regressed", 2,
			},
			{
				"of a resolved one, again", func(id magpie.IncidentID) error { return b.Resolve(ctx, b.robin, id, false) },
				incident.Outcome{Reopened: 1},
				magpie.IncidentAssigned, "regressed", 2,
			},
			{
				"of an ignored one", func(id magpie.IncidentID) error { return b.Ignore(ctx, b.robin, id, magpie.IgnoreLowRisk) },
				incident.Outcome{Joined: 1},
				magpie.IncidentIgnored, "occurrence", 0,
			},
		}
		b.push(finding(1, "a.txt", 0))
		id := b.only().ID
		for i, tt := range tests {
			if err := tt.prepare(id); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			before := len(b.mails())
			if out := b.push(finding(1, fmt.Sprintf("%d.txt", i), i+1)); out != tt.out {
				t.Errorf("%s: Record = %+v, want %+v", tt.name, out, tt.out)
			}
			v := b.only()
			if v.Status != tt.status || v.Occurrences != int64(i+2) || v.Regressed != (tt.event == "regressed" || v.Status == magpie.IncidentIgnored) {
				t.Errorf("%s: %s, %d occurrences, regressed %t", tt.name, v.Status, v.Occurrences, v.Regressed)
			}
			if v.Status.Open() != v.ClosedAt.IsZero() || v.Status.Open() && v.SecretRevoked {
				t.Errorf("%s: %s, but closed at %v, revoked %t", tt.name, v.Status, v.ClosedAt, v.SecretRevoked)
			}
			events := b.events(id)
			if got := events[len(events)-1]; got != tt.event {
				t.Errorf("%s: history ends with %q, want %q", tt.name, got, tt.event)
			}
			if got := len(b.mails()) - before; got != tt.mails {
				t.Errorf("%s: %d mails, want %d", tt.name, got, tt.mails)
			}
		}
	})
}

func TestLearnsFromLaterFindings(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		vague := finding(1, "new.txt", 9)
		vague.Rule, vague.RuleName, vague.Provider = "generic", "Generic", ""
		vague.Severity, vague.Confidence = magpie.SeverityLow, magpie.ConfidenceLow
		b.push(vague)
		other := b.addRepo("OLD", "lib")
		b.record(other, magpie.ScanHistory, finding(1, "old.txt", 1))
		v := b.only()
		if v.Rule != "test-key" || v.Severity != magpie.SeverityHigh || v.Confidence != magpie.ConfidenceHigh || v.Provider != "Example" {
			t.Errorf("detector %s, %s, %s: want the surer one's", v.Rule, v.Severity, v.Confidence)
		}
		if v.FirstRepo != "OLD/lib" || v.FirstFile != "old.txt" || !v.FirstCommitAt.Equal(day.AddDate(0, 0, 1)) || v.FirstAuthor != "Author 1" {
			t.Errorf("first place %s %s at %v, want the earlier commit's", v.FirstRepo, v.FirstFile, v.FirstCommitAt)
		}
		if v.FromHistory {
			t.Error("an incident that a push found counts as from history")
		}
		// What a person chose no detector changes.
		if err := b.SetSeverity(t.Context(), b.robin, v.ID, magpie.SeverityInfo); err != nil {
			t.Fatal(err)
		}
		sure := finding(1, "sure.txt", 3)
		sure.Rule, sure.Confidence, sure.Severity = "proof", magpie.ConfidenceProven, magpie.SeverityCritical
		b.push(sure)
		if v := b.only(); v.Rule != "proof" || v.Severity != magpie.SeverityInfo {
			t.Errorf("detector %s with severity %s, want the new one with the chosen severity", v.Rule, v.Severity)
		}
	})
}

func TestOddFindings(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		nowhere := finding(1, "", 0) // a blob that no commit holds
		nowhere.Commit, nowhere.Author, nowhere.Email, nowhere.Date = "", "", "", time.Time{}
		broken := finding(1, "a\xff\x00b.txt", 1)
		broken.Author = "Aut\x00hor\xfe"
		for range 2 {
			b.push(nowhere, broken)
		}
		v := b.only()
		if v.Occurrences != 2 || v.FirstFile != "a��b.txt" || v.FirstCommitAt.IsZero() {
			t.Errorf("%d occurrences, first in %q at %v", v.Occurrences, v.FirstFile, v.FirstCommitAt)
		}
		b.write(func(ctx context.Context, tx *store.Tx) error {
			for _, f := range []magpie.Finding{nowhere, broken} {
				if known, err := b.KnownAt(ctx, tx, b.repo.ID, f); err != nil || !known {
					t.Errorf("KnownAt(%q) = %t, %v, want true", f.File, known, err)
				}
			}
			return nil
		})
		if out := b.push(); out != (incident.Outcome{}) {
			t.Errorf("Record of nothing = %+v", out)
		}
	})
}

func TestKnownAt(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		b.push(finding(1, "a.txt", 1))
		tests := []struct {
			name string
			repo magpie.RepoID
			f    magpie.Finding
			want bool
		}{
			{"the same", b.repo.ID, finding(1, "a.txt", 1), true},
			{"at another commit", b.repo.ID, finding(1, "a.txt", 7), true},
			{"in another file", b.repo.ID, finding(1, "b.txt", 1), false},
			{"another secret", b.repo.ID, finding(2, "a.txt", 1), false},
			{"in another repository", "other", finding(1, "a.txt", 1), false},
		}
		for _, tt := range tests {
			b.write(func(ctx context.Context, tx *store.Tx) error {
				got, err := b.KnownAt(ctx, tx, tt.repo, tt.f)
				if got != tt.want {
					t.Errorf("%s: KnownAt = %t, want %t", tt.name, got, tt.want)
				}
				return err
			})
		}
	})
}

func TestConcurrentRecord(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		const repos, secrets = 6, 8
		sources := make([]magpie.Repo, repos)
		for i := range sources {
			sources[i] = b.addRepo("KEY", fmt.Sprint("repo", i))
		}
		ctx := t.Context()
		var wg sync.WaitGroup
		for i := range repos * 2 { // each repository twice
			wg.Go(func() {
				var batch []magpie.Finding
				for n := range secrets {
					batch = append(batch, finding((n+i)%secrets, "a.txt", i%repos)) // in another order each
				}
				err := b.db.Write(ctx, func(tx *store.Tx) error {
					_, err := b.Record(ctx, tx, incident.Source{Repo: sources[i%repos], Kind: magpie.ScanPush}, batch)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		list := b.incidents()
		for i, v := range list {
			if v.Number != int64(i+1) || v.Occurrences != repos {
				t.Errorf("incident %d has number %d and %d occurrences, want %d", i+1, v.Number, v.Occurrences, repos)
			}
		}
		if len(list) != secrets || len(b.mails()) != secrets*2 {
			t.Errorf("%d incidents and %d mails, want %d and %d", len(list), len(b.mails()), secrets, secrets*2)
		}
	})
}

// TestRecordAgainstResolve resolves an incident at the moment at which a new occurrence comes.
func TestRecordAgainstResolve(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		b.push(finding(1, "a.txt", 0))
		id := b.only().ID
		for i := range 10 {
			var wg sync.WaitGroup
			var resolved error
			wg.Go(func() { resolved = b.Resolve(ctx, b.robin, id, true) })
			wg.Go(func() { b.push(finding(1, fmt.Sprint("new", i), i)) })
			wg.Wait()
			if resolved != nil {
				t.Fatal(resolved)
			}
			events := b.events(id)
			v, last := b.only(), events[len(events)-1]
			switch {
			case last == "resolved" && v.Status == magpie.IncidentResolved: // the occurrence came first
				if err := b.Reopen(ctx, b.robin, id); err != nil {
					t.Fatal(err)
				}
			case last == "regressed" && v.Status.Open():
			default:
				t.Fatalf("it is %s after %v", v.Status, events)
			}
			if v := b.only(); v.Occurrences != int64(i+2) {
				t.Fatalf("%d occurrences, want %d", v.Occurrences, i+2)
			}
		}
	})
}

func TestManyAtOnceAreOneMail(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		batch := func(from, n int) (list []magpie.Finding) {
			for i := range n {
				list = append(list, finding(from+i, "a.txt", i))
			}
			return list
		}
		b.push(batch(0, 20)...)
		if got := len(b.mails()); got != 40 {
			t.Errorf("%d mails about 20 incidents, want one each and person", got)
		}
		b.push(batch(100, 21)...)
		if diff := cmp.Diff([]string{"incident.digest robin@example.com", "incident.digest sasha@example.com"}, b.mails()[40:]); diff != "" {
			t.Errorf("mails about 21 incidents (-want +got):\n%s", diff)
		}
	})
}

func TestHandling(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		b.push(finding(1, "a.txt", 1))
		id := b.only().ID
		opened := len(b.mails())
		steps := []struct {
			name string
			do   func() error
			want func(v *magpie.Incident) // what changes
			mail string
		}{
			{
				"assigned", func() error { return b.Assign(ctx, b.robin, id, b.sasha.ID) },
				func(v *magpie.Incident) { v.Status, v.AssigneeID = magpie.IncidentAssigned, b.sasha.ID }, "incident.assigned sasha@example.com",
			},
			{"", func() error { return b.Assign(ctx, b.robin, id, b.sasha.ID) }, func(*magpie.Incident) {}, ""},
			{
				"assigned", func() error { return b.Assign(ctx, b.robin, id, b.robin.ID) },
				func(v *magpie.Incident) { v.AssigneeID = b.robin.ID }, "",
			},
			{
				"assigned", func() error { return b.Assign(ctx, b.robin, id, b.sasha.ID) },
				func(v *magpie.Incident) { v.AssigneeID = b.sasha.ID }, "incident.assigned sasha@example.com",
			},
			{
				"unassigned", func() error { return b.Assign(ctx, b.robin, id, "") },
				func(v *magpie.Incident) { v.Status, v.AssigneeID = magpie.IncidentTriggered, "" }, "",
			},
			{"", func() error { return b.Assign(ctx, b.robin, id, "") }, func(*magpie.Incident) {}, ""},
			{
				"severity", func() error { return b.SetSeverity(ctx, b.robin, id, magpie.SeverityCritical) },
				func(v *magpie.Incident) { v.Severity = magpie.SeverityCritical }, "",
			},
			{
				"resolved", func() error { return b.Resolve(ctx, b.robin, id, true) },
				func(v *magpie.Incident) { v.Status, v.SecretRevoked = magpie.IncidentResolved, true }, "",
			},
			{
				"reopened", func() error { return b.Reopen(ctx, b.robin, id) },
				func(v *magpie.Incident) { v.Status, v.SecretRevoked = magpie.IncidentTriggered, false }, "",
			},
			{
				"ignored", func() error { return b.Ignore(ctx, b.robin, id, magpie.IgnoreTestCredential) },
				func(v *magpie.Incident) {
					v.Status, v.IgnoreReason = magpie.IncidentIgnored, magpie.IgnoreTestCredential
				}, "",
			},
			{
				"reopened", func() error { return b.Reopen(ctx, b.robin, id) },
				func(v *magpie.Incident) { v.Status, v.IgnoreReason = magpie.IncidentTriggered, "" }, "",
			},
		}
		wantEvents, wantMails := []string{"opened"}, []string(nil)
		for i, step := range steps {
			want := b.only()
			step.want(&want)
			if err := step.do(); err != nil {
				t.Fatalf("step %d, %s: %v", i, step.name, err)
			}
			got := b.only()
			if got.Status.Open() != got.ClosedAt.IsZero() {
				t.Errorf("step %d, %s: %s and closed at %v", i, step.name, got.Status, got.ClosedAt)
			}
			got.ClosedAt, want.ClosedAt = time.Time{}, time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("step %d, %s (-want +got):\n%s", i, step.name, diff)
			}
			if step.name != "" {
				wantEvents = append(wantEvents, step.name)
			}
			if step.mail != "" {
				wantMails = append(wantMails, step.mail)
			}
		}
		if diff := cmp.Diff(wantEvents, b.events(id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantMails, b.mails()[opened:]); diff != "" {
			t.Errorf("outbox (-want +got):\n%s", diff)
		}
		var audited []string
		for _, e := range b.audit() {
			if e.ActorID != b.robin.ID || e.Subject != "incident 1" {
				t.Errorf("audit row by %q about %q", e.Actor, e.Subject)
			}
			audited = append(audited, strings.TrimPrefix(e.Action, "incident."))
		}
		slices.Reverse(audited)
		if diff := cmp.Diff(wantEvents[1:], audited); diff != "" {
			t.Errorf("audit (-want +got):\n%s", diff)
		}
	})
}

func (b *bundle) audit() []store.AuditEntry {
	b.t.Helper()
	ctx := context.Background()
	list, err := store.Query(ctx, b.db, func(tx *store.Tx) ([]store.AuditEntry, error) { return tx.AuditEntries(ctx, "", 1000) })
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func TestHandlingRefuses(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		b.push(finding(1, "a.txt", 1))
		id := b.only().ID
		gone := b.addUser("gone", magpie.RoleMember)
		b.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetAccountDisabled(ctx, gone.ID, true) })
		reveal := func(actor magpie.User, id magpie.IncidentID) error {
			_, err := b.Reveal(ctx, actor, id)
			return err
		}
		tests := []struct {
			name string
			err  error
			want magpie.Kind
		}{
			{"reopening an open incident", b.Reopen(ctx, b.robin, id), magpie.KindConflict},
			{"assigning to a disabled account", b.Assign(ctx, b.robin, id, gone.ID), magpie.KindInvalid},
			{"assigning to nobody known", b.Assign(ctx, b.robin, id, "nobody"), magpie.KindInvalid},
			{"ignoring without reason", b.Ignore(ctx, b.robin, id, ""), magpie.KindInvalid},
			{"an unknown severity", b.SetSeverity(ctx, b.robin, id, "awful"), magpie.KindInvalid},
			{"an unknown incident", b.Resolve(ctx, b.robin, "unknown", true), magpie.KindNotFound},
			{"a disabled actor", b.Resolve(ctx, gone, id, true), magpie.KindForbidden},
			{"no actor", b.Resolve(ctx, magpie.User{}, id, true), magpie.KindForbidden},
			{"revealing without actor", reveal(magpie.User{}, id), magpie.KindForbidden},
			{"revealing to a disabled actor", reveal(gone, id), magpie.KindForbidden},
			{"revealing an unknown incident", reveal(b.robin, "unknown"), magpie.KindNotFound},
		}
		for _, tt := range tests {
			if tt.err == nil || magpie.KindOf(tt.err) != tt.want {
				t.Errorf("%s = %v, want an error of kind %q", tt.name, tt.err, tt.want)
			}
		}
		if got := b.events(id); !slices.Equal(got, []string{"opened"}) || len(b.audit()) != 0 {
			t.Errorf("history %v and %d audit rows after nothing but refusals", got, len(b.audit()))
		}
		if err := b.Resolve(ctx, b.robin, id, true); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"resolving a resolved one": b.Resolve(ctx, b.robin, id, true),
			"ignoring a resolved one":  b.Ignore(ctx, b.robin, id, magpie.IgnoreLowRisk),
			"assigning a resolved one": b.Assign(ctx, b.robin, id, b.sasha.ID),
		} {
			if magpie.KindOf(err) != magpie.KindConflict {
				t.Errorf("%s = %v, want a conflict", name, err)
			}
		}
	})
}

func TestRevealIsRecorded(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		b.push(finding(1, "a.txt", 1), finding(2, "a.txt", 1))
		for n, v := range b.incidents() {
			got, err := b.Reveal(t.Context(), b.sasha, v.ID)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Reveal()) != string(secret(n+1).Reveal()) {
				t.Errorf("incident %d reveals another secret", n+1)
			}
			if got := b.events(v.ID); !slices.Equal(got, []string{"opened", "revealed"}) {
				t.Errorf("history %v, want the reveal in it", got)
			}
		}
		if got := b.audit(); len(got) != 2 || got[0].Action != "incident.revealed" || got[0].Actor != "sasha@example.com" {
			t.Errorf("audit %v, want both reveals", got)
		}
	})
}

func TestOccurrencePages(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		var want []string
		for i := range 7 {
			b.push(finding(1, fmt.Sprintf("%d.txt", i), i))
			want = append(want, fmt.Sprintf("%d.txt", i))
		}
		id := b.only().ID
		var got []string
		page := incident.Page{Limit: 3}
		for {
			list, err := b.Occurrences(ctx, id, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range list {
				got = append(got, o.File)
				if o.Excerpt != finding(1, "", 0).Excerpt || o.RepoID != b.repo.ID || o.LineStart != 3 || o.ColumnEnd != 40 {
					t.Errorf("occurrence %+v", o)
				}
			}
			if len(list) < page.Limit {
				break
			}
			page.After = list[len(list)-1].ID
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if list, err := b.Occurrences(ctx, id, incident.Page{}); err != nil || len(list) != 7 {
			t.Errorf("a page without limit has %d occurrences, %v", len(list), err)
		}
	})
}

func TestNothingPlainIsStored(t *testing.T) {
	address := storetest.SQLite(t)
	db, _ := storetest.Open(t, address, register)
	b := newBundle(t, db)
	b.push(finding(1, "a.txt", 1))
	if err := b.Assign(t.Context(), b.robin, b.only().ID, b.sasha.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reveal(t.Context(), b.robin, b.only().ID); err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(address, "sqlite:")
	var all string
	for _, name := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(data)
	}
	if !strings.Contains(all, "KEY/app") {
		t.Fatal("the database file was not read")
	}
	for _, plain := range []string{string(secret(1).Reveal()), "key = "} {
		if strings.Contains(all, plain) {
			t.Errorf("the database holds %q", plain)
		}
	}
}
