package detect

import (
	"math/bits"
	"slices"
)

// teddy finds the positions at which one of many trigrams may begin, 32 at a time, in the way of the algorithm of that name
// in Intel's Hyperscan: the trigrams are spread over buckets, and for each of the three bytes two tables of sixteen entries
// tell, by the lower and the upper half of the byte, which buckets have a trigram with such a half there. A position for
// which some bucket is left in all six is a candidate; that some are none is for the bitmap to say, which then has to be
// asked of a few positions instead of all.
//
// The assembly knows the layout: for each byte the tables of the lower and the upper half of the first eight buckets, then
// those of the next eight and so on, each twice since the shuffle works on halves of a register; then the masks of a half
// byte and of the bit that folds letters.
type teddy struct {
	tables [3][teddyBuckets / 8][2][32]byte
	half   [32]byte
	fold   [32]byte
}

// teddyBuckets is the number of buckets. With 16 a quarter of all positions of source text are candidates, with 32 one in
// fifteen, at twice the work for each.
const teddyBuckets = 32

// newTeddy spreads the trigrams over the buckets.
func newTeddy(grams []uint32) *teddy {
	t := new(teddy)
	for i := range 32 {
		t.half[i], t.fold[i] = 0x0f, 0x20
	}
	for b, bucket := range buckets(grams) {
		set, bit := b/8, byte(1)<<(b%8)
		for pos := range 3 {
			for half := range 2 {
				for i := range 16 {
					if bucket.halves[2*pos+half]>>i&1 != 0 {
						t.tables[pos][set][half][i] |= bit
						t.tables[pos][set][half][16+i] |= bit
					}
				}
			}
		}
	}
	return t
}

// bucket is a set of trigrams, known by the half bytes that they have: bits of lower and upper halves for each byte.
type bucket struct {
	halves [6]uint16
	sums   [6]float64 // of halfShares, for each of halves
	share  float64    // of the positions of a text that it is likely to leave as candidates
}

func bucketOf(gram uint32) bucket {
	var one bucket
	for pos := range 3 {
		c := byte(gram >> (8 * pos))
		one.halves[2*pos] = 1 << (c & 15)
		one.halves[2*pos+1] = 1 << (c >> 4)
	}
	return bucket{}.joined(&one)
}

// joined returns the trigrams of both. Its share is estimated as if the bytes of a text and their halves were independent.
// Most of two buckets that are alike is the same, so only what is new in b is summed up again.
func (b bucket) joined(other *bucket) bucket {
	b.share = 1
	for i, set := range other.halves {
		if set&^b.halves[i] != 0 {
			b.halves[i] |= set
			b.sums[i] = sumShares(i%2, b.halves[i])
		}
		b.share *= b.sums[i]
	}
	return b
}

// joinedShare returns the share that joined would give.
func (b *bucket) joinedShare(other *bucket) float64 {
	share := 1.0
	for i, set := range other.halves {
		if set&^b.halves[i] != 0 {
			share *= sumShares(i%2, b.halves[i]|set)
		} else {
			share *= b.sums[i]
		}
	}
	return share
}

// sumShares adds up the shares of a set of lower (0) or upper (1) halves.
func sumShares(half int, set uint16) float64 {
	sum := 0.0
	for ; set != 0; set &= set - 1 {
		sum += halfShares[half][bits.TrailingZeros16(set)]
	}
	return sum
}

// halfShares is how frequent the lower and the upper halves of folded bytes are in source text, in thousandths of a part.
var halfShares = [2][16]float64{
	{0.24, 0.06, 0.04, 0.06, 0.08, 0.10, 0.04, 0.02, 0.04, 0.07, 0.04, 0.02, 0.06, 0.03, 0.07, 0.06},
	{0, 0, 0.30, 0.07, 0, 0, 0.36, 0.25, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003},
}

// startBuckets is with how many buckets the joining begins, since its time grows with the square.
const startBuckets = 160

// buckets spreads the trigrams over at most teddyBuckets buckets: beginning with small ones of trigrams that are alike it
// joins, again and again, the two that are least the worse for it.
func buckets(grams []uint32) []bucket {
	keys := make([]uint64, len(grams)) // with what the order goes by before the trigram itself
	for i, g := range grams {
		keys[i] = uint64(alike(g))<<32 | uint64(g)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	all := make([]bucket, 0, startBuckets)
	for i, key := range keys {
		b := bucketOf(uint32(key))
		if n := i * startBuckets / max(len(keys), startBuckets); n == len(all) {
			all = append(all, b)
		} else {
			all[n] = all[n].joined(&b)
		}
	}
	for len(all) > teddyBuckets {
		all = joinTwo(all)
	}
	return all
}

// alike orders trigrams so that neighbours share halves of bytes, those that tell most first.
func alike(g uint32) uint32 {
	a, b, c := g&0xff, g>>8&0xff, g>>16&0xff
	return b>>4<<20 | c>>4<<16 | a>>4<<12 | b&15<<8 | c&15<<4 | a&15
}

// joinTwo joins the smallest bucket with the one with which that costs least.
func joinTwo(all []bucket) []bucket {
	small := 0
	for i := range all {
		if all[i].share < all[small].share {
			small = i
		}
	}
	best, least := -1, 0.0
	for i := range all {
		if i == small {
			continue
		}
		if more := all[i].joinedShare(&all[small]) - all[i].share; best < 0 || more < least {
			best, least = i, more
		}
	}
	all[best] = all[best].joined(&all[small])
	return slices.Delete(all, small, small+1)
}
