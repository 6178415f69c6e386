package bitbucket

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"magpie/internal/bitbucketsim"
	"magpie/internal/mail/mailcatcher"
	"magpie/internal/port"
)

// binary is the program under test, as it ships.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "magpie-checklist-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "magpie")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/magpie")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		os.Exit(1)
	}
	// The tests wait for the server more than they work, so many of them run at once.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// The people of the tests. The Owner and the Manager get mails about integrations, the Member does not.
const (
	ownerMail   = "owner@example.com"
	managerMail = "manager@example.com"
	memberMail  = "member@example.com"
	password    = "correct horse battery staple"
)

// syncEvery and tokenGrace are what the servers of the tests run with, so that what happens by itself happens soon.
const (
	syncEvery  = 10 * time.Second // the least that is allowed
	tokenGrace = 2 * time.Second
)

// server is one running Magpie.
type server struct {
	url     string
	dir     string
	env     []string
	ca      string // folder with the authority that all Bitbuckets of the test share
	mails   *mailcatcher.Catcher
	owner   *caller
	manager *caller
	member  *caller
	log     *logFile

	mu      sync.Mutex
	cmd     *exec.Cmd
	secrets []string // that must never be seen in what the server writes
}

// startServer starts a Magpie with an Owner, a Manager and a Member. It is stopped, and what it wrote is searched, when
// the test ends.
func startServer(t *testing.T, more ...string) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), ca: t.TempDir(), log: &logFile{}}
	authority, err := bitbucketsim.New(bitbucketsim.Options{DataDir: s.ca})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.IssueCertificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Close(); err != nil {
		t.Fatal(err)
	}
	s.mails = mailcatcher.New(mailcatcher.Options{Certificate: &certificate})
	smtp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.mails.Serve(smtp) }()
	t.Cleanup(func() { _ = s.mails.Close() })
	listen := freeAddress(t)
	s.url = "http://" + listen
	s.env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "MAGPIE_") }),
		"MAGPIE_LISTEN="+listen, "MAGPIE_PUBLIC_URL="+s.url, "MAGPIE_DATA_DIR="+filepath.Join(s.dir, "data"),
		"MAGPIE_CA_FILE="+filepath.Join(s.ca, "ca.pem"), "MAGPIE_OUTGOING_ALLOW=127.0.0.0/8", "MAGPIE_LOG_LEVEL=debug",
		"MAGPIE_MAIL_HOST=127.0.0.1", fmt.Sprintf("MAGPIE_MAIL_PORT=%d", smtp.Addr().(*net.TCPAddr).Port), "MAGPIE_MAIL_FROM=magpie@example.com",
		"MAGPIE_SYNC_EVERY="+syncEvery.String(), "MAGPIE_TOKEN_GRACE="+tokenGrace.String())
	s.env = append(s.env, more...)
	for _, who := range [][2]string{{ownerMail, "owner"}, {managerMail, "manager"}, {memberMail, "member"}} {
		s.command(t, password, "user", "add", "--role", who[1], who[0])
	}
	s.owner, s.manager, s.member = s.newCaller(t, ownerMail), s.newCaller(t, managerMail), s.newCaller(t, memberMail)
	s.start(t)
	t.Cleanup(func() {
		s.stop(t, syscall.SIGTERM)
		s.search(t)
	})
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	held, err := port.Any()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := held.Close(); err != nil {
			t.Error(err)
		}
	})
	return held.Address()
}

// command runs a subcommand to its end and returns what it printed.
func (s *server) command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.try(t, stdin, args...)
	if err != nil {
		t.Fatalf("magpie %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *server) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env, cmd.Stdin = s.env, strings.NewReader(stdin+"\n")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	s.log.Write(append(slices.Clone(out.Bytes()), stderr.Bytes()...))
	if err != nil {
		return out.String() + stderr.String(), err
	}
	return out.String(), nil
}

// start starts the process and waits until it answers.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.Command(binary, "serve")
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.env, s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v\n%s", err, s.log.tail())
		}
	}
}

