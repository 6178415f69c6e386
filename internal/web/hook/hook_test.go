package hook_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
	"magpie/internal/guard"
	"magpie/internal/perimeter"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
	"magpie/internal/web/hook"
)

// readTimeout is for how long a body may take in the tests: short enough to wait for, long enough for 8 MiB on a slow machine.
const readTimeout = 2 * time.Second

// bench is a receiver behind TLS, connected to a simulated Bitbucket with one repository.
type bench struct {
	*testing.T
	ctx       context.Context
	db        *store.DB
	sim       *bitbucketsim.Server
	perimeter *perimeter.Service
	registry  *prometheus.Registry
	server    *httptest.Server
	repo      magpie.Repo
	path      string // of the repository's hook
	secret    magpie.Secret

	mu     sync.Mutex
	broken error // what accept answers instead
}

type quiet struct{}

func (quiet) Compare(context.Context, magpie.RepoID) (scan.Comparison, error) {
	return scan.Comparison{}, nil
}
func (quiet) Look(context.Context, *store.Tx, magpie.RepoID, string) error    { return nil }
func (quiet) FirstLook(context.Context, *store.Tx, magpie.RepoID, bool) error { return nil }
func (quiet) RequestHistory(context.Context, *store.Tx, magpie.RepoID) (magpie.ScanID, error) {
	return "", nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// each runs test on both databases.
func each(t *testing.T, opt bitbucketsim.Options, test func(*bench)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(start(t, opt, address(t)))
		})
	}
}

func start(t *testing.T, opt bitbucketsim.Options, address string) *bench {
	t.Helper()
	b := &bench{T: t, ctx: t.Context(), sim: must(bitbucketsim.New(opt)), registry: prometheus.NewRegistry()}
	t.Cleanup(func() { _ = b.sim.Close() })
	must(b.sim.CreateUser(bitbucketsim.User{Name: "magpie", Permission: "SYS_ADMIN"}))
	must(b.sim.CreateProject("PRJ", "Project"))
	repo := must(b.sim.CreateRepo("PRJ", "Rocket"))
	token := must(b.sim.CreateToken(bitbucketsim.TokenSpec{User: "magpie", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}}))
	b.server = httptest.NewUnstartedServer(nil)
	b.server.Config.ErrorLog = nil
	b.server.TLS = &tls.Config{Certificates: []tls.Certificate{must(b.sim.IssueCertificate("127.0.0.1"))}}
	b.server.StartTLS()
	t.Cleanup(b.server.Close)

	master, _, err := seal.LoadOrCreateMaster(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	keys := must(master.Open(must(master.NewDataKey())))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.sim.CACertificate())
	log := slog.New(slog.DiscardHandler)
	db, jobs := storetest.Open(t, address, func(e *queue.Engine, db *store.DB) {
		b.perimeter = perimeter.New(perimeter.Options{
			DB: db, Keys: keys, PublicURL: b.server.URL, Scans: quiet{}, Log: log,
			HTTP: guard.New(guard.Options{RootCAs: roots, AllowPrivate: must(guard.ParseAllow("loopback"))}).Client(30 * time.Second),
		})
		b.perimeter.Register(e)
	})
	b.db = db
	b.server.Config.Handler = hook.New(hook.Options{
		Perimeter: b.perimeter, Accept: b.accept, ReadTimeout: readTimeout, Metrics: b.registry, Log: log,
	})
	if err := jobs.Start(b.ctx); err != nil {
		t.Fatal(err)
	}
	i, err := b.perimeter.Connect(b.ctx, magpie.User{}, perimeter.ConnectInput{Mode: magpie.ModeInstance, URL: b.sim.URL(), Token: magpie.NewSecret(token.Text)})
	if err != nil {
		t.Fatal(err)
	}
	b.eventually("an installed webhook", func() bool {
		b.repo, err = store.Query(b.ctx, b.db, func(tx *store.Tx) (magpie.Repo, error) { return tx.RepoByRemoteID(b.ctx, i.ID, int64(repo.ID)) })
		return err == nil && b.repo.Hook == magpie.HookInstalled
	})
	b.path = strings.TrimPrefix(b.sim.Webhooks()[0].URL, b.server.URL)
	_, b.secret, err = b.perimeter.Hook(b.ctx, magpie.HookID(strings.TrimPrefix(b.path, hook.Path)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// accept stores an event as the scan stage does.
func (b *bench) accept(ctx context.Context, id magpie.RepoID, push magpie.Push) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return b.broken
	}
	return b.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.AddDelivery(ctx, store.Delivery{ID: store.NewID[magpie.DeliveryID](), RepoID: id, Push: push, ReceivedAt: time.Now()})
		return err
	})
}

