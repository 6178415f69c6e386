package insight_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
	"magpie/internal/detect"
	"magpie/internal/guard"
	"magpie/internal/incident"
	"magpie/internal/insight"
	"magpie/internal/queue"
	"magpie/internal/rule"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// testRules is one detector of a format that nothing else has.
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

// recorder keeps what is sent to Bitbucket's REST interface, and can refuse some of it.
type recorder struct {
	next http.RoundTripper

	mu     sync.Mutex
	calls  []string // "METHOD path"
	bodies [][]byte
	refuse func(*http.Request) int // a status to answer with instead of asking, or 0; may be nil
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.mu.Lock()
	r.calls, r.bodies = append(r.calls, req.Method+" "+req.URL.Path), append(r.bodies, body)
	status := 0
	if r.refuse != nil {
		status = r.refuse(req)
	}
	r.mu.Unlock()
	if status == 0 {
		return r.next.RoundTrip(req)
	}
	return &http.Response{
		StatusCode: status, Request: req, Header: http.Header{"X-Ausername": {"magpie-bot"}, "Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"errors":[{"message":"Not today","exceptionName":"com.example.Refusal"}]}`)),
	}, nil
}

// count returns how many requests had a method and a part of the path.
func (r *recorder) count(method, part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range r.calls {
		if strings.HasPrefix(c, method) && strings.Contains(c, part) {
			n++
		}
	}
	return n
}

func (r *recorder) setRefuse(f func(*http.Request) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = f
}

// bundle is the flow from a push to a report, with a simulated Bitbucket and one monitored repository in it.
type bundle struct {
	t           *testing.T
	db          *store.DB
	sim         *bitbucketsim.Server
	rec         *recorder
	scans       *scan.Service
	incidents   *incident.Service
	insights    *insight.Service
	owner       magpie.User
	project     magpie.ProjectID
	integration magpie.IntegrationID
	simRepo     bitbucketsim.Repo
	repo        magpie.RepoID
	bot         string
	token       bitbucketsim.Token
	now         func() time.Time
}

// each runs a test on both databases, with a main branch that is scanned.
func each(t *testing.T, test func(*testing.T, *bundle)) {
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newBundle(t, address(t), "9.4.0"))
		})
	}
}

// onSQLite runs a test on SQLite alone, where no statement is special to it.
func onSQLite(t *testing.T, test func(*testing.T, *bundle)) {
	t.Parallel()
	test(t, newBundle(t, storetest.SQLite(t), "9.4.0"))
}

func newBundle(t *testing.T, address, version string) *bundle {
	t.Helper()
	b := &bundle{t: t, now: time.Now}
	b.startBitbucket(version)
	keys := testKeys(t)
	client := httpClient(t, b.sim)
	b.rec = &recorder{next: client.Transport}
	rest := bitbucket.New(&http.Client{Transport: b.rec, Timeout: time.Minute}, b.sim.URL(), magpie.NewSecret(b.token.Text), nil)
	var jobs *queue.Engine
	b.db, jobs = storetest.Open(t, address, func(e *queue.Engine, db *store.DB) {
		log := slog.New(slog.DiscardHandler)
		alerts := alert.New(alert.Options{DB: db, PublicURL: "https://magpie.example.com", Log: log})
		engine := testEngine(t)
		b.insights = insight.New(insight.Options{
			DB: db, Keys: keys, Engine: engine, PublicURL: "https://magpie.example.com/", Log: log,
			Client: func(context.Context, magpie.IntegrationID) (*bitbucket.Client, error) { return rest, nil },
			Now:    func() time.Time { return b.now() },
		})
		b.incidents = incident.New(incident.Options{DB: db, Keys: keys, Alerts: alerts, Log: log, OnChanged: b.insights.IncidentChanged})
		b.scans = scan.New(scan.Options{
			DB: db, Keys: keys, Engine: engine, Incidents: b.incidents, TempDir: t.TempDir(), Log: log, OnScanned: b.insights.Scanned,
			GitHTTP: func(context.Context, magpie.IntegrationID) (*http.Client, error) { return client, nil },
		})
		alerts.Register(e)
		b.scans.Register(e)
		b.insights.Register(e)
	})
	b.addRows(keys)
	t.Cleanup(b.checkNoValueLeft)
	if err := jobs.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	b.firstLook(b.repo)
	return b
}

