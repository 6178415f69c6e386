// Command detect measures what detection costs: scanning folders as they are, by Magpie and by every peer that is on PATH;
// lines without breaks that are made to be hard on a scanner; starting with all built-in detectors; and having a thousand
// detectors more. All figures come from one run on one machine. CPU time, of a program and all that it starts, is what to
// compare: wall time depends on what else the machine does.
//
//	go run ./bench/detect [flags] FOLDER…
//
// Nothing is written to the folders. docs/benchmarks.md says what the tables mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"magpie/bench/measure"
)

// options are the flags.
type options struct {
	magpie string
	runs   int
	only   []string
	limit  time.Duration
	sizes  []int // of hostile lines, in bytes
}

// The sections of a report.
const (
	sectionTrees   = "trees"
	sectionHostile = "hostile"
	sectionStart   = "start"
	sectionRules   = "rules"
)

var sections = []string{sectionTrees, sectionHostile, sectionStart, sectionRules}

func (o options) wants(section string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, section)
}

func main() {
	o, folders, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "detect:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err = run(ctx, os.Stdout, o, folders)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "detect:", err)
		os.Exit(1)
	}
}

// parseFlags reads the command line.
func parseFlags(args []string, usage io.Writer) (o options, folders []string, err error) {
	flags := flag.NewFlagSet("detect", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Usage = func() {
		fmt.Fprintf(usage, "usage: detect [flags] FOLDER…\n\nsections: %s\n\n", strings.Join(sections, ", "))
		flags.PrintDefaults()
	}
	flags.StringVar(&o.magpie, "magpie", "bin/magpie", "the binary to measure")
	flags.IntVar(&o.runs, "runs", 5, "runs of each program; the medians count")
	only := flags.String("only", "", "measure only these sections, separated by commas")
	flags.DurationVar(&o.limit, "limit", 5*time.Minute, "how long one run of a program may take; longer ones are ended and not tried again")
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	o.sizes = []int{256 << 10, 1 << 20, 4 << 20}
	return o, flags.Args(), o.check(flags.NArg())
}

// check says what is wrong with the options.
func (o options) check(folders int) error {
	switch {
	case folders == 0 && (o.wants(sectionTrees) || o.wants(sectionRules)):
		return errors.New("no folder given")
	case o.runs < 1:
		return errors.New("-runs must be at least 1")
	case o.limit <= 0:
		return errors.New("-limit must be positive")
	}
	for _, name := range o.only {
		if !slices.Contains(sections, name) {
			return fmt.Errorf("-only: there is no %q; there are %s", name, strings.Join(sections, ", "))
		}
	}
	return nil
}

// run measures everything and prints it, section by section. Trouble with a peer is in the tables.
func run(ctx context.Context, w io.Writer, o options, folders []string) (err error) {
	if o.magpie, err = filepath.Abs(o.magpie); err != nil {
		return err
	}
	if _, err := os.Stat(o.magpie); err != nil {
		return fmt.Errorf("the binary to measure: %w (make build makes it)", err)
	}
	temp, err := os.MkdirTemp("", "magpie-detect-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	printMachine(ctx, w, o, temp)
	for _, section := range []struct {
		name string
		do   func() error
	}{
		{sectionTrees, func() error { return measureTrees(ctx, w, o, folders, temp) }},
		{sectionHostile, func() error { return measureHostile(ctx, w, o) }},
		{sectionStart, func() error { return measureStart(ctx, w, o, temp) }},
		{sectionRules, func() error { return measureRules(ctx, w, o, folders) }},
	} {
		if !o.wants(section.name) {
			continue
		}
		if err := section.do(); err != nil {
			return fmt.Errorf("measuring %s: %w", section.name, err)
		}
	}
	return nil
}

// printMachine says on what the figures were made.
func printMachine(ctx context.Context, w io.Writer, o options, temp string) {
	fmt.Fprintf(w, "%d cores, %s/%s%s\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, measure.Processor())
	for _, c := range contenders(o.magpie) {
		path, err := exec.LookPath(c.program)
		if err != nil {
			continue
		}
		args := append([]string{path}, measure.VersionArgs(c.name)...)
		if c.name == "magpie" {
			args[1] = "version"
		}
		fmt.Fprintf(w, "%s: %s\n", c.name, measure.Version(ctx, measure.Process{Args: args, Dir: temp, Env: environment()}))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(w, "load of the machine before: %s\n", strings.Join(strings.Fields(string(load))[:3], " "))
	}
}

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// name is the first cell of a row, which stands to the left.
func name(s string) string { return fmt.Sprintf("%-36s", s) }
