package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"magpie/bench/measure"
)

// bench is one run of the benchmark.
type bench struct {
	options
	env  []string // of everything that is run
	temp string
}

// newBench makes a folder for what is needed for a while.
func newBench(o options) (*bench, error) {
	temp, err := os.MkdirTemp(o.temp, "magpie-history-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, temp: temp}
	if err := b.configureGit(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) close() error { return os.RemoveAll(b.temp) }

// configureGit keeps the user's and the machine's configuration away from git and from scanners. Replacements of
// objects, which a copy with absent ones needs for git log, are nothing that a server shows, and what is absent it
// leaves out; that is no setting, but can be said where upload-pack runs pack-objects.
func (b *bench) configureGit() error {
	hook := filepath.Join(b.temp, "pack-objects")
	if err := os.WriteFile(hook, []byte("exec \"$@\" --missing=allow-any\n"), 0o600); err != nil {
		return err
	}
	file := filepath.Join(b.temp, "gitconfig")
	command := "sh '" + strings.ReplaceAll(hook, "'", `'\''`) + "'"
	config := "[safe]\n\tdirectory = *\n[transfer]\n\thideRefs = refs/replace\n[uploadpack]\n\tpackObjectsHook = " + strconv.Quote(command) + "\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	b.env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GIT_") || strings.HasPrefix(v, "GITLEAKS_") || strings.HasPrefix(v, "BETTERLEAKS_") || strings.HasPrefix(v, "GOMAXPROCS=")
	})
	b.env = append(b.env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+file, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	return nil
}

// series is one program and all its runs on one repository.
type series struct {
	Name string            `json:"name"`
	Runs []measure.Figures `json:"runs"`
	// Failure says why there are no more runs; empty if all went well. Absent is set where the program isn't on PATH.
	Failure string `json:"failure,omitempty"`
	absent  bool

	program contender
	cores   int // 0 is all
	want    int // how many runs
}

// result is everything about one repository.
type result struct {
	Facts   facts         `json:"repository"`
	Series  []*series     `json:"programs"`
	Scaling []*series     `json:"scaling"`
	Pushed  pushed        `json:"push"`
	Pushes  []pushFigures `json:"push_runs"`
	// PushFailure says why there are no figures of a push; empty if there are.
	PushFailure string `json:"push_failure,omitempty"`
}

// trouble returns what went wrong with Magpie or git.
func (r result) trouble() []error {
	var all []error
	for _, s := range slices.Concat(r.Series, r.Scaling) {
		if s.Failure != "" && !s.program.peer {
			all = append(all, fmt.Errorf("%s on %s: %s", s.Name, r.Facts.Name, s.Failure))
		}
	}
	if r.PushFailure != "" && r.PushFailure != errTooFewCommits.Error() {
		all = append(all, fmt.Errorf("the push to %s: %s", r.Facts.Name, r.PushFailure))
	}
	return all
}

// repository measures everything on one repository. The error is about the repository; trouble of programs is in the
// result.
func (b *bench) repository(ctx context.Context, dir string) (r result, err error) {
	t, err := openTarget(ctx, dir, b.env)
	if err != nil {
		return r, err
	}
	if r.Facts, err = describe(ctx, t, b.env); err != nil {
		return r, err
	}
	t.pack = filepath.Join(b.temp, "served.pack")
	if r.Facts.Pack, err = makePack(ctx, t, t.pack, b.env); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.Remove(t.pack)) }()
	s, err := serve(ctx, t.gitDir, b.temp, b.env)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	t.url, t.caFile = s.url, s.caFile
	r.Series, r.Scaling = b.series(), b.scaling()
	if b.wants(sectionPush) {
		if r.Pushed, err = findPush(ctx, t, b.push, b.env); errors.Is(err, errTooFewCommits) {
			r.PushFailure = err.Error()
		} else if err != nil {
			return r, err
		}
	}
	return r, b.rounds(ctx, s, t, &r)
}

