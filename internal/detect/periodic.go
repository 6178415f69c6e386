package detect

import (
	"bytes"
	"sort"
)

// Text that is the same few bytes over and over costs as much as any other and tells nothing new: what is decided about a
// literal in one period holds for all, as long as everything that it depends on is in the same stretch. So the middle of long
// stretches is passed over, and the first and the last part of them are looked at.
const (
	minPeriodic = 64 << 10 // bytes of a text that is looked at for such stretches
	maxPeriod   = 1 << 10
	probeEvery  = 4 << 10 // bytes
	probeLength = 32
)

// gap is the middle of a stretch that repeats itself; none of the literals in it was looked for. What stands in it is what
// stands in the period before it.
type gap struct{ from, to, period int }

// findGaps returns the gaps of a text, in order. Before and after are how far a verdict may depend on the bytes around the
// beginning of a literal.
func findGaps(text []byte, before, after int, gaps []gap) []gap {
	if len(text) < minPeriodic {
		return gaps
	}
	step := max(probeEvery, before+after) // a stretch with a gap in it is longer
	for p := 0; p+probeEvery <= len(text); p += step {
		start, end, period := stretch(text, p)
		if end <= p {
			continue
		}
		from, to := start+before+2*period, end-after
		if to-from >= probeEvery {
			gaps = append(gaps, gap{from, to, period})
		}
		p = end/probeEvery*probeEvery - step
	}
	return gaps
}

// stretch returns the bounds of a stretch around p that repeats itself; end is not behind p if there is none.
func stretch(text []byte, p int) (start, end, period int) {
	period = 1 + bytes.Index(text[p+1:min(len(text), p+maxPeriod+probeLength)], text[p:p+probeLength])
	if period == 0 || p+probeEvery+period > len(text) || !bytes.Equal(text[p:p+probeEvery], text[p+period:p+probeEvery+period]) {
		return 0, 0, 0
	}
	start, end = p, p+probeEvery+period
	for step := probeEvery; step > 0; step /= 2 {
		for end+step <= len(text) && bytes.Equal(text[end:end+step], text[end-period:end-period+step]) {
			end += step
		}
		for start >= step && bytes.Equal(text[start-step:start], text[start-step+period:start+period]) {
			start -= step
		}
	}
	return start, end, period
}

// stands reports whether what stands at pos stands in the gap over and over.
func (g gap) stands(pos int) bool { return g.from-g.period <= pos && pos < g.from }

const skippedPeriodic = "of secrets that are repeated over and over only the first and the last were taken"

// passOver notes that the literals of a text, of which h is one and v the verdict on it, are not looked for in gaps.
func (t *Trace) passOver(gaps []gap, h hit, v *verdict) {
	for _, g := range gaps {
		if !g.stands(h.pos) {
			continue
		}
		t.whole = true
		if v != nil && len(v.matches) > 0 {
			t.skip(skippedPeriodic)
		}
	}
}

// repeatsItself reports whether one of the literals in the trace stands in a gap of data.
func (s *Scanner) repeatsItself(t []tracedHit, data []byte) bool {
	s.gaps = findGaps(data, s.e.before, s.e.after, s.gaps[:0])
	for _, g := range s.gaps {
		i := sort.Search(len(t), func(i int) bool { return int(t[i].pos) >= g.from-g.period })
		if i < len(t) && g.stands(int(t[i].pos)) {
			return true
		}
	}
	return false
}
