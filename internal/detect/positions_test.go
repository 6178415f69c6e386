package detect_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/rule"
)

// TestExamplesInEveryPosition tries each matching example of each rule where real files put such things, with all
// rules at work, and expects its secret each time.
func TestExamplesInEveryPosition(t *testing.T) {
	e := engine(t, detect.Options{})
	filler := strings.Repeat("The quick brown fox jumps over the lazy dog;\n", 90)
	for _, r := range e.Rules() {
		for i, example := range r.Match {
			secret := alone(t, r, example)
			multi := strings.Contains(example, "\n")
			for name, text := range map[string]string{
				"alone":  example,
				"start":  example + "\n" + filler,
				"middle": filler + example + "\n" + filler,
				"end":    filler + "\n" + example,
				"twice":  example + "\n" + example,
				"crlf":   "a\r\n" + strings.ReplaceAll(example, "\n", "\r\n") + "\r\nb\r\n",
				"json":   quoteJSON(example),
				"shell":  "run '" + example + "' now",
			} {
				if multi && (name == "json" || name == "shell" || name == "crlf") || name == "shell" && strings.Contains(example, "'") {
					continue
				}
				if name == "json" && strings.ContainsAny(example, `"\`) && !r.ByValue() {
					continue // the quoting becomes part of the match
				}
				found := secrets(e, []byte(text))
				if want := map[bool]int{true: 2, false: 1}[name == "twice"]; count1(found, secret) < want {
					t.Errorf("%s example %d, %s: secret found %d times, want %d", r.ID, i+1, name, count1(found, secret), want)
				}
			}
			if !r.Generic || r.ByValue() {
				for name, data := range map[string][]byte{"utf-16le": wide(example, true), "utf-16be": wide(example, false)} {
					if count1(secrets(e, data), secret) == 0 {
						t.Errorf("%s example %d, %s: secret not found", r.ID, i+1, name)
					}
				}
			}
			if !r.Generic {
				data := []byte("data: " + base64.StdEncoding.EncodeToString([]byte(example+"\n# and so on\n")) + "\n")
				if count1(secrets(e, data), secret) == 0 {
					t.Errorf("%s example %d, base64: secret not found", r.ID, i+1)
				}
			}
		}
		for i, example := range r.NoMatch {
			for _, text := range []string{example, filler + example + "\n" + filler} {
				for _, m := range e.NewScanner().Scan([]byte(text)) {
					if m.Rule == r {
						t.Errorf("%s counter-example %d is found", r.ID, i+1)
					}
				}
			}
		}
	}
}

// alone returns the secret that a rule by itself finds in its example.
func alone(t *testing.T, r *rule.Rule, example string) string {
	t.Helper()
	e, err := detect.New([]*rule.Rule{r}, detect.Options{NoDecode: true})
	if err != nil {
		t.Fatal(err)
	}
	found := e.NewScanner().Scan([]byte(example))
	if len(found) == 0 {
		t.Errorf("%s: example not found", r.ID)
		return "?"
	}
	return string(found[0].Secret)
}

func secrets(e *detect.Engine, data []byte) (out []string) {
	for _, m := range e.NewScanner().Scan(data) {
		out = append(out, string(m.Secret))
	}
	return out
}

// count1 counts secrets that are want, or hold it, or are held by it: another rule may take a wider or narrower part.
func count1(found []string, want string) int {
	n := 0
	for _, f := range found {
		if f == want || strings.Contains(f, want) || strings.Contains(want, f) {
			n++
		}
	}
	return n
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]string{"text": s}); err != nil {
		panic(err)
	}
	return b.String()
}

func wide(s string, little bool) []byte {
	out := []byte{0xff, 0xfe}
	if !little {
		out = []byte{0xfe, 0xff}
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if little {
			out = append(out, byte(u), byte(u>>8))
		} else {
			out = append(out, byte(u>>8), byte(u))
		}
	}
	return out
}

// token is a made-up GitHub token with a right checksum, in pieces.
const token = "gh" + "p_" + "uPmXyNcizRcEneZHbEyVsDncPGg36S4BReRD"

func TestPositionsAndDecoding(t *testing.T) {
	e := engine(t, detect.Options{})
	twice := base64.StdEncoding.EncodeToString([]byte("x " + base64.StdEncoding.EncodeToString([]byte("token is "+token+"\n"))))
	tests := []struct {
		name, text, from string
		line, column     int
	}{
		{"plain", "a\nb " + token + "\n", "", 2, 3},
		{"crlf", "a\r\nbc " + token + "\r\n", "", 2, 4},
		{"utf-8 before", "é " + token, "", 1, 4},
		{"base64", "x: 1\nkey: " + base64.StdEncoding.EncodeToString([]byte("token="+token+"\n")) + "\n", "base64", 2, 6},
		{"base64 url", "key: " + base64.RawURLEncoding.EncodeToString([]byte("token="+token+"?>\n")), "base64", 1, 6},
		{"base64 twice", "k: " + twice, "base64>base64", 1, 4},
		{"percent", "GET /a?t=%22" + strings.Replace(token, "_", "%5F", 1) + "%22 HTTP", "percent", 1, 5},
		{"utf-16", string(wide("ab "+token, true)), "utf-16", 1, 9},
		{"utf-16 with umlauts", string(wide("über\näöü€ß "+token, false)), "utf-16", 2, 13},
		{"utf-32", wider("ab\ncd "+token, binary.LittleEndian), "utf-32", 2, 16},
		{"utf-32 big endian", wider("ab "+token, binary.BigEndian), "utf-32", 1, 17},
		{"json", "x\n{\"k\":\"a\\u003d" + strings.Replace(token, "_", `\u005f`, 1) + "\\u0026\"}", "escapes", 2, 14},
		{"escapes of C", `s = "` + escaped(token, `\x%02x`) + `";`, "escapes", 1, 6},
		{"octal", `s = "` + escaped(token, `\%03o`) + `";`, "escapes", 1, 6},
		{"array of bytes", "b = {\n  " + escaped(token, "0x%02x, ") + "\n}", "hex", 2, 3},
		{"entities", "<a href='?a=1&amp;t=" + strings.Replace(token, "_", "&#95;", 1) + "'>", "entities", 1, 21},
		{"entities, hexadecimal", "<a>" + escaped(token, "&#x%x;") + "</a>", "entities", 1, 4},
		{"quoted-printable", "Hello, here is the thing you asked for; keep it to yourself: t=3D" + token[:8] + "=\r\n" + token[8:] + "\r\n", "quoted-printable", 1, 66},
		{"base64 in a string", `k: "` + strings.ReplaceAll(lines64("token="+token+"\nand so on, and on"), "\n", `\n`) + `"`, "base64", 1, 5},
		{"base64 in strings", "k = (\"" + strings.ReplaceAll(lines64("token="+token+"\nand so on, and on"), "\n", "\"\n     \"") + `")`, "base64", 1, 7},
		{"base64 after a line feed", `k: "\n` + lines64("token="+token) + `"`, "base64", 1, 7},
		{"five layers", "k: " + layers("token="+token+"\n", 5), "base64>base64>base64>base64>base64", 1, 4},
		{"escapes around base64", `k: "` + escaped(lines64("t="+token), `\u%04x`) + `"`, "escapes>base64", 1, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := e.NewScanner().Scan([]byte(tt.text))
			if len(found) != 1 {
				t.Fatalf("got %d matches, want 1", len(found))
			}
			m := found[0]
			line, column, _, _ := detect.NewLines([]byte(tt.text)).Range(m)
			got := []any{string(m.Secret) == token, m.DecodedFrom, line, column, m.Confidence}
			want := []any{true, tt.from, tt.line, tt.column, magpie.ConfidenceProven}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("match differs (-want +got):\n%s", d)
			}
		})
	}
}

// TestSixLayers makes sure that there is an end to decoding.
func TestSixLayers(t *testing.T) {
	if found := engine(t, detect.Options{}).NewScanner().Scan([]byte(layers("token="+token+"\n", 6))); len(found) > 0 {
		t.Errorf("got %d matches, want none", len(found))
	}
}

func wider(s string, order binary.AppendByteOrder) string {
	out := order.AppendUint32(nil, 0xfeff)
	for _, r := range s {
		out = order.AppendUint32(out, uint32(r))
	}
	return string(out)
}

// escaped writes every character in the given form.
func escaped(s, form string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, form, s[i])
	}
	return b.String()
}

