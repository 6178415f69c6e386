package rule

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// expressions have all that the automaton treats apart: edges, folding, classes, counts, both kinds of anchors.
var expressions = []string{
	`\A(?s:.)(\b(?P<secret>ab[0-9a-f]{4,6})\b)`, `(?s:.)(a[^b]*b$)`, `\A(?:[0-9A-Za-z_-]{3,5})\z`, `(?i)key|secret`, `(?i)ſ`, `\bk\B`, `(?m)^x.y$`,
	`é+`, `[^a-z]k`, `(a|ab)(c|bcd)*`, `\A(x{2,3})(?:[^0-9A-Za-z_-]|\z)`, `[à-ü]`, `\D\S\W`, `(?i)[k-s]{2}`, ``, `a*?b+?`, `\x{212a}`, `[[:^alpha:]]`,
	`a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r*s*t*u*v*w*x*y*z*A*B*C*D*E*F*G*H*I*J*K*L*M*N*O*P*Q*R*S*T*U*V*W*X*Y*Z*0*1*2*3*4*5*6*7*8*9*!*"*#*[[:graph:]][[:print:]][[:punct:]]`,
}

// TestAutomatonAgrees compares with package regexp on random texts.
func TestAutomatonAgrees(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	letters := []string{"a", "b", "c", "d", "k", "K", "s", "S", "x", "y", "e", "t", "r", "0", "9", "f", "_", "-", " ", "\n", "é", "ſ", "\u212a", "\xff", "\xc3", "key", "ab01"}
	yes, no := 0, 0
	for _, expr := range expressions {
		re, a := regexp.MustCompile(expr), newAutomaton(expr)
		for n := range 2000 {
			text := ""
			for range rnd.IntN(9 + n%2*30) {
				text += letters[rnd.IntN(len(letters))]
			}
			want := re.MatchString(text)
			ok, sure := a.match([]byte(text))
			if want && !ok || sure && want != ok {
				t.Fatalf("seed %d: %q in %q: got %v, sure %v, but regexp says %v", seed, expr, text, ok, sure, want)
			}
			if found, loc := (&expression{text: expr}).find([]byte(text)), re.FindStringSubmatchIndex(text); !slices.Equal(found, loc) {
				t.Fatalf("seed %d: %q in %q: found at %v, but regexp says %v", seed, expr, text, found, loc)
			}
			if sure && ok {
				yes++
			} else if !ok {
				no++
			}
		}
	}
	if yes < 2000 || no < 2000 {
		t.Errorf("only %d times yes and %d times no", yes, no)
	}
}

// TestAutomatonIsBounded gives it more states to make than it has room for: it then is unsure instead of large.
func TestAutomatonIsBounded(t *testing.T) {
	a := newAutomaton(`a[ab]{14}c`)
	rnd := rand.New(rand.NewPCG(1, 1))
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = "ab"[rnd.IntN(2)]
	}
	ok, sure := a.match(text)
	if !ok || sure {
		t.Errorf("got %v, sure %v, want an unsure yes", ok, sure)
	}
	if n := len(a.states); n > maxStates/128 {
		t.Errorf("%d states", n)
	}
}

// FuzzAutomaton compares with package regexp on any expression and text.
func FuzzAutomaton(f *testing.F) {
	for _, expr := range expressions {
		f.Add(expr, []byte("x ab01cdk\nS-é"))
	}
	f.Fuzz(func(t *testing.T, expr string, text []byte) {
		re, err := regexp.Compile(expr)
		if err != nil || len(expr) > 200 || len(text) > 500 {
			t.Skip()
		}
		if found, loc := (&expression{text: expr}).find(text), re.FindSubmatchIndex(text); !slices.Equal(found, loc) {
			t.Errorf("%q in %q: found at %v, but regexp says %v", expr, text, found, loc)
		}
		want := re.Match(text)
		if ok, sure := newAutomaton(expr).match(text); want && !ok || sure && want != ok {
			t.Errorf("%q in %q: got %v, sure %v, but regexp says %v", expr, text, ok, sure, want)
		}
	})
}

// TestSweepMissesNothing goes over random texts with windows and compares with one look at each: a sweep may say yes to what
// has no match, but not no to what has one.
func TestSweepMissesNothing(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	letters := []string{"a", "b", "c", "k", "x", "y", "0", "9", "_", "-", " ", "\n", "é", "\u212a", "\xff", "key", "ab01"}
	yes, no := 0, 0
	for _, expr := range []string{`(?s:.)(a[^b]{2,9}b)`, `(?s:.)(\bkey\b.{0,5}x)`, `(?s:.)([^a]{3}a)`, `(?s:.)(x(?:y|\z))`, `(?s:.)(b.?b$)`} {
		a := newAutomaton(expr)
		for range 300 {
			text := []byte{}
			for range 60 {
				text = append(text, letters[rnd.IntN(len(letters))]...)
			}
			var w Sweep
			for from := 0; from < len(text); from += 1 + rnd.IntN(9) {
				to := min(len(text), from+1+rnd.IntN(25))
				want, _ := a.match(text[from:to])
				got := w.match(a, text, from, to)
				if want && !got {
					t.Fatalf("seed %d: %q in %q[%d:%d] was missed", seed, expr, text, from, to)
				}
				if got {
					yes++
				} else {
					no++
				}
			}
		}
	}
	if yes < 500 || no < 500 {
		t.Errorf("only %d times yes and %d times no", yes, no)
	}
}
