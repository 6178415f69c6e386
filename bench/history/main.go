// Command history measures how long scanning the whole history of repositories takes: by Magpie, from a Git server over
// HTTPS and from disk; by every peer that is on PATH; and by git itself, as floors. All figures come from one run on one
// machine, round after round, in each of which every program runs once, one after the other. CPU time, of a program and
// all that it starts, is what to compare: wall time depends on what else the machine does.
//
//	go run ./bench/history [flags] REPOSITORY…
//
// A repository is a bare one, or a folder with one in .git. Nothing is written to it. docs/benchmarks.md says what the
// tables mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	magpie   string
	runs     int
	peerRuns int
	only     []string
	peers    bool
	limit    time.Duration
	push     int
	json     string
	temp     string
}

// wants reports whether a contender or a section is to be measured.
func (o options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

func main() {
	if done, err := measurePushIfAsked(); done {
		exit(err)
	}
	o, repositories, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err = run(ctx, os.Stdout, o, repositories)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parseFlags reads the command line.
func parseFlags(args []string, usage io.Writer) (o options, repositories []string, err error) {
	flags := flag.NewFlagSet("history", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Usage = func() {
		fmt.Fprintf(usage, "usage: history [flags] REPOSITORY…\n\nsections and programs: %s\n\n", strings.Join(names(), ", "))
		flags.PrintDefaults()
	}
	flags.StringVar(&o.magpie, "magpie", "bin/magpie", "the binary to measure")
	flags.IntVar(&o.runs, "runs", 5, "runs of each program; the medians count")
	flags.IntVar(&o.peerRuns, "peer-runs", 0, "runs of each peer, if not as many as of all else")
	only := flags.String("only", "", "measure only these sections and programs, separated by commas")
	flags.BoolVar(&o.peers, "peers", true, "measure the peers found on PATH")
	flags.DurationVar(&o.limit, "limit", 15*time.Minute, "how long one run of a program may take; longer ones are ended and not tried again")
	flags.IntVar(&o.push, "push", 200, "how many commits the push has at least")
	flags.StringVar(&o.json, "json", "", "write the figures of every single run to this file")
	flags.StringVar(&o.temp, "temp", "", "folder for packs and clones, which are removed at the end; empty is the system's")
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.peerRuns == 0 {
		o.peerRuns = o.runs
	}
	return o, flags.Args(), o.check(flags.NArg())
}

// check says what is wrong with the options.
func (o options) check(repositories int) error {
	switch {
	case repositories == 0:
		return errors.New("no repository given")
	case o.runs < 1 || o.peerRuns < 1:
		return errors.New("-runs and -peer-runs must be at least 1")
	case o.push < 1:
		return errors.New("-push must be at least 1")
	case o.limit <= 0:
		return errors.New("-limit must be positive")
	}
	for _, name := range o.only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("-only: there is no %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return nil
}

// run measures everything and prints it. Trouble with a peer is in the tables; trouble with Magpie or git is returned,
// after everything else was measured.
func run(ctx context.Context, w io.Writer, o options, repositories []string) (err error) {
	if o.magpie, err = filepath.Abs(o.magpie); err != nil {
		return err
	}
	if _, err := os.Stat(o.magpie); err != nil {
		return fmt.Errorf("the binary to measure: %w (make build makes it)", err)
	}
	bench, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.close()) }()
	if err := bench.printMachine(ctx, w); err != nil {
		return err
	}
	var all []result
	var failed []error
	for _, dir := range repositories {
		r, err := bench.repository(ctx, dir)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", dir, err)
		}
		all = append(all, r)
		if err := printResult(w, r); err != nil {
			return err
		}
		failed = append(failed, r.trouble()...)
	}
	if err := printGrowth(w, all); err != nil {
		return err
	}
	if o.json != "" {
		failed = append(failed, writeJSON(o.json, all))
	}
	return errors.Join(failed...)
}