func (b *bench) eventually(what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never happened: %s", what)
		}
	}
}

// deliveries returns the stored events.
func (b *bench) deliveries() []store.Delivery {
	b.Helper()
	all, err := store.Query(b.ctx, b.db, func(tx *store.Tx) ([]store.Delivery, error) {
		return tx.WaitingDeliveries(b.ctx, b.repo.ID, 100_000)
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// counts returns the counter by result, without zeros.
func (b *bench) counts() map[string]int {
	b.Helper()
	got := map[string]int{}
	for _, family := range must(b.registry.Gather()) {
		if family.GetName() != "magpie_hook_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if n := int(m.GetCounter().GetValue()); n > 0 {
				got[m.GetLabel()[0].GetValue()] = n
			}
		}
	}
	return got
}

func sign(secret magpie.Secret, body []byte) string {
	mac := hmac.New(sha256.New, secret.Reveal())
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// request is a delivery as Bitbucket would send it, to be spoiled.
func (b *bench) request(id, event, body string) *http.Request {
	req := must(http.NewRequestWithContext(b.ctx, http.MethodPost, b.server.URL+b.path, strings.NewReader(body)))
	req.Header.Set("X-Event-Key", event)
	req.Header.Set("X-Request-Id", id)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-Hub-Signature", sign(b.secret, []byte(body)))
	return req
}

func (b *bench) client() *http.Client {
	c := b.server.Client()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b.sim.CACertificate())
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	return c
}

// send returns the status and the body of the answer.
func (b *bench) send(c *http.Client, req *http.Request) (int, string) {
	b.Helper()
	resp, err := c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body)))
}

// event returns the body of a push event.
func (b *bench) event() string {
	return fmt.Sprintf(`{"eventKey":"repo:refs_changed","date":"2024-05-06T07:08:09+0000","actor":{"name":"dev"},"repository":{"id":%d},
		"changes":[{"ref":{"id":"refs/heads/main"},"refId":"refs/heads/main","fromHash":"%s","toHash":"%s","type":"ADD"}]}`,
		b.repo.RemoteID, strings.Repeat("0", 40), strings.Repeat("a", 40))
}

