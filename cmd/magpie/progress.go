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
	const width = 24
	p := b.meter.Progress()
	text := fmt.Sprintf("%d files, %s, %d found", p.Blobs, size(p.BlobBytes), p.Findings)
	if p.ObjectsTotal > 0 && p.Objects > 0 {
		share := min(float64(p.Objects)/float64(p.ObjectsTotal), 1)
		filled := int(share * width)
		left := time.Duration(float64(time.Since(b.begun)) * (1 - share) / share).Round(time.Second)
		return fmt.Sprintf("[%s%s] %3.0f %%  %s, %s left  %s", strings.Repeat("█", filled), strings.Repeat("·", width-filled), share*100, text, left, b.label)
	}
	if p.BytesReceived > 0 {
		return fmt.Sprintf("receiving %s  %s", size(p.BytesReceived), b.label)
	}
	return text + "  " + b.label
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
