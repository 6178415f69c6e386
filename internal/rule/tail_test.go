package rule

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"testing"
)

func TestTails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, pattern, anchor, want string }{
		{"a run and a sign", `\b(?P<secret>pat[0-9A-Za-z]{4}\.[0-9a-f]{64})\b`, "pat", "4*3039,415a,617a 1*2e2e 8*3039,6166"},
		{"at most as much as an anchor may have", `(?P<secret>abcdefghijklmn[0-9]{30})`, "abcdefghijklmn", "2*3039"},
		{"an end that may come", `(?P<secret>abc[0-9]{2,8})`, "abc", "2*3039"},
		{"either of two", `(?P<secret>abc(?:[0-9]x|[a-f]y)z)`, "abc", "1*3039,6166 1*7879 1*7a7a"},
		{"what may be left out", `(?P<secret>abc-?[0-9]{3})`, "abc", "1*2d2d,3039 2*3039"},
		{"both cases", `(?i)(?P<secret>abc[xy]z9)`, "abc", "1*5859,7879 1*5a5a,7a7a 1*3939"},
		{"a letter with a third case", `(?i)(?P<secret>abck9)`, "abc", "1*4b4b,6b6b,80ff 1*3939,80ff"},
		{"any character", `(?P<secret>abc[^/]12)`, "abc", "1*002e,30ff 1*3131,80ff 1*3132,80ff"},
		{"all at the end", `(?P<secret>abc1(?s:.){9})`, "abc", "1*3131"},
		{"nothing known", `(?P<secret>abc(?s:.){9})`, "abc", ""},
		{"an anchor in the middle", `(?P<secret>[0-9]{2,4}abc[xy])`, "abc", "1*7879"},
		{"an anchor that may stand in what is before it", `(?P<secret>[a-c]{3,9}abc[xy])`, "abc", "1*6163,7879"},
		{"a boundary", `(?P<secret>abc\b-9)`, "abc", "1*2d2d 1*3939"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tree, err := syntax.Parse(tc.pattern, syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			r := &Rule{Pattern: tc.pattern, Keywords: []string{tc.anchor}, offset: analyse(tree, []anchor{{text: tc.anchor}}).offset}
			if err := r.findTails(tree); err != nil {
				t.Fatal(err)
			}
			if got := r.Tail(0).String(); got != tc.want {
				t.Errorf("the tail of %q is %q, want %q", tc.pattern, got, tc.want)
			}
		})
	}
}

// Whatever a pattern matches has the tail behind its anchor, in texts of few characters in which patterns often match.
func TestTailsFitAllMatches(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 5))
	parts := []string{"a", "b", "k", "[ab]", "[^a]", ".", "a?", "b*", "(?:ab|k)", "[ab]{1,2}", "(?i:k)", `\b`, "é"}
	letters := []string{"a", "b", "k", "K", "\u212a", "é", "\xff", " "}
	matches := 0
	for range 6000 {
		pattern := ""
		at := rng.IntN(4)
		for i := range 7 {
			if i == at {
				pattern += "kab"
			}
			pattern += parts[rng.IntN(len(parts))]
		}
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		r := &Rule{Pattern: pattern, Literals: []string{"kab"}, offset: analyse(tree, []anchor{{text: "kab", exact: true}}).offset}
		if err := r.findTails(tree); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for range 40 {
			text.WriteString(letters[rng.IntN(len(letters))])
			if rng.IntN(3) == 0 {
				text.WriteString("kab")
			}
		}
		for _, m := range regexp.MustCompile(pattern).FindAllString(text.String(), -1) {
			if i := strings.Index(m, "kab"); i >= 0 && strings.Count(m, "kab") == 1 {
				matches++
				// What the match leaves open is for what follows it to say.
				if tail := r.Tail(0); !tail.Fits([]byte(m), i+3) {
					t.Fatalf("%q matches %q, where %s does not fit", pattern, m, tail)
				}
			}
		}
	}
	if matches < 200 {
		t.Errorf("only %d matches, which proves little", matches)
	}
}

func FuzzParseTail(f *testing.F) {
	f.Add("14*3039,415a 1*2e2e")
	f.Fuzz(func(t *testing.T, s string) {
		tail, err := parseTail(s, new(sync.Map))
		if err != nil {
			return
		}
		again, err := parseTail(tail.String(), new(sync.Map))
		if err != nil || again.String() != tail.String() {
			t.Errorf("%q is read as %q, that as %q, %v", s, tail, again, err)
		}
	})
}
