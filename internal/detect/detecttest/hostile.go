// Package detecttest makes texts that are hard on a scanner: lines of any length without a break that hold, over and over,
// what it looks at more closely. They are made from nothing but their size and a fixed seed, so every run measures the
// same bytes.
//
// The one idea: whatever a scanner does at a hit can be made to happen at every few bytes of a text, and whatever it does
// with a run can be made to be one run from one end to the other. A shape does one of these, so that a program whose time
// is not linear in the size of the text shows it.
package detecttest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf16"
)

// Shape is a kind of hostile text.
type Shape struct {
	Name string
	// Text returns n bytes of it.
	Text func(n int) []byte
}

// Shapes returns all shapes, in the order in which they are shown. Literals are what the rules at hand look for.
func Shapes(literals []string) []Shape {
	all := append(scaffolds(), encodings()...)
	all = append(all, documents()...)
	return append(all,
		repeated("every literal", strings.Join(literals, " ")),
		repeated("every literal, unparted", strings.Join(literals, "")),
		repeated("every literal, assigned", assigned(literals)),
		Shape{"literals in disorder", func(n int) []byte { return drawn(n, literals) }},
		repeated("literals cut short", strings.Join(short(literals), "")),
	)
}

// scaffolds are beginnings of secrets without an end, and single bytes.
func scaffolds() []Shape {
	jwt := segment(`{"alg":"HS256","typ":"JWT"}`)
	return []Shape{
		repeated("one byte", "a"),
		repeated("blanks", " "),
		repeated("quotes", `"`),
		repeated("equals signs", "="),
		repeated("brackets", "["),
		repeated("backslashes", `\`),
		repeated("password=", "password="),
		repeated("password=, unparted", "password"),
		repeated("key: ", "key: "),
		repeated("secret_key_", "secret_key_token_password_"),
		repeated("http://a:", "http://a:"),
		repeated("http://a:b@", "http://a:b@"),
		repeated("://", "://"),
		repeated("eyJ", "eyJ"),
		repeated("tokens without an end", jwt+"."),
		repeated("tokens", jwt+"."+segment(`{"sub":"1234567890","name":"J. Doe"}`)+"."),
		repeated("-----BEGIN", "-----BEGIN"),
		repeated("private keys without an end", "-----BEGIN RSA PRIVATE KEY-----"),
		repeated("near-keywords", "passwor tokn secre api_ke aw_ gh_p xox- sk_liv "),
		repeated("names of one character less", "passwordpasswortokentokesecretsecreapikeyapike"),
		repeated("connection strings", "Server=db;Database=main;User Id=sa;Password=;"),
		repeated("connection strings with passwords", "Server=db;User Id=sa;Password=Vq7rT2mK9x;"),
	}
}

// encodings are encoded texts, of what is hard on a scanner as it is.
func encodings() []Shape {
	return []Shape{
		{"noise in base64's alphabet", func(n int) []byte { return noise(n, digits64) }},
		{"noise in base64's alphabet, parted", func(n int) []byte { return parted(noise(n, digits64), 24) }},
		encoded("base64", func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }),
		encoded("base64 five times over", func(b []byte) []byte {
			for range 5 {
				b = []byte(base64.StdEncoding.EncodeToString(b))
			}
			return b
		}),
		{"noise in hexadecimal", func(n int) []byte { return noise(n, "0123456789abcdef") }},
		encoded("hexadecimal", func(b []byte) []byte { return []byte(hex.EncodeToString(b)) }),
		repeated("%41", "%41"),
		repeated(`\u0041`, `\u0041`),
		repeated("&#65;", "&#65;"),
		repeated("=3D", "=3D"),
		repeated("0x41", "0x41, "),
		encoded("percent signs", each("%%%02X")),
		encoded("escapes", each(`\u%04x`)),
		encoded("entities", each("&#%d;")),
		encoded("UTF-16", func(b []byte) []byte {
			var out []byte
			for _, u := range utf16.Encode([]rune(string(b))) {
				out = append(out, byte(u), byte(u>>8))
			}
			return out
		}),
		{"bytes at random", func(n int) []byte {
			rnd := newRand()
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			return b
		}},
	}
}

// documents are long lines as programs write them.
func documents() []Shape {
	return []Shape{
		{"numbers", func(n int) []byte {
			return filled(n, func(r *rand.Rand) string { return fmt.Sprintf("%d,", r.IntN(100_000)) })
		}},
		{"nested JSON", func(n int) []byte { return []byte(strings.Repeat(`{"a":[`, n/6+1)[:n]) }},
		{"JSON", func(n int) []byte {
			return filled(n, func(r *rand.Rand) string {
				return fmt.Sprintf(`{"id":%d,"token":"%s","key":"%s"},`, r.Uint32(), word(r), word(r))
			})
		}},
		{"assignments", func(n int) []byte {
			return filled(n, func(r *rand.Rand) string { return fmt.Sprintf(`%s="%s",`, word(r), word(r)) })
		}},
		repeated(`password="b",`, `password="b",`),
		{"passwords", func(n int) []byte {
			return filled(n, func(r *rand.Rand) string { return fmt.Sprintf(`password="%s",`, token(r, 12)) })
		}},
		{"minified script", func(n int) []byte {
			return filled(n, func(r *rand.Rand) string {
				return fmt.Sprintf(`function %c(%c){return %c.%s("%s")&&this.key=%d}`, letter(r), letter(r), letter(r), word(r), word(r), r.IntN(999))
			})
		}},
		{"one identifier", func(n int) []byte { return noise(n, "abcdefghijklmnopqrstuvwxyz_") }},
		{"addresses with passwords", func(n int) []byte {
			return filled(n, func(r *rand.Rand) string {
				return fmt.Sprintf("postgres://%s:%s@%s/ ", word(r), token(r, 10), word(r))
			})
		}},
	}
}

// repeated is a text over and over.
func repeated(name, text string) Shape {
	return Shape{name, func(n int) []byte { return []byte(strings.Repeat(text, n/len(text)+1)[:n]) }}
}

// encoded is what encode makes of a text that is hard as it is.
func encoded(name string, encode func([]byte) []byte) Shape {
	return Shape{name, func(n int) []byte {
		text := []byte(strings.Repeat(`password="b", key: eyJ http://a:b@ `, n/32+1)[:n])
		out := encode(text)
		return out[:min(n, len(out))]
	}}
}

// each returns a function that writes every byte in a form.
func each(form string) func([]byte) []byte {
	return func(b []byte) []byte {
		var out []byte
		for _, c := range b {
			out = fmt.Appendf(out, form, c)
		}
		return out
	}
}

const digits64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// noise is n characters of an alphabet at random.
func noise(n int, alphabet string) []byte {
	rnd := newRand()
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rnd.IntN(len(alphabet))]
	}
	return b
}

