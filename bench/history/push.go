package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"magpie"
	"magpie/bench/measure"
	"magpie/internal/detect"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
	"magpie/internal/scan"
	"magpie/rules"
)

// pushVariable is the environment variable that makes this program a client that fetches one push and scans it. A
// process of its own has memory of its own, and CPU time that nobody else shares.
const pushVariable = "MAGPIE_BENCH_PUSH"

// pushTask is what such a client is asked.
type pushTask struct {
	URL    string `json:"url"`
	CAFile string `json:"ca_file"`
	pushed
}

// pushFigures are what a client says of one push.
type pushFigures struct {
	Objects  int           `json:"objects"`
	Pack     int64         `json:"pack_bytes"`
	Receive  time.Duration `json:"receive_cpu_ns"` // asking, TLS, and all that is done while the pack arrives
	Examine  time.Duration `json:"examine_cpu_ns"` // what is left when the pack is here, in a fresh process
	Wall     time.Duration `json:"examine_wall_ns"`
	Again    time.Duration `json:"examine_again_cpu_ns"` // the same once more, as in a server that has run for a while
	Findings int           `json:"findings"`
	Peak     int64         `json:"peak_bytes"`
	Server   time.Duration `json:"server_cpu_ns"`
}

// measurePushIfAsked is the client. It reports false if this process is no client.
func measurePushIfAsked() (asked bool, err error) {
	text := os.Getenv(pushVariable)
	if text == "" {
		return false, nil
	}
	var task pushTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return true, fmt.Errorf("reading %s: %w", pushVariable, err)
	}
	f, err := measurePush(context.Background(), task)
	if err != nil {
		return true, fmt.Errorf("scanning a push: %w", err)
	}
	return true, json.NewEncoder(os.Stdout).Encode(f)
}

// measurePush fetches and scans a push, as the server's scan does from the listing of refs to the findings. Loading the
// detectors is not counted, for a server does that once.
func measurePush(ctx context.Context, task pushTask) (f pushFigures, err error) {
	all, err := rules.All()
	if err != nil {
		return f, err
	}
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		return f, err
	}
	var spooled *pack.Spooled
	f.Receive, err = cpu(func() error {
		spooled, err = receive(ctx, task)
		return err
	})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, spooled.Close()) }()
	f.Objects, f.Pack = spooled.Objects(), spooled.Size()
	examine := func() error {
		result, err := scan.Examine(ctx, spooled, scan.Examination{Engine: engine})
		f.Findings = len(result.Places)
		return err
	}
	began := time.Now()
	if f.Examine, err = cpu(examine); err != nil {
		return f, err
	}
	f.Wall = time.Since(began)
	f.Again, err = cpu(examine)
	return f, err
}

// receive fetches the difference.
func receive(ctx context.Context, task pushTask) (*pack.Spooled, error) {
	authority, err := os.ReadFile(task.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", task.CAFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client, err := smarthttp.New(smarthttp.Options{HTTP: &http.Client{Transport: transport}, URL: task.URL})
	if err != nil {
		return nil, err
	}
	listing, err := client.LsRefs(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := client.Fetch(ctx, smarthttp.Request{
		Format: listing.Format, Wants: []magpie.Hash{magpie.Hash(task.Want)}, Haves: []magpie.Hash{magpie.Hash(task.Have)},
	})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return pack.Spool(ctx, stream, "", listing.Format, pack.Limits{}, nil)
}

// cpu returns the CPU time that this process spends while f runs.
func cpu(f func() error) (time.Duration, error) {
	before, err := measure.Used(syscall.RUSAGE_SELF)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := measure.Used(syscall.RUSAGE_SELF)
	return after - before, err
}

// pushOnce runs a client.
func (b *bench) pushOnce(ctx context.Context, s *server, p pushed) (pushFigures, error) {
	var push pushFigures
	self, err := os.Executable()
	if err != nil {
		return push, err
	}
	task, err := json.Marshal(pushTask{URL: s.url, CAFile: s.caFile, pushed: p})
	if err != nil {
		return push, err
	}
	f, err := s.share(func() (measure.Figures, error) {
		return measure.Run(ctx, measure.Process{
			Args: []string{self}, Dir: b.temp, Env: append(b.env[:len(b.env):len(b.env)], pushVariable+"="+string(task)), Limit: b.limit,
			Count: func(r io.Reader) (measure.Tally, error) { return measure.Tally{}, json.NewDecoder(r).Decode(&push) },
		})
	})
	push.Peak, push.Server = f.Peak, f.Server
	return push, err
}
