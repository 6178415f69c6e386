package rule

import (
	"math/rand/v2"
	"regexp"
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
		for range 2000 {
			text := ""
			for range rnd.IntN(9) {
				text += letters[rnd.IntN(len(letters))]
			}
			want := re.MatchString(text)
			ok, sure := a.match([]byte(text))
			if want && !ok || sure && want != ok {
				t.Fatalf("seed %d: %q in %q: got %v, sure %v, but regexp says %v", seed, expr, text, ok, sure, want)
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
		want := re.Match(text)
		if ok, sure := newAutomaton(expr).match(text); want && !ok || sure && want != ok {
			t.Errorf("%q in %q: got %v, sure %v, but regexp says %v", expr, text, ok, sure, want)
		}
	})
}
