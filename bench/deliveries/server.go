package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"magpie/internal/bitbucketsim"
	"magpie/internal/port"
)

// server is magpie serve as a child process that can be killed and started again on the same data.
type server struct {
	magpie   string
	database string // as store.Open takes it
	url      string
	token    string // of the API
	environ  []string
	log      string

	mu      sync.Mutex
	command *exec.Cmd
	most    int // memory of all children so far, in MB
}

// The account of the measurement, on a server that lives as long as it.
const (
	owner    = "owner@example.com"
	password = "correct horse battery staple"
)

func newServer(ctx context.Context, o options, dir string, sim *bitbucketsim.Server) (*server, error) {
	held, err := port.Any() // for as long as the measurement runs, which starts the server more than once
	if err != nil {
		return nil, err
	}
	listen := held.Address()
	s := &server{magpie: o.magpie, url: "http://" + listen, log: filepath.Join(dir, "server.log"), database: o.database}
	data := filepath.Join(dir, "data")
	s.environ = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "MAGPIE_") }),
		"MAGPIE_LISTEN="+listen, "MAGPIE_PUBLIC_URL="+s.url, "MAGPIE_DATA_DIR="+data, "MAGPIE_CA_FILE="+sim.CAFile(),
		"MAGPIE_OUTGOING_ALLOW=127.0.0.0/8")
	if s.database == "" {
		s.database = "sqlite:" + filepath.Join(data, "magpie.db")
	}
	s.environ = append(s.environ, "MAGPIE_DATABASE="+s.database)
	if _, err := s.run(ctx, "user", "add", owner); err != nil {
		return nil, err
	}
	token, err := s.run(ctx, "user", "token", owner)
	if err != nil {
		return nil, err
	}
	s.token = strings.TrimSpace(token)
	return s, s.start(ctx)
}

func (s *server) engine() string {
	name, _, _ := strings.Cut(s.database, ":")
	return name
}

// run runs another command of the binary on the server's data.
func (s *server) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.magpie, args...)
	cmd.Env, cmd.Stdin = s.environ, strings.NewReader(password+"\n")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("magpie %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// start starts the child and waits until it answers.
func (s *server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(s.magpie, "serve")
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environ, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.magpie, err)
	}
	s.mu.Lock()
	s.command = cmd
	s.mu.Unlock()
	go s.watch(cmd)
	deadline := time.Now().Add(time.Minute)
	for {
		response, err := http.Get(s.url + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("the server does not answer: %s", text[max(0, len(text)-2000):])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// restart kills the child as a power cut would, starts it again, and returns how long it took to answer.
func (s *server) restart(ctx context.Context) (time.Duration, error) {
	s.kill()
	began := time.Now()
	err := s.start(ctx)
	return time.Since(began), err
}

func (s *server) kill() {
	s.mu.Lock()
	cmd := s.command
	s.command = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	s.note(cmd)
	_ = cmd.Process.Kill() // it may have ended by itself, which the next start shows
	_ = cmd.Wait()         // killed
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// note keeps the most memory that a child ever used.
func (s *server) note(cmd *exec.Cmd) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return
	}
	var kb int
	if m := peakLine.FindSubmatch(raw); m != nil {
		_, _ = fmt.Sscan(string(m[1]), &kb)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(s.most, kb/1024)
}

// watch notes a child's memory until another takes its place.
func (s *server) watch(cmd *exec.Cmd) {
	for range time.Tick(time.Second) {
		s.mu.Lock()
		mine := s.command == cmd
		s.mu.Unlock()
		if !mine {
			return
		}
		s.note(cmd)
	}
}

func (s *server) mostMemory() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// connect connects the simulated Bitbucket and waits until all webhooks are there and all baselines taken.
func (s *server) connect(ctx context.Context, b *bitbucket) error {
	var made struct {
		ID       string `json:"id"`
		Coverage struct {
			HooksInstalled int `json:"hooks_installed"`
			HistoryDone    int `json:"history_done"`
		} `json:"coverage"`
	}
	if err := s.call(ctx, "POST", "/integrations", map[string]any{"mode": "instance", "url": b.sim.URL(), "token": b.token.Text}, &made); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	began := time.Now()
	for made.Coverage.HistoryDone < len(b.repos) {
		if err := s.call(ctx, "GET", "/integrations/"+made.ID, nil, &made); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	fmt.Printf("set up and scanned what was there within %s\n", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// call calls the API.
func (s *server) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: status %d: %s (%w)", method, path, response.StatusCode, raw, err)
	}
	return json.Unmarshal(raw, out)
}