// stop ends the process with a signal and waits until it is gone.
func (s *server) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err != nil && signal != syscall.SIGKILL {
		t.Errorf("the server ended with %v\n%s", err, s.log.tail())
	}
	s.cmd = nil
}

// hide remembers a value that must never be seen.
func (s *server) hide(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, secret)
}

// search looks for hidden values in everything that the server wrote, but for mails it looks only when asked to.
func (s *server) search(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	written := map[string][]byte{"the log": s.log.bytes()}
	_ = filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".key") {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			written[path] = raw
		}
		return err
	})
	for _, m := range s.mails.Messages() {
		written["a mail"] = append(written["a mail"], m.Raw...)
	}
	for name, raw := range written {
		for _, secret := range s.secrets {
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s holds a secret that begins with %.4s", name, secret)
			}
		}
	}
	if len(s.secrets) == 0 {
		t.Error("no secret was looked for")
	}
}

// logFile keeps what a process wrote.
type logFile struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logFile) bytes() []byte { l.mu.Lock(); defer l.mu.Unlock(); return bytes.Clone(l.buf.Bytes()) }

func (l *logFile) tail() string {
	raw := l.bytes()
	return string(raw[max(len(raw)-4000, 0):])
}

// caller is a user with an API token and a browser that is signed in.
type caller struct {
	base  string
	token string
	email string

	once    sync.Once
	browser *http.Client
}

func (s *server) newCaller(t *testing.T, email string) *caller {
	t.Helper()
	token := strings.TrimSpace(s.command(t, "", "user", "token", email))
	return &caller{base: s.url, token: token, email: email}
}

// problem is the API's answer to a request that it refuses.
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
	Raw    string `json:"-"`
}

func (p problem) String() string { return p.Raw }

// call sends one request to the API and decodes the answer into out. It returns the problem, nil if there is none.
func (c *caller) call(t *testing.T, method, path string, in, out any) *problem {
	t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, c.base+"/api/v1"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode/100 != 2 {
		p := &problem{Raw: fmt.Sprintf("%s %s: %d %s", method, path, response.StatusCode, raw)}
		_ = json.Unmarshal(raw, p)
		p.Status = response.StatusCode
		return p
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s answers %s: %v", method, path, raw, err)
		}
	}
	return nil
}

// do is call where nothing may go wrong.
func (c *caller) do(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if p := c.call(t, method, path, in, out); p != nil {
		t.Fatal(p)
	}
}

var hiddenField = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)

// page returns a page of the web app as the signed-in user sees it, with its status.
func (c *caller) page(t *testing.T, path string) (status int, text string) {
	t.Helper()
	c.signIn(t)
	response, err := c.browser.Get(c.base + path)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, readAll(t, response)
}

// post sends a form as the signed-in user and returns the page that follows.
func (c *caller) post(t *testing.T, path string, form url.Values) (status int, text string) {
	t.Helper()
	c.signIn(t)
	return c.send(t, path, form)
}

func (c *caller) signIn(t *testing.T) {
	t.Helper()
	c.once.Do(func() { c.logIn(t) })
}

func (c *caller) logIn(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.browser = &http.Client{Jar: jar}
	response, err := c.browser.Get(c.base + "/login")
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"email": {c.email}, "password": {password}}
	for _, field := range hiddenField.FindAllStringSubmatch(readAll(t, response), -1) {
		form.Set(field[1], field[2])
	}
	if status, text := c.send(t, "/login", form); status != http.StatusOK || strings.Contains(text, `name="password"`) {
		t.Fatalf("signing in as %s: status %d", c.email, status)
	}
}

func (c *caller) send(t *testing.T, path string, form url.Values) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", c.base)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := c.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, readAll(t, response)
}

func readAll(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
