package detect

import (
	"encoding/binary"
	"math/bits"
)

// trigrams finds literals of three bytes. Where the processor can, it looks for them 32 positions at a time.
type trigrams struct {
	bitmap  [1 << (triBits - 6)]uint64
	slots   [1 << triSlotBits]uint16 // beginning of the hash → 1-based first entry of its chain, 0 for none
	chain   []gramLink               // of entries
	entries []gramEntry
	teddy   *teddy // of all grams; set by seal
}

// triBits is the logarithm of the bitmap's size in bits: 8 KiB. triSlotBits is that of the number of chains.
const (
	triBits     = 16
	triSlotBits = 10
	triFold     = 0x202020
)

func triHash(g uint32) uint32 { return (g * 0x9E3779B1) >> (32 - triBits) }

func triSlot(h uint32) uint32 { return h >> (triBits - triSlotBits) }

func (p *trigrams) add(e gramEntry) {
	g := foldedGram(e.text)
	h := triHash(g)
	p.bitmap[h/64] |= 1 << (h % 64)
	slot := &p.slots[triSlot(h)]
	p.entries, p.chain = append(p.entries, e), append(p.chain, gramLink{g, *slot})
	*slot = uint16(len(p.entries))
}

func (p *trigrams) seal() {
	grams := make([]uint32, len(p.chain))
	for i, link := range p.chain {
		grams[i] = link.gram
	}
	p.teddy = newTeddy(grams)
}

// vectorBlocks is how many blocks of 32 bytes the vector unit is given at a time. It is even.
const vectorBlocks = 32

func (p *trigrams) scan(data []byte, from, to int, hits []hit) []hit {
	at := from
	var found [vectorBlocks]uint32
	var known [64]uint8                 // places of known grams behind at
	for vectorised && to-at >= 2*32+3 { // for less it is not worth the call
		blocks := min((to-at-3)/32, vectorBlocks) &^ 1
		teddyAVX2(&data[at], blocks, p.teddy, &found[0])
		for b := 0; b < blocks; b += 2 {
			if candidates := uint64(found[b]) | uint64(found[b+1])<<32; candidates != 0 {
				n := p.sift(data[at:at+64+3], candidates, &known)
				for _, i := range known[:n] {
					hits = p.confirm(data, from, to, at+int(i), hits)
				}
			}
			at += 64
		}
	}
	return p.scanPlain(data, from, to, at, hits)
}

// sift puts those of the candidates, places in text, at which there is a known gram into known and returns their number.
// text has three more bytes than there are places.
func (p *trigrams) sift(text []byte, candidates uint64, known *[64]uint8) int {
	n := 0
	for ; candidates != 0; candidates &= candidates - 1 {
		i := bits.TrailingZeros64(candidates)
		h := triHash(binary.LittleEndian.Uint32(text[i:])&0xFFFFFF | triFold)
		known[n&63] = uint8(i)
		n += int(p.bitmap[h/64] >> (h % 64) & 1) // no branch: which it is can't be foreseen
	}
	return n
}

// triAt returns the folded trigram at data[i:].
func triAt(data []byte, i int) uint32 {
	return uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16 | triFold
}

// scanPlain is scan for the grams at data[i:to], on any processor.
func (p *trigrams) scanPlain(data []byte, from, to, i int, hits []hit) []hit {
	for ; i+3 <= to; i++ {
		if h := triHash(triAt(data, i)); p.bitmap[h/64]>>(h%64)&1 != 0 {
			hits = p.confirm(data, from, to, i, hits)
		}
	}
	return hits
}

// confirm appends the literals that stand at data[at:].
func (p *trigrams) confirm(data []byte, from, to, at int, hits []hit) []hit {
	g := triAt(data, at)
	for n := p.slots[triSlot(triHash(g))]; n != 0; {
		link := p.chain[n-1]
		if link.gram == g {
			hits = p.entries[n-1].stands(data, from, to, at, hits)
		}
		n = link.next
	}
	return hits
}
