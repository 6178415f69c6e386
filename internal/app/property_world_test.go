package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/config"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// world is a running Magpie between simulated Bitbuckets of several versions and the wire that their webhooks go over.
// It can be restarted in the middle of anything.
type world struct {
	t       testing.TB
	ctx     context.Context
	dir     string
	address string
	sims    []*simulated
	wire    *wire
	server  *httptest.Server // where the wire delivers to; answers 503 while Magpie is down

	mu      sync.RWMutex // held for writing while Magpie is restarted
	app     *App
	handler atomic.Pointer[http.Handler]
	secrets map[string]string // hook id → secret
	numbers atomic.Int64      // repositories made so far
}

// simulated is one Bitbucket and what Magpie knows of it.
type simulated struct {
	*bitbucketsim.Server
	token       bitbucketsim.Token
	integration magpie.IntegrationID
	project     magpie.ProjectID
}

// dialects are versions whose events differ; the events of the first cost the simulator no git process.
var dialects = []string{"7.21.0", "8.9.1", "10.1.0"}

func newWorld(t testing.TB, ctx context.Context, address string) *world {
	w := &world{t: t, ctx: ctx, dir: t.TempDir(), address: address, wire: newWire(), secrets: map[string]string{}}
	t.Cleanup(w.wire.server.Close)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h := w.handler.Load(); h != nil {
			(*h).ServeHTTP(rw, r)
			return
		}
		http.Error(rw, "down", http.StatusServiceUnavailable)
	}))
	t.Cleanup(w.server.Close)
	for _, version := range dialects {
		sim, err := bitbucketsim.New(bitbucketsim.Options{Version: version, WebhookInFlight: 10_000, WebhookThreads: 8})
		w.check(err)
		t.Cleanup(func() { _ = sim.Close() })
		_, err = sim.CreateUser(bitbucketsim.User{Name: "dev", Permission: "SYS_ADMIN"})
		w.check(err)
		_, err = sim.CreateProject("PRJ", "Project")
		w.check(err)
		token, err := sim.CreateToken(bitbucketsim.TokenSpec{User: "dev", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}})
		w.check(err)
		w.sims = append(w.sims, &simulated{Server: sim, token: token})
	}
	w.open()
	t.Cleanup(func() { w.close(10 * time.Second) })
	w.check(w.app.DB.Write(ctx, w.fill))
	return w
}

func (w *world) check(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// fill stores the account that is told about incidents, and the integrations as connecting them would.
func (w *world) fill(tx *store.Tx) error {
	owner := magpie.User{ID: "owner", Email: "owner@example.com", Name: "Owner", Role: magpie.RoleOwner, CreatedAt: time.Now()}
	if err := tx.AddAccount(w.ctx, owner, "no password"); err != nil {
		return err
	}
	for _, sim := range w.sims {
		sim.integration = store.NewID[magpie.IntegrationID]()
		sealed, err := w.app.Keys.Seal(seal.Credentials, seal.AAD("integration", "token", string(sim.integration)), magpie.NewSecret(sim.token.Text))
		if err != nil {
			return err
		}
		i := magpie.Integration{ID: sim.integration, Mode: magpie.ModeInstance, BaseURL: sim.URL(), State: magpie.IntegrationActive}
		if err := tx.InsertIntegration(w.ctx, i, sealed); err != nil {
			return err
		}
		project, err := tx.PutProject(w.ctx, magpie.Project{IntegrationID: i.ID, RemoteID: 1, Key: "PRJ", Name: "Project", Installed: true}, "")
		if err != nil {
			return err
		}
		sim.project = project.ID
	}
	return nil
}

// open starts Magpie: all of it but the schedules, which the test itself drives, and the pace, which would make it slow.
func (w *world) open() {
	authorities := make([]string, 0, len(w.sims))
	for _, sim := range w.sims {
		authorities = append(authorities, sim.CAFile())
	}
	cfg, err := config.Load("", []string{
		"MAGPIE_DATA_DIR=" + filepath.Join(w.dir, "data"), "MAGPIE_DATABASE=" + w.address, "MAGPIE_PUBLIC_URL=" + w.wire.server.URL,
		"MAGPIE_LISTEN=127.0.0.1:0", "MAGPIE_CA_FILE=" + strings.Join(authorities, ","), "MAGPIE_OUTGOING_ALLOW=127.0.0.0/8",
	})
	w.check(err)
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("PROPERTY_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w.app, err = Open(w.ctx, cfg, log)
	for try := 0; magpie.KindOf(err) == magpie.KindConflict && try < 100; try++ {
		// A child of the simulator that is between fork and exec still holds the lock of the data folder.
		time.Sleep(10 * time.Millisecond)
		w.app, err = Open(w.ctx, cfg, log)
	}
	w.check(err)
	direct := w.app.Guard.Client(0)
	w.app.Scans.GitHTTP = func(context.Context, magpie.IntegrationID) (*http.Client, error) { return direct, nil }
	w.check(w.app.Jobs.Start(context.WithoutCancel(w.ctx)))
	handler, err := w.app.handler("test")
	w.check(err)
	w.handler.Store(&handler)
}

// close stops Magpie, which gives running jobs that long.
func (w *world) close(patience time.Duration) {
	if w.app == nil {
		return
	}
	w.handler.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), patience)
	defer cancel()
	if err := w.app.Jobs.Stop(ctx); err != nil {
		w.t.Errorf("stopping: %v", err)
	}
	if err := w.app.Close(); err != nil {
		w.t.Errorf("closing: %v", err)
	}
	w.app = nil
}

