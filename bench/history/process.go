package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// figures are what one run took and found.
type figures struct {
	CPU  time.Duration `json:"cpu_ns"` // user and system, of the program and of what it started and waited for
	Wall time.Duration `json:"wall_ns"`
	Peak int64         `json:"peak_bytes"` // resident memory of the largest single process among them
	// Server is the CPU time of the server that a stream came from, which CPU does not hold.
	Server time.Duration `json:"server_cpu_ns,omitempty"`
	// Found is nil where there is nothing to find.
	Found *tally `json:"found,omitempty"`
}

// errTooLong is why a run was ended.
var errTooLong = errors.New("it took longer than the limit")

// spec is one process to run.
type spec struct {
	args  []string
	dir   string
	env   []string
	stdin string // a file's path; empty reads nothing
	found []int  // exit statuses, beside 0, that mean success
	limit time.Duration
	count func(io.Reader) (tally, error) // nil sends what is printed to /dev/null
}

// execute runs a process to its end and measures it.
func execute(ctx context.Context, s spec) (figures, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, errTooLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	// What a program started must not go on when it is ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir, cmd.Env = s.dir, s.env
	stderr := &ending{max: 64 << 10}
	cmd.Stderr = stderr
	if s.stdin != "" {
		in, err := os.Open(s.stdin)
		if err != nil {
			return figures{}, err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	var out *os.File
	if s.count != nil {
		var err error
		if out, err = unnamedFile(s.dir); err != nil {
			return figures{}, err
		}
		defer out.Close()
		cmd.Stdout = out
	}
	start := time.Now()
	err := cmd.Run()
	f := figures{Wall: time.Since(start)}
	if ctx.Err() != nil {
		return figures{}, context.Cause(ctx)
	}
	if err := verdict(err, s.found, stderr.text()); err != nil {
		return figures{}, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return figures{}, errors.New("this system does not tell what a process used")
	}
	f.CPU, f.Peak = spent(usage), usage.Maxrss*1024 // Linux counts in KiB
	if s.count == nil {
		return f, nil
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return figures{}, err
	}
	t, err := s.count(out)
	f.Found = &t
	return f, err
}

// gaveUp matches what programs say when they did not see everything, whatever their exit status.
var gaveUp = regexp.MustCompile(`(?mi)^.*(\bfatal: |partial scan|error running scan).*$`)

// verdict says whether a process did what it was to do.
func verdict(err error, found []int, stderr string) error {
	exit, exited := errors.AsType[*exec.ExitError](err)
	if err != nil && (!exited || !slices.Contains(found, exit.ExitCode())) {
		return fmt.Errorf("%w: %s", err, lastLine(stderr))
	}
	if line := gaveUp.FindString(stderr); line != "" {
		return fmt.Errorf("it stopped early: %s", shorten(line))
	}
	return nil
}

// unnamedFile makes a file that is gone when it is closed.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "stdout-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ending keeps the beginning and the end of what is written to it, max bytes of each.
type ending struct {
	max        int
	head, tail []byte
}

// Write implements io.Writer.
func (e *ending) Write(p []byte) (int, error) {
	n := len(p)
	fits := min(len(p), e.max-len(e.head))
	e.head, p = append(e.head, p[:fits]...), p[fits:]
	e.tail = append(e.tail, p...)
	if over := len(e.tail) - e.max; over > 0 {
		e.tail = append(e.tail[:0], e.tail[over:]...)
	}
	return n, nil
}

func (e *ending) text() string { return string(e.head) + string(e.tail) }

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return shorten(lines[len(lines)-1])
}

// shorten makes a line fit below a table, without control characters.
func shorten(line string) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
	if runes := []rune(line); len(runes) > 160 {
		return string(runes[:160]) + "…"
	}
	return line
}

// quiet runs git in a repository and returns what it prints.
func quiet(ctx context.Context, env []string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env, cmd.Stdin = env, stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, lastLine(errs.String()))
	}
	return out.Bytes(), nil
}

// spent is the CPU time in a usage.
func spent(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// used returns the CPU time of this process so far, or of the children that it waited for.
func used(who int) (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0, fmt.Errorf("asking what was used: %w", err)
	}
	return spent(&u), nil
}
