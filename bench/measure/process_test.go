package measure

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) Process {
	t.Helper()
	return Process{Args: []string{"sh", "-c", script}, Dir: t.TempDir(), Limit: time.Minute}
}

func TestAProcessAndWhatItStartedAreCounted(t *testing.T) {
	burn := `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done`
	f, err := Run(t.Context(), shell(t, "sh -c '"+burn+"'; exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	if f.CPU < 10*time.Millisecond || f.Wall <= 0 || f.Peak <= 0 || f.Found != nil {
		t.Errorf("got %+v, want the time of the child of the child too", f)
	}
}

func TestExitStatusesThatMeanSuccess(t *testing.T) {
	s := shell(t, "echo '{}'; exit 3")
	s.Count = CountLines
	if _, err := Run(t.Context(), s); err == nil {
		t.Error("status 3 passes although it is not listed")
	}
	s.Found = []int{1, 3}
	if f, err := Run(t.Context(), s); err != nil || f.Found == nil || f.Found.Findings != 1 {
		t.Errorf("got %+v, %v; want one finding", f, err)
	}
}

func TestAProgramThatSaysItStoppedEarlyFailed(t *testing.T) {
	for _, said := range []string{"fatal: unable to read abc", "1:00PM WRN partial scan completed", "x error running scan y"} {
		if _, err := Run(t.Context(), shell(t, "echo '"+said+"' >&2")); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%q on standard error: got %v, want an error that quotes it", said, err)
		}
	}
	if _, err := Run(t.Context(), shell(t, "echo 'not fatal at all' >&2")); err != nil {
		t.Errorf("got %v for a harmless line", err)
	}
}

func TestARunThatTakesTooLongIsEnded(t *testing.T) {
	s := shell(t, "sleep 1000")
	s.Limit = time.Millisecond
	if _, err := Run(t.Context(), s); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want %v", err, ErrTooLong)
	}
}

func TestWhatAProgramStartedIsEndedWithIt(t *testing.T) {
	s := shell(t, "sleep 1000 & echo $! >new; mv new child; wait")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := Run(ctx, s)
		ended <- err
	}()
	var child string
	for child == "" {
		data, err := os.ReadFile(filepath.Join(s.Dir, "child"))
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
	s.Stdin = filepath.Join(s.Dir, "in")
	if err := os.WriteFile(s.Stdin, []byte("1 2 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Count = func(r io.Reader) (Tally, error) {
		data, err := io.ReadAll(r)
		return Tally{Findings: len(data)}, err
	}
	if f, err := Run(t.Context(), s); err != nil || f.Found.Findings != 5 {
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

func TestCanceledRunsSayWhy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, shell(t, "sleep 1000")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
