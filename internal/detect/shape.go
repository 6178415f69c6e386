package detect

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"magpie"
	"magpie/internal/rule"
)

// fitsShape judges the secret of a rule by pattern that asks for a shape: what stands in the place of a password in an
// address or header is as often a dummy as one in an assignment.
func (l *lexicon) fitsShape(r *rule.Rule, v []byte) bool {
	switch r.Filters.Shape {
	case "password":
		return l.isPassword(v)
	case "random":
		return !isPlaceholder(v) && !isReference(v) && ok(l.traits(v).asRandom())
	case "key":
		return !isPlaceholder(v) && l.traits(v).strong()
	case "login":
		raw, err := base64.StdEncoding.DecodeString(string(v))
		if err != nil || !utf8.Valid(raw) {
			return false
		}
		user, password, found := bytes.Cut(raw, []byte(":"))
		return found && len(user) > 0 && isPrintable(raw) && l.isPassword(password)
	}
	return true
}

func ok(_ magpie.Confidence, _ string, ok bool) bool { return ok }

func (l *lexicon) isPassword(v []byte) bool {
	return len(v) > 0 && !isPlaceholder(v) && ok(l.traits(v).asPassword(assignment{quoted: true}))
}

func isPrintable(v []byte) bool {
	for _, c := range v {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
