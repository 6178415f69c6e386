package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/bitbucketsim"
	"magpie/internal/detect"
	"magpie/internal/incident"
	"magpie/internal/perimeter"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
	"magpie/rules"
)

// TestUnderRateLimit runs the first inventory, the set-up of all webhooks and one comparison of all refs against a
// Bitbucket with its default rate limit, 60 requests refilled at 5 a second, Git included, of whose answers 1 % are
// errors and 0.1 % never come, with a crash in the middle. The clock is the test's own (testing/synctest), so the hours
// that this takes pass in minutes, and some dozens of repositories in seconds.
//
// MAGPIE_SCALE_REPOS sets how many repositories there are; `make scale` asks for ten thousand.
func TestUnderRateLimit(t *testing.T) {
	repos := 30
	if text := os.Getenv("MAGPIE_SCALE_REPOS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("MAGPIE_SCALE_REPOS: %v", err)
		}
		repos = n
	}
	address := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) { underRateLimit(t, address, repos) })
}

func underRateLimit(t *testing.T, address string, repos int) {
	w := newLimited(t, address, repos)
	w.sim.SetRateLimit(bitbucketsim.RateLimit{Capacity: 60, FillRate: 5})
	w.sim.SetFailures(bitbucketsim.Failure{Share: 0.01, Status: 503})
	w.sim.HangRequests(0.001)
	began := time.Now()
	w.start()
	i, err := w.perimeter.Connect(t.Context(), actor, perimeter.ConnectInput{
		Mode: magpie.ModeInstance, URL: w.sim.URL(), Token: magpie.NewSecret(w.token.Text),
	})
	if err != nil {
		t.Fatal(err)
	}
	off := false
	if err := w.perimeter.SetSwitches(t.Context(), actor, i.ID, &off, nil); err != nil {
		t.Fatal(err)
	}
	w.until("half of the webhooks", func(c store.Coverage) bool { return c.HooksInstalled >= int64(repos/2) })
	w.crash()
	w.start()
	w.until("all webhooks", func(c store.Coverage) bool { return c.HooksInstalled == int64(repos) })
	w.looked(repos)
	setUp := w.sim.Counts()
	w.log("set up", time.Since(began), setUp)

	w.sim.ResetCounts()
	began = time.Now()
	if err := w.perimeter.SweepNow(t.Context(), actor); err != nil {
		t.Fatal(err)
	}
	w.swept(repos)
	w.log("sweep", time.Since(began), w.sim.Counts())
	for name, counts := range map[string]bitbucketsim.Counts{"set-up": setUp, "sweep": w.sim.Counts()} {
		if refused := counts.Statuses[http.StatusTooManyRequests]; refused*100 >= counts.Total {
			t.Errorf("%s: %d of %d calls were refused for being too many, want less than 1 %%", name, refused, counts.Total)
		}
	}
	seen := map[int]int{}
	for _, h := range w.sim.Webhooks() {
		seen[h.Repo]++
	}
	for _, r := range w.sim.Repos() {
		if seen[r.ID] != 1 {
			t.Errorf("%s/%s has %d webhooks", r.Project, r.Slug, seen[r.ID])
		}
	}
	w.crash()
	if err := w.sim.Close(); err != nil {
		t.Error(err)
	}
}

var actor = magpie.User{ID: "owner", Email: "owner@example.com", Role: magpie.RoleOwner}

// limited is a Bitbucket with many repositories and the stages that watch it, all on the clock of a bubble.
type limited struct {
	*testing.T
	address string
	sim     *bitbucketsim.Server
	http    *http.Client
	token   bitbucketsim.Token
	keys    *seal.Keys
	engine  *detect.Engine

	db        *store.DB
	jobs      *queue.Engine
	perimeter *perimeter.Service
	stop      func()
}