// restart ends Magpie abruptly, whatever it is doing, and starts it again on the same data. Requests that come meanwhile
// are refused.
func (w *world) restart() {
	w.handler.Store(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close(0)
	w.open()
}

// write runs fn in a transaction, at a moment when Magpie is not being restarted.
func (w *world) write(fn func(*store.Tx) error) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.app.DB.Write(w.ctx, fn)
}

func (w *world) read(fn func(*store.Tx) error) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.app.DB.Read(w.ctx, fn)
}

// sweep makes Magpie compare all repositories with what it scanned, as its schedule does, and waits for the end of it.
func (w *world) sweep() error {
	if err := w.idle(); err != nil { // another sweep, too
		return err
	}
	err := w.write(func(tx *store.Tx) error {
		return tx.SetSchedule(w.ctx, "perimeter.sweep", time.Now().Add(-time.Second))
	})
	if err != nil {
		return err
	}
	w.mu.RLock()
	err = w.app.Perimeter.Tick(w.ctx)
	w.mu.RUnlock()
	if err != nil {
		return err
	}
	return w.idle()
}

// idle waits until no job is left. When only jobs are left that wait for a later try they get it at once; not before, or
// those that wait for their repository's turn would take the time of the one whose turn it is.
func (w *world) idle() error {
	deadline := time.Now().Add(5 * time.Minute)
	for {
		left, err := query(w, func(s interface{ Scan(...any) error }) (n [2]int, err error) { return n, s.Scan(&n[0], &n[1]) },
			`SELECT count(*), coalesce(sum(CASE WHEN state IN ('scheduled', 'retryable') THEN 1 ELSE 0 END), 0) FROM river_job
			WHERE state IN ('available', 'pending', 'running', 'retryable', 'scheduled') AND kind <> $1`, "none")
		if err == nil && left[0][0] > 0 && left[0][0] == left[0][1] {
			err = w.write(func(tx *store.Tx) error {
				return storetest.Exec(w.ctx, tx, `UPDATE river_job SET state = 'available', scheduled_at = created_at WHERE state IN ('scheduled', 'retryable')`)
			})
		}
		switch {
		case err != nil:
			return fmt.Errorf("waiting for the jobs to end: %w", err)
		case left[0][0] == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d jobs have not ended after 5 minutes", left[0][0])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// watched is a repository that Magpie watches, with its webhook.
type watched struct {
	sim    *simulated
	remote bitbucketsim.Repo
	id     magpie.RepoID
	hook   string // its id, the end of its address
	secret string // signs its events
}

// addRepo makes a repository at a Bitbucket. Magpie does not know it yet.
func (w *world) addRepo(sim *simulated) (watched, error) {
	remote, err := sim.CreateRepo("PRJ", fmt.Sprintf("code-%d", w.numbers.Add(1)))
	return watched{sim: sim, remote: remote, id: store.NewID[magpie.RepoID]()}, err
}

// watch stores a repository as the perimeter does once its webhook is in place, and puts the webhook there.
func (w *world) watch(r *watched) error {
	r.hook = "hook" + strings.ReplaceAll(store.NewID[string](), "-", "")
	r.secret = "made up " + r.hook
	address := w.wire.server.URL + "/hooks/bitbucket/" + r.hook
	w.wire.expect(r.hook)
	if err := r.sim.createHook(r.remote, address, r.secret); err != nil {
		return err
	}
	w.mu.RLock()
	keys := w.app.Keys
	w.mu.RUnlock()
	sealed, err := keys.Seal(seal.Credentials, seal.AAD("hook", "secret", r.hook), magpie.NewSecret(r.secret))
	if err != nil {
		return err
	}
	return w.write(func(tx *store.Tx) error {
		err := tx.PutRepo(w.ctx, magpie.Repo{
			ID: r.id, IntegrationID: r.sim.integration, ProjectID: r.sim.project, RemoteID: int64(r.remote.ID), ProjectKey: "PRJ",
			Slug: r.remote.Slug, Name: r.remote.Name, CloneURL: r.sim.CloneURL(r.remote.ID), State: magpie.RepoAvailable, Monitored: true,
			Hook: magpie.HookInstalled, History: magpie.HistoryNone, CreatedAt: time.Now(),
		}, "")
		if err != nil {
			return err
		}
		h := store.Hook{ID: magpie.HookID(r.hook), RepoID: r.id, SecretSealed: sealed, URL: address, RemoteID: 1, CheckedAt: time.Now()}
		if err := tx.InsertHook(w.ctx, h); err != nil {
			return err
		}
		if err := tx.SetRepoLooked(w.ctx, r.id, time.Now()); err != nil {
			return err
		}
		return w.app.Scans.FirstLook(w.ctx, tx, r.id, false)
	})
}

func (s *simulated) createHook(repo bitbucketsim.Repo, address, secret string) error {
	body := fmt.Sprintf(`{"name":"Magpie","url":%q,"active":true,"events":["repo:refs_changed","repo:modified"],"configuration":{"secret":%q}}`, address, secret)
	r, err := http.NewRequest(http.MethodPost, s.URL()+"/rest/api/1.0/projects/PRJ/repos/"+repo.Slug+"/webhooks", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.token.Text)
	r.Header.Set("Content-Type", "application/json")
	client := s.Client()
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("creating a webhook: status %d", response.StatusCode)
	}
	return nil
}

// wire takes in what Bitbucket sends, acknowledges it, and keeps it until a sequence decides what becomes of it.
type wire struct {
	server *httptest.Server
	mu     sync.Mutex
	boxes  map[string]chan letter // by hook id
}

// letter is a delivery on the wire, with every byte that Bitbucket sent.
type letter struct {
	hook    string
	header  http.Header
	body    []byte
	changes []bitbucketsim.Change // what it tells, as the simulator knows it
}

func newWire() *wire {
	w := &wire{boxes: map[string]chan letter{}}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		hook := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		w.mu.Lock()
		box := w.boxes[hook]
		w.mu.Unlock()
		if err != nil || box == nil {
			http.Error(rw, "nobody lives here", http.StatusNotFound)
			return
		}
		box <- letter{hook: hook, header: r.Header.Clone(), body: body}
	}))
	return w
}

func (w *wire) expect(hook string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boxes[hook] = make(chan letter, 100)
}

// next waits for the event of a push that was just made.
func (w *wire) next(ctx context.Context, hook string) (letter, error) {
	w.mu.Lock()
	box := w.boxes[hook]
	w.mu.Unlock()
	patience, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case l := <-box:
		return l, nil
	case <-patience.Done():
		return letter{}, fmt.Errorf("the simulator sent no event for its push: %w", patience.Err())
	}
}

// deliver brings a letter to Magpie and returns the status of the answer; 0 if there was none.
func (w *world) deliver(l letter) int {
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.server.URL+"/hooks/bitbucket/"+l.hook, strings.NewReader(string(l.body)))
	if err != nil {
		return 0
	}
	r.Header = l.header.Clone()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// sign makes the signature that Bitbucket sends with a body.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