func TestRequests(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		refused := "no such webhook, or the signature is missing or wrong\n"
		good := b.event()
		modified := fmt.Sprintf(`{"eventKey":"repo:modified","old":{"id":%[1]d},"new":{"id":%[1]d}}`, b.repo.RemoteID)
		for _, test := range []struct {
			name, event, body string
			spoil             func(*http.Request)
			status            int
			answer, counted   string
			stored            bool
		}{
			{name: "push", event: "repo:refs_changed", body: good, status: 200, counted: "accepted", stored: true},
			{name: "push without changes", event: "repo:refs_changed", body: strings.Split(good, `"changes"`)[0] + `"changes":[]}`, status: 200, counted: "accepted", stored: true},
			{name: "rename", event: "repo:modified", body: modified, status: 200, counted: "modified"},
			{name: "other event", event: "pr:opened", body: `{"eventKey":"pr:opened"}`, status: 200, counted: "ignored"},
			{name: "signed nonsense is a hint", event: "repo:refs_changed", body: `{"eventKey"`, status: 200, counted: "malformed", stored: true},
			{name: "another repository", event: "repo:refs_changed", body: strings.Replace(good, `"id":`, `"id":9`, 1), status: 403, counted: "wrong_repository"},
			{name: "ping", event: "diagnostics:ping", body: `{"test":true}`, spoil: func(r *http.Request) { r.Header.Del("X-Hub-Signature") }, status: 200, counted: "ping"},
			{name: "ping to nowhere", event: "diagnostics:ping", body: `{"test":true}`, spoil: func(r *http.Request) { r.URL.Path = hook.Path }, status: 200, counted: "ping"},
			{name: "unsigned", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.Header.Del("X-Hub-Signature") }, status: 401, answer: refused, counted: "unsigned"},
			{name: "other secret", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) {
				r.Header.Set("X-Hub-Signature", sign(magpie.NewSecret("guess"), []byte(good)))
			}, status: 401, answer: refused, counted: "wrong_signature"},
			{name: "signature of another body", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) {
				r.Header.Set("X-Hub-Signature", sign(b.secret, []byte(good+" ")))
			}, status: 401, answer: refused, counted: "wrong_signature"},
			{name: "no signature at all", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha256=") }, status: 401, answer: refused, counted: "wrong_signature"},
			{name: "weak digest", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha1="+strings.Repeat("0", 40)) }, status: 401, answer: refused, counted: "wrong_signature"},
			{name: "unknown hook", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.URL.Path = hook.Path + "abc" }, status: 401, answer: refused, counted: "unknown_hook"},
			{name: "no hook", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.URL.Path = hook.Path }, status: 401, answer: refused, counted: "unknown_hook"},
			{name: "unknown hook signed with the stand-in", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) {
				r.URL.Path = hook.Path + "abc"
				r.Header.Set("X-Hub-Signature", sign(magpie.NewSecret(strings.Repeat("0", 43)), []byte(good)))
			}, status: 401, answer: refused, counted: "unknown_hook"},
			{name: "hostile id", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.URL.Path = hook.Path + "' OR 1=1 --" }, status: 401, answer: refused, counted: "unknown_hook"},
			{name: "long id", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.URL.Path = hook.Path + strings.Repeat("a", 10_000) }, status: 401, answer: refused, counted: "unknown_hook"},
			{name: "get", event: "repo:refs_changed", spoil: func(r *http.Request) { r.Method = http.MethodGet }, status: 405, counted: "method"},
			{name: "put", event: "repo:refs_changed", body: good, spoil: func(r *http.Request) { r.Method = http.MethodPut }, status: 405, counted: "method"},
			{name: "too large and says so", event: "repo:refs_changed", body: strings.Repeat(" ", bitbucket.MaxEventBytes+1), status: 413, counted: "too_large"},
			{name: "too large in chunks", event: "repo:refs_changed", body: strings.Repeat(" ", bitbucket.MaxEventBytes+1), spoil: func(r *http.Request) { r.ContentLength = -1 }, status: 413, counted: "too_large"},
			{name: "just not too large", event: "repo:refs_changed", body: good + strings.Repeat(" ", bitbucket.MaxEventBytes-len(good)), status: 200, counted: "accepted", stored: true},
		} {
			before, counted := len(b.deliveries()), b.counts()[test.counted]
			req := b.request("id of "+test.name, test.event, test.body)
			if test.spoil != nil {
				test.spoil(req)
			}
			status, answer := b.send(b.client(), req)
			if status != test.status || test.answer != "" && answer != test.answer {
				b.Errorf("%s: status %d %q, want %d %q", test.name, status, answer, test.status, test.answer)
			}
			if got := b.counts()[test.counted] - counted; got != 1 {
				b.Errorf("%s: counted %d times as %s, want once; counts are %v", test.name, got, test.counted, b.counts())
			}
			if stored := len(b.deliveries()) > before; stored != test.stored {
				b.Errorf("%s: stored is %t, want %t", test.name, stored, test.stored)
			}
		}
	})
}

