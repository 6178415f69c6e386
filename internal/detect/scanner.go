package detect

import (
	"bytes"
	"fmt"
	"slices"

	"magpie/internal/decode"
	"magpie/internal/decode/archive"
	"magpie/internal/rule"
)

// Scanner scans for one goroutine; it holds buffers that are reused from scan to scan.
type Scanner struct {
	e        *Engine
	decoders [maxDepth]decode.Decoder
	found    []Match
	covered  []Span
	skipped  []string
	memo     *memo

	budget    archive.Budget // what the containers in the text at hand may still come to
	decodable int            // bytes that may still be decoded of the encoded run at hand

	hits      [maxDepth + 1][]hit // of the prefilter, for each depth of decoding
	gaps      []gap               // of the text at hand
	repeats   repeats
	sweeps    map[*rule.Rule]*sweep
	work      int            // that the verdict at hand takes so far
	saved     int            // of that, since a part of it has been done for another
	traced    []tracedHit    // of the trace in the making
	stretches []Span         // of a derived text that have to be looked at
	escapes   decode.Escapes // of that text
}

// Span is a range of bytes in a file, End exclusive.
type Span struct{ Start, End int }

// maxDepth is how many encodings around a secret are taken off.
const maxDepth = 5

// NewScanner returns a scanner for one goroutine.
func (e *Engine) NewScanner() *Scanner {
	return &Scanner{e: e, memo: newMemo(), sweeps: map[*rule.Rule]*sweep{}}
}

// Scan finds the secrets in data, in the order of their places. The result is valid until the next call.
func (s *Scanner) Scan(data []byte) []Match { return s.ScanPart(data, IsBinary(data), true) }

// ScanPart is Scan for a part of a file too large to hold, of which binary says what IsBinary says of the file, and head
// that the part is at its beginning. What is found near the ends of a part, by Reach and by the encoded run that stands
// there, may not be what is found in the whole file.
func (s *Scanner) ScanPart(data []byte, binary, head bool) []Match {
	return s.Matches(s.trace(data, binary, head), data)
}

// Reach returns how many bytes before and after a secret's literal may bear on whether it is found.
func (s *Scanner) Reach() (before, after int) {
	return s.e.before + ignoreReach, s.e.after + s.e.longest + ignoreReach
}

// Matches returns the secrets in data, in the order of their places, given the trace of that very data. The result is
// valid until the next call.
func (s *Scanner) Matches(t *Trace, data []byte) []Match {
	s.covered, s.skipped = s.covered[:0], t.skipped
	if t.empty() {
		return nil
	}
	s.found = t.matches(data, s.found[:0])
	for i := range s.found {
		if s.found[i].member == "" {
			s.found[i].Ignored = comment(&s.found[i], data)
		}
		s.covered = append(s.covered, Span{s.found[i].Start, s.found[i].End})
	}
	found := Resolve(s.found)
	if !s.e.opts.KeepIgnored {
		found = slices.DeleteFunc(found, func(m Match) bool { return m.Ignored != "" })
	}
	if len(found) > s.e.opts.MaxMatches {
		s.skipped = append(slices.Clip(s.skipped),
			fmt.Sprintf("%d matches beyond the first %d were dropped", len(found)-s.e.opts.MaxMatches, s.e.opts.MaxMatches))
		found = found[:s.e.opts.MaxMatches]
	}
	return found
}

// Covered returns where the last scan saw anything like a secret: the matches it returned, those that gave way to a
// better one at the same place, and those that a comment told it to ignore. Who shows a part of the file must hide them
// all. The result is valid until the next call.
func (s *Scanner) Covered() []Span { return s.covered }

// Skipped says in words what the last scan left out, nil if nothing.
func (s *Scanner) Skipped() []string { return s.skipped }

// IsBinary reports whether data is no text: it has a NUL among its first bytes, as Git itself decides.
func IsBinary(data []byte) bool {
	return bytes.IndexByte(data[:min(len(data), binaryHead)], 0) >= 0
}

const binaryHead = 8000
