// Package measure runs programs and tells what they took and found. It is what the benchmarks that compare Magpie with other
// scanners have in common: a process with its CPU time, wall time and peak memory, the findings in the reports of the scanners
// that it knows, and medians. All figures are of one run, on the machine at hand; they mean nothing elsewhere.
package measure

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

// Figures are what one run took and found.
type Figures struct {
	CPU  time.Duration `json:"cpu_ns"` // user and system, of the program and of what it started and waited for
	Wall time.Duration `json:"wall_ns"`
	Peak int64         `json:"peak_bytes"` // resident memory of the largest single process among them
	// Server is the CPU time of the server that a stream came from, which CPU does not hold.
	Server time.Duration `json:"server_cpu_ns,omitempty"`
	// Found is nil where there is nothing to find.
	Found *Tally `json:"found,omitempty"`
}

// ErrTooLong is why a run was ended.
var ErrTooLong = errors.New("it took longer than the limit")

// Process is one process to run.
type Process struct {
	Args  []string
	Dir   string
	Env   []string
	Stdin string // a file's path; empty reads nothing
	Found []int  // exit statuses, beside 0, that mean success
	Limit time.Duration
	Count func(io.Reader) (Tally, error) // nil sends what is printed to /dev/null
}

// Run runs a process to its end and measures it.
func Run(ctx context.Context, s Process) (Figures, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Limit, ErrTooLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Args[0], s.Args[1:]...)
	// What a program started must not go on when it is ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir, cmd.Env = s.Dir, s.Env
	stderr := &ending{max: 64 << 10}
	cmd.Stderr = stderr
	if s.Stdin != "" {
		in, err := os.Open(s.Stdin)
		if err != nil {
			return Figures{}, err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	var out *os.File
	if s.Count != nil {
		var err error
		if out, err = unnamedFile(s.Dir); err != nil {
			return Figures{}, err
		}
		defer out.Close()
		cmd.Stdout = out
	}
	start := time.Now()
	err := cmd.Run()
	f := Figures{Wall: time.Since(start)}
	if ctx.Err() != nil {
		return Figures{}, context.Cause(ctx)
	}
	if err := verdict(err, s.Found, stderr.text()); err != nil {
		return Figures{}, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return Figures{}, errors.New("this system does not tell what a process used")
	}
	f.CPU, f.Peak = Spent(usage), usage.Maxrss*1024 // Linux counts in KiB
	if s.Count == nil {
		return f, nil
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return Figures{}, err
	}
	t, err := s.Count(out)
	f.Found = &t
	return f, err
}

// gaveUp matches what programs say when they did not see everything, whatever their exit status.
var gaveUp = regexp.MustCompile(`(?mi)^.*(\bfatal: |partial scan|error running scan).*$`)

// verdict says whether a process did what it was to do.
func verdict(err error, found []int, stderr string) error {
	exit, exited := errors.AsType[*exec.ExitError](err)
	if err != nil && (!exited || !slices.Contains(found, exit.ExitCode())) {
		return fmt.Errorf("%w: %s", err, LastLine(stderr))
	}
	if line := gaveUp.FindString(stderr); line != "" {
		return fmt.Errorf("it stopped early: %s", Shorten(line))
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

func LastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return Shorten(lines[len(lines)-1])
}

// Shorten makes a line fit below a table, without control characters.
func Shorten(line string) string {
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

// Git runs git in a repository and returns what it prints.
func Git(ctx context.Context, env []string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env, cmd.Stdin = env, stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, LastLine(errs.String()))
	}
	return out.Bytes(), nil
}

// Spent is the CPU time in a usage.
func Spent(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Used returns the CPU time of this process so far, or of the children that it waited for.
func Used(who int) (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0, fmt.Errorf("asking what was used: %w", err)
	}
	return Spent(&u), nil
}