// lines64 is base64 in lines of 64.
func lines64(s string) string {
	text := base64.StdEncoding.EncodeToString([]byte(s))
	var lines []string
	for len(text) > 64 {
		lines, text = append(lines, text[:64]), text[64:]
	}
	return strings.Join(append(lines, text), "\n")
}

func layers(s string, n int) string {
	for range n {
		s = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return s
}

func TestIgnoreComments(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int
	}{
		{"k: " + token, 1},
		{"k: " + token + " # magpie:ignore", 0},
		{"k: " + token + " // gitleaks:allow\n", 0},
		{"k: " + token + " # pragma: allowlist secret", 0},
		{"/* ggignore */ k: " + token, 0},
		{"# magpie:ignore\nk: " + token + "\n# magpie:ignore", 1},
		{"# magpie:ignore-next-line\nk: " + token, 0},
		{"k: " + token + " # magpie:ignore-next-line", 1},
		{"# magpie:ignore-next-line\n\nk: " + token, 1},
		{"# pragma: allowlist nextline secret\r\nk: " + token, 0},
		{"k: " + token + " # pragma: allowlist nextline secret", 1},

		{"k: " + token + "  # nosec", 0},
		{"k: " + token + "  #nosec G101", 0},
		{"k: " + token + "  // #nosec G101 -- made up", 0},
		{"k: " + token + "  //#nosec", 0},
		{"k: " + token + "  # nosec: B105, B301", 0},
		{"k: " + token + "  # nosec hardcoded_password_string", 0},
		{"k: " + token + "  # nosec B301", 1},
		{"k: " + token + "  // #nosec G404 -- not G101", 1},
		{"k: " + token + "  # nosec # B301", 0},
		{"k: " + token + " <!-- nosec -->", 0},
		{"k: " + token + " -- nosec", 0},
		{"/* nosec */ k: " + token, 0},
		{"k: " + token + " --nosec", 1},
		{"k: " + token + " nosec", 1},
		{"k: " + token + " # nosecond", 1},
		{"k: " + token + " # nosec-level", 1},
		{"k: " + token + " see https://example.com/#nosec", 1},
		{"k: " + token + " note=\"a#nosec\"", 1},
		{"// #nosec G101 -- made up\nk: " + token, 0},
		{"x = 1 // #nosec G101\nk: " + token, 1},
		{"// #nosec G404\nk: " + token, 1},
		{"# nosec\n\nk: " + token, 1},
		{strings.Repeat("x", 300) + " # nosec\nk: " + token, 1},
	} {
		if got := len(engine(t, detect.Options{}).NewScanner().Scan([]byte(tt.text))); got != tt.want {
			t.Errorf("%d matches in %q, want %d", got, strings.ReplaceAll(tt.text, token, "TOKEN"), tt.want)
		}
	}
	if got := len(engine(t, detect.Options{KeepIgnored: true}).NewScanner().Scan([]byte("k: " + token + " # magpie:ignore"))); got != 1 {
		t.Errorf("with KeepIgnored: %d matches, want 1", got)
	}
}

