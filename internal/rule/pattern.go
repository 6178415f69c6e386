package rule

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxPrefixes bounds the set of leading strings that is worked out for a pattern, and maxPrefixLen their length.
const (
	maxPrefixes  = 512
	maxPrefixLen = 64
)

// shape is what the syntax tree of a pattern tells about its matches.
type shape struct {
	required bool // every match contains an anchor
	offset   int  // where, if always at the same place; otherwise -1
	before   int  // most bytes between the start of a match and the anchor; -1 if unbounded
	maxLen   int  // most bytes of a match; -1 if unbounded
	must     byte // rare character that every match has beside its anchor; 0 if there is none
}

// analyse works out where the anchors stand in the matches of a pattern. anchors are lower case; foldOnly reports
// whether an anchor matches whatever the case.
func analyse(re *syntax.Regexp, anchors []anchor) shape {
	parts := flatten(re, nil)
	s := shape{offset: -1, before: -1, must: rareSign(parts, anchors)}
	_, s.maxLen = width(re)
	lo, hi := 0, 0
	for i := range parts {
		if covered(parts[i:], anchors) {
			s.required = true
			s.before = hi
			if lo == hi {
				s.offset = lo
			}
			return s
		}
		l, h := width(parts[i])
		lo += l
		if hi >= 0 && h >= 0 {
			hi += h
		} else {
			hi = -1
		}
	}
	return s
}

// rareSigns are the signs whose absence tells most, the rarest in source first.
const rareSigns = "@~^`$#%!|;&?+\\<>*[]{}=,"

// rareSign returns the rarest sign that each text the parts match has, and that is not in all anchors anyway; 0 if there is
// none.
func rareSign(parts []*syntax.Regexp, anchors []anchor) byte {
	best := len(rareSigns)
	for _, p := range parts {
		if p.Op != syntax.OpLiteral || len(p.Rune) != 1 || p.Rune[0] >= utf8.RuneSelf {
			continue
		}
		if i := strings.IndexByte(rareSigns[:best], byte(p.Rune[0])); i >= 0 && !inAny(anchors, rareSigns[i]) {
			best = i
		}
	}
	if best == len(rareSigns) {
		return 0
	}
	return rareSigns[best]
}

func inAny(anchors []anchor, sign byte) bool {
	for _, a := range anchors {
		if strings.IndexByte(a.text, sign) >= 0 {
			return true
		}
	}
	return false
}

// anchor is a literal that matches must contain.
type anchor struct {
	text  string // lower case unless exact
	exact bool
}

// flatten returns the sequence of a pattern's parts with groups and literals taken apart, so that a search for an
// anchor can start at each of them.
func flatten(re *syntax.Regexp, parts []*syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			parts = flatten(sub, parts)
		}
		return parts
	case syntax.OpCapture:
		return flatten(re.Sub[0], parts)
	case syntax.OpPlus, syntax.OpRepeat:
		if re.Op == syntax.OpPlus || re.Min >= 1 {
			// The first round is certain; the rest follows as it may.
			parts = flatten(re.Sub[0], parts)
			rest := *re
			if re.Op == syntax.OpPlus {
				rest.Op = syntax.OpStar
			} else {
				rest.Min--
				if rest.Max > 0 {
					rest.Max--
				}
			}
			return append(parts, &rest)
		}
	case syntax.OpLiteral:
		for i := range re.Rune {
			one := *re
			one.Rune = re.Rune[i : i+1]
			parts = append(parts, &one)
		}
		return parts
	}
	return append(parts, re)
}

// covered reports whether every text that the parts match begins with one of the anchors.
func covered(parts []*syntax.Regexp, anchors []anchor) bool {
	set := []prefix{{}}
	for _, p := range parts {
		next, ok := extend(set, p)
		if !ok {
			break
		}
		set = next
		if !allViable(set, anchors) {
			return false // no need to work out the rest
		}
	}
	for _, p := range set {
		if !startsWithAnchor(p, anchors) {
			return false
		}
	}
	return true
}

// allViable reports whether each prefix begins with an anchor, or may still come to.
func allViable(set []prefix, anchors []anchor) bool {
	for _, p := range set {
		text := strings.ToLower(p.text)
		viable := false
		for _, a := range anchors {
			low := strings.ToLower(a.text)
			if strings.HasPrefix(low, text) || strings.HasPrefix(text, low) {
				viable = true
				break
			}
		}
		if !viable {
			return false
		}
	}
	return true
}