func TestCompressedBodiesAreNotOpened(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		var bomb bytes.Buffer
		w := gzip.NewWriter(&bomb)
		must(w.Write(bytes.Repeat([]byte(" "), 4<<20)))
		must(0, w.Close())
		for _, encoding := range []string{"gzip", "br", "zstd", "deflate, gzip"} {
			req := b.request("bomb", "repo:refs_changed", bomb.String())
			req.Header.Set("Content-Encoding", encoding)
			if status, _ := b.send(b.client(), req); status != http.StatusUnsupportedMediaType {
				b.Errorf("%s: status %d, want 415", encoding, status)
			}
		}
		// Without saying so it is just bytes that are no event.
		if status, _ := b.send(b.client(), b.request("bomb", "repo:refs_changed", bomb.String())); status != 200 {
			b.Errorf("a signed archive: status %d, want 200", status)
		}
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		for range 3 {
			if status, _ := b.send(b.client(), b.request("same", "repo:refs_changed", b.event())); status != 200 {
				b.Errorf("status %d, want 200", status)
			}
		}
		for range 3 { // without an id the event itself is what counts
			if status, _ := b.send(b.client(), b.request("", "repo:refs_changed", b.event())); status != 200 {
				b.Errorf("status %d, want 200", status)
			}
		}
		other := strings.ReplaceAll(b.event(), "aaaa", "bbbb")
		b.send(b.client(), b.request("", "repo:refs_changed", other))
		if got := len(b.deliveries()); got != 3 {
			b.Errorf("%d deliveries are stored, want 3", got)
		}
	})
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(b.sim.CACertificate())
		conn := must(tls.Dial("tcp", strings.TrimPrefix(b.server.URL, "https://"), &tls.Config{RootCAs: pool}))
		defer conn.Close()
		must(0, conn.SetDeadline(time.Now().Add(10*time.Second)))
		must(fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nX-Event-Key: repo:refs_changed\r\nX-Hub-Signature: sha256=00\r\n\r\nx", b.path))
		got := must(io.ReadAll(conn))
		if !bytes.HasPrefix(got, []byte("HTTP/1.1 408 ")) {
			b.Errorf("answer %.60q, want 408", got)
		}
		half := must(tls.Dial("tcp", strings.TrimPrefix(b.server.URL, "https://"), &tls.Config{RootCAs: pool}))
		must(fmt.Fprintf(half, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nX-Hub-Signature: sha256=00\r\n\r\nx", b.path))
		must(0, half.Close())
		b.eventually("two bad ends", func() bool { c := b.counts(); return c["too_slow"] == 1 && c["broken"] == 1 })
		// The deadline is gone again for the next request on a connection.
		c := b.client()
		b.send(c, b.request("1", "repo:refs_changed", b.event()))
		time.Sleep(readTimeout + 200*time.Millisecond) // longer than ReadTimeout: nothing to wait for but time itself
		if status, _ := b.send(c, b.request("2", "repo:refs_changed", b.event())); status != 200 {
			b.Errorf("status %d after a pause, want 200", status)
		}
	})
}

// unread is a body that must not be read.
type unread struct{ *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.Error("the body was read")
	return 0, io.EOF
}

