package detect

import (
	_ "embed"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"magpie/internal/rule"
)

// prefilter finds all occurrences of many literals, once it is sealed. Letters are folded by setting bit 0x20, which also
// folds a few other characters: the comparison that follows a hit is exact.
//
// Each literal is filed under one of its sequences of four bytes, its grams: the one that is rarest in ordinary source. One of
// three bytes is filed under all the grams that it may be the beginning of. A bitmap over the hashes of the grams, small
// enough for the first-level cache, rejects nearly all positions with one load.
type prefilter struct {
	bitmap  [1 << (gramBits - 6)]uint64
	second  [1 << (gramBits2 - 6)]uint64 // by another hash, for what the first lets through by chance
	slots   [1 << gramSlotBits]uint16    // beginning of the hash → 1-based first link of its chain, 0 for none
	chain   []gramLink
	entries []gramEntry
}

// gramBits, which the assembly knows, is the logarithm of the bitmap's size in bits: 32 KiB, of which some thousand literals set
// few. gramSlotBits is that of the number of chains.
const (
	gramBits     = 18
	gramSlotBits = 13
	gramBits2    = 18
	gramFold     = 0x20202020
)

func gramHash(g uint32) uint32 { return (g * 0x9E3779B1) >> (32 - gramBits) }

func gramHash2(g uint32) uint32 { return (g * 0x85EBCA6B) >> (32 - gramBits2) }

func gramSlot(h uint32) uint32 { return h >> (gramBits - gramSlotBits) }

// edges say what may stand next to a literal for it to count.
type edges struct {
	start bool // no letter, digit or underscore in front
	end   bool // no sign behind it, but that of a plural, with which no name ends
}

// ahead is how many bytes behind a literal the edges look at.
func (e edges) ahead() int {
	if e.end {
		return 2
	}
	return 0
}

// add takes a literal of at least three bytes, of number lit.
func (p *prefilter) add(lit uint16, l *literal) {
	p.entries = append(p.entries, gramEntry{lit: lit, text: l.text, exact: l.exact, edges: l.edges, tail: l.tail})
}

// hit is an occurrence of literal lit at data[pos:].
type hit struct {
	pos int
	lit uint16
	n   uint16 // length of the literal
}

// gramEntry is a literal with the part of it that it is filed under.
type gramEntry struct {
	offset int32 // of the gram in the literal
	lit    uint16
	text   string // lower case unless exact
	exact  bool
	tail   rule.Tail
	edges
}

// gramLink says that an entry is filed under a gram. The links lie beside the entries, so that what is looked at most often
// lies close together.
type gramLink struct {
	gram  uint32
	entry uint16
	next  uint16 // 1-based, 0 at the end of the chain
}

// stands appends the literal to hits if it stands around its gram at data[at:], wholly in data[from:to].
func (e *gramEntry) stands(data []byte, from, to, at int, hits []hit) []hit {
	pos := at - int(e.offset)
	end := pos + len(e.text)
	if pos < from || end > to || !e.equals(data[pos:end]) || !e.fits(data, pos) || !e.tail.Fits(data[:to], end) {
		return hits
	}
	return append(hits, hit{pos, e.lit, uint16(len(e.text))})
}

// fits reports whether what stands around the literal at data[pos:] is as its edges want it.
func (e *gramEntry) fits(data []byte, pos int) bool {
	if e.start && pos > 0 && isWordByte(data[pos-1]) {
		return false
	}
	return !e.end || !wordGoesOn(data, pos+len(e.text))
}

func isWordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}

func (e *gramEntry) equals(b []byte) bool {
	if e.exact {
		return string(b) == e.text
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != e.text[i] {
			return false
		}
	}
	return true
}

// sortHits orders hits by position, then literal: the order in which a naive search would find them.
func sortHits(hits []hit) { slices.SortFunc(hits, hit.compare) }

// common holds letters from the most frequent in source text on; their places are part of a gram's weight.
const common = " etaoinsrlcdpumfhg_ybvkxw.-=/0123456789jqz"

