package magpie

import "testing"

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"PRJ/größe-日本":   "PRJ/größe-日本",
		"a\x1b[2Jb":      "a\uFFFD[2Jb",
		"a\nok b\r":      "a\uFFFDok b\uFFFD",
		"a\tb":           "a b",
		"a\u009b31mb":    "a\uFFFD31mb",
		"a\u202eb\u2066": "a\uFFFDb\uFFFD",
		"a\u2028b":       "a\uFFFDb",
		"a\xffb":         "a\uFFFDb",
		"a\x00\x7fb":     "a\uFFFD\uFFFDb",
	} {
		if got := Printable(text); got != want {
			t.Errorf("Printable(%q) = %q, want %q", text, got, want)
		}
	}
}
