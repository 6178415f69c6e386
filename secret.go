package magpie

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// redacted is what every printed form of a Secret shows.
const redacted = "••••"

// Secret is a sensitive value on its way through the program: a leaked credential, an access token, a password. Its
// text, JSON, Go-syntax and log forms are all redacted, so it can't leak by being printed; Reveal is the one way to the
// bytes and each caller of it must have a reason. The zero Secret is empty.
type Secret struct{ value []byte }

// NewSecret returns a Secret holding a copy of value.
func NewSecret[T ~string | ~[]byte](value T) Secret {
	return Secret{value: append([]byte(nil), value...)}
}

// Reveal returns the value itself. The caller must not modify, print or store it unsealed.
func (s Secret) Reveal() []byte { return s.value }

// Len returns the length of the value in bytes.
func (s Secret) Len() int { return len(s.value) }

// Masked returns a hint by which a person who knows the value can recognise it: at most four characters at each
// end, never more than a quarter of the value in all, and always the same number of bullets between, so that the
// length is not told either.
func (s Secret) Masked() string {
	runes := []rune(string(s.value))
	shown := min(len(runes)/8, 4)
	for i, r := range runes {
		if r < ' ' || r == 0x7f {
			runes[i] = ' '
		}
	}
	return string(runes[:shown]) + redacted + redacted + string(runes[len(runes)-shown:])
}

// shortestCut is the length below which a value is too ordinary to be looked for in a text.
const shortestCut = 6

// CutFrom returns a text of others without the value, which an outside system may repeat when it says what is wrong with
// it: neither as it is nor as it stands in an address.
func (s Secret) CutFrom(text string) string {
	if len(s.value) < shortestCut {
		return text
	}
	value := string(s.value)
	for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
		text = strings.ReplaceAll(text, form, redacted)
	}
	return text
}

// String implements fmt.Stringer and hides the value.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer and hides the value.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter and hides the value for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, and with it JSON, and hides the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer and hides the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
