package decode

import "math/bits"

// classTables says by the lower and the upper half of a byte whether it is in a class: it is if the two entries have a bit
// in common. Each table stands twice, since the shuffle of the vector unit works on halves of a register.
type classTables struct {
	low, high, half [32]byte
}

// base64Tables is the class inBase64.
var base64Tables = tablesOf(inBase64)

// vectorBlocks is how many blocks of 32 bytes the vector unit is given at a time: few at first, since what is behind the run that
// is found is looked at again.
const (
	firstBlocks  = 4
	vectorBlocks = 32
)

// nextRun returns the bounds of the first run of at least MinRun digits of base64 that begins in data[from:to], where what
// is before from does not count. ok is false if there is none.
func nextRun(data []byte, from, to int) (start, end int, ok bool) {
	at, last := from, uint64(0) // the bits of the block before at
	var digits [vectorBlocks]uint32
	for most := firstBlocks; vectorised && to-at >= 2*32; most = min(4*most, vectorBlocks) {
		blocks := min((to-at)/32, most)
		classAVX2(&data[at], blocks, &base64Tables, &digits[0])
		for _, d := range digits[:blocks] {
			// A run of MinRun that ends in this block lies in it and the one before.
			if both := last | uint64(d)<<32; hasRun(both) != 0 {
				start = at - 32 + bits.TrailingZeros64(hasRun(both))
				start = runStart(data, start, from)
				return start, runEnd(data, start+MinRun), true
			}
			last = uint64(d)
			at += 32
		}
	}
	return nextRunPlain(data, max(from, at-MinRun+1), from, to)
}

// hasRun returns the bits at which MinRun bits in a row begin that are set.
func hasRun(b uint64) uint64 {
	b &= b >> 1
	b &= b >> 2
	b &= b >> 4
	b &= b >> 8
	return b & (b >> (MinRun - 16))
}

// nextRunPlain is nextRun on any processor, for runs of which a part lies at or after i. It looks at every MinRun-th byte
// only: where that is no digit, no run of MinRun covers it.
func nextRunPlain(data []byte, i, from, to int) (start, end int, ok bool) {
	for i+MinRun <= len(data) && i < to {
		p := i + MinRun - 1
		for p >= i && class[data[p]]&inBase64 != 0 {
			p--
		}
		if p < i {
			start = runStart(data, i, from)
			return start, runEnd(data, i+MinRun), true
		}
		i = p + 1
	}
	return 0, 0, false
}
