package rule

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Bytes is a set of bytes.
type Bytes [4]uint64

// Has reports whether c is in the set.
func (b *Bytes) Has(c byte) bool { return b[c>>6]>>(c&63)&1 != 0 }

func (b *Bytes) add(c byte) { b[c>>6] |= 1 << (c & 63) }

// Union returns the bytes that are in b or in other.
func (b *Bytes) Union(other *Bytes) *Bytes {
	u := new(Bytes)
	for i := range u {
		u[i] = b[i] | other[i]
	}
	return u
}

// anyByte is all bytes.
var anyByte = Bytes{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

// All reports whether every byte is in the set.
func (b *Bytes) All() bool { return *b == anyByte }

// Tail is what stands behind an anchor in each match: the bytes that may stand at each of the places that follow. It says
// nothing about places beyond.
type Tail []*Bytes

// Fits reports whether what stands at text[at:] may be the tail.
func (t Tail) Fits(text []byte, at int) bool {
	if at+len(t) > len(text) {
		return false
	}
	for i, b := range t {
		if !b.Has(text[at+i]) {
			return false
		}
	}
	return true
}

// MaxAnchored is how many bytes an anchor and its tail have together at most. More would tell little, and the fewer bytes an
// occurrence has, the fewer bytes around a change have to be looked at again.
const MaxAnchored = 16

// Tail returns the tail of the anchor that Anchors calls its function with as the n-th.
func (r *Rule) Tail(n int) Tail {
	if n < len(r.tails) {
		return r.tails[n]
	}
	return nil
}

// findTails works out the tails of a pattern's anchors.
func (r *Rule) findTails(tree *syntax.Regexp) error {
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return err
	}
	machine := &machine{program}
	known := false
	r.Anchors(func(text string, exact bool) {
		t := machine.tail(text, exact, r.offset)
		r.tails = append(r.tails, t)
		known = known || len(t) > 0
	})
	if !known {
		r.tails = nil
	}
	return nil
}

// machine follows a pattern's program through all texts that it may match.
type machine struct{ *syntax.Prog }

// tail returns what follows an anchor that stands so many bytes into each match, or anywhere if offset is negative.
func (m *machine) tail(text string, exact bool, offset int) Tail {
	var t Tail
	states := m.start(offset)
	for i := range len(text) {
		var one Bytes
		one.add(text[i])
		if !exact && text[i] >= 'a' && text[i] <= 'z' {
			one.add(text[i] &^ 0x20)
		}
		states, _, _ = m.step(states, &one)
	}
	for len(text)+len(t) < MaxAnchored {
		next, all, ends := m.step(states, &anyByte)
		if ends || len(next) == 0 {
			break
		}
		t, states = append(t, all), next
	}
	for len(t) > 0 && t[len(t)-1].All() {
		t = t[:len(t)-1]
	}
	if len(t) == 0 {
		return nil
	}
	return t
}

// start returns the states in which the program may be before it reads the anchor.
func (m *machine) start(offset int) map[uint32]bool {
	states := map[uint32]bool{uint32(m.Start): true}
	if offset < 0 {
		for pc := range m.Inst {
			states[uint32(pc)] = true
		}
	}
	for range offset {
		states, _, _ = m.step(states, &anyByte)
	}
	return states
}

// goesOn marks the state of having read the first bytes, but perhaps not all, of a character.
const goesOn = 1 << 31

// step returns the states that come after one of the given bytes, the bytes that may stand there, and whether the match may
// end before.
func (m *machine) step(states map[uint32]bool, given *Bytes) (next map[uint32]bool, may *Bytes, ends bool) {
	next, may = map[uint32]bool{}, new(Bytes)
	seen := map[uint32]bool{}
	beyond := func(pc, out uint32) { // a byte of a character of several, of which more may follow
		for c := utf8.RuneSelf; c < 256; c++ {
			if given.Has(byte(c)) {
				may.add(byte(c))
				next[out], next[pc|goesOn] = true, true
			}
		}
	}
	var visit func(pc uint32)
	visit = func(pc uint32) {
		if seen[pc] {
			return
		}
		seen[pc] = true
		if pc&goesOn != 0 {
			beyond(pc, m.Inst[pc&^goesOn].Out)
			return
		}
		switch in := &m.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			visit(in.Out)
			visit(in.Arg)
		case syntax.InstCapture, syntax.InstEmptyWidth, syntax.InstNop:
			visit(in.Out)
		case syntax.InstMatch:
			ends = true
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			for c := range byte(utf8.RuneSelf) {
				if given.Has(c) && in.MatchRune(rune(c)) {
					may.add(c)
					next[in.Out] = true
				}
			}
			if beyondASCII(in) {
				beyond(pc, in.Out)
			}
		}
	}
	for pc := range states {
		visit(pc)
	}
	return next, may, ends
}

// beyondASCII reports whether an instruction matches a character of more than one byte, or a byte that is none.
func beyondASCII(in *syntax.Inst) bool {
	if in.Op == syntax.InstRuneAny || in.Op == syntax.InstRuneAnyNotNL {
		return true
	}
	if len(in.Rune) == 1 && syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
		for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
			if r >= utf8.RuneSelf {
				return true
			}
		}
	}
	return in.Rune[len(in.Rune)-1] >= utf8.RuneSelf
}

// A tail is written as its sets in order, each as its ranges in hexadecimal, behind the number of times that it stands in a
// row: "14*3039,415a,617a 1*2e".

func (t Tail) String() string {
	var parts []string
	for i := 0; i < len(t); {
		n := i
		for n < len(t) && *t[n] == *t[i] {
			n++
		}
		parts = append(parts, fmt.Sprintf("%d*%s", n-i, t[i]))
		i = n
	}
	return strings.Join(parts, " ")
}

func (b *Bytes) String() string {
	var ranges []string
	for c := 0; c < 256; c++ {
		if !b.Has(byte(c)) {
			continue
		}
		first := c
		for c < 255 && b.Has(byte(c+1)) {
			c++
		}
		ranges = append(ranges, fmt.Sprintf("%02x%02x", first, c))
	}
	return strings.Join(ranges, ",")
}

// parseTail reads what String wrote. Sets that were read before are shared.
func parseTail(s string, known *sync.Map) (t Tail, err error) {
	for s != "" {
		var part string
		part, s, _ = strings.Cut(s, " ")
		times, ranges, ok := strings.Cut(part, "*")
		n, err := strconv.ParseUint(times, 10, 8)
		if err != nil || !ok || n == 0 || len(t)+int(n) > MaxAnchored {
			return nil, errors.New("a part of a tail does not say how often it stands")
		}
		set, ok := known.Load(ranges)
		if !ok {
			read, err := parseBytes(ranges)
			if err != nil {
				return nil, err
			}
			set, _ = known.LoadOrStore(ranges, read)
		}
		for range n {
			t = append(t, set.(*Bytes))
		}
	}
	return t, nil
}

func parseBytes(s string) (*Bytes, error) {
	b := new(Bytes)
	for r := range strings.SplitSeq(s, ",") {
		bounds, err := strconv.ParseUint(r, 16, 16)
		if err != nil || len(r) != 4 {
			return nil, fmt.Errorf("%q is no range of bytes", r)
		}
		for c := int(bounds >> 8); c <= int(bounds&0xff); c++ {
			b.add(byte(c))
		}
	}
	return b, nil
}
