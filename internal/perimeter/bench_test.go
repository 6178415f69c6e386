package perimeter

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/guard"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

const publicURL = "https://magpie.example"

var owner = magpie.User{ID: "owner", Email: "owner@example.com", Role: magpie.RoleOwner}

// bench is a service with its jobs running, on a database of its own, and a simulated Bitbucket with two projects, a
// personal one, and five repositories.
type bench struct {
	*testing.T
	*Service
	ctx     context.Context
	db      *store.DB
	address string
	sim     *bitbucketsim.Server
	token   bitbucketsim.Token // of a system administrator
	looks   *looks
	clock   *clock
	died    chan magpie.IntegrationID // OnTokenInvalid
}

// looks notes what the scan stage is asked for.
type looks struct {
	mu       sync.Mutex
	first    []magpie.RepoID
	again    []magpie.RepoID
	compared []magpie.RepoID
	behind   map[magpie.RepoID]bool                             // what Compare says
	ask      func(magpie.RepoID) (scan.Comparison, error, bool) // what Compare says instead, if it says true
}

func (l *looks) Compare(_ context.Context, id magpie.RepoID) (scan.Comparison, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compared = append(l.compared, id)
	if l.ask != nil {
		if v, err, ok := l.ask(id); ok {
			return v, err
		}
	}
	return scan.Comparison{Current: !l.behind[id]}, nil
}

func (l *looks) Look(ctx context.Context, tx *store.Tx, id magpie.RepoID, sweep string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = append(l.again, id)
	return tx.CountLook(ctx, sweep, true, false)
}

func (l *looks) FirstLook(_ context.Context, _ *store.Tx, id magpie.RepoID, _ bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = append(l.first, id)
	return nil
}

func (l *looks) RequestHistory(context.Context, *store.Tx, magpie.RepoID) (magpie.ScanID, error) {
	return "scan", nil
}

func (l *looks) firsts() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.first) }

func (l *looks) comparisons() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.compared) }

func (l *looks) agains() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.again) }

// clock is the time plus what a test added.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return time.Now().Add(c.ahead) }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.ahead += d }

// each runs test on both databases.
func each(t *testing.T, opt bitbucketsim.Options, test func(b *bench)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, opt, address(t))
			b.run()
			test(b)
		})
	}
}

// onSQLite runs test on SQLite alone, where no statement is special to it.
func onSQLite(t *testing.T, opt bitbucketsim.Options, test func(b *bench)) {
	t.Helper()
	b := start(t, opt, storetest.SQLite(t))
	b.run()
	test(b)
}

// start makes a bench whose jobs do not run yet.
func start(t *testing.T, opt bitbucketsim.Options, address string) *bench {
	t.Helper()
	b := &bench{
		T: t, ctx: t.Context(), address: address, sim: must(bitbucketsim.New(opt)), looks: &looks{}, clock: &clock{},
		died: make(chan magpie.IntegrationID, 100),
	}
	t.Cleanup(func() { _ = b.sim.Close() })
	must(b.sim.CreateUser(bitbucketsim.User{Name: "magpie", Permission: "SYS_ADMIN"}))
	must(b.sim.CreateUser(bitbucketsim.User{Name: "dev"}))
	for _, key := range []string{"ALPHA", "BETA"} {
		must(b.sim.CreateProject(key, "Project "+key))
		for _, name := range []string{"One", "Two"} {
			must(b.sim.CreateRepo(key, name))
		}
	}
	must(b.sim.CreatePersonalProject("dev"))
	must(b.sim.CreateRepo("~dev", "Notes"))
	b.token = b.newToken("magpie")
	return b
}

func (b *bench) newToken(user string) bitbucketsim.Token {
	return must(b.sim.CreateToken(bitbucketsim.TokenSpec{User: user, Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}}))
}

// run opens the database and runs the jobs until the test ends.
func (b *bench) run() *queue.Engine {
	b.Helper()
	keys := testKeys(b.T)
	db, jobs := storetest.Open(b.T, b.address, func(e *queue.Engine, db *store.DB) {
		b.Service = New(b.options(db, keys))
		b.Service.Register(e)
	})
	b.db = db
	if err := jobs.Start(b.ctx); err != nil {
		b.Fatal(err)
	}
	return jobs
}

func (b *bench) options(db *store.DB, keys *seal.Keys) Options {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.sim.CACertificate())
	return Options{
		DB: db, Keys: keys, PublicURL: publicURL, Scans: b.looks, Now: b.clock.now, Log: slog.New(slog.DiscardHandler),
		HTTP: guard.New(guard.Options{RootCAs: roots, AllowPrivate: must(guard.ParseAllow("loopback"))}).Client(30 * time.Second),
		OnTokenInvalid: func(_ context.Context, _ *store.Tx, i magpie.Integration) error {
			b.died <- i.ID
			return nil
		},
	}
}

var testKeys = sync.OnceValue(func() func(testing.TB) *seal.Keys {
	var keys *seal.Keys
	var once sync.Once
	return func(t testing.TB) *seal.Keys {
		once.Do(func() {
			master, _ := must2(seal.LoadOrCreateMaster(filepath.Join(t.TempDir(), "key")))
			keys = must(master.Open(must(master.NewDataKey())))
		})
		return keys
	}
})()

// must panics where the set-up of a test went wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must2[T, U any](v T, u U, err error) (T, U) {
	if err != nil {
		panic(err)
	}
	return v, u
}

// connect connects the simulated Bitbucket.
func (b *bench) connect(mode magpie.Mode) magpie.Integration {
	b.Helper()
	i, err := b.Connect(b.ctx, owner, ConnectInput{Mode: mode, URL: b.sim.URL(), Token: magpie.NewSecret(b.token.Text)})
	if err != nil {
		b.Fatal(err)
	}
	return i
}

