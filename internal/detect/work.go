package detect

import "math"

// What a verdict takes is counted as work, of which a unit is about ten nanoseconds on a processor of its day. It depends on
// nothing but what the verdict does, so that what is left out of a text is the same on every machine and in every run.
const (
	workName       = 10 // to read what stands around a name
	workAnchored   = 6  // to ask an expression at a known place
	workUnanchored = 10 // or anywhere in a window,
	workBytes      = 6  // of which a unit reads so many bytes
	workFound      = 120
	workJudged     = 40
)

// How much work the verdicts of a text may take up to a place in it: so much for each byte before, and a floor. Ordinary text
// takes a tenth of a unit a byte, and text full of secrets a few; beyond that a text is made to be slow to look at. There
// beginnings of secrets are left out until enough bytes have gone by, which is told, and what comes behind is looked at.
const (
	workFactor = 1
	workFloor  = 200_000
)

// mayTake returns how much work may be done up to a place.
func mayTake(pos int) int { return workFactor*pos + workFloor }

func clampWork(work int) uint16 { return uint16(min(work, math.MaxUint16)) }

// verdictWithin returns the verdict on the literal at h and the work that it takes. What repeats itself is not worked out
// again and counts as next to nothing in spent, which is what the text took so far. ok is false if that is too much.
func (s *Scanner) verdictWithin(text []byte, h hit, generic bool, spent *int) (v *verdict, work uint16, ok bool) {
	if known, ok := s.repeats.recall(text, h, &s.e.lits[h.lit]); ok {
		v, work := known.verdict, known.work
		s.repeats.note(h, v, work)
		*spent++
		return v, work, true
	}
	if *spent > mayTake(h.pos) {
		return nil, 0, false
	}
	v = s.verdict(text, h, generic)
	work = clampWork(s.work)
	*spent += int(work)
	s.repeats.note(h, v, work)
	return v, work, true
}
