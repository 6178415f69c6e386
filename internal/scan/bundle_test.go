package scan_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/bitbucketsim"
	"magpie/internal/detect"
	"magpie/internal/guard"
	"magpie/internal/incident"
	"magpie/internal/queue"
	"magpie/internal/rule"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// testRules is one detector of a format that nothing else has, so that tests don't depend on the catalogue.
const testRules = `
vendor: Test
rules:
  - id: test-key
    title: Test key
    category: token
    severity: high
    confidence: high
    description: A key of the tests.
    remediation: None.
    references: ['https://example.com/']
    since: '1.0'
    literals: ['zzkey_']
    pattern: '\b(?P<secret>zzkey_[a-z0-9]{20})\b'
    examples:
      match: ['a = zzkey_<>k3j5h6g7f8d9s0a1q2w3', 'zzkey_<>p0o9i8u7y6t5r4e3w2q1', '"zzkey_<>m1n2b3v4c5x6z7l8k9j0"']
      no_match: ['zzkey_short', 'zzkey-k3j5h6g7f8d9s0a1q2w3']
`

// key makes a value that the test rule finds; equal names make equal values.
func key(name string) string {
	const alphabet = "k3j5h6g7f8d9s0a1q2w4e5r6t7y8u9i0"
	value := []byte("zzkey_")
	state := uint32(2166136261)
	for i := range 20 {
		state = (state ^ uint32(name[i%len(name)]) ^ uint32(i)) * 16777619
		value = append(value, alphabet[state>>27])
	}
	return string(value)
}

// bundle is a scan service with a simulated Bitbucket, and one monitored repository in it.
type bundle struct {
	t           *testing.T
	db          *store.DB
	jobs        *queue.Engine
	sim         *bitbucketsim.Server
	scans       *scan.Service
	incidents   *incident.Service
	simRepo     bitbucketsim.Repo
	repo        magpie.RepoID
	integration magpie.IntegrationID
	token       bitbucketsim.Token
	keys        *seal.Keys
	options     func(*scan.Options) // changes what the service works with; may be nil
	refused     chan magpie.IntegrationID
}

// each runs a test on both databases. history says what stands in the repository before Magpie sees it.
func each(t *testing.T, history []bitbucketsim.Commit, test func(*testing.T, *bundle)) {
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newBundle(t, address(t), history))
		})
	}
}

func newBundle(t *testing.T, address string, history []bitbucketsim.Commit) *bundle {
	t.Helper()
	b := &bundle{t: t}
	b.startBitbucket(history)
	b.startMagpie(address)
	return b
}

// startMagpie opens the database, stores the repository and runs jobs.
func (b *bundle) startMagpie(address string) {
	t := b.t
	t.Helper()
	b.refused = make(chan magpie.IntegrationID, 10)
	b.keys = testKeys(t)
	b.db, b.jobs = storetest.Open(t, address, b.register)
	b.addRepo(b.keys)
	b.start()
}

// register makes the services and adds the workers of their jobs.
func (b *bundle) register(e *queue.Engine, db *store.DB) {
	log := slog.New(slog.DiscardHandler)
	client := httpClient(b.t, b.sim)
	alerts := alert.New(alert.Options{DB: db, PublicURL: "https://magpie.example.com", Log: log})
	b.incidents = incident.New(incident.Options{DB: db, Keys: b.keys, Alerts: alerts, Log: log})
	o := scan.Options{
		DB: db, Keys: b.keys, Engine: testEngine(b.t), Incidents: b.incidents, TempDir: b.t.TempDir(), Log: log,
		GitHTTP:        func(context.Context, magpie.IntegrationID) (*http.Client, error) { return client, nil },
		OnTokenRefused: func(_ context.Context, id magpie.IntegrationID) error { b.refused <- id; return nil },
	}
	if b.options != nil {
		b.options(&o)
	}
	b.scans = scan.New(o)
	alerts.Register(e)
	b.scans.Register(e)
}

func (b *bundle) start() {
	b.t.Helper()
	if err := b.jobs.Start(context.WithoutCancel(b.t.Context())); err != nil {
		b.t.Fatal(err)
	}
}

// restart ends all work where it stands, and goes on with new services on the same database.
func (b *bundle) restart() {
	t := b.t
	t.Helper()
	now, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cancel()
	if err := b.jobs.Stop(now); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b.jobs = queue.New(queue.Options{Database: b.db.Native(), Instance: store.NewID[string](), Log: slog.New(slog.DiscardHandler)})
	b.register(b.jobs, b.db)
	if err := b.jobs.Open(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	jobs := b.jobs
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := jobs.Stop(stop); err != nil {
			t.Error(err)
		}
	})
	b.db.SetEnqueuer(b.jobs)
	b.start()
}

func (b *bundle) startBitbucket(history []bitbucketsim.Commit) {
	var err error
	check := func(step string) {
		if err != nil {
			b.t.Fatalf("%s: %v", step, err)
		}
	}
	b.sim, err = bitbucketsim.New(bitbucketsim.Options{})
	check("starting the simulator")
	b.t.Cleanup(func() {
		if err := b.sim.Close(); err != nil {
			b.t.Error(err)
		}
	})
	bot, err := b.sim.CreateUser(bitbucketsim.User{Name: "magpie-bot", Permission: "SYS_ADMIN"})
	check("creating the bot")
	_, err = b.sim.CreateProject("PRJ", "Project")
	check("creating a project")
	b.simRepo, err = b.sim.CreateRepo("PRJ", "Code")
	check("creating a repository")
	b.token, err = b.sim.CreateToken(bitbucketsim.TokenSpec{User: bot, Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}})
	check("creating a token")
	if len(history) > 0 {
		b.push(bitbucketsim.Push{Commits: history})
	}
}

