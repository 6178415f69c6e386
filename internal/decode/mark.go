package decode

import "math/bits"

// An escape begins with a byte of the class opens and one of the class goesOn behind it. Both classes together are rare in
// text, so that only few places are looked at closely.
var (
	opensTables  = tablesOf(opens)
	goesOnTables = tablesOf(goesOn)
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
const pairBlocks = 8

// pairs calls visit with each place in data[from:to] where an escape may begin, in order.
func pairs(data []byte, from, to int, visit func(at int)) {
	at := from
	for vectorised && to-at >= 32 && len(data)-at > 32 {
		blocks := min((to-at)/32, (len(data)-at-1)/32, pairBlocks)
		var first, second [pairBlocks]uint32
		classAVX2(&data[at], blocks, &opensTables, &first[0])
		classAVX2(&data[at+1], blocks, &goesOnTables, &second[0])
		for i := range blocks {
			for both := first[i] & second[i]; both != 0; both &= both - 1 {
				visit(at + 32*i + bits.TrailingZeros32(both))
			}
		}
		at += 32 * blocks
	}
	pairsPlain(data, at, to, visit)
}

// pairsPlain is pairs on any processor.
func pairsPlain(data []byte, from, to int, visit func(at int)) {
	for at := from; at < min(to, len(data)-1); at++ {
		if class[data[at]]&opens != 0 && class[data[at+1]]&goesOn != 0 {
			visit(at)
		}
	}
}
