package scan

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"magpie"
)

// storable turns names from a repository, which may be any bytes, into text that every database keeps: bytes that are
// no UTF-8, and NUL, become \xHH. Different names stay different but for those that spell such an escape themselves.
func storable(name string) string {
	if utf8.ValidString(name) && strings.IndexByte(name, 0) < 0 {
		return name
	}
	var text strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && size == 1 || r == 0 {
			fmt.Fprintf(&text, `\x%02X`, name[0])
		} else {
			text.WriteString(name[:size])
		}
		name = name[size:]
	}
	return text.String()
}

// storableFinding returns f with all text in it storable.
func storableFinding(f magpie.Finding) magpie.Finding {
	f.File, f.Author, f.Email = storable(f.File), storable(f.Author), storable(f.Email)
	return f
}
