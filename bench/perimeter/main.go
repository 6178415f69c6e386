// Command perimeter measures Magpie on a large Bitbucket: a simulated one with ten thousand repositories in five hundred
// projects, and the real server as a process of its own. It prints how long the first inventory, the set-up of all
// webhooks and one comparison of all refs take, how many calls each repository costs beside the least possible, the
// server's memory, and how fast the perimeter page answers meanwhile and after.
//
//	go run ./bench/perimeter [-magpie bin/magpie] [-repos 10000] [-projects 500] [-database postgres://…]
//
// The exact behaviour under Bitbucket's rate limit, at 5 requests a second, is the business of the test in this folder,
// which runs hours of it on a clock of its own; here the limit is off, so that the server is what is measured.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"magpie/internal/bitbucketsim"
	"magpie/internal/port"
)

func main() {
	var b bench
	flag.StringVar(&b.magpie, "magpie", "bin/magpie", "the binary to measure")
	flag.IntVar(&b.repos, "repos", 10000, "repositories of the simulated Bitbucket")
	flag.IntVar(&b.projects, "projects", 500, "projects that they are in")
	flag.StringVar(&b.database, "database", "", "PostgreSQL database to use instead of SQLite; it has to be empty")
	flag.BoolVar(&b.history, "history", false, "scan all histories too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "perimeter:", err)
		os.Exit(1)
	}
}

// bench is one measurement.
type bench struct {
	magpie, database string
	repos, projects  int
	history          bool

	dir     string
	sim     *bitbucketsim.Server
	url     string
	token   string // of our API
	environ []string
	server  *exec.Cmd
	browser *http.Client
}

// The account of the measurement, on a server that lives as long as it.
const (
	owner    = "owner@example.com"
	password = "correct horse battery staple"
)

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "magpie-perimeter-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.startBitbucket(); err != nil {
		return fmt.Errorf("starting the simulated Bitbucket: %w", err)
	}
	defer b.sim.Close()
	if err := b.startServer(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopServer()) }()
	if err := b.signIn(ctx); err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	return b.measure(ctx)
}

func (b *bench) startBitbucket() (err error) {
	began := time.Now()
	if b.sim, err = bitbucketsim.New(bitbucketsim.Options{DataDir: filepath.Join(b.dir, "bitbucket")}); err != nil {
		return err
	}
	if _, err := b.sim.CreateUser(bitbucketsim.User{Name: "bot", Permission: "SYS_ADMIN"}); err != nil {
		return err
	}
	for p := range b.projects {
		key := fmt.Sprintf("P%03d", p)
		if _, err := b.sim.CreateProject(key, "Project "+key); err != nil {
			return err
		}
		n := b.repos*(p+1)/b.projects - b.repos*p/b.projects
		if _, err := b.sim.CreateRepos(key, n, bitbucketsim.Seed{Commits: 2, Branches: []string{"develop"}}); err != nil {
			return err
		}
	}
	fmt.Printf("a Bitbucket %s with %d repositories in %d projects, made in %s\n", b.sim.Version(), b.repos, b.projects, since(began))
	return nil
}

