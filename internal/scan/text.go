package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"magpie"
)

// storable turns names from a repository, which may be any bytes, into text that every database keeps: bytes that are
// no UTF-8, and NUL, become \xHH. Different names stay different but for those that spell such an escape themselves.
//
// Names are parts of database indexes, which bound their length: the end of an overlong one becomes a hash of it all.
func storable(name string) string {
	text := escaped(name)
	if len(text) <= maxName {
		return text
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(text[:maxName], "") + "…" + hex.EncodeToString(sum[:16])
}

// maxName is how many bytes of a name are kept. PostgreSQL's index rows hold some 2,700.
const maxName = 1000

func escaped(name string) string {
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