// addRepo stores the repository as the perimeter stage would after a sync.
func (b *bundle) addRepo(keys *seal.Keys) {
	ctx := b.t.Context()
	b.integration = store.NewID[magpie.IntegrationID]()
	sealed, err := keys.Seal(seal.Credentials, seal.AAD("integration", "token", string(b.integration)), magpie.NewSecret(b.token.Text))
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.db.Write(ctx, func(tx *store.Tx) error {
		err := tx.InsertIntegration(ctx, magpie.Integration{ID: b.integration, Mode: magpie.ModeInstance, BaseURL: b.sim.URL(), State: magpie.IntegrationActive}, sealed)
		if err != nil {
			return err
		}
		project, err := tx.PutProject(ctx, magpie.Project{IntegrationID: b.integration, RemoteID: 1, Key: "PRJ", Name: "Project", Installed: true}, "")
		if err != nil {
			return err
		}
		b.repo = store.NewID[magpie.RepoID]()
		return tx.PutRepo(ctx, magpie.Repo{
			ID: b.repo, IntegrationID: b.integration, ProjectID: project.ID, RemoteID: int64(b.simRepo.ID), ProjectKey: "PRJ", Slug: b.simRepo.Slug,
			Name: "Code", CloneURL: b.sim.CloneURL(b.simRepo.ID), State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled,
			History: magpie.HistoryNone, CreatedAt: time.Now(),
		}, "")
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func testKeys(t *testing.T) *seal.Keys {
	t.Helper()
	master, err := seal.ParseMaster(magpie.NewSecret(strings.Repeat("0e", 32)))
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

func testEngine(t testing.TB) *detect.Engine {
	t.Helper()
	all, err := rule.Parse("test.yaml", []byte(testRules))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func httpClient(t *testing.T, sim *bitbucketsim.Server) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(sim.CACertificate())
	allow, err := guard.ParseAllow("loopback")
	if err != nil {
		t.Fatal(err)
	}
	return guard.New(guard.Options{RootCAs: roots, AllowPrivate: allow}).Client(0)
}

// push writes to the simulated repository and returns what moved, as an event would tell it.
func (b *bundle) push(p bitbucketsim.Push) magpie.Push {
	b.t.Helper()
	p.Repo = b.simRepo.ID
	pushed, err := b.sim.Push(p)
	if err != nil {
		b.t.Fatal(err)
	}
	event := magpie.Push{RemoteRepoID: int64(b.simRepo.ID), RequestID: store.NewID[string](), EventKey: "repo:refs_changed", Actor: "dev"}
	for _, c := range pushed.Changes {
		event.Changes = append(event.Changes, magpie.RefChange{Ref: c.Ref, From: magpie.Hash(c.From), To: magpie.Hash(c.To), Type: magpie.ChangeType(c.Type)})
	}
	return event
}

// commit pushes one commit with the given files.
func (b *bundle) commit(files map[string]string) magpie.Push {
	b.t.Helper()
	return b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{{Files: files}}})
}

func (b *bundle) accept(events ...magpie.Push) {
	b.t.Helper()
	for _, e := range events {
		if err := b.scans.Accept(b.t.Context(), b.repo, e); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bundle) write(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// firstLook begins the watch and waits until it, and the history scan if asked for, is done.
func (b *bundle) firstLook(history bool) {
	b.t.Helper()
	b.write(func(tx *store.Tx) error { return b.scans.FirstLook(b.t.Context(), tx, b.repo, history) })
	b.settle()
}

// settle waits until no job is left to run.
func (b *bundle) settle() {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		n, err := storetest.UnfinishedJobs(b.t.Context(), b.db)
		if err != nil {
			b.t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%d jobs have not ended after 30 s", n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// occurrences returns all that was found, as "masked key name file", sorted. names gives each secret value its name.
func (b *bundle) occurrences() []string {
	b.t.Helper()
	ctx := b.t.Context()
	page, err := store.Query(ctx, b.db, func(tx *store.Tx) (store.IncidentPage, error) {
		return tx.Incidents(ctx, store.IncidentFilter{}, "", "", 100)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, v := range page.Incidents {
		found, err := b.incidents.Occurrences(ctx, v.ID, incident.Page{Limit: 200})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, o := range found {
			all = append(all, fmt.Sprintf("#%d %s:%d %s %s", v.Number, o.File, o.LineStart, v.Status, o.Author))
		}
	}
	slices.Sort(all)
	return all
}

// eventually waits for a condition.
func (b *bundle) eventually(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("never happened: %s", what)
		}
	}
}

// triedAgain returns how many jobs of a kind wait for another attempt.
func (b *bundle) triedAgain(kind string) (n int) {
	b.t.Helper()
	ctx := b.t.Context()
	const query = `SELECT count(*) FROM river_job WHERE state IN ('retryable', 'available') AND attempt > 0 AND kind = `
	err := b.db.Read(ctx, func(tx *store.Tx) error {
		if native, ok := tx.Native().(pgx.Tx); ok {
			return native.QueryRow(ctx, query+"$1", kind).Scan(&n)
		}
		return tx.Native().(*sql.Tx).QueryRowContext(ctx, query+"$1", kind).Scan(&n)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}