func (b *bench) startServer(ctx context.Context) error {
	held, err := port.Any() // as long as this runs
	if err != nil {
		return err
	}
	listen := held.Address()
	b.url = "http://" + listen
	b.environ = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "MAGPIE_") }),
		"MAGPIE_LISTEN="+listen, "MAGPIE_PUBLIC_URL="+b.url, "MAGPIE_DATA_DIR="+filepath.Join(b.dir, "data"),
		"MAGPIE_CA_FILE="+b.sim.CAFile(), "MAGPIE_OUTGOING_ALLOW=127.0.0.0/8", "MAGPIE_SYNC_EVERY=24h", "MAGPIE_SWEEP_EVERY=24h")
	if b.database != "" {
		b.environ = append(b.environ, "MAGPIE_DATABASE="+b.database)
	}
	if _, err := b.command(ctx, "user", "add", owner); err != nil {
		return err
	}
	token, err := b.command(ctx, "user", "token", owner)
	if err != nil {
		return err
	}
	b.token = strings.TrimSpace(token)
	log, err := os.Create(filepath.Join(b.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	b.server = exec.Command(b.magpie, "serve")
	b.server.Env, b.server.Stdout, b.server.Stderr = b.environ, log, log
	if err := b.server.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", b.magpie, err)
	}
	return b.until(ctx, "the server answering", 20*time.Millisecond, func() (bool, error) {
		response, err := http.Get(b.url + "/readyz")
		if err != nil {
			return false, nil
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

func (b *bench) stopServer() error {
	if err := b.server.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return b.server.Wait()
}

func (b *bench) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.magpie, args...)
	cmd.Env, cmd.Stdin = b.environ, strings.NewReader(password+"\n")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("magpie %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// coverage is how far the set-up has come.
type coverage struct {
	Coverage struct {
		Repositories   int `json:"repositories"`
		HooksInstalled int `json:"hooks_installed"`
		HistoryDone    int `json:"history_done"`
	} `json:"coverage"`
}

func (b *bench) measure(ctx context.Context) error {
	token, err := b.sim.CreateToken(bitbucketsim.TokenSpec{User: "bot", Permissions: []string{"PROJECT_READ", "REPO_ADMIN"}})
	if err != nil {
		return err
	}
	began := time.Now()
	var made struct {
		ID string `json:"id"`
	}
	if err := b.call(ctx, "POST", "/integrations", map[string]any{"mode": "instance", "url": b.sim.URL(), "token": token.Text}, &made); err != nil {
		return err
	}
	b.report("connected", began, 0)
	if !b.history {
		if err := b.call(ctx, "PATCH", "/integrations/"+made.ID, map[string]any{"autoscan": false}, nil); err != nil {
			return err
		}
	}
	b.sim.ResetCounts()
	var now coverage
	reach := func(what string, done func() bool) error {
		err := b.until(ctx, what, 500*time.Millisecond, func() (bool, error) {
			return done(), b.call(ctx, "GET", "/integrations/"+made.ID, nil, &now)
		})
		if err == nil {
			b.report(what, began, b.sim.Counts().Total)
		}
		return err
	}
	if err := reach("all repositories known", func() bool { return now.Coverage.Repositories == b.repos }); err != nil {
		return err
	}
	if err := b.pages(ctx, "while webhooks are set up"); err != nil {
		return err
	}
	if err := reach("all webhooks installed", func() bool { return now.Coverage.HooksInstalled == b.repos }); err != nil {
		return err
	}
	if b.history {
		if err := reach("all histories scanned", func() bool { return now.Coverage.HistoryDone == b.repos }); err != nil {
			return err
		}
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	b.report("set up in full", began, b.sim.Counts().Total)
	least := 2 // a webhook and a listing of refs
	if b.history {
		least++ // and a fetch
	}
	b.calls("set-up", least*b.repos+b.pagesOfLists())
	if err := b.sweep(ctx); err != nil {
		return err
	}
	if err := b.sync(ctx, made.ID); err != nil {
		return err
	}
	return b.pages(ctx, "at rest")
}

// quiet waits until nothing was asked of the Bitbucket for a while.
func (b *bench) quiet(ctx context.Context) error {
	last, since := -1, time.Now()
	return b.until(ctx, "quiet", 500*time.Millisecond, func() (bool, error) {
		if n := b.sim.Counts().Total; n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 5*time.Second, nil
	})
}

func (b *bench) sweep(ctx context.Context) error {
	b.sim.ResetCounts()
	began := time.Now()
	if err := b.call(ctx, "POST", "/sweeps", nil, nil); err != nil {
		return err
	}
	err := b.until(ctx, "the sweep", 500*time.Millisecond, func() (bool, error) {
		var sweeps struct {
			Items []struct {
				EndedAt  string `json:"ended_at"`
				Compared int    `json:"compared"`
			} `json:"items"`
		}
		err := b.call(ctx, "GET", "/sweeps", nil, &sweeps)
		return err == nil && len(sweeps.Items) > 0 && sweeps.Items[0].EndedAt != "" && b.sim.Counts().Total > 0, err
	})
	if err != nil {
		return err
	}
	b.report("all refs compared once", began, b.sim.Counts().Total)
	b.calls("sweep", b.repos)
	return nil
}

func (b *bench) sync(ctx context.Context, id string) error {
	b.sim.ResetCounts()
	began := time.Now()
	if err := b.call(ctx, "POST", "/integrations/"+id+"/sync", nil, nil); err != nil {
		return err
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	b.report("a sync of what is known already", began.Add(5*time.Second), b.sim.Counts().Total)
	b.calls("sync", b.pagesOfLists())
	return nil
}

// report prints one line of figures.
func (b *bench) report(what string, began time.Time, calls int) {
	fmt.Printf("%-34s after %8s", what, since(began))
	if calls > 0 {
		fmt.Printf(", %6d calls, %.2f a repository", calls, float64(calls)/float64(b.repos))
	}
	fmt.Printf(", server %d MB, most %d MB\n", b.memory("VmRSS"), b.memory("VmHWM"))
}

// pagesOfLists is how many requests it takes to list all projects and repositories, at a thousand a page.
func (b *bench) pagesOfLists() int { return (b.repos+999)/1000 + (b.projects+999)/1000 }

// calls prints what was asked of the Bitbucket beside the least that the work takes, and the most frequent requests.
func (b *bench) calls(what string, least int) {
	counts := b.sim.Counts()
	fmt.Printf("    %-10s %6d requests, of which %d are the least possible\n", what, counts.Total, least)
	names := make([]string, 0, len(counts.Endpoints))
	for name := range counts.Endpoints {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return counts.Endpoints[y] - counts.Endpoints[x] })
	for _, name := range names[:min(len(names), 6)] {
		fmt.Printf("    %-10s %6d × %s\n", what, counts.Endpoints[name], name)
	}
}

var memoryLine = regexp.MustCompile(`(?m)^(\w+):\s+(\d+) kB$`)

// memory reads a figure of the server process from the kernel, in MB.
func (b *bench) memory(name string) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.Process.Pid))
	if err != nil {
		return 0
	}
	for _, line := range memoryLine.FindAllSubmatch(raw, -1) {
		if string(line[1]) == name {
			var kb int
			_, _ = fmt.Sscan(string(line[2]), &kb)
			return kb / 1024
		}
	}
	return 0
}

// pages asks for the pages that show everything, and prints how long they take.
func (b *bench) pages(ctx context.Context, when string) error {
	for _, path := range []string{"/", "/perimeter", "/perimeter?q=repo", "/perimeter?state=trouble", "/coverage", "/settings/integrations/bitbucket"} {
		var took []time.Duration
		size := 0
		for range 21 {
			began := time.Now()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
			if err != nil {
				return err
			}
			response, err := b.browser.Do(r)
			if err != nil {
				return err
			}
			raw, err := io.ReadAll(response.Body)
			if err = errors.Join(err, response.Body.Close()); err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %d", path, response.StatusCode)
			}
			took, size = append(took, time.Since(began)), len(raw)
		}
		slices.Sort(took)
		fmt.Printf("page %-34s %s: median %6.1f ms, most %6.1f ms, %d kB\n", path, when, ms(took[10]), ms(took[20]), size/1000)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func since(began time.Time) time.Duration { return time.Since(began).Round(100 * time.Millisecond) }

// until waits for a condition.
func (b *bench) until(ctx context.Context, what string, every time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Hour)
	defer cancel()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("never happened: %s: %w", what, ctx.Err())
		case <-time.After(every):
		}
	}
}

// call sends one request to the server's API.
func (b *bench) call(ctx context.Context, method, path string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if in == nil {
		raw = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, b.url+"/api/v1"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

var hiddenField = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)

// signIn logs the browser in by the form.
func (b *bench) signIn(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	b.browser = &http.Client{Jar: jar}
	response, err := b.browser.Get(b.url + "/login")
	if err != nil {
		return err
	}
	page, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	form := url.Values{"email": {owner}, "password": {password}}
	for _, field := range hiddenField.FindAllStringSubmatch(string(page), -1) {
		form.Set(field[1], field[2])
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.url)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if response, err = b.browser.Do(r); err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	return nil
}
