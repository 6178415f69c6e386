package decode

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// TestPairs compares the ways to find the beginnings of escapes with an expression.
func TestPairs(t *testing.T) {
	// \X is no escape, but costs more to tell apart than to look at.
	begins := regexp.MustCompile(`^(?:\\[uUxX0123/]|&[#aq]|=[3\r\n]|0[xX])`)
	rnd := rand.New(rand.NewPCG(4, 6))
	found := 0
	for range 2000 {
		data := make([]byte, rnd.IntN(900))
		for i := range data {
			if rnd.IntN(3) == 0 {
				data[i] = byte(rnd.IntN(256))
			} else {
				data[i] = []byte("\\&=0uUxX0123/#aq3\r\nb")[rnd.IntN(20)]
			}
		}
		from := rnd.IntN(len(data) + 1)
		to := from + rnd.IntN(len(data)-from+1)
		var want, got, plain []int
		for at := from; at < to; at++ {
			if begins.Match(data[at:]) {
				want = append(want, at)
			}
		}
		pairs(data, from, to, func(at int) bool { got = append(got, at); return false })
		pairsPlain(data, from, to, func(at int) bool { plain = append(plain, at); return false })
		if !slices.Equal(got, want) || !slices.Equal(plain, want) {
			t.Fatalf("in %q[%d:%d]: got %d, plain %d, want %d", data, from, to, got, plain, want)
		}
		if found += len(want); len(want) > 0 {
			first := -1
			pairs(data, from, to, func(at int) bool { first = at; return true })
			if first != want[0] {
				t.Fatalf("in %q[%d:%d]: went on to %d behind the first at %d", data, from, to, first, want[0])
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d pairs: too few to tell anything", found)
	}
}
