package detect

import (
	"bytes"
	"math"

	"magpie/internal/rule"
)

// What a verdict takes is counted as work, of which a unit is about ten nanoseconds on a processor of its day. It depends on
// nothing but what the verdict does, so that what is left out of a text is the same on every machine and in every run.
const (
	workName       = 10 // to read what stands around a name
	workAnchored   = 6  // to ask an expression at a known place
	workUnanchored = 10 // or anywhere in a window,
	workBytes      = 6  // of which a unit reads so many bytes
	workCold       = 30 // to ask a rule that is no longer near the processor
	workFound      = 150
	workJudged     = 60
)

// How much work the verdicts of a text may take up to a place in it: a unit for each byte before, as much for each line as a
// secret in it takes, and a floor. Of 190,000 files of source of all kinds the neediest needs a third of the floor, the table of
// contents of a collection of secrets. Beyond it a text is made to be slow to look at: there, beginnings of secrets are left
// out until enough bytes have gone by, which is told, and what comes behind is looked at.
const (
	workFloor   = 150_000
	workLine    = 400
	workReserve = 20_000
)

// allowance is how much work may be done in a text. Line feeds are counted only when it runs low.
type allowance struct {
	text    []byte
	spent   int
	lines   int // in text[:counted]
	counted int
	low     bool
}

// covers reports whether there is some left at a place. Places come in order. Once there is none, some has to come together
// first, for a few literals that stand together take less than the same number far apart.
func (a *allowance) covers(pos int) bool {
	reserve := 0
	if a.low {
		reserve = workReserve
	}
	a.low = a.spent+reserve > mayTake(pos)+workLine*a.lines
	if a.low {
		a.lines += bytes.Count(a.text[a.counted:pos], newline)
		a.counted = pos
		a.low = a.spent+reserve > mayTake(pos)+workLine*a.lines
	}
	return !a.low
}

// mayTake returns how much work may be done up to a place in a text without lines.
func mayTake(pos int) int { return workFloor + pos }

// sweep is how far a rule that is not anchored has looked at a text.
type sweep struct {
	rule.Sweep
	text uint32 // number of the text
	to   int    // bytes that were counted
}

// maySweep reports whether a rule that is not anchored may match in text[from:to]. Bytes that the rule has been at before,
// in the window of another literal, are looked at and counted once.
func (s *Scanner) maySweep(r *rule.Rule, text []byte, from, to int, head bool) bool {
	w := s.sweeps[r]
	if w == nil {
		w = new(sweep)
		s.sweeps[r] = w
	}
	if w.text != s.repeats.text {
		*w = sweep{text: s.repeats.text}
	}
	whole, fresh := (to-from)/workBytes, max(0, to-max(from, w.to))/workBytes
	w.to = max(w.to, to)
	s.work += workUnanchored + whole
	s.saved += whole - fresh
	return r.MaySweep(&w.Sweep, text, from, to, head)
}

// cold is what it takes to ask the literal's rules for the first time in a while.
func (l *literal) cold() int { return workCold * (len(l.patterns) + len(l.values)) }

func clampWork(work int) uint16 { return uint16(min(work, math.MaxUint16)) }

// verdictWithin returns the verdict on the literal at h and the work that it takes. What repeats itself is not worked out
// again and counts as next to nothing. ok is false if there is no work left for it.
func (s *Scanner) verdictWithin(text []byte, h hit, generic bool, left *allowance) (v *verdict, work uint16, ok bool) {
	if known, ok := s.repeats.recall(text, h, &s.e.lits[h.lit]); ok {
		v, work := known.verdict, known.work
		s.repeats.note(h, v, work)
		left.spent++
		return v, work, true
	}
	if !left.covers(h.pos) {
		return nil, 0, false
	}
	warm := s.repeats.near(h)
	v = s.verdict(text, h, generic)
	work = clampWork(s.work)
	if warm {
		s.saved += s.e.lits[h.lit].cold()
	}
	left.spent += max(1, s.work-s.saved)
	s.repeats.note(h, v, work)
	return v, work, true
}
