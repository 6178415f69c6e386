package detect

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie/internal/rule"
)

const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	wordSigns = letters + "_0123456789"
)

var goesOn = regexp.MustCompile(`^[sS]?[a-zA-Z.()\];_/]`)

// naive finds the same literals one by one, as anybody would.
func naive(text []byte, lits []string, exact []bool, at []edges, tails []rule.Tail) (hits []hit) {
	for pos := range text {
		for i, l := range lits {
			if pos+len(l) > len(text) {
				continue
			}
			got := string(text[pos : pos+len(l)])
			if at[i].start && pos > 0 && strings.IndexByte(wordSigns, text[pos-1]) >= 0 {
				continue
			}
			rest := string(text[pos+len(l):])
			if at[i].end && goesOn.MatchString(rest) {
				continue
			}
			if len(rest) < len(tails[i]) || slices.ContainsFunc([]byte(rest[:len(tails[i])]), func(c byte) bool { return !tails[i][0].Has(c) }) {
				continue
			}
			if got == l || !exact[i] && asciiLower(got) == l {
				hits = append(hits, hit{pos, uint16(i), uint16(len(l))})
			}
		}
	}
	return hits
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

// TestPrefilterAgreesWithNaiveSearch compares both on random texts over a small alphabet, where nearly everything is
// nearly a literal, and on texts with characters that folding confuses.
func TestPrefilterAgreesWithNaiveSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	const alphabet = "abAB_@`[{0P\x10"
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	even := &rule.Bytes{0x5555555555555555, 0x5555555555555555}
	for round := range 400 {
		p := &prefilter{}
		var lits []string
		var exact []bool
		var at []edges
		var tails []rule.Tail
		for len(lits) < 1+rng.IntN(40) {
			l, ex := random(3+rng.IntN(8)), rng.IntN(2) == 0
			if !ex {
				l = asciiLower(l)
			}
			ed := edges{start: rng.IntN(3) == 0, end: rng.IntN(3) == 0}
			if slices.Contains(lits, l) {
				continue
			}
			var tail rule.Tail
			for range max(0, rng.IntN(6)-3) {
				tail = append(tail, even)
			}
			p.add(uint16(len(lits)), &literal{text: l, exact: ex, edges: ed, tail: tail})
			tails = append(tails, tail)
			lits, exact, at = append(lits, l), append(exact, ex), append(at, ed)
		}
		text := []byte(random(rng.IntN(3000)))
		for range 5 {
			if l := lits[rng.IntN(len(lits))]; len(l) <= len(text) {
				copy(text[rng.IntN(len(text)-len(l)+1):], l)
			}
		}
		p.seal()
		from := rng.IntN(len(text) + 1)
		to := from + rng.IntN(len(text)-from+1)
		want := slices.DeleteFunc(naive(text, lits, exact, at, tails), func(h hit) bool { return h.pos < from || h.pos+int(h.n)+len(tails[h.lit]) > to })
		for name, got := range map[string][]hit{"as it runs here": p.scan(text, from, to, nil), "plain": p.scanPlain(text, from, to, from, nil)} {
			sortHits(got)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(hit{}), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("round %d, %s: hits in [%d:%d] differ (-naive +prefilter):\n%s", round, name, from, to, d)
			}
		}
	}
}
