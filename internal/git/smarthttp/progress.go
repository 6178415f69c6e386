package smarthttp

import (
	"strconv"
	"strings"

	"magpie"
)

// Phase is what a server does with a request for a pack.
type Phase string

// The phases of a server, in their order. The zero Phase is one that is not known.
const (
	PhaseCounting    Phase = "counting"    // which objects are to be sent
	PhaseCompressing Phase = "compressing" // looking for deltas
	PhaseSending     Phase = "sending"
)

// Progress is what a server says about a pack while it makes it.
type Progress struct {
	Phase Phase
	Done  int64 // objects of the phase
	Total int64 // objects of the phase; 0 until known
	// Remote is the last line that is for people only, such as a notice of the administrator: one line that can't steer a
	// terminal, shortened, and without the token.
	Remote string
}

// maxProgressLine is how much of one line is kept.
const maxProgressLine = 1 << 10

// progressParser makes Progress of the bytes of band 2, whose lines end with a newline or, to be overwritten, with a carriage
// return.
type progressParser struct {
	line  []byte
	state Progress
	token magpie.Secret
	told  func(Progress)
}

// add takes what came in one packet.
func (p *progressParser) add(data []byte) {
	if p.told == nil {
		return
	}
	for _, c := range data {
		switch {
		case c == '\r' || c == '\n':
			p.end()
		case len(p.line) < maxProgressLine:
			p.line = append(p.line, c)
		}
	}
}

// end takes a whole line.
func (p *progressParser) end() {
	line := string(p.line)
	p.line = p.line[:0]
	if line == "" {
		return
	}
	if next, ok := parseProgress(line); ok {
		next.Remote = p.state.Remote
		p.state = next
	} else if text := printable(p.token.CutFrom(line)); text != "" {
		p.state.Remote = text
	}
	p.told(p.state)
}

// phases are what git calls what it does.
var phases = map[string]Phase{
	"Enumerating objects": PhaseCounting, "Counting objects": PhaseCounting, "Finding sources": PhaseCounting,
	"Compressing objects": PhaseCompressing, "Writing objects": PhaseSending,
}

// parseProgress reads a line such as "Counting objects:  42% (21/50), done.", "Enumerating objects: 21" or "Total 50
// (delta 3), reused 0 (delta 0)", which is the last before the pack.
func parseProgress(line string) (Progress, bool) {
	if rest, ok := strings.CutPrefix(line, "Total "); ok {
		number, _, _ := strings.Cut(rest, " ")
		total, err := parseCount(number)
		return Progress{Phase: PhaseSending, Total: total}, err == nil
	}
	title, rest, ok := strings.Cut(line, ":")
	phase, known := phases[title]
	if !ok || !known {
		return Progress{}, false
	}
	if _, counts, ok := strings.Cut(rest, "("); ok {
		counts, _, _ = strings.Cut(counts, ")")
		done, total, _ := strings.Cut(counts, "/")
		d, errDone := parseCount(done)
		t, errTotal := parseCount(total)
		return Progress{Phase: phase, Done: d, Total: t}, errDone == nil && errTotal == nil && d <= t
	}
	number, _, _ := strings.Cut(strings.TrimSpace(rest), ",")
	done, err := parseCount(number)
	return Progress{Phase: phase, Done: done}, err == nil
}

// parseCount reads a number that is no sign of nonsense.
func parseCount(s string) (int64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 40)
	return int64(n), err
}
