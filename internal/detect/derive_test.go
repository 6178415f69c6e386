package detect

import (
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie"
	"magpie/internal/rule"
)

var derivations = flag.Int("derivations", 400, "random derived texts to compare with a scan of the whole")

// scraps are what random texts are put together from: examples of all rules, whole, broken, and in encoded form.
func scraps(t testing.TB, e *Engine) []string {
	t.Helper()
	var all []string
	for _, r := range e.Rules() {
		for _, example := range append(append([]string{}, r.Match...), r.NoMatch...) {
			all = append(all, example, example[:len(example)/2], example[len(example)/2:],
				base64.StdEncoding.EncodeToString([]byte(example)), hex.EncodeToString([]byte(example)), url.QueryEscape(example))
			lines := wrap(base64.StdEncoding.EncodeToString([]byte(example+strings.Repeat("\nand more of the text", 9))), 76)
			all = append(all, lines, strings.ReplaceAll(lines, "\n  ", `\n`), strings.ReplaceAll(lines, "\n  ", "\" +\n\t\""),
				strings.ReplaceAll(lines, "\n  ", "\\r\\n\"\r\n'"))
			if len(example) < 400 {
				all = append(all, escape(example, `\u%04x`, 3), escape(example, `\x%02x`, 1), escape(example, `\%03o`, 9),
					escape(example, "&#%d;", 5), escape(example, "&#x%x;", 2), escape(example, "0x%02x, ", 1), html.EscapeString("<a b=\""+example),
					escape(example, `\u%04x`, 20)+"\n", escape(example, "=%02X", 7), quotedPrintable(example), quotedPrintable("a line before "+example+" and after"),
					escape(example, "=%02X", 30), strings.ReplaceAll(`"https://x.example.com/`+example, "/", `\/`))
			}
		}
	}
	for _, broken := range []string{"=\n", "=\r\n", "=3D", `\u0041`, `\x41`, "&#65;", "&amp;", "=", "\\", "0x41, ", "0x", "&", ";", `\u00`, "41", "\\n", "\" +\n", ":\\/\\/"} {
		for range len(all) / 200 {
			all = append(all, broken)
		}
	}
	return append(all, "password", "token", " = ", "\"", "'", "\n", "\r\n", "    ", "= \"", "secret_key", ": ", "gitleaks:allow", "==", "eyJ",
		strings.Repeat("A", 70), strings.Repeat("x", 700), "The quick brown fox jumps over the lazy dog\n", "%41%42", "\xff\xfe")
}

func wrap(s string, width int) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\n  ")
		s = s[width:]
	}
	return b.String() + s
}

// escape writes every nth character in the given form.
func escape(text, form string, nth int) string {
	var b strings.Builder
	for i := range len(text) {
		if i%nth == 0 {
			fmt.Fprintf(&b, form, text[i])
		} else {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

func quotedPrintable(text string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// mixer makes random texts and texts derived from them.
type mixer struct {
	rnd    *rand.Rand
	scraps []string
}

func (m *mixer) text(n int) []byte {
	var b []byte
	for range m.rnd.IntN(n) + 1 {
		b = append(b, m.scraps[m.rnd.IntN(len(m.scraps))]...)
		if m.rnd.IntN(3) == 0 {
			b = append(b, '\n')
		}
	}
	if m.rnd.IntN(60) == 0 { // text in UTF-16
		for _, u := range utf16.Encode([]rune(m.scraps[m.rnd.IntN(len(m.scraps))])) {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

// derive makes a text of parts of base and new bytes, as a delta does. Copies that go on one another are merged.
func (m *mixer) derive(base []byte) (data []byte, copies []magpie.Copy) {
	at := 0
	for range m.rnd.IntN(8) + 1 {
		if m.rnd.IntN(3) > 0 {
			data = append(data, m.text(2)...)
		} else if m.rnd.IntN(2) == 0 {
			data = append(data, m.scraps[m.rnd.IntN(len(m.scraps))][:1]...)
		}
		if len(base) == 0 {
			continue
		}
		if m.rnd.IntN(3) == 0 {
			at = m.rnd.IntN(len(base))
		}
		at = min(at+m.rnd.IntN(5), len(base))
		n := m.rnd.IntN(len(base) - at + 1)
		if m.rnd.IntN(3) == 0 {
			n = len(base) - at
		}
		if n == 0 {
			continue
		}
		c := magpie.Copy{From: at, To: len(data), Len: n}
		data = append(data, base[at:at+n]...)
		at += n
		if k := len(copies) - 1; k >= 0 && copies[k].From+copies[k].Len == c.From && copies[k].To+copies[k].Len == c.To {
			copies[k].Len += n
		} else {
			copies = append(copies, c)
		}
	}
	return data, copies
}

// flat is a trace in a form in which two can be compared. Which verdicts rest on how much is not of interest.
func flat(t *Trace) map[string]any {
	var hits []string
	var matches []Match
	for _, h := range t.hits {
		hits = append(hits, fmt.Sprint(h.pos, " ", h.lit))
		if h.verdict != nil {
			for _, m := range h.verdict.matches {
				m.move(int(h.pos))
				matches = append(matches, m)
			}
		}
	}
	var runs []Match
	for _, r := range t.runs {
		for _, m := range r.matches {
			m.move(r.start)
			runs = append(runs, m)
		}
	}
	return map[string]any{"hits": hits, "matches": matches, "runs": runs, "cost": t.cost, "skipped": t.skipped, "found": t.found}
}

var sameRule = cmp.Options{
	cmp.Comparer(func(a, b *rule.Rule) bool { return a == b }), cmpopts.EquateEmpty(), cmp.AllowUnexported(Match{}),
}

// TestDeriveIsTrace derives texts by random copies, over several generations, and compares each trace with that of a
// scan of the whole by a scanner that remembers nothing.
func TestDeriveIsTrace(t *testing.T) {
	e, err := New(BuiltIn(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	m := &mixer{rand.New(rand.NewPCG(seed, 0)), scraps(t, e)}
	s := e.NewScanner()
	inherited, matches := 0, 0
	for n := 0; n < *derivations; {
		base := m.text(30)
		trace := s.Trace(base)
		for range 6 {
			data, copies := m.derive(base)
			if len(data) > 50_000 {
				break
			}
			got, want := s.Derive(trace, data, copies), e.NewScanner().Trace(data)
			if diff := cmp.Diff(flat(want), flat(got), sameRule); diff != "" {
				t.Fatalf("seed %d, text %d of %d bytes from one of %d by %v: trace differs (-whole +derived):\n%s", seed, n, len(data), len(base), copies, diff)
			}
			if !got.whole {
				inherited++
				matches += got.found
			}
			base, trace = data, got
			n++
		}
	}
	if inherited < *derivations/2 || matches < inherited {
		t.Errorf("seed %d: only %d of %d texts were derived, with %d matches: too few to tell anything", seed, inherited, *derivations, matches)
	}
}