// parted puts a comma in the place of every so many bytes.
func parted(b []byte, every int) []byte {
	for i := every; i < len(b); i += every + 1 {
		b[i] = ','
	}
	return b
}

// filled is n bytes of texts, each made anew.
func filled(n int, text func(*rand.Rand) string) []byte {
	rnd := newRand()
	b := make([]byte, 0, n+256)
	for len(b) < n {
		b = append(b, text(rnd)...)
	}
	return b[:n]
}

// drawn is n bytes of literals, drawn one after the other.
func drawn(n int, literals []string) []byte {
	return filled(n, func(r *rand.Rand) string { return literals[r.IntN(len(literals))] + "=" })
}

// assigned is an assignment to each literal.
func assigned(literals []string) string {
	rnd := newRand()
	var b strings.Builder
	for _, l := range literals {
		b.WriteString(l + `: "` + token(rnd, 32) + `", `)
	}
	return b.String()
}

// short returns literals without their last character.
func short(literals []string) []string {
	all := make([]string, len(literals))
	for i, l := range literals {
		all[i] = l[:len(l)-1]
	}
	return all
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func letter(r *rand.Rand) byte { return byte('a' + r.IntN(26)) }

// word is a name of a few letters.
func word(r *rand.Rand) string {
	b := make([]byte, 3+r.IntN(6))
	for i := range b {
		b[i] = letter(r)
	}
	return string(b)
}

// token is n letters and digits.
func token(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = digits64[r.IntN(62)]
	}
	return string(b)
}
