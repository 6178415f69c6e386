package magpie

import (
	"strings"
	"unicode"
)

// Printable keeps a text of others from steering a terminal, starting a line of its own or reordering the one that it stands
// in: control and direction characters become replacement characters, and so does what is not UTF-8.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
