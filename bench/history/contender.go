package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"slices"

	"magpie/bench/measure"
)

// The sections of a report that are no contenders of the main table.
const (
	sectionScaling = "scaling"
	sectionPush    = "push"
)

// Names of the contenders that others are compared with.
const (
	magpieStream = "magpie-stream"
	magpieLocal  = "magpie-local"
)

// contender is a program to measure.
type contender struct {
	name string
	// peer is set for other scanners: what goes wrong with them is reported, but is no failure of the benchmark.
	peer bool
	// command returns what to run. Scratch is an empty folder, in which the program also starts.
	command func(t target, scratch string) ([]string, error)
	// stdin is the file to read, if any.
	stdin func(t target) string
	// prepare, if there is one, runs before the clock starts.
	prepare func(t target, scratch string) error
	// count reads what a run printed; nil where there is nothing to count.
	count func(stdout io.Reader) (measure.Tally, error)
	// found are the exit statuses, beside 0, that mean success.
	found []int
}

// names returns the names of all contenders and sections.
func names() []string {
	var all []string
	for _, c := range contenders("") {
		all = append(all, c.name)
	}
	return append(all, sectionPush, sectionScaling)
}

// contenders returns everything that can be measured, in the order of the table. Scanners get the options that make
// them look at all refs, ask no network and print all they found, and are otherwise as they come.
func contenders(magpie string) []contender {
	return slices.Concat(ours(magpie), peers(), floors())
}

func ours(magpie string) []contender {
	scan := []string{magpie, "scan", "--no-progress", "--format", "jsonl"}
	return []contender{
		{
			name: magpieStream, count: measure.CountMagpie, found: []int{1},
			command: func(t target, _ string) ([]string, error) {
				return append(scan[:len(scan):len(scan)], "--ca-file", t.caFile, "--url", t.url), nil
			},
		},
		{
			name: magpieLocal, count: measure.CountMagpie, found: []int{1},
			command: func(t target, _ string) ([]string, error) { return append(scan[:len(scan):len(scan)], t.dir), nil },
		},
	}
}

func peers() []contender {
	report := []string{"git", "--no-banner", "--log-level", "error", "--exit-code", "0", "--report-format", "json", "--report-path", "-"}
	return []contender{
		{name: "gitleaks", peer: true, count: measure.CountGitleaks, command: onPath("gitleaks", func(t target, _ string) []string {
			return append(report[:len(report):len(report)], t.dir)
		})},
		{name: "betterleaks", peer: true, count: measure.CountGitleaks, command: onPath("betterleaks", func(t target, _ string) []string {
			return append(report[:len(report):len(report)], t.dir)
		})},
		{name: "titus", peer: true, count: measure.CountTitus, command: onPath("titus", func(t target, _ string) []string {
			return []string{"scan", "--git", "--output", ":memory:", "--format", "json", t.dir}
		})},
		{name: "trufflehog", peer: true, count: measure.CountTrufflehog, command: onPath("trufflehog", func(t target, _ string) []string {
			args := []string{"git", "--no-verification", "--no-update", "--no-color", "--json"}
			if t.bare {
				args = append(args, "--bare")
			}
			return append(args, "file://"+t.dir)
		})},
		{name: "noseyparker", peer: true, command: onPath("noseyparker", func(t target, scratch string) []string {
			return []string{"scan", "--datastore", filepath.Join(scratch, "datastore"), t.dir}
		})},
		{name: "kingfisher", peer: true, count: measure.CountLines, found: []int{200, 205}, command: onPath("kingfisher", func(t target, _ string) []string {
			return []string{"scan", "--no-validate", "--format", "jsonl", t.dir}
		})},
	}
}

// floors are git's own programs: receiving the pack, printing all objects, and the diffs that many scanners read.
func floors() []contender {
	return []contender{
		{
			name:  "git-index-pack",
			stdin: func(t target) string { return t.pack },
			prepare: func(t target, scratch string) error {
				return exec.Command("git", "init", "-q", "--bare", "--object-format="+t.format, scratch).Run()
			},
			command: func(_ target, scratch string) ([]string, error) {
				return []string{"git", "-C", scratch, "index-pack", "--stdin"}, nil
			},
		},
		{
			name: "git-cat-file",
			command: func(t target, _ string) ([]string, error) {
				return []string{"git", "-C", t.dir, "cat-file", "--batch-all-objects", "--batch", "--unordered"}, nil
			},
		},
		{
			name: "git-log-p",
			command: func(t target, _ string) ([]string, error) {
				return []string{"git", "-C", t.dir, "log", "-p", "--all"}, nil
			},
		},
	}
}

// onPath makes a command of a program that is looked for on PATH.
func onPath(program string, args func(t target, scratch string) []string) func(target, string) ([]string, error) {
	return func(t target, scratch string) ([]string, error) {
		path, err := exec.LookPath(program)
		if err != nil {
			return nil, err
		}
		return append([]string{path}, args(t, scratch)...), nil
	}
}
