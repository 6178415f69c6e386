package detect

import (
	"encoding/binary"
	"hash/maphash"

	"magpie/internal/rule"
)

// memo remembers what rules said about texts, since histories hold the same lines many times. It keeps a bounded number
// of answers, of which a new one may push out an old one. Questions are told apart by 64 bits of a hash whose key is
// random and differs in each memo: that two of the questions kept are taken for one another has a chance of one in some
// ten million million, and nobody can bring it about.
type memo struct {
	seed  maphash.Seed
	hash  maphash.Hash
	word  [8]byte
	slots []answer
	used  int // slots that were empty when they were filled
	empty [emptyRuns]uint64
}

// How many answers are kept: few at first, since most scanners see little, and at most 6 MiB of them.
const (
	firstSlots = 1 << 8
	mostSlots  = 1 << 18
)

type answer struct {
	key   uint64 // 0 in an empty slot
	match *Match // nil if the rule said no
	work  int    // that it took to find out
}

func newMemo() *memo {
	m := &memo{seed: maphash.MakeSeed(), slots: make([]answer, firstSlots)}
	m.hash.SetSeed(m.seed)
	return m
}

// window returns the key of the question whether r matches in a window around an anchor.
func (m *memo) window(r *rule.Rule, window []byte, at int, head, more bool) uint64 {
	return m.sum(r, window, uint64(at)<<2|uint64(bit(head)<<1|bit(more)))
}

// assignment returns the key of the question whether r matches an assignment.
func (m *memo) assignment(r *rule.Rule, window []byte, a assignment) uint64 {
	form := uint64(bit(a.quoted)|bit(a.call)<<1|bit(a.compare)<<2|bit(a.loose)<<3) | uint64(bit(a.prose)|bit(a.login)<<1)<<48 | uint64(a.scheme)<<40 | uint64(a.rest)<<4 |
		uint64(a.nameEnd-a.nameStart)<<12 | uint64(a.start-a.nameStart)<<24 | uint64(a.nameStart-a.pathStart)<<52
	return m.sum(r, window[a.pathStart:a.end], form)
}

// run returns the key of the question whether there is nothing in a decoded run.
func (m *memo) run(text []byte) uint64 { return maphash.Bytes(m.seed, text) | 1<<63 }

// isEmpty reports whether it is known that there is nothing.
func (m *memo) isEmpty(key uint64) bool { return m.empty[key%emptyRuns] == key }

// putEmpty keeps that there is nothing.
func (m *memo) putEmpty(key uint64) { m.empty[key%emptyRuns] = key }

// emptyRuns is how many decoded runs without a match are kept.
const emptyRuns = 1 << 10

func (m *memo) sum(r *rule.Rule, text []byte, more uint64) uint64 {
	h := &m.hash
	h.Reset()
	maphash.WriteComparable(h, r)
	binary.LittleEndian.PutUint64(m.word[:], more)
	_, _ = h.Write(m.word[:])
	_, _ = h.Write(text)
	return h.Sum64() | 1<<63
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// get returns the answer to a question, if it is known.
func (m *memo) get(key uint64) (found Match, ok bool, work int, known bool) {
	s := &m.slots[key%uint64(len(m.slots))]
	if s.key != key {
		return Match{}, false, 0, false
	}
	if s.match == nil {
		return Match{}, false, s.work, true
	}
	return *s.match, true, s.work, true
}

// put keeps an answer.
func (m *memo) put(key uint64, found Match, ok bool, work int) {
	s := &m.slots[key%uint64(len(m.slots))]
	if s.key == 0 {
		if m.used++; m.used > len(m.slots)/2 && len(m.slots) < mostSlots {
			m.grow()
			s = &m.slots[key%uint64(len(m.slots))]
		}
	}
	s.key, s.match, s.work = key, nil, work
	if ok {
		found.Secret = nil
		s.match = &found
	}
}

// grow makes room for more answers.
func (m *memo) grow() {
	old := m.slots
	m.slots, m.used = make([]answer, 4*len(old)), 0
	for _, a := range old {
		if a.key != 0 {
			m.slots[a.key%uint64(len(m.slots))] = a
			m.used++
		}
	}
}