// weigh returns how rare a gram is likely to be in source: it has rare letters and rare pairs of them, is not found in
// ordinary words, and is no line drawn with a sign.
func weigh(gram string) int {
	w, pairs := 0, wordPairs()
	same := true
	for i := range len(gram) {
		if r := strings.IndexByte(common, gram[i]|0x20); r >= 0 {
			w += r
		} else {
			w += len(common)
		}
		if i > 0 {
			w -= 10 * bits.Len16(pairs[pairOf(gram[i-1], gram[i])])
			same = same && gram[i] == gram[0]
		}
	}
	if same {
		w -= 200
	}
	return w
}

// pairOf returns two characters as a number, folded; whatever parts words is a blank.
func pairOf(a, b byte) uint16 { return uint16(partOfWord(a))<<8 | uint16(partOfWord(b)) }

func partOfWord(c byte) byte {
	if c == '_' || !isWordByte(c) {
		return ' '
	}
	return c | 0x20
}

// wordPairs counts the pairs of characters in the words that are frequent in source, and at their edges.
var wordPairs = sync.OnceValue(func() *[1 << 16]uint16 {
	count := new([1 << 16]uint16)
	for w := range strings.FieldsSeq(wordList) {
		w = " " + w + " "
		for i := range len(w) - 1 {
			count[pairOf(w[i], w[i+1])]++
		}
	}
	return count
})

// gramCounts counts grams by a hash of them: what it says is a little too much now and then, which does no harm.
type gramCounts [1 << 16]uint16

func (c *gramCounts) of(g uint32) *uint16 { return &c[g*0x9E3779B1>>16] }

// add counts the grams of four bytes in a text.
func (c *gramCounts) add(text string) {
	for i := 0; i+4 <= len(text); i++ {
		*c.of(foldedGram(text[i : i+4]))++
	}
}

// foldedGram returns a text of at most four bytes as a number, folded.
func foldedGram(s string) (g uint32) {
	for i := range len(s) {
		g |= uint32(s[i]|0x20) << (8 * i)
	}
	return g
}

// gramLevels is what grams_count.go wrote: how often grams stand in ordinary source.
//
//go:embed grams.bin
var gramLevels string

// gramLevel returns how frequent a folded gram is in source, as the number of bits of how often it stands in 16 MiB, at most 15.
// A rare one may be taken for a frequent one of the same hash.
func gramLevel(g uint32) int {
	h := gramHash(g)
	return int(gramLevels[h/2]>>(4*(h%2))) & 15
}

// seal files the literals. Of the grams of a literal that one is taken which is likely to be the rarest: in source, and
// among the literals, so that few are filed under the same and have to be compared where it stands.
func (p *prefilter) seal() {
	among := new(gramCounts)
	for i := range p.entries {
		among.add(p.entries[i].text)
	}
	for i := range p.entries {
		e := &p.entries[i]
		if len(e.text) == 3 {
			for _, g := range e.beginnings() {
				p.file(i, g)
			}
			continue
		}
		best, gram := math.MinInt, uint32(0)
		for j := 0; j+4 <= len(e.text); j++ {
			text := e.text[j : j+4]
			g := foldedGram(text)
			if w := weigh(text) - 64*gramLevel(g) - 32*bits.Len16(*among.of(g)); w > best {
				best, e.offset, gram = w, int32(j), g
			}
		}
		p.file(i, gram)
	}
}

// file files an entry under a gram.
func (p *prefilter) file(entry int, gram uint32) {
	h, h2 := gramHash(gram), gramHash2(gram)
	p.bitmap[h/64] |= 1 << (h % 64)
	p.second[h2/64] |= 1 << (h2 % 64)
	slot := &p.slots[gramSlot(h)]
	p.chain = append(p.chain, gramLink{gram, uint16(entry), *slot})
	*slot = uint16(len(p.chain))
}

// beginnings returns the grams that a literal of three bytes may be the beginning of, the one at the end of a text, where
// nothing follows, among them.
func (e *gramEntry) beginnings() []uint32 {
	var grams []uint32
	first := foldedGram(e.text)
	for c := range 256 {
		follows := !e.end || !wordGoesOn([]byte{byte(c)}, 0)
		if len(e.tail) > 0 {
			follows = e.tail[0].Has(byte(c))
		}
		if g := first | uint32(c|0x20)<<24; (follows || c == atEnd) && !slices.Contains(grams, g) {
			grams = append(grams, g)
		}
	}
	return grams
}