func TestSpecificBeatsGeneric(t *testing.T) {
	for text, want := range map[string]string{
		"github_token = \"" + token + "\"":                                         "github-personal-token",
		"DATABASE_PASSWORD=postgres://svc:" + "k7Lw2pQ9xZ" + "@db.example.com/a":   "postgres-url",
		"api_secret: " + base64.StdEncoding.EncodeToString([]byte("t="+token+";")): "github-personal-token",
	} {
		found := engine(t, detect.Options{}).NewScanner().Scan([]byte(text))
		if len(found) != 1 || string(found[0].Rule.ID) != want {
			t.Errorf("got %d matches, want one of %s", len(found), want)
		}
	}
}

func TestScannersRunConcurrently(t *testing.T) {
	rs := detect.BuiltIn(t)
	e, err := detect.New(rs, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, r := range rs {
		for _, m := range r.Match {
			text.WriteString(m + "\n")
		}
	}
	results := make([][]string, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = secrets(e, text.Bytes()) })
	}
	wg.Wait()
	for _, r := range results[1:] {
		if !cmp.Equal(r, results[0]) {
			t.Fatal("two scanners found different secrets in the same text")
		}
	}
	if len(results[0]) < 300 {
		t.Errorf("got %d secrets in all examples, want hundreds", len(results[0]))
	}
}