// What can be decided without the body is decided without it, so that strangers can't make us hold MiBs each.
func TestStrangersBodiesAreNotRead(t *testing.T) {
	t.Parallel()
	b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
	for name, test := range map[string]struct {
		spoil  func(*http.Request)
		status int
		answer string
	}{
		"ping":         {func(r *http.Request) { r.Header.Set("X-Event-Key", "diagnostics:ping") }, 200, "ok\n"},
		"unsigned":     {func(r *http.Request) { r.Header.Del("X-Hub-Signature") }, 401, "no such webhook, or the signature is missing or wrong\n"},
		"unknown hook": {func(r *http.Request) { r.URL.Path = hook.Path + "abc" }, 401, "no such webhook, or the signature is missing or wrong\n"},
		"hostile id":   {func(r *http.Request) { r.URL.Path = hook.Path + "../x" }, 401, "no such webhook, or the signature is missing or wrong\n"},
	} {
		t.Run(name, func(t *testing.T) {
			req := b.request("1", "repo:refs_changed", b.event())
			req.Body = io.NopCloser(unread{t})
			test.spoil(req)
			rec := httptest.NewRecorder()
			b.server.Config.Handler.ServeHTTP(rec, req)
			if rec.Code != test.status || rec.Body.String() != test.answer || rec.Header().Get("Connection") != "close" {
				t.Errorf("answer %d %q with Connection %q, want %d %q and close", rec.Code, rec.Body, rec.Header().Get("Connection"), test.status, test.answer)
			}
		})
	}
	// A wrong signature ends the connection too.
	req := b.request("1", "repo:refs_changed", b.event())
	req.Header.Set("X-Hub-Signature", "sha256=00")
	rec := httptest.NewRecorder()
	b.server.Config.Handler.ServeHTTP(rec, req)
	if rec.Code != 401 || rec.Header().Get("Connection") != "close" {
		t.Errorf("a wrong signature: answer %d with Connection %q, want 401 and close", rec.Code, rec.Header().Get("Connection"))
	}
}

func TestStoreTrouble(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		for err, want := range map[error]int{
			errors.New("disk"): 503,
			&magpie.Error{Kind: magpie.KindUnavailable, Message: "no database"}:    503,
			&magpie.Error{Kind: magpie.KindNotFound, Message: "deselected by now"}: 401,
		} {
			b.mu.Lock()
			b.broken = err
			b.mu.Unlock()
			if status, answer := b.send(b.client(), b.request("1", "repo:refs_changed", b.event())); status != want || strings.Contains(answer, "disk") {
				b.Errorf("%v: answer %d %q, want %d", err, status, answer, want)
			}
		}
		b.mu.Lock()
		b.broken = nil
		b.mu.Unlock()
		if status, _ := b.send(b.client(), b.request("1", "repo:refs_changed", b.event())); status != 200 || len(b.deliveries()) != 1 {
			b.Errorf("afterwards: status %d and %d deliveries", status, len(b.deliveries()))
		}
	})
}

func TestDeselectionIsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		if err := b.perimeter.SetMonitored(b.ctx, magpie.User{}, []magpie.RepoID{b.repo.ID}, false); err != nil {
			b.Fatal(err)
		}
		if status, _ := b.send(b.client(), b.request("late", "repo:refs_changed", b.event())); status != 401 || len(b.deliveries()) != 0 {
			b.Errorf("a late event: status %d and %d deliveries, want 401 and none", status, len(b.deliveries()))
		}
		req := b.request("later", "repo:refs_changed", b.event())
		req.Body = io.NopCloser(unread{b.T}) // it would tell if anybody looked at it
		rec := httptest.NewRecorder()
		b.server.Config.Handler.ServeHTTP(rec, req)
		if rec.Code != 401 {
			b.Errorf("a late event whose body is not to be read: status %d, want 401", rec.Code)
		}
	})
}