// connected connects it as a whole and waits until the repositories that can have one have their webhook.
func (b *bench) connected() magpie.Integration {
	b.Helper()
	i := b.connect(magpie.ModeInstance)
	b.synced(i.ID)
	b.settled(i.ID)
	return i
}

// eventually waits for a condition.
func (b *bench) eventually(what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never happened: %s\nrepositories: %s\nhooks: %v", what, b.describe(), b.sim.Webhooks())
		}
	}
}

func (b *bench) describe() string {
	var lines []string
	for _, r := range b.repos() {
		lines = append(lines, fmt.Sprintf("%s %s(%s) monitored=%t hook=%s(%s)", r.FullName(), r.State, r.StateReason, r.Monitored, r.Hook, r.HookReason))
	}
	return strings.Join(lines, "\n")
}

// repos returns all rows, in order of name.
func (b *bench) repos() []magpie.Repo {
	b.Helper()
	var all []magpie.Repo
	page, err := store.Query(b.ctx, b.db, func(tx *store.Tx) (store.PerimeterPage, error) {
		return tx.PerimeterRepos(b.ctx, store.PerimeterFilter{}, "", 1000)
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range page.Repos {
		all = append(all, r.Repo)
	}
	return all
}

func (b *bench) repo(name string) magpie.Repo {
	b.Helper()
	all := b.repos()
	i := slices.IndexFunc(all, func(r magpie.Repo) bool { return strings.EqualFold(r.FullName(), name) })
	if i < 0 {
		b.Fatalf("no repository %s in\n%s", name, b.describe())
	}
	return all[i]
}

func (b *bench) integrationRow(id magpie.IntegrationID) magpie.Integration {
	b.Helper()
	i, err := store.Query(b.ctx, b.db, func(tx *store.Tx) (magpie.Integration, error) { return tx.Integration(b.ctx, id) })
	if err != nil {
		b.Fatal(err)
	}
	return i
}

// sync runs a full sync and waits for its end.
func (b *bench) sync(id magpie.IntegrationID) {
	b.Helper()
	before := b.integrationRow(id).SyncedAt
	b.clock.advance(time.Millisecond)
	if err := b.SyncNow(b.ctx, owner, id); err != nil {
		b.Fatal(err)
	}
	b.eventually("a sync", func() bool { return b.integrationRow(id).SyncedAt.After(before) })
	b.settled(id)
}

func (b *bench) synced(id magpie.IntegrationID) {
	b.Helper()
	b.eventually("the first sync", func() bool { return !b.integrationRow(id).SyncedAt.IsZero() })
}

// settled waits until no hook waits for anything.
func (b *bench) settled(id magpie.IntegrationID) {
	b.Helper()
	b.eventually("settled hooks", func() bool {
		ids, err := store.Query(b.ctx, b.db, func(tx *store.Tx) ([]magpie.RepoID, error) {
			return tx.ReposToSettle(b.ctx, id, b.hookPrefix(), "", 1000, b.clock.now())
		})
		return err == nil && len(ids) == 0 && b.jobsIdle()
	})
}

// hooksOf returns the webhooks of a repository.
func (b *bench) hooksOf(remoteID int64) []bitbucketsim.Webhook {
	return slices.DeleteFunc(b.sim.Webhooks(), func(w bitbucketsim.Webhook) bool { return int64(w.Repo) != remoteID })
}

func (b *bench) simRepo(project, name string) int {
	b.Helper()
	for _, r := range b.sim.Repos() {
		if strings.EqualFold(r.Project, project) && r.Name == name {
			return r.ID
		}
	}
	b.Fatalf("no repository %s/%s in the simulated Bitbucket", project, name)
	return 0
}

func (b *bench) audited(action string) (found []store.AuditEntry) {
	b.Helper()
	all, err := store.Query(b.ctx, b.db, func(tx *store.Tx) ([]store.AuditEntry, error) { return tx.AuditEntries(b.ctx, "", 1000) })
	if err != nil {
		b.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e store.AuditEntry) bool { return e.Action != action })
}

// jobsIdle reports whether no job is running or about to.
func (b *bench) jobsIdle() bool {
	b.Helper()
	return b.count(`SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'running')`) == 0
}

func (b *bench) count(query string) (n int) {
	b.Helper()
	err := b.db.Read(b.ctx, func(tx *store.Tx) error {
		if native, ok := tx.Native().(pgx.Tx); ok {
			return native.QueryRow(b.ctx, query).Scan(&n)
		}
		return tx.Native().(*sql.Tx).QueryRowContext(b.ctx, query).Scan(&n)
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// rest does as somebody else would to a repository's webhooks, and returns the answer.
func (b *bench) rest(method string, r magpie.Repo, path, body string) string {
	b.Helper()
	target := b.sim.URL() + "/rest/api/1.0/projects/" + r.ProjectKey + "/repos/" + r.Slug + "/webhooks" + path
	req := must(http.NewRequestWithContext(b.ctx, method, target, strings.NewReader(body)))
	admin := must(b.sim.CreateToken(bitbucketsim.TokenSpec{User: "magpie", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}}))
	req.Header.Set("Authorization", "Bearer "+admin.Text)
	req.Header.Set("Content-Type", "application/json")
	resp := must(b.sim.Client().Do(req))
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		b.Fatalf("%s %s: %s", method, target, resp.Status)
	}
	return string(must(io.ReadAll(resp.Body)))
}

func itoa(n int) string { return strconv.Itoa(n) }

// available returns the projects that an integration can have installed.
func (b *bench) available(id magpie.IntegrationID) []magpie.Project {
	b.Helper()
	return must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]magpie.Project, error) { return tx.Projects(b.ctx, id) }))
}
