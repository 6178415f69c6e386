package ui

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/alert"
	"magpie/internal/bitbucket"
	"magpie/internal/incident"
	"magpie/internal/perimeter"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// world is an installation whose jobs don't run, with the web application in front of it.
type world struct {
	testing.TB
	ctx       context.Context
	db        *store.DB
	access    *access.Service
	incidents *incident.Service
	log       strings.Builder
	opts      Options
	server    *httptest.Server

	owner, manager, member magpie.User
	integration            magpie.Integration
	projects               map[string]magpie.Project
	repos                  map[string]magpie.Repo
}

const (
	password  = "plain words in a row"
	publicURL = "https://magpie.example.com"
)

// newWorld opens an empty installation.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, ctx: context.Background(), projects: map[string]magpie.Project{}, repos: map[string]magpie.Repo{}}
	keys := newKeys(t)
	services := func(db *store.DB) (*alert.Service, *incident.Service, *scan.Service, *perimeter.Service) {
		alerts := alert.New(alert.Options{DB: db, PublicURL: publicURL})
		incidents := incident.New(incident.Options{DB: db, Keys: keys, Alerts: alerts})
		scans := scan.New(scan.Options{DB: db, Keys: keys, Incidents: incidents, Log: slog.New(slog.DiscardHandler)})
		watch := perimeter.New(perimeter.Options{DB: db, Keys: keys, HTTP: http.DefaultClient, PublicURL: publicURL, Scans: scans, Log: slog.New(slog.DiscardHandler)})
		return alerts, incidents, scans, watch
	}
	db, _ := storetest.Open(t, "sqlite:"+t.TempDir()+"/magpie.db", func(e *queue.Engine, db *store.DB) {
		alerts, _, scans, watch := services(db)
		alerts.Register(e)
		scans.Register(e)
		watch.Register(e)
	})
	w.db = db
	_, incidents, scans, watch := services(db)
	w.incidents = incidents
	var err error
	w.access, err = access.New(access.Options{DB: db, PasswordCost: access.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	w.opts = Options{
		DB: db, Access: w.access, Incidents: incidents, Perimeter: watch, Scans: scans, Rule: testRule, LineURL: bitbucket.LineURL,
		SyncEvery: 15 * time.Minute, SweepEvery: time.Hour, InsightKey: "magpie.1a2b3c4d",
		PublicURL: publicURL, Version: "test", Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	handler, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(handler)
	t.Cleanup(w.server.Close)
	return w
}

func testRule(id magpie.RuleID) (RuleInfo, bool) {
	if id != "example-token" {
		return RuleInfo{}, false
	}
	return RuleInfo{
		Description: "An access token of example.com. Whoever has it reads and writes everything its owner can.",
		Remediation: "Open Settings, Access tokens, and press Revoke. Then look at the token's last uses.",
		References:  []string{"https://docs.example.com/tokens", "javascript:alert(1)"},
	}, true
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

// people adds the Owner, a Manager and a Member.
func (w *world) people() *world {
	w.Helper()
	secret := magpie.NewSecret(password)
	var err error
	if w.owner, err = w.access.CreateOwner(w.ctx, "owner@example.com", "Olive Owner", secret); err != nil {
		w.Fatal(err)
	}
	if w.manager, err = w.access.CreateUser(w.ctx, w.owner, "manager@example.com", "Max Manager", magpie.RoleManager, secret); err != nil {
		w.Fatal(err)
	}
	if w.member, err = w.access.CreateUser(w.ctx, w.owner, "member@example.com", "Mia Member", magpie.RoleMember, secret); err != nil {
		w.Fatal(err)
	}
	return w
}

func (w *world) write(fn func(*store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.ctx, fn); err != nil {
		w.Fatal(err)
	}
}

// bitbucket connects an instance without asking it.
func (w *world) bitbucket() *world {
	w.Helper()
	w.integration = magpie.Integration{
		ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: "https://bitbucket.example.com", Version: "9.4.3",
		TokenUser: "magpie-bot", State: magpie.IntegrationActive, Autoscan: true, AutoMonitor: true, CreatedBy: w.owner.ID,
		CreatedAt: time.Now().Add(-48 * time.Hour), SyncedAt: time.Now().Add(-4 * time.Minute),
	}
	w.write(func(tx *store.Tx) error { return tx.InsertIntegration(w.ctx, w.integration, []byte("sealed")) })
	return w
}

// repo adds a repository, and its project if it is new; change may alter it before it is stored.
func (w *world) repo(key, slug string, change func(*magpie.Repo)) magpie.Repo {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		project, ok := w.projects[key]
		if !ok {
			project, err = tx.PutProject(w.ctx, magpie.Project{
				IntegrationID: w.integration.ID, RemoteID: int64(len(w.projects) + 1), Key: key, Name: "Project " + key, Installed: true,
				Personal: strings.HasPrefix(key, "~"),
			}, "")
			if err != nil {
				return err
			}
			w.projects[key] = project
		}
		r := magpie.Repo{
			ID: store.NewID[magpie.RepoID](), IntegrationID: w.integration.ID, ProjectID: project.ID, RemoteID: int64(len(w.repos) + 1),
			ProjectKey: key, Slug: slug, Name: slug, CloneURL: "https://bitbucket.example.com/scm/" + key + "/" + slug + ".git",
			BrowseURL: "https://bitbucket.example.com/projects/" + key + "/repos/" + url.PathEscape(slug) + "/browse", State: magpie.RepoAvailable,
			Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone, CreatedAt: time.Now().Add(-48 * time.Hour),
			LastPushAt: time.Now().Add(-20 * time.Minute), LastScanAt: time.Now().Add(-20 * time.Minute),
		}
		if change != nil {
			change(&r)
		}
		w.repos[key+"/"+slug] = r
		return tx.PutRepo(w.ctx, r, "")
	})
	return w.repos[key+"/"+slug]
}

// secret returns a made-up value.
func secret(n int) magpie.Secret {
	return magpie.NewSecret(fmt.Sprintf("made-up-%06d-%s", n, strings.Repeat("z", 20)))
}

// finding returns the n-th secret in a file.
func finding(n int, file string) magpie.Finding {
	return magpie.Finding{
		Rule: "example-token", RuleName: "Example access token", Provider: "Example", Severity: magpie.SeverityHigh,
		Confidence: magpie.ConfidenceHigh, Secret: secret(n), File: file, LineStart: 3, LineEnd: 3, ColumnStart: 9, ColumnEnd: 40,
		Blob: magpie.Hash(fmt.Sprintf("%040x", n+1)), Commit: magpie.Hash(fmt.Sprintf("%040x", n+77)),
		Author: "Ada Author", Email: "ada@example.com", Date: time.Now().Add(-time.Duration(n+1) * time.Hour),
		Excerpt: magpie.Excerpt{FirstLine: 1, Text: "# how to reach the service\nservice:\n  token: ••••••••\n  region: north\n"},
	}
}

// found records findings as a scan would.
func (w *world) found(repo magpie.Repo, kind magpie.ScanKind, findings ...magpie.Finding) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := w.incidents.Record(w.ctx, tx, incident.Source{Repo: repo, ScanID: store.NewID[magpie.ScanID](), Kind: kind}, findings)
		return err
	})
}

