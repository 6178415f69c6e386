package inflate

import "math/bits"

// entry is what a table tells about the next bits of the input. All kinds have in their low byte how many bits to take.
//
//	literal   flagLiteral, the byte in bits 16-23
//	length    the base length or distance in bits 16-30, the length of the codeword in bits 8-11; the low byte counts the
//	or dist.  extra bits, which follow the codeword, as well
//	end       flagSpecial | flagEnd
//	subtable  flagSpecial | flagSubtable, where it starts in bits 16-30, its index bits in bits 8-11
//	invalid   flagSpecial
type entry uint32

const (
	flagLiteral  entry = 1 << 31
	flagSpecial  entry = 1 << 15
	flagSubtable entry = 1 << 14
	flagEnd      entry = 1 << 13
)

// The index bits of the main tables, the most symbols of each alphabet, and room for all subtables on top of a main
// table: the worst cases for those numbers of bits, symbols and 15-bit codewords.
const (
	litlenBits  = 10
	distBits    = 8
	precodeBits = 7

	litlenSyms  = 288
	distSyms    = 32
	precodeSyms = 19

	litlenRoom  = 1<<litlenBits + 2*litlenSyms*4
	distRoom    = 1<<distBits + 1<<9
	precodeRoom = 1 << precodeBits

	maxCodeLen = 15
)

// symbols holds the entry of each symbol of an alphabet, without the length of its codeword.
var (
	litlenEntries  [litlenSyms]entry
	distEntries    [distSyms]entry
	precodeEntries [precodeSyms]entry
)

// lengthBase and distBase with their extra bits, from RFC 1951, 3.2.5.
var (
	lengthBase  = [...]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [...]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [...]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// fixedLitlen and fixedDist are the tables of the fixed codes.
var (
	fixedLitlen [1 << 9]entry
	fixedDist   [1 << 5]entry
)

func init() {
	for i := range 256 {
		litlenEntries[i] = flagLiteral | entry(i)<<16
	}
	litlenEntries[256] = flagSpecial | flagEnd
	for i := 257; i < litlenSyms; i++ {
		litlenEntries[i] = flagSpecial
		if i-257 < len(lengthBase) {
			litlenEntries[i] = entry(lengthBase[i-257])<<16 | entry(lengthExtra[i-257])
		}
	}
	for i := range distEntries {
		distEntries[i] = flagSpecial
		if i < len(distBase) {
			distEntries[i] = entry(distBase[i])<<16 | entry(distExtra[i])
		}
	}
	for i := range precodeEntries {
		precodeEntries[i] = entry(i) << 16
	}
	var lens [litlenSyms]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	build(fixedLitlen[:], lens[:], litlenEntries[:], 9)
	for i := range distSyms {
		lens[i] = 5
	}
	build(fixedDist[:], lens[:distSyms], distEntries[:], 5)
}

// build fills table for the canonical Huffman code in which symbol i has a codeword of lens[i] bits, 0 for none. The main
// table gets at most maxBits index bits, fewer if no codeword is that long; their number is returned. It fails for a
// code that is over-subscribed or incomplete, except that a code may have no codewords, or one of a single bit.
func build(table []entry, lens []uint8, symbols []entry, maxBits int) (tableBits int, ok bool) {
	var count [maxCodeLen + 1]int
	for _, n := range lens {
		count[n&15]++
	}
	longest := maxCodeLen
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	if longest <= 1 && count[1] < 2 {
		return tiny(table, lens, symbols)
	}
	// The symbols sorted by the length of their codewords, and the test that the code is complete.
	var start [maxCodeLen + 2]int
	space := 0
	start[1] = 0
	for n := 1; n <= maxCodeLen; n++ {
		start[n+1] = start[n] + count[n]
		space = space<<1 + count[n]
	}
	if space != 1<<maxCodeLen {
		return 0, false
	}
	var sorted [litlenSyms]uint16
	for sym, n := range lens {
		if n != 0 {
			sorted[start[n]] = uint16(sym)
			start[n]++
		}
	}
	tableBits = min(longest, maxBits)
	return tableBits, fill(table, count[:], sorted[:], symbols, tableBits)
}

// tiny builds the table of a code with at most one codeword, of one bit.
func tiny(table []entry, lens []uint8, symbols []entry) (int, bool) {
	table[0], table[1] = flagSpecial|1, flagSpecial|1
	for sym, n := range lens {
		if n == 1 {
			table[0] = symbols[sym] + 1 + 1<<8
		}
	}
	return 1, true
}

// fill writes the entries of a complete code. Codewords stand in the input with their first bit lowest, so the entries
// of a codeword of n bits are those whose index has it in its low n bits: at each greater length the table doubles by a
// copy of itself, and then its free places are those of the longer codewords.
func fill(table []entry, count []int, sorted []uint16, symbols []entry, tableBits int) bool {
	word, n, next := 0, 1, 0 // the next codeword with its bits reversed, its length, and its symbol's place in sorted
	for count[n] == 0 {
		n++
	}
	size := 1 << n
	for ; n <= tableBits; n++ {
		for range count[n] {
			table[word] = symbols[sorted[next]] + entry(n) + entry(n)<<8
			next++
			if word == size-1 { // the last codeword of all
				for ; n < tableBits; n++ {
					copy(table[size:2*size], table[:size])
					size *= 2
				}
				return true
			}
			word = successor(word, size)
		}
		if n < tableBits {
			copy(table[size:2*size], table[:size])
			size *= 2
		}
	}
	return fillSubtables(table, count, sorted[next:], symbols, tableBits, word)
}

// successor returns the codeword after word, both reversed and of the number of bits of which size is the power of two.
func successor(word, size int) int {
	high := 1 << (bits.Len(uint(word^(size-1))) - 1)
	return word&(high-1) | high
}

// fillSubtables writes the entries of the codewords longer than the main table's index, of which word is the first,
// behind the main table.
func fillSubtables(table []entry, count []int, sorted []uint16, symbols []entry, tableBits, word int) bool {
	end := 1 << tableBits // of what is written
	prefix, at, subBits := -1, 0, 0
	next, n := 0, tableBits+1
	for {
		for n <= maxCodeLen && count[n] == 0 {
			n++
		}
		if n > maxCodeLen {
			return true
		}
		for left := count[n]; left > 0; left-- {
			if low := word & (1<<tableBits - 1); low != prefix {
				prefix = low
				// As many index bits as make the codewords that follow fill the subtable.
				subBits = n - tableBits
				room := left
				for room < 1<<subBits {
					subBits++
					if tableBits+subBits > maxCodeLen {
						return false
					}
					room = room<<1 + count[tableBits+subBits]
				}
				at = end
				end += 1 << subBits
				if end > len(table) {
					return false
				}
				table[prefix] = flagSpecial | flagSubtable | entry(at)<<16 | entry(subBits)<<8 | entry(tableBits)
			}
			e := symbols[sorted[next]] + entry(n-tableBits) + entry(n-tableBits)<<8
			next++
			for i := word >> tableBits; i < 1<<subBits; i += 1 << (n - tableBits) {
				table[at+i] = e
			}
			if word == 1<<n-1 {
				return true
			}
			word = successor(word, 1<<n)
		}
		n++
	}
}