func newLimited(t *testing.T, address string, repos int) *limited {
	t.Helper()
	w := &limited{T: t, address: address}
	pipe := bitbucketsim.NewPipe()
	w.sim = check(bitbucketsim.New(bitbucketsim.Options{Listener: pipe}))
	check(w.sim.CreateUser(bitbucketsim.User{Name: "bot", Permission: "SYS_ADMIN"}))
	projects := max(repos/20, 1)
	for p := range projects {
		key := fmt.Sprintf("P%03d", p)
		check(w.sim.CreateProject(key, key))
		check(w.sim.CreateRepos(key, repos*(p+1)/projects-repos*p/projects, bitbucketsim.Seed{Branches: []string{"develop"}}))
	}
	w.token = check(w.sim.CreateToken(bitbucketsim.TokenSpec{User: "bot", Permissions: []string{"PROJECT_READ", "REPO_ADMIN"}}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.sim.CACertificate())
	w.http = &http.Client{
		Transport: &http.Transport{DialContext: pipe.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: false, MaxIdleConnsPerHost: 16},
		Timeout:   30 * time.Second,
	}
	master, _, err := seal.LoadOrCreateMaster(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	w.keys = check(master.Open(check(master.NewDataKey())))
	w.engine = check(detect.New(check(rules.All()), detect.Options{}))
	return w
}

// check returns v, and panics where the set-up went wrong.
func check[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// start opens the database and lets the stages work.
func (w *limited) start() {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	log := slog.New(slog.DiscardHandler)
	w.db = check(store.Open(ctx, w.address))
	alerts := alert.New(alert.Options{DB: w.db, PublicURL: "https://magpie.example.com", Log: log})
	incidents := incident.New(incident.Options{DB: w.db, Keys: w.keys, Alerts: alerts, Log: log})
	scans := scan.New(scan.Options{
		DB: w.db, Keys: w.keys, Engine: w.engine, Incidents: incidents, TempDir: w.TempDir(), Log: log,
		GitHTTP: func(ctx context.Context, id magpie.IntegrationID) (*http.Client, error) {
			return w.perimeter.GitClient(ctx, id)
		},
	})
	w.perimeter = perimeter.New(perimeter.Options{
		DB: w.db, Keys: w.keys, HTTP: w.http, PublicURL: "https://magpie.example.com", Scans: scans, SyncEvery: 24 * time.Hour,
		SweepEvery: 24 * time.Hour, Log: log,
	})
	w.jobs = queue.New(queue.Options{Database: w.db.Native(), Instance: store.NewID[string](), Log: log})
	alerts.Register(w.jobs)
	incidents.Register(w.jobs)
	scans.Register(w.jobs)
	w.perimeter.Register(w.jobs)
	if err := w.jobs.Open(ctx); err != nil {
		w.Fatal(err)
	}
	w.db.SetEnqueuer(w.jobs)
	if err := w.jobs.Start(ctx); err != nil {
		w.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.perimeter.Run(run) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

// crash ends everything in the middle of what it is at: jobs are cut off, nothing is finished.
func (w *limited) crash() {
	w.Helper()
	w.stop()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.jobs.Stop(gone)
	if err := w.db.Close(); err != nil {
		w.Error(err)
	}
	w.http.CloseIdleConnections()
}

// until waits, in the bubble's time, for how far the set-up is.
func (w *limited) until(what string, done func(store.Coverage) bool) {
	w.Helper()
	for deadline := time.Now().Add(48 * time.Hour); ; time.Sleep(5 * time.Second) {
		c, err := store.Query(w.Context(), w.db, func(tx *store.Tx) (store.Coverage, error) { return tx.Coverage(w.Context(), "") })
		if err != nil {
			w.Fatal(err)
		}
		if done(c) {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("never happened: %s; %+v, calls %+v", what, c, w.sim.Counts())
		}
	}
}

// looked waits until the first look at every repository is done.
func (w *limited) looked(repos int) {
	w.Helper()
	for deadline := time.Now().Add(48 * time.Hour); ; time.Sleep(5 * time.Second) {
		c, err := store.Query(w.Context(), w.db, func(tx *store.Tx) (store.CoverageSums, error) { return tx.CoverageSums(w.Context(), "") })
		if err != nil {
			w.Fatal(err)
		}
		if c.NeverCompared == 0 && c.Monitored == int64(repos) {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("never looked at all: %+v, calls %+v", c, w.sim.Counts())
		}
	}
}

// swept waits for the end of a sweep over all repositories.
func (w *limited) swept(repos int) {
	w.Helper()
	for deadline := time.Now().Add(48 * time.Hour); ; time.Sleep(5 * time.Second) {
		all, err := store.Query(w.Context(), w.db, func(tx *store.Tx) ([]store.Sweep, error) { return tx.Sweeps(w.Context(), 1) })
		if err != nil {
			w.Fatal(err)
		}
		if len(all) == 1 && all[0].Reason == "request" && !all[0].EndedAt.IsZero() {
			if s := all[0]; s.Repos != int64(repos) || s.Compared != s.Repos || s.Failed != 0 {
				w.Errorf("the sweep ended as %+v, want all %d compared", s, repos)
			}
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("the sweep never ends: %+v", all)
		}
	}
}

// log prints what a part took.
func (w *limited) log(what string, took time.Duration, counts bitbucketsim.Counts) {
	repos := len(w.sim.Repos())
	w.Logf("%s of %d repositories: %s, %d calls, %.3f a repository, %.2f a second, %d refused (%.2f %%)", what, repos, took.Round(time.Second),
		counts.Total, float64(counts.Total)/float64(repos), float64(counts.Total)/took.Seconds(), counts.Statuses[http.StatusTooManyRequests],
		100*float64(counts.Statuses[http.StatusTooManyRequests])/float64(counts.Total))
	for name, n := range counts.Endpoints {
		if n > repos/100 {
			w.Logf("    %6d × %s", n, name)
		}
	}
}