// checkNoValueLeft fails if anything that looks like a value of the test rule was in a request.
func (b *bundle) checkNoValueLeft() {
	b.rec.mu.Lock()
	defer b.rec.mu.Unlock()
	for i, body := range b.rec.bodies {
		if bytes.Contains(body, []byte("zzkey")) || bytes.Contains(body, []byte("••")) {
			b.t.Errorf("%s holds a part of a value", b.rec.calls[i])
		}
	}
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bundle) startBitbucket(version string) {
	t := b.t
	var err error
	b.sim, err = bitbucketsim.New(bitbucketsim.Options{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.sim.Close(); err != nil {
			t.Error(err)
		}
	})
	b.bot, err = b.sim.CreateUser(bitbucketsim.User{Name: "magpie-bot", Permission: "SYS_ADMIN"})
	must(t, b.bot, err)
	_, err = b.sim.CreateProject("PRJ", "Project")
	must(t, 0, err)
	b.simRepo, err = b.sim.CreateRepo("PRJ", "Code")
	must(t, 0, err)
	b.token, err = b.sim.CreateToken(bitbucketsim.TokenSpec{User: b.bot, Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}})
	must(t, 0, err)
	b.push(b.simRepo.ID, bitbucketsim.Commit{Files: map[string]string{"README": "hello\n", "old.cfg": lines("a", key("standing"), "b")}})
}

// lines makes a file of one line for each argument.
func lines(text ...string) string { return strings.Join(text, "\n") + "\n" }

// addRows stores the rows that a connection and a sync would make, with reports asked for.
func (b *bundle) addRows(keys *seal.Keys) {
	ctx := b.t.Context()
	b.integration = store.NewID[magpie.IntegrationID]()
	sealed, err := keys.Seal(seal.Credentials, seal.AAD("integration", "token", string(b.integration)), magpie.NewSecret(b.token.Text))
	must(b.t, sealed, err)
	b.owner = magpie.User{ID: store.NewID[magpie.UserID](), Email: "robin@example.com", Name: "Robin", Role: magpie.RoleOwner, CreatedAt: time.Now()}
	b.write(func(tx *store.Tx) error {
		if err := tx.AddAccount(ctx, b.owner, "no hash"); err != nil {
			return err
		}
		return tx.InsertIntegration(ctx, magpie.Integration{ID: b.integration, Mode: magpie.ModeInstance, BaseURL: b.sim.URL(), State: magpie.IntegrationActive}, sealed)
	})
	b.repo = b.addRepo(b.simRepo, 1, "PRJ", false)
	b.setInsights(true)
}

func (b *bundle) addRepo(r bitbucketsim.Repo, projectID int64, projectKey string, personal bool) magpie.RepoID {
	ctx := b.t.Context()
	id := store.NewID[magpie.RepoID]()
	b.write(func(tx *store.Tx) error {
		p, err := tx.PutProject(ctx, magpie.Project{IntegrationID: b.integration, RemoteID: projectID, Key: projectKey, Name: projectKey, Personal: personal, Installed: true}, "")
		if err != nil {
			return err
		}
		if !personal {
			b.project = p.ID
		}
		return tx.PutRepo(ctx, magpie.Repo{
			ID: id, IntegrationID: b.integration, ProjectID: p.ID, RemoteID: int64(r.ID), ProjectKey: projectKey, Slug: r.Slug,
			Name: r.Slug, CloneURL: b.sim.CloneURL(r.ID), State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled,
			History: magpie.HistoryNone, CreatedAt: time.Now(),
		}, "")
	})
	return id
}

func (b *bundle) setInsights(on bool) {
	b.write(func(tx *store.Tx) error {
		return storetest.Exec(b.t.Context(), tx, fmt.Sprintf("UPDATE project SET insights = %v WHERE id = '%s'", on, b.project))
	})
}

func testKeys(t *testing.T) *seal.Keys {
	t.Helper()
	master, err := seal.ParseMaster(magpie.NewSecret(strings.Repeat("0d", 32)))
	must(t, 0, err)
	wrapped, err := master.NewDataKey()
	must(t, 0, err)
	keys, err := master.Open(wrapped)
	return must(t, keys, err)
}

func testEngine(t *testing.T) *detect.Engine {
	t.Helper()
	all, err := rule.Parse("test.yaml", []byte(testRules))
	must(t, 0, err)
	engine, err := detect.New(all, detect.Options{})
	return must(t, engine, err)
}

