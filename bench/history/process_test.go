package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) spec {
	t.Helper()
	return spec{args: []string{"sh", "-c", script}, dir: t.TempDir(), limit: time.Minute}
}

func TestAProcessAndWhatItStartedAreCounted(t *testing.T) {
	burn := `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done`
	f, err := execute(t.Context(), shell(t, "sh -c '"+burn+"'; exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	if f.CPU < 10*time.Millisecond || f.Wall <= 0 || f.Peak <= 0 || f.Found != nil {
		t.Errorf("got %+v, want the time of the child of the child too", f)
	}
}

func TestExitStatusesThatMeanSuccess(t *testing.T) {
	s := shell(t, "echo '{}'; exit 3")
	s.count = countLines
	if _, err := execute(t.Context(), s); err == nil {
		t.Error("status 3 passes although it is not listed")
	}
	s.found = []int{1, 3}
	if f, err := execute(t.Context(), s); err != nil || f.Found == nil || f.Found.Findings != 1 {
		t.Errorf("got %+v, %v; want one finding", f, err)
	}
}

func TestAProgramThatSaysItStoppedEarlyFailed(t *testing.T) {
	for _, said := range []string{"fatal: unable to read abc", "1:00PM WRN partial scan completed", "x error running scan y"} {
		if _, err := execute(t.Context(), shell(t, "echo '"+said+"' >&2")); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%q on standard error: got %v, want an error that quotes it", said, err)
		}
	}
	if _, err := execute(t.Context(), shell(t, "echo 'not fatal at all' >&2")); err != nil {
		t.Errorf("got %v for a harmless line", err)
	}
}

func TestARunThatTakesTooLongIsEnded(t *testing.T) {
	s := shell(t, "sleep 1000")
	s.limit = time.Millisecond
	if _, err := execute(t.Context(), s); !errors.Is(err, errTooLong) {
		t.Errorf("got %v, want %v", err, errTooLong)
	}
}

func TestWhatAProgramStartedIsEndedWithIt(t *testing.T) {
	s := shell(t, "sleep 1000 & echo $! >new; mv new child; wait")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := execute(ctx, s)
		ended <- err
	}()
	var child string
	for child == "" {
		data, err := os.ReadFile(filepath.Join(s.dir, "child"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		child = strings.TrimSpace(string(data))
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	for range 5000 {
		if gone(t, child) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("the child still runs")
}

// gone reports whether a process has ended. It may be a zombie until whoever inherited it asks for it.
func gone(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ") || strings.Contains(string(stat), ") X ")
}

func TestStandardInputComesFromAFile(t *testing.T) {
	s := shell(t, "cat")
	s.stdin = filepath.Join(s.dir, "in")
	if err := os.WriteFile(s.stdin, []byte("1 2 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.count = func(r io.Reader) (tally, error) {
		data, err := io.ReadAll(r)
		return tally{Findings: len(data)}, err
	}
	if f, err := execute(t.Context(), s); err != nil || f.Found.Findings != 5 {
		t.Errorf("got %+v, %v; want the 5 bytes of the file", f.Found, err)
	}
}

func TestWhatIsKeptOfStandardErrorIsBounded(t *testing.T) {
	e := &ending{max: 4}
	for range 1000 {
		if n, err := io.WriteString(e, "abcdefg"); n != 7 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	if got := e.text(); got != "abcd"+"defg" {
		t.Errorf("got %q, want the first and the last bytes", got)
	}
}

func TestMissingProgramsAreTold(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, c := range peers() {
		if _, err := c.command(target{}, ""); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: got %v, want %v", c.name, err, exec.ErrNotFound)
		}
	}
}

func TestCanceledRunsSayWhy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := execute(ctx, shell(t, "sleep 1000")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