// atEnd stands behind the last byte of a text in grams.
const atEnd = ' '

// vectorBlocks is how many blocks of 32 bytes the vector unit is given at a time. It is even.
const vectorBlocks = 32

// scan appends the occurrences that lie in data[from:to] wholly, in no order.
func (p *prefilter) scan(data []byte, from, to int, hits []hit) []hit {
	at := from
	var found [vectorBlocks]uint32
	var known [64]uint8                 // places of known grams behind at
	for vectorised && to-at >= 2*32+4 { // for less it is not worth the call
		blocks := min((to-at-4)/32, vectorBlocks) &^ 1
		tetraAVX2(&data[at], blocks, &p.bitmap[0], &found[0])
		for b := 0; b < blocks; b += 2 {
			if candidates := uint64(found[b]) | uint64(found[b+1])<<32; candidates != 0 {
				n := p.sift(data[at:at+64+4], candidates, &known)
				for _, i := range known[:n] {
					hits = p.confirm(data, from, to, at+int(i), hits)
				}
			}
			at += 64
		}
	}
	return p.scanPlain(data, from, to, at, hits)
}

// sift puts those of the candidates, places in text, whose grams are in the second bitmap too into known and returns their
// number. text has four more bytes than there are places.
func (p *prefilter) sift(text []byte, candidates uint64, known *[64]uint8) int {
	n := 0
	for ; candidates != 0; candidates &= candidates - 1 {
		i := bits.TrailingZeros64(candidates)
		h := gramHash2(binary.LittleEndian.Uint32(text[i:]) | gramFold)
		known[n&63] = uint8(i)
		n += int(p.second[h/64] >> (h % 64) & 1) // no branch: which it is can't be foreseen
	}
	return n
}

// scanPlain is scan for the grams that start in data[i:to], on any processor.
func (p *prefilter) scanPlain(data []byte, from, to, i int, hits []hit) []hit {
	for upTo := min(len(data), to+1); ; i++ { // the last gram of three bytes has one more
		if i = p.next(data[:upTo], i); i < 0 {
			break
		}
		hits = p.confirm(data, from, to, i, hits)
	}
	if at := to - 3; to == len(data) && at >= from {
		hits = p.look(data, from, to, at, foldedGram(string(data[at:to]))|atEnd<<24, hits)
	}
	return hits
}

// confirm appends the literals that stand around the gram at data[at:].
func (p *prefilter) confirm(data []byte, from, to, at int, hits []hit) []hit {
	return p.look(data, from, to, at, binary.LittleEndian.Uint32(data[at:])|gramFold, hits)
}

// look is confirm for a gram that is known already.
func (p *prefilter) look(data []byte, from, to, at int, g uint32, hits []hit) []hit {
	for n := p.slots[gramSlot(gramHash(g))]; n != 0; {
		link := p.chain[n-1]
		if link.gram == g {
			hits = p.entries[link.entry].stands(data, from, to, at, hits)
		}
		n = link.next
	}
	return hits
}

// next returns the first place from i on at which a gram stands under which a literal may be filed, -1 if there is none.
// It calls nothing, so that all it needs stays in registers.
func (p *prefilter) next(data []byte, i int) int {
	for ; i+8 <= len(data); i += 5 {
		w := binary.LittleEndian.Uint64(data[i:]) | gramFold<<32 | gramFold
		// Five grams start in these eight bytes; the usual answer is that none of them is known.
		switch {
		case p.known(uint32(w)):
			return i
		case p.known(uint32(w >> 8)):
			return i + 1
		case p.known(uint32(w >> 16)):
			return i + 2
		case p.known(uint32(w >> 24)):
			return i + 3
		case p.known(uint32(w >> 32)):
			return i + 4
		}
	}
	for ; i+4 <= len(data); i++ {
		if p.known(binary.LittleEndian.Uint32(data[i:]) | gramFold) {
			return i
		}
	}
	return -1
}

// known reports whether a literal may be filed under the gram.
func (p *prefilter) known(g uint32) bool {
	h := gramHash(g)
	return p.bitmap[h/64]&(1<<(h%64)) != 0
}
