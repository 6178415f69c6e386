package decode

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"magpie"
)

// TestEscapesDerive lists the escapes of texts that are made from others, and compares with what Segments finds in them.
func TestEscapesDerive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		`\u0041`, `\u{41}`, `\x41`, `\101`, `\n`, `\`, "&#65;", "&#x41;", "&amp;", "&", "=3D", "=\n", "=\r\n", "=", "\n", "0x41, ", "0",
		"x", "https:", `\/\/`, "41", "6", ";", "0123456789", strings.Repeat("a", 60), strings.Repeat("b", 13),
	}
	random := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		return b.String()
	}
	listed, lists := 0, 0
	for round := range 4000 {
		base := random(rnd.IntN(40))
		var d Decoder
		d.Segments([]byte(base), 0, len(base), func(Segment) {})
		before := d.Escapes.Clone()
		for range 3 {
			data, copies := derived(rnd, base, random)
			stretches := func(yield func(from, to int) bool) {
				at := 0
				for _, c := range copies {
					if !yield(at, c.To) {
						return
					}
					at = c.To + c.Len
				}
				yield(at, len(data))
			}
			var got Escapes
			got.Derive(&before, len(base), []byte(data), copies, stretches)
			d.Segments([]byte(data), 0, len(data), func(Segment) {})
			want := d.Escapes
			if !slices.Equal(got.at, want.at) || want.arrays && !got.arrays || got.many != want.many {
				t.Fatalf("round %d: %q made from %q by %v: got %v, want %v", round, data, base, copies, got, want)
			}
			listed, lists = listed+len(got.at), lists+1
			base, before = data, got
		}
	}
	if listed < lists {
		t.Errorf("%d escapes in %d texts: too few to tell anything", listed, lists)
	}
}

// derived returns a text that is made from parts of base, with new ones between them.
func derived(rnd *rand.Rand, base string, random func(int) string) (string, []magpie.Copy) {
	var b strings.Builder
	var copies []magpie.Copy
	for range rnd.IntN(4) {
		if rnd.IntN(2) == 0 {
			b.WriteString(random(rnd.IntN(4)))
		}
		from := rnd.IntN(len(base) + 1)
		n := rnd.IntN(len(base) - from + 1)
		if n == 0 {
			continue
		}
		copies = append(copies, magpie.Copy{From: from, To: b.Len(), Len: n})
		b.WriteString(base[from : from+n])
	}
	if rnd.IntN(2) == 0 {
		b.WriteString(random(rnd.IntN(4)))
	}
	return b.String(), copies
}

func TestManyEscapesAreNotListed(t *testing.T) {
	text := []byte(strings.Repeat(`\u0041`, maxListed+1))
	var d Decoder
	d.Segments(text, 0, len(text), func(Segment) {})
	if e := &d.Escapes; !e.many || len(e.at) > 0 || !e.in(text, 600, 700) || e.in([]byte("plain text"), 0, 10) {
		t.Errorf("got %v, want that there are many", e)
	}
}
