// Command history measures how long scanning the whole history of repositories takes, by Magpie and by what a reader
// would compare it with: gitleaks if it is on PATH, and git's own reading of all objects as a floor. All figures of one
// repository come from one run on one machine, one program after the other; CPU time, not wall time, is what to compare.
//
//	go run ./bench/history [-magpie bin/magpie] [-runs 3] REPOSITORY…
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	magpie := flag.String("magpie", "bin/magpie", "the binary to measure")
	runs := flag.Int("runs", 3, "runs of each program; the median counts")
	flag.Parse()
	if flag.NArg() == 0 || *runs < 1 {
		flag.Usage()
		os.Exit(2)
	}
	for _, repository := range flag.Args() {
		if err := measure(os.Stdout, *magpie, repository, *runs); err != nil {
			fmt.Fprintln(os.Stderr, "history:", err)
			os.Exit(1)
		}
	}
}

// contender is a program to measure.
type contender struct {
	name string
	args []string
	// count reads how many findings a run printed; nil where there are none to count.
	count func(stdout []byte) int
}

// figures are what one run took.
type figures struct {
	cpu, wall time.Duration
	peak      int64 // resident memory in bytes, of the largest single process
	findings  int
}

func measure(w io.Writer, magpie, repository string, runs int) error {
	size, commits, blobs, err := describe(repository)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %d commits, %d blobs, %.0f MB expanded, medians of %d\n", filepath.Base(repository), commits, blobs, float64(size)/1e6, runs)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "program\tCPU s\twall s\tpeak MB\texpanded MB/CPU s\tfindings\tCPU against Magpie\t")
	var base time.Duration
	for _, c := range contenders(magpie, repository) {
		f, err := median(c, runs)
		if err != nil {
			return fmt.Errorf("running %s on %s: %w", c.name, repository, err)
		}
		if base == 0 {
			base = f.cpu
		}
		findings := "-"
		if c.count != nil {
			findings = strconv.Itoa(f.findings)
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.0f\t%.0f\t%s\t%.2f×\t\n", c.name, f.cpu.Seconds(), f.wall.Seconds(), float64(f.peak)/1e6,
			float64(size)/1e6/f.cpu.Seconds(), findings, float64(f.cpu)/float64(base))
	}
	return table.Flush()
}

// contenders lists what is there to be measured. Git prints all blobs, as a scanner that expands each once has to.
func contenders(magpie, repository string) []contender {
	all := []contender{{"magpie scan", []string{magpie, "scan", "--no-progress", "--format", "jsonl", repository}, countLines}}
	if path, err := exec.LookPath("gitleaks"); err == nil {
		args := []string{path, "git", "--no-banner", "--log-level", "error", "--exit-code", "0", "--report-format", "json", "--report-path", "-", repository}
		all = append(all, contender{"gitleaks git", args, countRules})
	}
	return append(all, contender{"git cat-file --batch", []string{"git", "-C", repository, "cat-file", "--batch-all-objects", "--batch", "--unordered"}, nil})
}

func countLines(stdout []byte) int { return bytes.Count(stdout, []byte{'\n'}) }

func countRules(stdout []byte) int { return bytes.Count(stdout, []byte(`"RuleID":`)) }

// describe returns the expanded size of all blobs, and the numbers of commits and blobs, as git counts them.
func describe(repository string) (size int64, commits, blobs int, err error) {
	cmd := exec.Command("git", "-C", repository, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectsize)", "--unordered")
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("asking git about %s: %w", repository, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		kind, n, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "commit":
			commits++
		case "blob":
			blobs++
			bytes, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				return 0, 0, 0, err
			}
			size += bytes
		}
	}
	return size, commits, blobs, lines.Err()
}

// median runs a contender several times and returns the run with the median CPU time.
func median(c contender, runs int) (figures, error) {
	var all []figures
	for range runs {
		f, err := run(c)
		if err != nil {
			return figures{}, err
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b figures) int { return int(a.cpu - b.cpu) })
	return all[len(all)/2], nil
}

func run(c contender) (figures, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	if c.count != nil {
		cmd.Stdout = &stdout
	}
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	// Scanners say by their exit status that they found something.
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		return figures{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return figures{}, errors.New("this system does not tell what a process used")
	}
	f := figures{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall: wall, peak: usage.Maxrss * 1024}
	if c.count != nil {
		f.findings = c.count(stdout.Bytes())
	}
	return f, nil
}
