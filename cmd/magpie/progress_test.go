package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/scan"
)

func TestProgressText(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]magpie.Progress{
		"scanning, 0 found": {},
		"receiving 25 %, 12 min left, 5 MB, 1 of 4 objects, 0 found": {
			Phase: magpie.PhaseReceiving, Left: 12 * time.Minute, BytesReceived: 5_000_000, Objects: 1, ObjectsTotal: 4,
		},
		"placing 100 %, 5 s left, 9 of 8 objects, 1 kB in 1 file, 3 found": {
			Phase: magpie.PhasePlacing, Left: 5 * time.Second, Objects: 9, ObjectsTotal: 8, Blobs: 1, BlobBytes: 1000, Findings: 3,
		},
	} {
		if got := progressText(p); got != want {
			t.Errorf("%+v:\n%s\nwant\n%s", p, got, want)
		}
	}
	if got := progressBar(magpie.Progress{Objects: 10, ObjectsTotal: 40}); got != "[█████···············] " {
		t.Errorf("a quarter is %s", got)
	}
	if got := progressBar(magpie.Progress{Objects: 10}); got != "" {
		t.Errorf("without a total: %s", got)
	}
	for columns, want := range map[int]string{3: "äb…", 4: "äbcd", 0: "äbcd", 1: "…"} {
		if got := fit("äbcd", columns); got != want {
			t.Errorf("in %d columns: %q, want %q", columns, got, want)
		}
	}
}

// TestBarOnTerminal draws a bar over a line that it takes away again.
func TestBarOnTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := &bar{out: &out, label: "repo", meter: new(scan.Meter), width: func() int { return 30 }, quit: make(chan struct{}), closed: make(chan struct{})}
	b.meter.Received(5_000_000, 1, 4)
	b.show()
	if want := "\r\x1b[K[█████···············] recei…"; out.String() != want {
		t.Errorf("drew %q, want %q", out.String(), want)
	}
	b.width = nil
	out.Reset()
	b.show()
	if want := "repo: receiving 25 %, 5 MB, 1 of 4 objects, 0 found\n"; out.String() != want {
		t.Errorf("without a terminal: %q, want %q", out.String(), want)
	}
}

// TestInterruptedScan has an interruption before the second of two folders: it is said, with the exit status of what can't
// be finished.
func TestInterruptedScan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes"), []byte("nothing to see"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	status := run(&process{ctx: ctx, stdout: &stdout, stderr: &stderr}, []string{"scan", dir, dir})
	if status != exitUnfinish || strings.Count(stderr.String(), "not scanned, because of the interruption") != 2 {
		t.Errorf("status %d: %s", status, stderr.String())
	}
}

// TestInterruptedInput interrupts the reading of standard input that does not end, after a secret came.
func TestInterruptedInput(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	input, feed := io.Pipe()
	defer feed.Close()
	go func() {
		_, _ = feed.Write([]byte("TOKEN=xox" + "b-619332829229-486922806614-5YWuiqmOnUCW6gh24mkRShiE\n"))
		_, _ = feed.Write([]byte("more\n")) // when this was read, so was the line before it
		cancel()
	}()
	var stdout, stderr bytes.Buffer
	status := run(&process{ctx: ctx, stdin: input, stdout: &stdout, stderr: &stderr}, []string{"scan", "-"})
	if status != exitUnfinish || !strings.Contains(stdout.String(), "Slack bot token") || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("status %d\n%s\n%s", status, stdout.String(), stderr.String())
	}
}
