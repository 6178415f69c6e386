package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"magpie"
	"magpie/internal/scan"
)

const (
	barEvery  = 200 * time.Millisecond // how often the bar on a terminal is drawn
	lineEvery = 30 * time.Second       // how often a line is written where there is no terminal
)

// bar shows on standard error how far a scan is: on a terminal on one line that it keeps rewriting, elsewhere, as in the
// log of a build, as a line now and then.
type bar struct {
	out    io.Writer
	label  string
	meter  *scan.Meter
	width  func() int // of the terminal; nil if it is none
	once   sync.Once
	quit   chan struct{}
	closed chan struct{}
}

// startBar starts to show progress, or shows nothing if off.
func startBar(p *process, label string, meter *scan.Meter, off bool) *bar {
	b := &bar{out: p.stderr, label: magpie.Printable(label), meter: meter, quit: make(chan struct{}), closed: make(chan struct{})}
	if off {
		close(b.closed)
		return b
	}
	every := lineEvery
	if isTerminal(p.stderr) {
		b.width, every = terminalWidth(p.stderr), barEvery
	}
	go b.run(every)
	return b
}

func (b *bar) run(every time.Duration) {
	defer close(b.closed)
	tick := time.NewTicker(every)
	defer tick.Stop()
	sample := time.NewTicker(min(every, time.Second)) // for the estimate of the time left
	defer sample.Stop()
	for {
		select {
		case <-b.quit:
			if b.width != nil {
				fmt.Fprint(b.out, "\r\x1b[K")
			}
			return
		case <-sample.C:
			b.meter.Progress()
		case <-tick.C:
			b.show()
		}
	}
}

func (b *bar) show() {
	p := b.meter.Progress()
	text := sliceText(b.meter.Remote()) + progressText(p)
	if b.width == nil {
		fmt.Fprintf(b.out, "%s: %s\n", b.label, text)
		return
	}
	fmt.Fprint(b.out, "\r\x1b[K"+fit(progressBar(p)+text+"  "+b.label, b.width()-1))
}

// sliceText says which slice of a history is at hand, and how much of it was scanned in earlier ones where that is known.
func sliceText(r scan.Remote) string {
	switch {
	case r.Slice == 0:
		return ""
	case r.CommitsTotal == 0:
		return fmt.Sprintf("slice %d: ", r.Slice)
	}
	return fmt.Sprintf("slice %d, after %d %% of the commits: ", r.Slice, r.Commits*100/r.CommitsTotal)
}

// stop takes the bar away. It may be called more than once.
func (b *bar) stop() {
	b.once.Do(func() { close(b.quit) })
	<-b.closed
}

// progressBar draws how much of the present phase is done; it is empty as long as that is not known.
func progressBar(p magpie.Progress) string {
	const width = 20
	if p.ObjectsTotal <= 0 {
		return ""
	}
	filled := int(width * share(p))
	return "[" + strings.Repeat("█", filled) + strings.Repeat("·", width-filled) + "] "
}

// share is how much of the present phase is done, from 0 to 1.
func share(p magpie.Progress) float64 {
	return min(max(float64(p.Objects)/float64(p.ObjectsTotal), 0), 1)
}

// progressText says in words how far a scan is.
func progressText(p magpie.Progress) string {
	parts := []string{string(p.Phase)}
	if p.Phase == "" {
		parts[0] = string(magpie.PhaseScanning)
	}
	if p.ObjectsTotal > 0 {
		parts[0] += fmt.Sprintf(" %.0f %%", 100*share(p))
	}
	if p.Left > 0 {
		parts = append(parts, leftText(p.Left)+" left")
	}
	if p.Phase == magpie.PhaseReceiving {
		parts = append(parts, size(p.BytesReceived))
	}
	if p.ObjectsTotal > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d objects", p.Objects, p.ObjectsTotal))
	}
	if p.Blobs > 0 {
		parts = append(parts, fmt.Sprintf("%s in %s", size(p.BlobBytes), count(p.Blobs, "file")))
	}
	return strings.Join(append(parts, fmt.Sprintf("%d found", p.Findings)), ", ")
}

// leftText says how long something will take, as exactly as an estimate can be.
func leftText(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(5*time.Second).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}

// fit cuts a line to a number of columns: one that wraps can't be rewritten.
func fit(line string, columns int) string {
	runes := []rune(line)
	if columns < 1 || len(runes) <= columns {
		return line
	}
	return string(runes[:columns-1]) + "…"
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth returns a function that tells how many columns the terminal w has now; 0 if it does not say.
func terminalWidth(w io.Writer) func() int {
	f, _ := w.(*os.File)
	return func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return columns
	}
}
