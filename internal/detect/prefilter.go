package detect

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// prefilter finds all occurrences of many literals in one pass, once it is sealed. Each literal is filed under one of its trigrams, the
// one that is rarest in ordinary source; a bitmap over hashed trigrams, small enough for the first-level cache, rejects
// nearly all positions with one load. Letters are folded by setting bit 0x20, which also folds a few other characters:
// the comparison that follows a hit is exact.
type prefilter struct {
	bitmap  [1 << (gramBits - 6)]uint64
	slots   [1 << slotBits]uint16 // beginning of the hash → 1-based first entry of its chain, 0 for none
	entries []gramEntry
	teddy   *teddy // of all grams; set by seal
}

// gramBits is the logarithm of the bitmap's size in bits: 8 KiB. slotBits is that of the number of chains.
const (
	gramBits = 16
	slotBits = 12
)

type gramEntry struct {
	gram   uint32
	offset int32 // of the gram in the literal
	lit    uint16
	next   uint16 // 1-based, 0 at the end of the chain
	text   string // lower case unless exact
	exact  bool
}

const foldMask = 0x202020

func gramOf(s string) uint32 {
	return (uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16) | foldMask
}

func gramHash(g uint32) uint32 { return (g * 0x9E3779B1) >> (32 - gramBits) }

func gramSlot(h uint32) uint32 { return h >> (gramBits - slotBits) }

// add files a literal of at least three bytes under number lit.
func (p *prefilter) add(lit uint16, text string, exact bool) {
	off := rarestGram(text)
	g := gramOf(text[off:])
	h := gramHash(g)
	p.bitmap[h/64] |= 1 << (h % 64)
	slot := &p.slots[gramSlot(h)]
	p.entries = append(p.entries, gramEntry{g, int32(off), lit, *slot, text, exact})
	*slot = uint16(len(p.entries))
}

// common holds letters from the most frequent in source text on; their places are part of a gram's weight.
const common = " etaoinsrlcdpumfhg_ybvkxw.-=/0123456789jqz"

// wordGrams counts the trigrams in the words that are frequent in source, and in the spaces between them.
var wordGrams = sync.OnceValue(func() map[uint32]int {
	count := map[uint32]int{}
	for w := range strings.FieldsSeq(wordList) {
		w = " " + w + " "
		for i := 0; i+3 <= len(w); i++ {
			count[gramOf(w[i:])]++
		}
	}
	return count
})

// rarestGram returns the offset of the trigram of text that is likely to be the rarest in source: of rare letters, not
// found in ordinary words, and no line drawn with a sign.
func rarestGram(text string) int {
	best, at := math.MinInt, 0
	for i := 0; i+3 <= len(text); i++ {
		w := -24 * bits.Len(uint(wordGrams()[gramOf(text[i:])]))
		for j := i; j < i+3; j++ {
			if r := indexByte(common, text[j]|0x20); r >= 0 {
				w += r
			} else {
				w += len(common)
			}
		}
		if text[i] == text[i+1] && text[i] == text[i+2] {
			w -= 200
		}
		if w > best {
			best, at = w, i
		}
	}
	return at
}

