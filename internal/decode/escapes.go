package decode

import (
	"slices"

	"magpie"
)

// Escapes tells where escapes stand in a text that make what is around them be decoded.
type Escapes struct {
	at     []int32 // where they begin, in order
	arrays bool    // elements of arrays of bytes may stand in it, which are not listed
	many   bool    // there are too many to list them
}

// maxListed is how many escapes of a text are listed.
const maxListed = 1 << 12

// Unlisted is of any text: its escapes are looked for where they matter.
var Unlisted = &Escapes{arrays: true, many: true}

func (e *Escapes) reset() { e.at, e.arrays, e.many = e.at[:0], false, false }

// add notes an escape behind all others.
func (e *Escapes) add(kind, at int) {
	switch {
	case kind == noEscape:
	case kind == inArray:
		e.arrays = true
	case len(e.at) == maxListed:
		e.at, e.many = e.at[:0], true
	case !e.many:
		e.at = append(e.at, int32(at))
	}
}

// Any reports whether there may be any.
func (e *Escapes) Any() bool { return e.arrays || e.many || len(e.at) > 0 }

// Clone returns a copy.
func (e *Escapes) Clone() Escapes { return Escapes{slices.Clone(e.at), e.arrays, e.many} }

// The bytes before and after the beginning of an escape on which it depends whether it is one.
const (
	escapeBack  = maxSoftLine + 1
	escapeAhead = maxEscape + 1
)

// Derive makes e say what stands in data, which was made by copies, with bytes that are new between them, from a text of
// baseSize bytes of which base tells. stretches calls its argument with the bounds of what is new, and of the places where
// copies meet as empty stretches, in order.
func (e *Escapes) Derive(base *Escapes, baseSize int, data []byte, copies []magpie.Copy, stretches func(yield func(from, to int) bool)) {
	e.reset()
	e.arrays, e.many = base.arrays, base.many
	if e.many {
		return
	}
	for _, c := range copies {
		i, _ := slices.BinarySearch(base.at, int32(c.From))
		for _, b := range base.at[i:] {
			at := int(b) - c.From + c.To
			if at >= c.To+c.Len {
				break
			}
			if at-escapeBack < c.To || at+escapeAhead > c.To+c.Len {
				if at+1 >= len(data) {
					break
				}
				if kind, _ := escapeAt(data, at); kind == noEscape {
					continue
				}
			}
			e.at = append(e.at, int32(at))
		}
	}
	inherited := len(e.at)
	behind := 0 // the end of what was looked at
	for from, to := range stretches {
		from, to = max(behind, from-escapeAhead), min(len(data), to+escapeBack)
		if behind = max(behind, to); from >= to {
			continue
		}
		pairs(data, from, to, func(at int) bool {
			kind, _ := escapeAt(data, at)
			e.arrays = e.arrays || kind == inArray
			if kind != noEscape && kind != inArray {
				e.at = append(e.at, int32(at))
			}
			return false
		})
	}
	if len(e.at) > inherited {
		slices.Sort(e.at)
		e.at = slices.Compact(e.at)
	}
	if len(e.at) > maxListed {
		e.at, e.many = e.at[:0], true
	}
}

// in reports whether an escape may begin in data[from:to].
func (e *Escapes) in(data []byte, from, to int) bool {
	if e.many {
		return hasEscape(data, from, to)
	}
	i, _ := slices.BinarySearch(e.at, int32(from))
	return i < len(e.at) && int(e.at[i]) < to
}
