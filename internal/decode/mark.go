package decode

import "math/bits"

// An escape begins with one of few pairs of bytes. They are rare in text, so that only few places are looked at closely.
// Each entry is a first byte and what may stand behind it: the bytes whose lower half and whose upper half are among those
// given.
var escapePairs = [8]struct {
	first     byte
	low, high []byte
}{
	{'\\', []byte{5, 8}, []byte{5, 7}},    // u U x X
	{'\\', []byte{0, 1, 2, 3}, []byte{3}}, // 0 1 2 3
	{'\\', []byte{15}, []byte{2}},         // /
	{'&', []byte{3}, []byte{2}},           // #
	{'&', []byte{1}, []byte{6, 7}},        // a q
	{'=', []byte{3}, []byte{3}},           // 3
	{'=', []byte{10, 13}, []byte{0}},      // line feed, carriage return
	{'0', []byte{8}, []byte{5, 7}},        // x X
}

// pairTables says by the halves of two bytes whether they are a pair: they are if the four entries have a bit in common. Each
// table stands twice, since the shuffle of the vector unit works on halves of a register.
type pairTables struct {
	firstLow, firstHigh, half, secondLow, secondHigh [32]byte
}

// The tables of escapePairs, for two halves of a byte and for bytes.
var (
	vectorPairs = func() (t pairTables) {
		for i, p := range escapePairs {
			for _, lane := range []byte{0, 16} {
				t.firstLow[lane+p.first&15] |= 1 << i
				t.firstHigh[lane+p.first>>4] |= 1 << i
				for _, l := range p.low {
					t.secondLow[lane+l] |= 1 << i
				}
				for _, h := range p.high {
					t.secondHigh[lane+h] |= 1 << i
				}
			}
		}
		for i := range t.half {
			t.half[i] = 15
		}
		return t
	}()
	pairFirst, pairSecond = func() (first, second [256]byte) {
		for i, p := range escapePairs {
			first[p.first] |= 1 << i
			for _, l := range p.low {
				for _, h := range p.high {
					second[h<<4|l] |= 1 << i
				}
			}
		}
		return first, second
	}()
)

// tablesOf returns the tables of a class of ASCII. Each upper half of a byte has a bit of its own.
func tablesOf(bit byte) (t classTables) {
	for c := range 128 {
		if class[c]&bit != 0 {
			for _, lane := range []int{0, 16} {
				t.low[lane+c&15] |= 1 << (c >> 4)
				t.high[lane+c>>4] |= 1 << (c >> 4)
			}
		}
	}
	for i := range t.half {
		t.half[i] = 15
	}
	return t
}

// pairBlocks is how many blocks pairs gives the vector unit at a time: few, since most stretches are short, and what is not
// used has been cleared in vain.
const pairBlocks = 16

// pairs calls visit with each place in data[from:to] where an escape may begin, in order, until it says that it has enough.
func pairs(data []byte, from, to int, visit func(at int) (enough bool)) {
	at := from
	for vectorised && at < to && len(data)-at > 32 {
		blocks := min((to-at+31)/32, (len(data)-at-1)/32, pairBlocks)
		var found [pairBlocks]uint32
		pairsAVX2(&data[at], blocks, &vectorPairs, &found[0])
		for i, both := range found[:blocks] {
			for ; both != 0; both &= both - 1 {
				p := at + 32*i + bits.TrailingZeros32(both)
				if p >= to || visit(p) {
					return
				}
			}
		}
		at += 32 * blocks
	}
	pairsPlain(data, at, to, visit)
}

// pairsPlain is pairs on any processor.
func pairsPlain(data []byte, from, to int, visit func(at int) (enough bool)) {
	for at := from; at < min(to, len(data)-1); at++ {
		if pairFirst[data[at]]&pairSecond[data[at+1]] != 0 && visit(at) {
			return
		}
	}
}
