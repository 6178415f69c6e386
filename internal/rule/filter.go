package rule

import (
	"bytes"
	"math"
)

// class is a set of characters that a filter can require.
type class func(byte) bool

var classes = map[string]class{
	"digit":   func(c byte) bool { return c >= '0' && c <= '9' },
	"lower":   func(c byte) bool { return c >= 'a' && c <= 'z' },
	"upper":   func(c byte) bool { return c >= 'A' && c <= 'Z' },
	"letter":  func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' },
	"special": func(c byte) bool { return c > ' ' && !isAlnum(c) },
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// Passes reports whether a secret gets through the rule's own filters. Placeholders are the engine's to judge.
func (r *Rule) Passes(secret []byte) bool { return r.hasClasses(secret) && r.allows(secret) }

// PassesInOrder does so for a secret whose characters are known to be in order, as no word's are: it may lack some classes.
func (r *Rule) PassesInOrder(secret []byte) bool { return r.allows(secret) }

func (r *Rule) hasClasses(secret []byte) bool {
	for _, c := range r.require {
		if bytes.IndexFunc(secret, func(x rune) bool { return x < 0x80 && c(byte(x)) }) < 0 {
			return false
		}
	}
	return true
}

func (r *Rule) allows(secret []byte) bool {
	for _, a := range r.Filters.Allow {
		if string(secret) == a {
			return false
		}
	}
	for _, w := range r.Filters.Stopwords {
		if containsFold(secret, w) {
			return false
		}
	}
	return r.Filters.Entropy == 0 || Entropy(secret) >= r.Filters.Entropy
}

// containsFold reports whether b holds the lower-case text word, whatever the case.
func containsFold(b []byte, word string) bool {
	for i := 0; i+len(word) <= len(b); i++ {
		if equalFold(b[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

func equalFold(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Entropy returns the Shannon entropy of s in bits per byte.
func Entropy(s []byte) float64 {
	var count [256]int
	for _, c := range s {
		count[c]++
	}
	h, n := 0.0, float64(len(s))
	for _, c := range count {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}