func TestHostileInputIsLinear(t *testing.T) {
	e := engine(t, detect.Options{})
	for name, piece := range map[string]string{
		"assignments": "token=", "jwt": "eyJ", "jwt spaced": "eyJ ", "pem": "-----BEGIN PRIVATE KEY-----", "pem open": "-----BEGIN PRIVATE KEY-----A ",
		"url": "https://a:", "a": "A", "base64": "QUJD", "zero": "\x00a", "percent": "%41", "secret quotes": `secret"='`, "passwords": "pass=" + "k7Lw2pQ9 ",
	} {
		s := e.NewScanner()
		data := []byte(strings.Repeat(piece, 256<<10/len(piece)))
		start := time.Now()
		s.Scan(data)
		took := time.Since(start)
		t.Logf("%-14s %v for 256 KiB, skipped %v", name, took.Round(time.Millisecond), s.Skipped())
		if took > 15*time.Second {
			t.Errorf("%s: a scan of 256 KiB took %v", name, took)
		}
	}
}

// TestIgnoreKeysOverSeveralLines takes a key in PEM, which has no place for a comment of its own.
func TestIgnoreKeysOverSeveralLines(t *testing.T) {
	e := engine(t, detect.Options{})
	var key string
	for _, text := range e.Rule("private-key").Match {
		if strings.Contains(text, "\n") && strings.HasPrefix(text, "-----BEGIN") {
			key = strings.TrimSpace(text)
			break
		}
	}
	if key == "" {
		t.Fatal("the detector of private keys has no example of several lines")
	}
	for text, want := range map[string]int{
		key:                                1,
		"# magpie:ignore\n" + key:          0,
		"key: |  # gitleaks:allow\n" + key: 0,
		"/* ggignore */\nconst key = `" + key + "`":     0,
		"// #nosec G101\n" + key:                        0,
		"# nosec B301\n" + key:                          1,
		key + "\n# magpie:ignore":                       1,
		"# magpie:ignore\nsomething else\n" + key:       1,
		"const key = `" + key + "` // gitleaks:allow\n": 0,
	} {
		if got := len(e.NewScanner().Scan([]byte(text))); got != want {
			t.Errorf("%d matches after %.30q, want %d", got, text, want)
		}
	}
}

// TestIgnoredIsTold keeps what is ignored, with the comment that says so.
func TestIgnoredIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"k: " + token: "", "k: " + token + " # gitleaks:allow": "gitleaks:allow", "k: " + token + " # nosec": "nosec",
		"# magpie:ignore-next-line\nk: " + token: "magpie:ignore-next-line",
	} {
		got := engine(t, detect.Options{KeepIgnored: true}).NewScanner().Scan([]byte(text))
		if len(got) != 1 || got[0].Ignored != want {
			t.Errorf("%d matches, want one that is ignored by %q", len(got), want)
		}
	}
}
