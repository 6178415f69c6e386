package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const plain = "user: admin, and some more text to make it long enough for two lines of MIME, ok?"

func wrapped(s string, width int, indent string) string {
	var lines []string
	for len(s) > width {
		lines, s = append(lines, s[:width]), s[width:]
	}
	return strings.Join(append(lines, s), "\n"+indent)
}

func utf16le(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(s[i:i+1] + "\x00")
	}
	return b.String()
}

func TestSegments(t *testing.T) {
	std := base64.StdEncoding.EncodeToString([]byte(plain))
	for _, tt := range []struct{ name, source, kind, want string }{
		{"base64", "x: " + std + "\n", "base64", plain},
		{"base64 url, no padding", "x: \"" + base64.RawURLEncoding.EncodeToString([]byte(plain+"~~~???>>>")) + "\"", "base64", plain + "~~~???>>>"},
		{"base64 in lines", "x: |\n  " + wrapped(std, 76, "  ") + "\ny: 1\n", "base64", plain},
		{"base64 in CRLF lines", strings.ReplaceAll(wrapped(std, 64, ""), "\n", "\r\n"), "base64", plain},
		{"hex", "0x" + " " + hex.EncodeToString([]byte(plain)), "hex", plain},
		{"hex, upper case", strings.ToUpper(hex.EncodeToString([]byte(plain))), "hex", plain},
		{"percent", "a=" + url.QueryEscape(plain), "percent", "a=" + strings.ReplaceAll(plain, " ", "+")},
		{"utf-16le", "\xff\xfe" + utf16le(plain), "utf-16", plain},
		{"utf-16be", "\xfe\xff\x00" + strings.TrimSuffix(utf16le(plain), "\x00"), "utf-16", plain},
		{"words", "theQuickBrownFoxJumpsOverTheLazyDog and/some/path/to/a/file/in/a/tree", "", ""},
		{"digest", "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "", ""},
		{"hash", "da39a3ee5e6b4b0d3255bfef95601890afd80709da39a3ee5e6b4b0d3255bfef", "", ""},
		{"short", "dXNlcjphZG1pbg==", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			kind, text := "", ""
			d.Segments([]byte(tt.source), 0, len(tt.source), func(s Segment) {
				kind, text = s.Kind, string(s.Data)
				if s.Start < 0 || s.End > len(tt.source) || s.Start >= s.End {
					t.Errorf("run %d-%d of %d", s.Start, s.End, len(tt.source))
				}
			})
			if d := cmp.Diff([]string{tt.kind, tt.want}, []string{kind, text}); d != "" {
				t.Errorf("segment differs (-want +got):\n%s", d)
			}
		})
	}
}

func TestTooLongIsCounted(t *testing.T) {
	source := []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("plain text "), MaxRun/8)))
	var d Decoder
	d.Segments(source, 0, len(source), func(Segment) { t.Error("a run beyond the limit was decoded") })
	if d.Skipped != 1 {
		t.Errorf("got %d skipped, want 1", d.Skipped)
	}
}

func FuzzSegments(f *testing.F) {
	f.Add([]byte(base64.StdEncoding.EncodeToString([]byte(plain))), 0, 40)
	f.Add([]byte("%41%4"), 0, 5)
	f.Add([]byte(utf16le(plain)), 3, 60)
	f.Add([]byte(`"\u0041\x41\101 https:\/\/x" &#65;&amp; =3D`+"\n0x41, 0x42,"), 0, 40)
	f.Fuzz(func(t *testing.T, data []byte, from, to int) {
		if from < 0 || to > len(data) || from > to {
			return
		}
		var d Decoder
		d.Segments(data, from, to, func(s Segment) {
			if s.Start < 0 || s.End > len(data) || s.Start >= s.End || len(s.Data) > 2*(s.End-s.Start) {
				t.Errorf("%s run %d-%d of %d gives %d bytes", s.Kind, s.Start, s.End, len(data), len(s.Data))
			}
			for n := range len(s.Data) {
				if from, to := s.Place(n, n+1); from < s.Start || to > s.End || from >= to {
					t.Fatalf("%s run %d-%d: byte %d is placed at %d-%d", s.Kind, s.Start, s.End, n, from, to)
				}
			}
		})
	})
}
