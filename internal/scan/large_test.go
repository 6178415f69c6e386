package scan

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/git"
	"magpie/rules"
)

// secretAt is a made-up token, different for each place.
func secretAt(n int) string {
	return fmt.Sprintf("xox"+"b-%012d-%013d-kQwErTzUiOpAsDfGhJkLyXc1", 718293645071+n, 2903847561920+n)
}

// TestPiecesAreTheWhole puts secrets, as they are and encoded, in and around the edges of the pieces of large files, and
// compares with a look at the whole.
func TestPiecesAreTheWhole(t *testing.T) {
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	e, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for name, filler := range map[string]string{
		"lines": "The quick brown fox jumps over the lazy dog.\n", "one line": "The quick brown fox jumps over the lazy dog. ",
		"no blanks": `{"a":[1,2,3]},`, "escapes": `text with \u0041 in it, and more. `,
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(strings.Repeat(filler, 7*pieceBytes/len(filler)+1))
			want := 0
			for edge := pieceBytes; edge < len(data)-8000; edge += pieceBytes {
				for at := edge - 4000; at < edge+4000; at += 400 {
					text := " token: " + secretAt(want) + " "
					if rnd.IntN(3) == 0 {
						text = " " + base64.StdEncoding.EncodeToString([]byte("the token is "+secretAt(want)+"\n")) + " "
					}
					copy(data[at+rnd.IntN(200):], text)
					want++
				}
			}
			s := e.NewScanner()
			whole := Findings(data, s.Scan(data), s.Covered(), 1)
			if len(whole) < want {
				t.Fatalf("seed %d: only %d of %d are found in the whole", seed, len(whole), want)
			}
			p, blob, err := scanPieces(e.NewScanner(), bytes.NewReader(data), int64(len(data)), 1, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if blob != git.NewHasher(git.SHA1).Sum(git.Blob, data).Hash() {
				t.Error("wrong id")
			}
			got := make([]magpie.Finding, len(p.findings))
			for i, f := range p.findings {
				got[i] = f.finding
			}
			if diff := cmp.Diff(described(whole), described(got)); diff != "" || len(p.skipped) > 0 {
				t.Errorf("seed %d: skipped %q; findings differ (-whole +pieces):\n%s", seed, p.skipped, diff)
			}
		})
	}
}

// described is what must be the same of findings, for people to compare.
func described(all []magpie.Finding) []string {
	var lines []string
	for _, f := range all {
		lines = append(lines, fmt.Sprint(f.Rule, " ", f.LineStart, ":", f.ColumnStart, "-", f.LineEnd, ":", f.ColumnEnd, " ", f.DecodedFrom, " ", f.Excerpt.FirstLine, " ", detect.Fingerprint(f.Secret.Reveal())))
	}
	return lines
}
