package bitbucketsim

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// bench is a running server with one project, one repository, a sysadmin and the sysadmin's token.
type bench struct {
	*testing.T
	*Server
	repo  Repo
	token Token
}

var testDate = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

const adminPassword = "made up for tests"

func start(t *testing.T, opt Options) *bench {
	t.Helper()
	s := must(New(opt))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	b := &bench{T: t, Server: s}
	must(s.CreateUser(User{Name: "admin", DisplayName: "Ada Admin", Permission: "SYS_ADMIN", Password: adminPassword}))
	must(s.CreateProject("PRJ", "Project"))
	b.repo = must(s.CreateRepo("PRJ", "Rocket"))
	b.token = b.newToken("admin", "REPO_ADMIN", "PROJECT_READ")
	return b
}

// must panics where the set-up of a test went wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (b *bench) newToken(user string, permissions ...string) Token {
	return must(b.CreateToken(TokenSpec{User: user, Permissions: permissions}))
}

// answer is what a call got.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

func (a answer) exception() string {
	var doc errorBody
	if json.Unmarshal(a.body, &doc) != nil || len(doc.Errors) == 0 || doc.Errors[0].ExceptionName == nil {
		return ""
	}
	return strings.TrimPrefix(*doc.Errors[0].ExceptionName, "com.atlassian.")
}

// ask makes a call with a bearer token; "" is anonymous. The client follows no redirects.
func (b *bench) ask(token, method, path, body string) answer {
	b.Helper()
	req := must(http.NewRequest(method, b.URL()+path, strings.NewReader(body)))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return b.do(req)
}

func (b *bench) do(req *http.Request) answer {
	b.Helper()
	c := b.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, body: must(io.ReadAll(resp.Body))}
	json.Unmarshal(a.body, &a.json)
	return a
}

func (b *bench) get(path string) answer {
	b.Helper()
	return b.ask(b.token.Text, "GET", "/rest/api/latest"+path, "")
}

const rocket = "/projects/PRJ/repos/rocket"

// commit pushes one commit with one file.
func (b *bench) commit(branch, path, text string) Pushed {
	b.Helper()
	return b.push(Push{Repo: b.repo.ID, Commits: []Commit{{Branch: branch, Date: testDate, Files: map[string]string{path: text}}}})
}

func (b *bench) push(p Push) Pushed {
	b.Helper()
	done, err := b.Push(p)
	if err != nil {
		b.Fatal(err)
	}
	return done
}

// git runs the real git as a client that trusts the server's authority and sends a token.
func (b *bench) git(token string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.TempDir(), "GIT_SSL_CAINFO=" + b.CAFile(), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com",
	}
	if token != "" {
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Bearer "+token)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *bench) mustGit(args ...string) string {
	b.Helper()
	out, err := b.git(b.token.Text, args...)
	if err != nil {
		b.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// received is one webhook that arrived.
type received struct {
	header http.Header
	body   []byte
	json   map[string]any
}

// receiver takes webhooks and answers with status.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	status int
	block  chan struct{} // when set, answers wait until it is closed
}

func receive(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	got := received{header: req.Header, body: body}
	json.Unmarshal(bytes.Clone(body), &got.json)
	r.mu.Lock()
	r.got = append(r.got, got)
	status, block := r.status, r.block
	r.mu.Unlock()
	if block != nil {
		<-block
	}
	w.WriteHeader(status)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

const hookSecret = "01234567" + "89abcdef"

// hook creates a webhook over REST and returns its id.
func (b *bench) hook(path, url string, events ...string) int {
	b.Helper()
	doc := map[string]any{
		"name": "magpie", "url": url, "events": events, "active": true, "configuration": map[string]string{"secret": hookSecret},
	}
	a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+path+"/webhooks", string(must(json.Marshal(doc))))
	if a.status/100 != 2 {
		b.Fatalf("creating a webhook: %d %s", a.status, a.body)
	}
	return int(a.json["id"].(float64))
}

func (b *bench) delivered() {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.WaitDelivered(ctx); err != nil {
		b.Fatal(err)
	}
}

// serveTLS serves a handler with a certificate and returns its address.
func serveTLS(t *testing.T, h http.Handler, cert tls.Certificate) string {
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.Config.ErrorLog = quiet
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL
}

// fakeClock moves when told to.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
