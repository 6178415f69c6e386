package detect

import (
	_ "embed"
	"math"
	"strings"
)

// wordList holds words that are frequent in source and documentation, names, places, and what else people make passwords
// of. It serves twice: values made of such words are names, not secrets, and their spelling tells what could be a word
// from what could not.
//
//go:embed words.txt
var wordList string

// lexicon knows words and how they are spelt. It is immutable.
type lexicon struct {
	words  map[string]bool
	longer int
	// starts is how many letters the longest word has that starts with three letters; likely has a bit for the hash of each
	// word. Both serve to ask the map seldom.
	starts [26][26][26]uint8
	likely [1 << 12]uint64
	// spelling holds, for each letter after two others, the logarithm to base 2 of how much likelier it is in a word than
	// among random letters; 26 stands for the start of a word.
	spelling [27][27][26]float32
}

// How strongly the spelling of words after one letter, and of all words, tells about that after two letters: so many
// words seen weigh as much.
const (
	pairWeight   = 4
	letterWeight = 4
	leastOdds    = -6 // what one letter can say against a text being made of words
)

func newLexicon() *lexicon {
	l := &lexicon{words: map[string]bool{}}
	var three [27][27][26]float64
	var two [27][26]float64
	var one [26]float64
	for w := range strings.FieldsSeq(wordList) {
		l.words[w] = true
		l.longer = max(l.longer, len(w))
		l.note(w)
		a, b := start, start
		for i := range len(w) {
			c := int(w[i] - 'a')
			three[a][b][c]++
			two[b][c]++
			one[c]++
			a, b = b, c
		}
	}
	scale(one[:], nil, 0)
	for b := range two {
		scale(two[b][:], one[:], letterWeight)
	}
	for a := range three {
		for b := range three[a] {
			scale(three[a][b][:], two[b][:], pairWeight)
			for c, p := range three[a][b] {
				l.spelling[a][b][c] = float32(max(leastOdds, math.Log2(26*p)))
			}
		}
	}
	return l
}

// start stands before the first letter of a word.
const start = 26

// scale turns counts into probabilities, to which a coarser estimate is added as if it had been seen weight times.
func scale(count, coarse []float64, weight float64) {
	sum := weight
	for _, n := range count {
		sum += n
	}
	for i := range count {
		if coarse != nil {
			count[i] += weight * coarse[i]
		}
		count[i] /= sum
	}
}

// spelt returns the logarithm to base 2 of how much likelier the letters of v are in words than at random: 10 says that
// it is made of words, -10 that it is not, and little more than 0 that it has hardly any letters. Words start at case
// changes and at everything that is not a letter.
func (l *lexicon) spelt(v []byte) float64 {
	sum, a, b := float32(0), start, start
	for i, c := range v {
		x := int(c|0x20) - 'a'
		if x < 0 || x > 25 {
			a, b = start, start
			continue
		}
		if c < 'a' && i > 0 && v[i-1] >= 'a' && v[i-1] <= 'z' {
			a, b = start, start
		}
		sum += l.spelling[a][b][x]
		a, b = b, x
	}
	return float64(sum)
}

// covered returns how many of v's letters belong to known words of three letters or more, and how many letters it has.
// Words are cut at case changes and at everything that is not a letter; each piece is then split greedily.
func (l *lexicon) covered(v []byte) (known, letters int) {
	piece := make([]byte, 0, 64)
	flush := func() {
		known += l.split(piece)
		piece = piece[:0]
	}
	for i, c := range v {
		low := c | 0x20
		if low < 'a' || low > 'z' {
			flush()
			continue
		}
		letters++
		if c < 'a' && i > 0 && v[i-1] >= 'a' && v[i-1] <= 'z' {
			flush()
		}
		piece = append(piece, low)
	}
	flush()
	return known, letters
}

// note files a word under its start and its hash.
func (l *lexicon) note(w string) {
	if len(w) >= 3 {
		longest := &l.starts[w[0]-'a'][w[1]-'a'][w[2]-'a']
		*longest = max(*longest, uint8(len(w)))
	}
	h := uint32(0)
	for i := range len(w) {
		h = hashLetter(h, w[i])
	}
	l.likely[h>>26<<6|h>>20&63] |= 1 << (h >> 14 & 63)
}

func hashLetter(h uint32, c byte) uint32 { return (h ^ uint32(c)) * 0x9E3779B1 }

// split returns how many letters of p, all small, can be covered by known words that follow one another.
func (l *lexicon) split(p []byte) int {
	if len(p) > 64 {
		return 0
	}
	if len(p) == 2 && l.words[string(p)] { // words of two letters count only where they are all there is
		return 2
	}
	var best [65]int
	for i := range p {
		if i > 0 {
			best[i] = max(best[i], best[i-1])
		}
		if i+3 > len(p) {
			continue
		}
		h := hashLetter(hashLetter(0, p[i]), p[i+1])
		longest := min(int(l.starts[p[i]-'a'][p[i+1]-'a'][p[i+2]-'a']), len(p)-i)
		for n := 3; n <= longest; n++ {
			h = hashLetter(h, p[i+n-1])
			if l.likely[h>>26<<6|h>>20&63]>>(h>>14&63)&1 != 0 && l.words[string(p[i:i+n])] {
				best[i+n] = max(best[i+n], best[i]+n)
			}
		}
	}
	return max(best[len(p)], best[max(0, len(p)-1)], best[max(0, len(p)-2)])
}

// knows reports whether all letters of v are those of known words.
func (l *lexicon) knows(v []byte) bool {
	known, letters := l.covered(v)
	return known == letters
}