func httpClient(t *testing.T, sim *bitbucketsim.Server) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(sim.CACertificate())
	allow, err := guard.ParseAllow("loopback")
	must(t, 0, err)
	return guard.New(guard.Options{RootCAs: roots, AllowPrivate: allow}).Client(0)
}

// push writes commits to a simulated repository and returns what moved, as an event would tell it.
func (b *bundle) push(repo int, commits ...bitbucketsim.Commit) magpie.Push {
	b.t.Helper()
	pushed, err := b.sim.Push(bitbucketsim.Push{Repo: repo, Commits: commits})
	must(b.t, pushed, err)
	event := magpie.Push{RemoteRepoID: int64(repo), RequestID: store.NewID[string](), EventKey: "repo:refs_changed", Actor: "dev"}
	for _, c := range pushed.Changes {
		event.Changes = append(event.Changes, magpie.RefChange{Ref: c.Ref, From: magpie.Hash(c.From), To: magpie.Hash(c.To), Type: magpie.ChangeType(c.Type)})
	}
	return event
}

// topic pushes a commit with files to the branch "topic", from main if it is the first.
func (b *bundle) topic(files map[string]string) magpie.Push {
	b.t.Helper()
	return b.push(b.simRepo.ID, b.onTopic(files))
}

func (b *bundle) onTopic(files map[string]string) bitbucketsim.Commit {
	c := bitbucketsim.Commit{Branch: "topic", Files: files}
	refs, err := b.sim.Refs(b.simRepo.ID)
	if must(b.t, refs, err)["refs/heads/topic"] == "" {
		c.Parents = []string{"refs/heads/main"}
	}
	return c
}

// scan lets events arrive and waits until all that follows from them has happened.
func (b *bundle) scan(events ...magpie.Push) {
	b.t.Helper()
	b.accept(b.repo, events...)
	b.settle()
}

func (b *bundle) accept(repo magpie.RepoID, events ...magpie.Push) {
	b.t.Helper()
	for _, e := range events {
		if err := b.scans.Accept(b.t.Context(), repo, e); err != nil {
			b.t.Fatal(err)
		}
	}
}

// openPull opens a pull request from topic to main.
func (b *bundle) openPull() bitbucketsim.PullRequest {
	b.t.Helper()
	p, err := b.sim.OpenPullRequest(bitbucketsim.PullRequest{Repo: b.simRepo.ID, From: "topic"})
	return must(b.t, p, err)
}

func (b *bundle) write(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// firstLook begins the watch of a repository, its history included.
func (b *bundle) firstLook(repo magpie.RepoID) {
	b.t.Helper()
	b.write(func(tx *store.Tx) error { return b.scans.FirstLook(b.t.Context(), tx, repo, true) })
	b.settle()
}

// settle waits until no job is left to run.
func (b *bundle) settle() {
	b.t.Helper()
	b.wait("all jobs to end", func() bool {
		n, err := storetest.UnfinishedJobs(b.t.Context(), b.db)
		return must(b.t, n, err) == 0
	})
}

func (b *bundle) wait(what string, ready func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ready() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited for a minute for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// report returns the newest commit's report on a pull request as "RESULT path:line …", or "none".
func (b *bundle) report(p bitbucketsim.PullRequest) string {
	b.t.Helper()
	refs, err := b.sim.Refs(p.Repo)
	tip := must(b.t, refs, err)[fmt.Sprintf("refs/pull-requests/%d/from", p.ID)]
	for _, r := range b.sim.Reports(p.Repo) {
		if r.Commit != tip || r.Key != b.insights.Key() {
			continue
		}
		words := []string{r.Result}
		for _, a := range r.Annotations {
			words = append(words, fmt.Sprintf("%s:%d", a.Path, a.Line))
		}
		slices.Sort(words[1:])
		return strings.Join(words, " ")
	}
	return "none"
}

func (b *bundle) wantReport(p bitbucketsim.PullRequest, when, want string) {
	b.t.Helper()
	if got := b.report(p); got != want {
		b.t.Errorf("%s: report %q, want %q", when, got, want)
	}
}

// incident returns the incident of the newest secret.
func (b *bundle) incident() magpie.IncidentID {
	b.t.Helper()
	page, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) (store.IncidentPage, error) {
		return tx.Incidents(b.t.Context(), store.IncidentFilter{}, store.IncidentNewest, "", 1)
	})
	if err != nil || len(page.Incidents) == 0 {
		b.t.Fatalf("no incident: %v", err)
	}
	return page.Incidents[0].ID
}