func indexByte(s string, c byte) int {
	for i := range len(s) {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// hit is an occurrence of literal lit at data[pos:].
type hit struct {
	pos int
	lit uint16
	n   uint16 // length of the literal
}

// seal ends the adding of literals.
func (p *prefilter) seal() {
	grams := make([]uint32, len(p.entries))
	for i, e := range p.entries {
		grams[i] = e.gram
	}
	p.teddy = newTeddy(grams)
}

// vectorBlocks is how many blocks of 32 bytes the vector unit is given at a time. It is even.
const vectorBlocks = 32

// scan appends the occurrences that lie in data[from:to] wholly, ordered by the place of their grams.
func (p *prefilter) scan(data []byte, from, to int, hits []hit) []hit {
	at := from
	var found [vectorBlocks]uint32
	var known [64]uint8                 // places of known grams behind at
	for vectorised && to-at >= 2*32+3 { // for less it is not worth the call
		blocks := min((to-at-3)/32, vectorBlocks) &^ 1
		teddyAVX2(&data[at], blocks, p.teddy, &found[0])
		for b := 0; b < blocks; b += 2 {
			n := p.sift(data[at:at+64+3], uint64(found[b])|uint64(found[b+1])<<32, &known)
			for _, i := range known[:n] {
				hits = p.confirm(data, from, to, at+int(i), gramAt(data, at+int(i)), hits)
			}
			at += 64
		}
	}
	return p.scanPlain(data, from, to, at, hits)
}

// sift puts those of the candidates, places in text, at which there is a known gram into known and returns their number.
// text has three more bytes than there are places.
func (p *prefilter) sift(text []byte, candidates uint64, known *[64]uint8) int {
	n := 0
	for ; candidates != 0; candidates &= candidates - 1 {
		i := bits.TrailingZeros64(candidates)
		h := gramHash(binary.LittleEndian.Uint32(text[i:])&0xFFFFFF | foldMask)
		known[n&63] = uint8(i)
		n += int(p.bitmap[h/64] >> (h % 64) & 1) // no branch: which it is can't be foreseen
	}
	return n
}

// gramAt returns the folded trigram at data[i:].
func gramAt(data []byte, i int) uint32 {
	return uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16 | foldMask
}

// scanPlain is scan for the grams at data[i:to], on any processor.
func (p *prefilter) scanPlain(data []byte, from, to, i int, hits []hit) []hit {
	for {
		if i = p.next(data[:to], i); i < 0 {
			return hits
		}
		hits = p.confirm(data, from, to, i, gramAt(data, i), hits)
		i++
	}
}

// next returns the first place from i on at which a gram stands under which a literal may be filed, -1 if there is none.
// It calls nothing, so that all it needs stays in registers.
func (p *prefilter) next(data []byte, i int) int {
	for ; i+8 <= len(data); i += 6 {
		w := binary.LittleEndian.Uint64(data[i:]) | 0x2020202020202020
		// Six trigrams start in these eight bytes; the usual answer is that none of them is known.
		switch {
		case p.known(uint32(w) & 0xFFFFFF):
			return i
		case p.known(uint32(w>>8) & 0xFFFFFF):
			return i + 1
		case p.known(uint32(w>>16) & 0xFFFFFF):
			return i + 2
		case p.known(uint32(w>>24) & 0xFFFFFF):
			return i + 3
		case p.known(uint32(w>>32) & 0xFFFFFF):
			return i + 4
		case p.known(uint32(w >> 40)):
			return i + 5
		}
	}
	for ; i+3 <= len(data); i++ {
		if p.known(gramAt(data, i)) {
			return i
		}
	}
	return -1
}

// known reports whether a literal may be filed under the gram. Of g's bits only the lower 24 count.
func (p *prefilter) known(g uint32) bool {
	h := gramHash(g)
	return p.bitmap[h/64]&(1<<(h%64)) != 0
}

// confirm appends the literals that stand around the gram at data[at:].
func (p *prefilter) confirm(data []byte, from, to, at int, g uint32, hits []hit) []hit {
	for e := p.slots[gramSlot(gramHash(g))]; e != 0; {
		ent := &p.entries[e-1]
		e = ent.next
		pos := at - int(ent.offset)
		if ent.gram != g || pos < from || pos+len(ent.text) > to {
			continue
		}
		if ent.stands(data[pos : pos+len(ent.text)]) {
			hits = append(hits, hit{pos, ent.lit, uint16(len(ent.text))})
		}
	}
	return hits
}

func (e *gramEntry) stands(b []byte) bool {
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
func sortHits(hits []hit) {
	slices.SortFunc(hits, func(a, b hit) int {
		if a.pos != b.pos {
			return a.pos - b.pos
		}
		return int(a.lit) - int(b.lit)
	})
}
