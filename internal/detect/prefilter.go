package detect

import (
	_ "embed"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// prefilter finds all occurrences of many literals, once it is sealed. Letters are folded by setting bit 0x20, which also
// folds a few other characters: the comparison that follows a hit is exact.
//
// Nearly all literals have four bytes or more. Each of them is filed under one of its sequences of four, the one that is
// rarest in ordinary source, and a bitmap over their hashes, small enough for the first-level cache, rejects nearly all
// positions with one load. The few literals of three bytes are looked for apart, by trigrams.
type prefilter struct {
	short trigrams
	long  tetragrams
}

// edges say what may stand next to a literal for it to count.
type edges struct {
	start bool // no letter, digit or underscore in front
	end   bool // no letter behind but that of a plural
}

// add files a literal of at least three bytes under number lit.
func (p *prefilter) add(lit uint16, text string, exact bool, at edges) {
	e := gramEntry{lit: lit, text: text, exact: exact, edges: at}
	if len(text) == 3 {
		p.short.add(e)
	} else {
		p.long.add(e)
	}
}

// seal ends the adding of literals.
func (p *prefilter) seal() {
	p.short.seal()
	p.long.seal()
}

// scan appends the occurrences that lie in data[from:to] wholly, in no order.
func (p *prefilter) scan(data []byte, from, to int, hits []hit) []hit {
	if len(p.short.entries) > 0 {
		hits = p.short.scan(data, from, to, hits)
	}
	return p.long.scan(data, from, to, hits)
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
	edges
}

// gramLink is what has to be known of an entry to pass over it. The links lie beside the entries, so that what is looked at
// most often lies close together.
type gramLink struct {
	gram uint32
	next uint16 // 1-based, 0 at the end of the chain
}

// stands appends the literal to hits if it stands around its gram at data[at:], wholly in data[from:to].
func (e *gramEntry) stands(data []byte, from, to, at int, hits []hit) []hit {
	pos := at - int(e.offset)
	if pos < from || pos+len(e.text) > to || !e.fits(data, pos) || !e.equals(data[pos:pos+len(e.text)]) {
		return hits
	}
	return append(hits, hit{pos, e.lit, uint16(len(e.text))})
}

// fits reports whether what stands around the literal at data[pos:] is as its edges want it.
func (e *gramEntry) fits(data []byte, pos int) bool {
	if e.start && pos > 0 && isWordByte(data[pos-1]) {
		return false
	}
	end := pos + len(e.text)
	if !e.end || end >= len(data) {
		return true
	}
	c := data[end] | 0x20
	return c < 'a' || c > 'z' || c == 's'
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

// tetragrams finds literals of four bytes and more.
type tetragrams struct {
	bitmap  [1 << (tetraBits - 6)]uint64
	second  [1 << (tetraBits2 - 6)]uint64 // by another hash, for what the first lets through by chance
	slots   [1 << tetraSlotBits]uint16    // beginning of the hash → 1-based first entry of its chain, 0 for none
	chain   []gramLink                    // beside entries, so that what is looked at most often lies close together
	entries []gramEntry
}

// tetraBits, which the assembly knows, is the logarithm of the bitmap's size in bits: 32 KiB, of which a few thousand literals set few.
// tetraSlotBits is that of the number of chains.
const (
	tetraBits     = 18
	tetraSlotBits = 13
	tetraBits2    = 17
	tetraFold     = 0x20202020
)

func tetraHash2(g uint32) uint32 { return (g * 0x85EBCA6B) >> (32 - tetraBits2) }

func tetraHash(g uint32) uint32 { return (g * 0x9E3779B1) >> (32 - tetraBits) }

func tetraSlot(h uint32) uint32 { return h >> (tetraBits - tetraSlotBits) }

// gramLevels is what grams_count.go wrote: how often grams stand in ordinary source.
//
//go:embed grams.bin
var gramLevels string

// gramLevel returns how frequent a folded gram is in source, as the number of bits of how often it stands in 16 MiB, at most 15.
// A rare one may be taken for a frequent one of the same hash.
func gramLevel(g uint32) int {
	h := tetraHash(g)
	return int(gramLevels[h/2]>>(4*(h%2))) & 15
}

func (p *tetragrams) add(e gramEntry) { p.entries = append(p.entries, e) }

// seal files the literals. Of the grams of a literal that one is taken which is likely to be the rarest: in source, and
// among the literals, so that few are filed under the same and have to be compared where it stands.
func (p *tetragrams) seal() {
	among := new(gramCounts)
	for i := range p.entries {
		among.add(p.entries[i].text)
	}
	p.chain = make([]gramLink, len(p.entries))
	for i := range p.entries {
		e := &p.entries[i]
		best := math.MinInt
		for j := 0; j+4 <= len(e.text); j++ {
			gram := e.text[j : j+4]
			g := foldedGram(gram)
			if w := weigh(gram) - 64*gramLevel(g) - 32*bits.Len16(*among.of(g)); w > best {
				best, e.offset, p.chain[i].gram = w, int32(j), g
			}
		}
		h := tetraHash(p.chain[i].gram)
		p.bitmap[h/64] |= 1 << (h % 64)
		h2 := tetraHash2(p.chain[i].gram)
		p.second[h2/64] |= 1 << (h2 % 64)
		slot := &p.slots[tetraSlot(h)]
		p.chain[i].next = *slot
		*slot = uint16(i + 1)
	}
}

func (p *tetragrams) scan(data []byte, from, to int, hits []hit) []hit {
	if len(p.entries) == 0 {
		return hits
	}
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
func (p *tetragrams) sift(text []byte, candidates uint64, known *[64]uint8) int {
	n := 0
	for ; candidates != 0; candidates &= candidates - 1 {
		i := bits.TrailingZeros64(candidates)
		h := tetraHash2(binary.LittleEndian.Uint32(text[i:]) | tetraFold)
		known[n&63] = uint8(i)
		n += int(p.second[h/64] >> (h % 64) & 1) // no branch: which it is can't be foreseen
	}
	return n
}

// scanPlain is scan for the grams at data[i:to], on any processor.
func (p *tetragrams) scanPlain(data []byte, from, to, i int, hits []hit) []hit {
	for ; ; i++ {
		if i = p.next(data[:to], i); i < 0 {
			return hits
		}
		hits = p.confirm(data, from, to, i, hits)
	}
}

// confirm appends the literals that stand around the gram at data[at:].
func (p *tetragrams) confirm(data []byte, from, to, at int, hits []hit) []hit {
	g := binary.LittleEndian.Uint32(data[at:]) | tetraFold
	for n := p.slots[tetraSlot(tetraHash(g))]; n != 0; {
		link := p.chain[n-1]
		if link.gram == g {
			hits = p.entries[n-1].stands(data, from, to, at, hits)
		}
		n = link.next
	}
	return hits
}

// next returns the first place from i on at which a gram stands under which a literal may be filed, -1 if there is none.
// It calls nothing, so that all it needs stays in registers.
func (p *tetragrams) next(data []byte, i int) int {
	for ; i+8 <= len(data); i += 5 {
		w := binary.LittleEndian.Uint64(data[i:]) | tetraFold<<32 | tetraFold
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
		if p.known(binary.LittleEndian.Uint32(data[i:]) | tetraFold) {
			return i
		}
	}
	return -1
}

// known reports whether a literal may be filed under the gram.
func (p *tetragrams) known(g uint32) bool {
	h := tetraHash(g)
	return p.bitmap[h/64]&(1<<(h%64)) != 0
}