// Forged events leave no row, whatever is wrong with them.
func TestForgedEventsLeaveNoRow(t *testing.T) {
	t.Parallel()
	forged := 4_000
	if os.Getenv("MAGPIE_TEST_LONG") != "" {
		forged = 100_000
	}
	b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
	body := b.event()
	wrong := sign(magpie.NewSecret("guess"), []byte(body))
	spoil := []func(*http.Request){
		func(r *http.Request) { r.Header.Del("X-Hub-Signature") },
		func(r *http.Request) { r.Header.Set("X-Hub-Signature", wrong) },
		func(r *http.Request) { r.URL.Path = hook.Path + "0123456789abcdefghijABCD" },
		func(r *http.Request) { r.Header.Set("X-Event-Key", "diagnostics:ping") },
	}
	began := time.Now()
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for n := worker; n < forged; n += 4 {
				// Straight into the handler: what the network does is not the question.
				req := b.request(fmt.Sprint(n), "repo:refs_changed", body)
				spoil[n%len(spoil)](req)
				rec := httptest.NewRecorder()
				b.server.Config.Handler.ServeHTTP(rec, req)
				if want := map[bool]int{true: 200, false: 401}[n%len(spoil) == 3]; rec.Code != want {
					b.Errorf("forgery %d: status %d, want %d", n, rec.Code, want)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d forged events in %s", forged, time.Since(began).Round(time.Millisecond))
	if n := len(b.deliveries()); n != 0 {
		t.Errorf("%d deliveries are stored", n)
	}
	audit := must(store.Query(b.ctx, b.db, func(tx *store.Tx) ([]store.AuditEntry, error) { return tx.AuditEntries(b.ctx, "", 100) }))
	if len(audit) != 1 {
		t.Errorf("audit rows %v, want only the connection", audit)
	}
	want := forged / 4
	if c := b.counts(); c["unsigned"] != want || c["wrong_signature"] != want || c["unknown_hook"] != want || c["ping"] != want {
		t.Errorf("counts are %v, want %d of each", c, want)
	}
}

// Real deliveries, in the dialects of all supported versions.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"7.6.0", "8.9.0", "9.4.0", "10.2.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			run := each
			if version != "9.4.0" { // the versions differ at Bitbucket's side only
				run = func(t *testing.T, opt bitbucketsim.Options, test func(*bench)) {
					test(start(t, opt, storetest.SQLite(t)))
				}
			}
			run(t, bitbucketsim.Options{Version: version}, func(b *bench) {
				b.sim.SetDeliveries(bitbucketsim.DeliveryMode{Duplicate: 0.5})
				id := int(b.repo.RemoteID)
				pushed := must(b.sim.Push(bitbucketsim.Push{Repo: id, Commits: []bitbucketsim.Commit{{Files: map[string]string{"a": "1"}}}}))
				must(b.sim.Push(bitbucketsim.Push{Repo: id, Commits: []bitbucketsim.Commit{{Root: true, Files: map[string]string{"a": "2"}}}}))
				must(b.sim.Push(bitbucketsim.Push{Repo: id, Tags: []bitbucketsim.Tag{{Name: "v1", Target: "main", Message: "one"}}, Refs: map[string]string{"refs/heads/side": "main"}}))
				must(b.sim.Push(bitbucketsim.Push{Repo: id, Refs: map[string]string{"refs/heads/side": ""}}))
				must(0, b.sim.Rename(id, "Moon"))
				ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
				defer cancel()
				must(0, b.sim.WaitDelivered(ctx))
				for _, d := range b.sim.Deliveries() {
					if d.Outcome != bitbucketsim.Success || !d.Signed {
						b.Errorf("delivery %s of %s: %s, status %d, %s", d.ID, d.Event, d.Outcome, d.Status, d.Err)
					}
				}
				got := b.deliveries()
				if len(got) != 4 {
					b.Fatalf("%d deliveries are stored, want 4", len(got))
				}
				found := false
				for _, d := range got {
					for _, h := range d.Push.Hashes() {
						found = found || string(h) == pushed.Commits[0]
					}
				}
				if !found {
					b.Errorf("no delivery names the first commit")
				}
				must(0, b.sim.Redeliver(b.sim.Deliveries()[0].ID))
				must(0, b.sim.WaitDelivered(ctx))
				if n := len(b.deliveries()); n != 4 {
					b.Errorf("%d deliveries are stored after a replay, want 4", n)
				}
				b.eventually("the new name", func() bool {
					r := must(store.Query(b.ctx, b.db, func(tx *store.Tx) (magpie.Repo, error) { return tx.Repo(b.ctx, b.repo.ID) }))
					return r.Slug == "moon"
				})
			})
		})
	}
}