// scan adds a scan in some state.
func (w *world) scan(repo magpie.Repo, kind magpie.ScanKind, state magpie.ScanState, p magpie.Progress) magpie.Scan {
	w.Helper()
	v := magpie.Scan{ID: store.NewID[magpie.ScanID](), RepoID: repo.ID, Kind: kind, State: magpie.ScanQueued, CreatedAt: time.Now()}
	w.write(func(tx *store.Tx) error {
		if err := tx.AddScan(w.ctx, v); err != nil || state == magpie.ScanQueued {
			return err
		}
		if _, err := tx.StartScan(w.ctx, v.ID, time.Now().Add(-3*time.Second)); err != nil {
			return err
		}
		if _, err := tx.SetScanProgress(w.ctx, v.ID, p, ""); err != nil || state == magpie.ScanRunning {
			return err
		}
		v.State, v.EndedAt = state, time.Now()
		_, err := tx.EndScan(w.ctx, v)
		return err
	})
	return v
}

// browser is an HTTP client with cookies that does not follow redirects.
type browser struct {
	*world
	client *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as returns a browser in which somebody has signed in.
func (w *world) as(u magpie.User) *browser {
	w.Helper()
	b := w.browser()
	if got := b.post("/login", url.Values{"email": {u.Email}, "password": {password}}); got.StatusCode != http.StatusSeeOther {
		w.Fatalf("signing in as %s answered %d", u.Email, got.StatusCode)
	}
	return b
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (b *browser) do(method, path string, form url.Values) answer {
	b.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, b.server.URL+path, body)
	if err != nil {
		b.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answer{response, string(text)}
}

func (b *browser) get(path string) answer {
	b.Helper()
	return b.do(http.MethodGet, path, nil)
}

func (b *browser) post(path string, form url.Values) answer {
	b.Helper()
	if form == nil {
		form = url.Values{}
	}
	return b.do(http.MethodPost, path, form)
}

// want asserts the status of an answer.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s answered %d, want %d: %.600s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	return a
}

// has asserts that the page holds each of the texts.
func (a answer) has(t testing.TB, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s has no %q in\n%s", a.Request.URL.Path, text, a.body)
		}
	}
	return a
}

// lacks asserts that the page holds none of the texts.
func (a answer) lacks(t testing.TB, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("%s has %q", a.Request.URL.Path, text)
		}
	}
	return a
}

func (w *world) incidentID(number int64) magpie.IncidentID {
	w.Helper()
	i, err := store.Query(w.ctx, w.db, func(tx *store.Tx) (magpie.Incident, error) { return tx.IncidentByNumber(w.ctx, number) })
	if err != nil {
		w.Fatal(err)
	}
	return i.ID
}
