package incident_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/incident"
	"magpie/internal/mail"
	"magpie/internal/queue"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// noMail is a mail server that is there but takes nothing; the tests look at the outbox, no job runs.
type noMail struct{}

func (noMail) Send(context.Context, mail.Message) error {
	return magpie.Errorf(magpie.KindUnavailable, "closed")
}

// bundle is a workspace with two people and a repository.
type bundle struct {
	*incident.Service
	t            testing.TB
	db           *store.DB
	robin, sasha magpie.User
	repo         magpie.Repo
}

func each(t *testing.T, test func(t *testing.T, b *bundle)) {
	t.Helper()
	storetest.Each(t, register, func(t *testing.T, db *store.DB, _ *queue.Engine) { test(t, newBundle(t, db)) })
}

func register(e *queue.Engine, db *store.DB) { newAlerts(db).Register(e) }

func newAlerts(db *store.DB) *alert.Service {
	return alert.New(alert.Options{DB: db, Mail: noMail{}, PublicURL: "https://magpie.example.com"})
}

func newKeys(t testing.TB) *seal.Keys {
	t.Helper()
	master, err := seal.ParseMaster(magpie.NewSecret(strings.Repeat("0f", 32)))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := master.NewDataKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := master.Open(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newBundle(t testing.TB, db *store.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, db: db}
	b.Service = incident.New(incident.Options{DB: db, Keys: newKeys(t), Alerts: newAlerts(db), Log: slog.New(slog.DiscardHandler)})
	b.robin = b.addUser("robin", magpie.RoleOwner)
	b.sasha = b.addUser("sasha", magpie.RoleMember)
	b.repo = b.addRepo("KEY", "app")
	return b
}

func (b *bundle) write(fn func(context.Context, *store.Tx) error) {
	b.t.Helper()
	ctx := context.Background()
	if err := b.db.Write(ctx, func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) addUser(name string, role magpie.Role) magpie.User {
	b.t.Helper()
	u := magpie.User{ID: store.NewID[magpie.UserID](), Email: name + "@example.com", Name: name, Role: role, CreatedAt: time.Now()}
	b.write(func(ctx context.Context, tx *store.Tx) error { return tx.AddAccount(ctx, u, "no hash") })
	return u
}

func (b *bundle) addRepo(key, slug string) magpie.Repo {
	b.t.Helper()
	return magpie.Repo{ID: store.NewID[magpie.RepoID](), ProjectKey: key, Slug: slug}
}

// secret returns a made-up value.
func secret(n int) magpie.Secret {
	return magpie.NewSecret(fmt.Sprintf("made-up-%06d-%s", n, strings.Repeat("z", 20)))
}

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// finding returns the n-th secret at a file of the c-th commit, which was made c days into the year.
func finding(n int, file string, c int) magpie.Finding {
	return magpie.Finding{
		Rule: "test-key", RuleName: "Test key", Provider: "Example", Severity: magpie.SeverityHigh, Confidence: magpie.ConfidenceHigh,
		Secret: secret(n), File: file, LineStart: 3, LineEnd: 3, ColumnStart: 9, ColumnEnd: 40,
		Blob: magpie.Hash(fmt.Sprintf("%040x", n+1)), Commit: magpie.Hash(fmt.Sprintf("%040x", c+1)),
		Author: fmt.Sprintf("Author %d", c), Email: "author@example.com", Date: day.AddDate(0, 0, c),
		Excerpt: magpie.Excerpt{FirstLine: 1, Text: "one\ntwo\nkey = ••••••••\n"},
	}
}

func (b *bundle) record(repo magpie.Repo, kind magpie.ScanKind, findings ...magpie.Finding) incident.Outcome {
	b.t.Helper()
	var out incident.Outcome
	b.write(func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = b.Record(ctx, tx, incident.Source{Repo: repo, ScanID: store.NewID[magpie.ScanID](), Kind: kind}, findings)
		return err
	})
	return out
}

// push records findings as a push to the bundle's repository does.
func (b *bundle) push(findings ...magpie.Finding) incident.Outcome {
	b.t.Helper()
	return b.record(b.repo, magpie.ScanPush, findings...)
}

// incidents returns all incidents by number.
func (b *bundle) incidents() []magpie.Incident {
	b.t.Helper()
	ctx := context.Background()
	list, err := store.Query(ctx, b.db, func(tx *store.Tx) ([]magpie.Incident, error) {
		page, err := tx.Incidents(ctx, store.IncidentFilter{}, store.IncidentOldest, "", 10000)
		return page.Incidents, err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// only returns the one incident there is.
func (b *bundle) only() magpie.Incident {
	b.t.Helper()
	list := b.incidents()
	if len(list) != 1 {
		b.t.Fatalf("%d incidents, want 1", len(list))
	}
	return list[0]
}

func (b *bundle) events(id magpie.IncidentID) []string {
	b.t.Helper()
	list, err := b.Timeline(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	var actions []string
	for _, e := range list {
		actions = append(actions, e.Action)
	}
	return actions
}

// mails returns the outbox as "kind recipient" lines.
func (b *bundle) mails() []string {
	b.t.Helper()
	ctx := context.Background()
	list, err := store.Query(ctx, b.db, func(tx *store.Tx) ([]store.Alert, error) { return tx.AlertsToSend(ctx, "", 10000) })
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for _, a := range list {
		lines = append(lines, a.Kind+" "+a.Recipient)
	}
	return lines
}
