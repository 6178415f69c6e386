package detect

import (
	_ "embed"
	"math"
	"strings"
)

// words is a list of words that are frequent in source and documentation, written for this package. It serves twice:
// values made of such words are names, not secrets, and the letter pairs in them tell readable text from random.
//
//go:embed words.txt
var wordList string

// lexicon knows words and how readable a text is. It is immutable.
type lexicon struct {
	words  map[string]bool
	longer int
	pair   [27][27]float64 // log probability of a letter after another; 26 is the edge of a word
}

func newLexicon() *lexicon {
	l := &lexicon{words: map[string]bool{}}
	var count [27][27]float64
	for i := range count {
		for j := range count[i] {
			count[i][j] = 0.25
		}
	}
	for w := range strings.FieldsSeq(wordList) {
		l.words[w] = true
		l.longer = max(l.longer, len(w))
		prev := 26
		for i := range len(w) {
			c := int(w[i] - 'a')
			count[prev][c]++
			prev = c
		}
		count[prev][26]++
	}
	for i, row := range count {
		sum := 0.0
		for _, n := range row {
			sum += n
		}
		for j, n := range row {
			l.pair[i][j] = math.Log2(n / sum)
		}
	}
	return l
}

// readable returns the mean log probability of the letter pairs in v: about -3.5 for words, below -5 for random
// letters. It is 0 if v has fewer than three letters in a row anywhere.
func (l *lexicon) readable(v []byte) float64 {
	sum, n, prev := 0.0, 0, -1
	for _, c := range v {
		x := int(c|0x20) - 'a'
		if x < 0 || x > 25 {
			prev = -1
			continue
		}
		if prev >= 0 {
			sum += l.pair[prev][x]
			n++
		}
		prev = x
	}
	if n < 2 {
		return 0
	}
	return sum / float64(n)
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

// split returns how many letters of p can be covered by known words that follow one another.
func (l *lexicon) split(p []byte) int {
	if len(p) > 64 {
		return 0
	}
	var best [65]int
	for i := 1; i <= len(p); i++ {
		best[i] = best[i-1]
		for n := 2; n <= min(i, l.longer); n++ {
			// Two-letter words count only where they are all there is.
			if (n > 2 || n == len(p)) && l.words[string(p[i-n:i])] {
				best[i] = max(best[i], best[i-n]+n)
			}
		}
	}
	return best[len(p)]
}
