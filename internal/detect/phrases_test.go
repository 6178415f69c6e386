package detect

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestPhrasesAreThoseThatStandThere compares with a search for each text, in random values made of parts of them.
func TestPhrasesAreThoseThatStandThere(t *testing.T) {
	sets := [][]string{{"example", "ample", "xx", "p@ss"}, {"amp", "mple-", "exa", "plexx"}, {"e"}}
	var parts []string
	for _, set := range sets {
		for _, text := range set {
			parts = append(parts, text, text[:len(text)/2], text[len(text)/2:], strings.ToUpper(text))
		}
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, fold := range []bool{true, false} {
		p := newPhrases(fold, sets...)
		for range 5000 {
			v := []byte{}
			for range rnd.IntN(6) {
				v = append(v, parts[rnd.IntN(len(parts))]...)
			}
			low := v
			if fold {
				low = bytes.ToLower(v)
			}
			var want uint8
			for i, set := range sets {
				for _, text := range set {
					if bytes.Contains(low, []byte(text)) {
						want |= 1 << i
					}
				}
			}
			if got := p.in(v); got != want {
				t.Fatalf("seed %d, fold %v: in %q are sets %b, want %b", seed, fold, v, got, want)
			}
		}
	}
}