func startsWithAnchor(p prefix, anchors []anchor) bool {
	for _, a := range anchors {
		text := p.text
		if !a.exact {
			text = strings.ToLower(text)
		}
		if strings.HasPrefix(text, a.text) && !(a.exact && p.folded) {
			return true
		}
	}
	return false
}

// prefix is one way that a match can begin.
type prefix struct {
	text   string
	folded bool // its letters stand for both cases
	closed bool // what follows is not known
}

// extend appends what re matches to each open prefix. It fails if that would make too many.
func extend(set []prefix, re *syntax.Regexp) ([]prefix, bool) {
	tails, exact := expand(re)
	var out []prefix
	open := false
	for _, p := range set {
		if p.closed || len(p.text) >= maxPrefixLen {
			p.closed = true
			out = append(out, p)
			continue
		}
		for _, t := range tails {
			out = append(out, prefix{p.text + t.text, p.folded || t.folded, t.closed || !exact})
			open = open || !(t.closed || !exact)
		}
		if len(out) > maxPrefixes {
			return nil, false
		}
	}
	return out, open || allClosed(out)
}

func allClosed(set []prefix) bool {
	for _, p := range set {
		if !p.closed {
			return false
		}
	}
	return true
}

// expand returns the texts that re can match, or begin with; exact says that those are all of it.
func expand(re *syntax.Regexp) (set []prefix, exact bool) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []prefix{{}}, true
	case syntax.OpLiteral:
		fold := re.Flags&syntax.FoldCase != 0
		return []prefix{{text: string(re.Rune), folded: fold}}, true
	case syntax.OpCharClass:
		return expandClass(re.Rune)
	case syntax.OpCapture:
		return expand(re.Sub[0])
	case syntax.OpQuest:
		set, exact = expand(re.Sub[0])
		return append(set, prefix{}), exact
	case syntax.OpPlus:
		set, _ = expand(re.Sub[0])
		return set, false
	case syntax.OpRepeat:
		if re.Min < 1 {
			break
		}
		set, exact = expand(re.Sub[0])
		return set, exact && re.Min == 1 && re.Max == 1
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			s, e := expand(sub)
			for i := range s {
				s[i].closed = s[i].closed || !e
			}
			set = append(set, s...)
		}
		return set, true
	case syntax.OpConcat:
		set = []prefix{{}}
		for _, sub := range re.Sub {
			next, ok := extend(set, sub)
			if !ok {
				return closeAll(set), true
			}
			set = next
		}
		return set, true
	}
	return []prefix{{}}, false
}

func closeAll(set []prefix) []prefix {
	for i := range set {
		set[i].closed = true
	}
	return set
}

// expandClass lists the runes of a small class.
func expandClass(ranges []rune) ([]prefix, bool) {
	var set []prefix
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(set) == 40 {
				return []prefix{{}}, false
			}
			set = append(set, prefix{text: string(r)})
		}
	}
	return set, true
}

// width returns the least and most bytes that re matches; most is -1 if there is no bound.
func width(re *syntax.Regexp) (lo, hi int) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			lo += utf8.RuneLen(r)
		}
		return lo, lo
	case syntax.OpCharClass:
		if n := len(re.Rune); n > 0 {
			// A byte that is not UTF-8 matches as one too.
			return 1, utf8.RuneLen(min(re.Rune[n-1], utf8.MaxRune))
		}
		return 1, 1
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, utf8.UTFMax
	case syntax.OpCapture:
		return width(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			l, h := width(sub)
			lo, hi = lo+l, addWidth(hi, h)
		}
		return lo, hi
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			l, h := width(sub)
			if i == 0 {
				lo, hi = l, h
				continue
			}
			lo = min(lo, l)
			if hi < 0 || h < 0 {
				hi = -1
			} else {
				hi = max(hi, h)
			}
		}
		return lo, hi
	case syntax.OpQuest:
		_, hi = width(re.Sub[0])
		return 0, hi
	case syntax.OpStar:
		return 0, -1
	case syntax.OpPlus:
		lo, _ = width(re.Sub[0])
		return lo, -1
	case syntax.OpRepeat:
		l, h := width(re.Sub[0])
		if re.Max < 0 || h < 0 {
			return l * re.Min, -1
		}
		return l * re.Min, h * re.Max
	}
	return 0, 0
}

func addWidth(a, b int) int {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}
