package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"magpie/internal/scan"
)

// bar shows on a terminal how far a scan is, on one line that it keeps rewriting.
type bar struct {
	out    io.Writer
	label  string
	meter  *scan.Meter
	begun  time.Time
	once   sync.Once
	quit   chan struct{}
	closed chan struct{}
}

// startBar starts a progress bar on standard error, or one that shows nothing if that is not a terminal.
func startBar(p *process, label string, meter *scan.Meter, off bool) *bar {
	b := &bar{out: p.stderr, label: label, meter: meter, begun: time.Now(), quit: make(chan struct{}), closed: make(chan struct{})}
	if off || !isTerminal(p.stderr) {
		close(b.closed)
		return b
	}
	go b.run()
	return b
}

func (b *bar) run() {
	defer close(b.closed)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.quit:
			fmt.Fprint(b.out, "\r\x1b[K")
			return
		case <-tick.C:
			fmt.Fprint(b.out, "\r\x1b[K"+b.line())
		}
	}
}

// stop takes the bar away. It may be called more than once.
func (b *bar) stop() {
	b.once.Do(func() { close(b.quit) })
	<-b.closed
}

// line is the bar as it looks now.
func (b *bar) line() string {
	p, remote := b.meter.Progress(), b.meter.Remote()
	label := b.label
	if remote.Slice > 0 {
		label = fmt.Sprintf("slice %d%s  %s", remote.Slice, percentDone(remote), b.label)
	}
	found := fmt.Sprintf("%d files, %s, %d found", p.Blobs, size(p.BlobBytes), p.Findings)
	switch remote.Phase {
	case "", scan.PhaseScanning:
		done, total := b.meter.Objects.Load(), b.meter.ObjectsTotal.Load()
		if total == 0 || done == 0 {
			return found + "  " + label
		}
		share := min(float64(done)/float64(total), 1)
		if remote.Slice > 0 {
			return fmt.Sprintf("%s  %s  %s", drawn(share), found, label)
		}
		left := time.Duration(float64(time.Since(b.begun)) * (1 - share) / share).Round(time.Second)
		return fmt.Sprintf("%s  %s, %s left  %s", drawn(share), found, left, label)
	case scan.PhaseReceiving:
		return fmt.Sprintf("receiving %s, %d of %s  %s", size(p.BytesReceived), remote.Done, count(remote.Total, "object"), label)
	case scan.PhaseCounting, scan.PhaseCompressing:
		text := fmt.Sprintf("the server is %s objects", remote.Phase)
		if remote.Total > 0 {
			return fmt.Sprintf("%s: %d of %d  %s", text, remote.Done, remote.Total, label)
		}
		return text + "  " + label
	case scan.PhaseWaiting:
		return "waiting to try again  " + label
	}
	return "asking the server  " + label
}

// drawn is a bar of which a share is filled.
func drawn(share float64) string {
	const width = 24
	filled := int(share * width)
	return fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("█", filled), strings.Repeat("·", width-filled), share*100)
}

// percentDone is how much of a history was scanned in earlier slices, where that is known.
func percentDone(r scan.Remote) string {
	if r.CommitsTotal == 0 {
		return ""
	}
	return fmt.Sprintf(" after %d %% of the commits", r.Commits*100/r.CommitsTotal)
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