// rounds runs everything once, as often as it takes. So whatever else the machine does hits all alike.
func (b *bench) rounds(ctx context.Context, s *server, t target, r *result) error {
	all := slices.Concat(r.Series, r.Scaling)
	for round := range max(b.runs, b.peerRuns) {
		for _, one := range all {
			if one.Failure == "" && !one.absent && round < one.want {
				fmt.Fprintf(os.Stderr, "%s: round %d of %d: %s\n", r.Facts.Name, round+1, one.want, one.Name)
				b.once(ctx, s, t, one)
			}
		}
		if b.wants(sectionPush) && r.PushFailure == "" && round < b.runs {
			fmt.Fprintf(os.Stderr, "%s: round %d of %d: push\n", r.Facts.Name, round+1, b.runs)
			push, err := b.pushOnce(ctx, s, r.Pushed)
			if err != nil {
				r.PushFailure = err.Error()
			} else {
				r.Pushes = append(r.Pushes, push)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// once runs a program once and notes what became of it.
func (b *bench) once(ctx context.Context, s *server, t target, one *series) {
	f, err := b.measure(ctx, s, t, one)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		one.absent = true
	case errors.Is(err, measure.ErrTooLong):
		one.Failure = fmt.Sprintf("longer than %s", b.limit)
	case err != nil:
		one.Failure = err.Error()
	default:
		one.Runs = append(one.Runs, f)
	}
}

func (b *bench) measure(ctx context.Context, s *server, t target, one *series) (f measure.Figures, err error) {
	scratch, err := os.MkdirTemp(b.temp, "run-")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	c := one.program
	args, err := c.command(t, scratch)
	if err != nil {
		return f, err
	}
	if c.prepare != nil {
		if err := c.prepare(t, scratch); err != nil {
			return f, fmt.Errorf("preparing it: %w", err)
		}
	}
	job := measure.Process{Args: args, Dir: scratch, Env: b.env, Found: c.found, Limit: b.limit, Count: c.count}
	if c.stdin != nil {
		job.Stdin = c.stdin(t)
	}
	if one.cores > 0 {
		job.Args = append(job.Args[:len(job.Args):len(job.Args)], "-j", strconv.Itoa(one.cores))
		job.Env = append(job.Env[:len(job.Env):len(job.Env)], "GOMAXPROCS="+strconv.Itoa(one.cores))
	}
	if c.name == magpieStream {
		return s.share(func() (measure.Figures, error) { return measure.Run(ctx, job) })
	}
	return measure.Run(ctx, job)
}

// series returns what the main table compares.
func (b *bench) series() []*series {
	var all []*series
	for _, c := range contenders(b.magpie) {
		if !b.wants(c.name) || c.peer && !b.peers {
			continue
		}
		one := &series{Name: c.name, program: c, want: b.runs}
		if c.peer {
			one.want = b.peerRuns
		}
		all = append(all, one)
	}
	return all
}

// scaling returns Magpie on the local repository with 1 core, 2 and all. A core less is a thread of Go less, too, so that
// one core means one, garbage collection included.
func (b *bench) scaling() []*series {
	if !b.wants(sectionScaling) {
		return nil
	}
	local := contenders(b.magpie)[slices.IndexFunc(contenders(b.magpie), func(c contender) bool { return c.name == magpieLocal })]
	var all []*series
	for _, cores := range slices.Compact([]int{1, min(2, runtime.NumCPU()), runtime.NumCPU()}) {
		all = append(all, &series{Name: fmt.Sprintf("%s -j %d", magpieLocal, cores), program: local, cores: cores, want: b.runs})
	}
	return all
}

// versionOf returns a program's version.
func (b *bench) versionOf(ctx context.Context, program string, args ...string) string {
	return measure.Version(ctx, measure.Process{Args: append([]string{program}, args...), Env: b.env, Dir: b.temp})
}

// writeJSON writes the figures of every single run.
func writeJSON(file string, all []result) error {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
