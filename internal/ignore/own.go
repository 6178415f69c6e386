package ignore

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
)

// own reads a .magpieignore: lines of .gitignore, and those that begin with "value:" or "rule:".
func (p *parser) own(data []byte) {
	for i, line := range splitLines(data) {
		n := i + 1
		if v, ok := strings.CutPrefix(line, "value:"); ok {
			p.value(v, n)
		} else if v, ok := strings.CutPrefix(line, "rule:"); ok {
			p.rule(v, n)
		} else {
			p.pattern(line, n, &p.list.paths)
		}
	}
}

func (p *parser) pattern(line string, n int, to *paths) {
	pat, ok := parsePattern(line)
	switch {
	case !ok:
	case len(line) > maxPattern:
		p.problem(n, "the pattern is longer than %d bytes and is not used", maxPattern)
	case pat.glob.never:
		p.problem(n, "the pattern matches nothing: a bracket is not closed, a class is not known, or it ends in a lone backslash")
	case p.room(n):
		to.add(pat, n)
	}
}

// value reads the fingerprint of a value. The whole SHA-256 will do as well. What follows the digits is for people.
func (p *parser) value(text string, n int) {
	digits, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	digits = strings.ToLower(digits)
	raw, err := hex.DecodeString(digits)
	switch {
	case err != nil || len(raw) != 16 && len(raw) != sha256.Size:
		p.problem(n, "value: must be followed by a fingerprint, 32 hexadecimal digits as magpie scan prints them, or by a SHA-256")
	case p.room(n):
		p.list.values[digits[:32]] = n
	}
}

// rule reads a detector's id, in which * may stand for anything, and the pattern of paths in which it is silent; without
// one, in all.
func (p *parser) rule(text string, n int) {
	id, where, _ := strings.Cut(strings.TrimLeft(text, " \t"), " ")
	if _, err := path.Match(id, ""); err != nil || id == "" {
		p.problem(n, "rule: must be followed by the id of a detector, as magpie rules list prints them")
		return
	}
	if !p.knows(id) {
		p.problem(n, "there is no detector %q", id)
		return
	}
	where = strings.TrimLeft(where, " \t")
	if where == "" || where[0] == '#' {
		where = "*"
	}
	for i := range p.list.rules {
		if p.list.rules[i].pattern == id {
			p.pattern(where, n, &p.list.rules[i].paths)
			return
		}
	}
	p.list.rules = append(p.list.rules, ruleEntry{pattern: id})
	p.pattern(where, n, &p.list.rules[len(p.list.rules)-1].paths)
}
