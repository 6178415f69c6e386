package detect

import (
	"bytes"
	"strings"
	"sync"

	"magpie"
	"magpie/internal/rule"
)

// verdict is what the rules of a literal make of one of its occurrences. It is a pure function of the text from before
// bytes before the occurrence to after bytes after its start, of how much of that is cut off by the ends of the text,
// and of whether generic rules take part.
type verdict struct {
	before, after int
	matches       []Match // placed relative to the occurrence, without their secrets
}

// unassigned is the verdict of rules by value where no operator follows the name, which is what most words in source
// come to: it depends on less than a whole window.
var unassigned = &verdict{before: nameBefore, after: nameAfter + gapLength + 16}

// verdict asks the rules of the literal at h. It returns nil if none matches, which may then depend on the whole window
// of the literal. It sets s.work to what that takes, and s.saved to
// how much less it took here.
func (s *Scanner) verdict(text []byte, h hit, generic bool) *verdict {
	l := &s.e.lits[h.lit]
	s.work, s.saved = 1+l.cold(), 0
	var found []Match
	for _, r := range l.patterns {
		if r.Generic && !generic || !r.tail.Fits(text, h.pos+int(h.n)) {
			continue
		}
		if m, ok := s.try(r.Rule, text, h); ok {
			found = append(found, m)
		}
	}
	if len(l.values) > 0 {
		v := s.values(l, text, h, generic, found)
		if v == unassigned && len(l.patterns) > 0 {
			return nil
		}
		return v
	}
	return l.verdict(found)
}

// verdict returns the verdict that holds the matches found.
func (l *literal) verdict(found []Match) *verdict {
	if len(found) == 0 {
		return nil
	}
	return &verdict{l.before, l.after, found}
}

// try asks a rule by pattern about the anchor at h.
func (s *Scanner) try(r *rule.Rule, text []byte, h hit) (Match, bool) {
	from := max(0, h.pos-r.Window.Before-1)
	to := min(len(text), h.pos+r.Window.After+1)
	window, at := text[from:to], h.pos-from
	head := h.pos-r.Window.Before <= 0
	s.work++
	if !r.MayStart(window, at, head) {
		return Match{}, false
	}
	if r.Anchored() {
		s.work += workAnchored
		if !r.MayMatch(window, at, head) {
			return Match{}, false
		}
	} else if !s.maySweep(r, text, from, to, head) {
		return Match{}, false
	}
	key := s.memo.window(r, window, at, head, to < len(text))
	if m, ok, known := s.recall(key); known {
		return m, ok
	}
	work := s.work
	m, ok := s.tryPattern(r, window, at, int(h.n), head, to < len(text))
	s.memo.put(key, m, ok, s.work-work)
	return m, ok
}

// recall returns the answer to a question, if it is known. It counts as much work as the first time.
func (s *Scanner) recall(key uint64) (m Match, ok, known bool) {
	m, ok, work, known := s.memo.get(key)
	s.work += work
	return m, ok, known
}

// tryPattern does so for the first time, given the window around the anchor. more says that the text goes on behind it.
func (s *Scanner) tryPattern(r *rule.Rule, window []byte, at, n int, head, more bool) (Match, bool) {
	match, secret, ok := r.Find(window, at, n, head)
	if !ok || more && match[1] == len(window) {
		// A match that fills its window may go on behind it: what is reported would be a part of something else.
		return Match{}, false
	}
	s.work += workFound
	m := Match{
		Rule: r, Start: secret[0], End: secret[1], MatchStart: match[0], MatchEnd: match[1],
		WindowEnd: len(window), Confidence: r.Confidence, Reason: "it has the form of a " + r.Title,
	}
	ok = s.judge(&m, window)
	m.move(-at)
	return m, ok
}

// values asks the rules by value of a literal that is part of a name, and adds what they find to found.
func (s *Scanner) values(l *literal, text []byte, h hit, generic bool, found []Match) *verdict {
	from, to := max(0, h.pos-nameBefore), min(len(text), h.pos+byValAfter)
	window, at := text[from:to], h.pos-from
	if l.last && len(found) == 0 && wordGoesOn(window, at+int(h.n)) {
		return unassigned
	}
	s.work += workName
	a, assigned := parseAssignment(window, at, int(h.n))
	if !assigned && !l.near && len(found) == 0 && !a.assigned {
		return unassigned
	}
	for _, r := range l.values {
		if r.Generic && !generic {
			continue
		}
		var m Match
		ok := false
		if assigned {
			m, ok = s.tryValue(r, window, a)
		}
		if !ok && r.Near > 0 {
			s.work += workUnanchored + r.Near/workBytes
			m, ok = s.tryNear(r, window, at, int(h.n), to < len(text))
		}
		if !ok && r.Near > 0 {
			s.work += workUnanchored + r.Near/workBytes
			m, ok = s.tryOrdered(r, window, at, int(h.n), to < len(text))
		}
		if ok {
			m.WindowStart, m.WindowEnd = 0, len(window)
			m.move(-at)
			found = append(found, m)
		}
	}
	return l.verdict(found)
}

// wordGoesOn reports whether no name can end at b[p], be it in the plural: something stands there that goes on with the
// word or takes a part of what it names.
func wordGoesOn(b []byte, p int) bool {
	if p < len(b) && b[p]|0x20 == 's' {
		p++
	}
	if p >= len(b) {
		return false
	}
	c := b[p]
	return c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte(".()];_/", c) >= 0
}

// tryNear looks for a value of the rule behind the keyword at window[at:at+n], on the same line or the two after it. more
// says that the text goes on behind the window.
func (s *Scanner) tryNear(r *rule.Rule, window []byte, at, n int, more bool) (m Match, ok bool) {
	if !startsWord(window, at) {
		return m, false
	}
	from := at + n
	to := min(len(window), from+r.Near)
	if i := thirdLine(window[from:to]); i >= 0 {
		to = from + i
	}
	_, _, ok = r.FindNear(window, from, to, func(start, end int) bool {
		if more && end == len(window) || !speaksFor(window, at, from, start, window[start:end]) {
			return false
		}
		m = Match{
			Rule: r, Start: start, End: end, MatchStart: at, MatchEnd: end, Confidence: least(r.Confidence, magpie.ConfidenceMedium),
			Reason: "a value of its form stands next to a name that means a " + r.Title,
		}
		return s.mayStandAlone(r, window[max(0, at-nearBefore):start], window[start:end]) && s.judge(&m, window)
	})
	return m, ok
}

// tryOrdered looks behind the keyword at window[at:at+n] for a text whose characters are in order, of whatever length, that a
// word before it calls a secret. Whoever types such a text in place of a key cares little for its length.
func (s *Scanner) tryOrdered(r *rule.Rule, window []byte, at, n int, more bool) (m Match, ok bool) {
	if !startsWord(window, at) || saysOnlySecret(window[at:at+n]) {
		return m, false
	}
	to := min(len(window), at+n+r.Near)
	if i := thirdLine(window[at+n : to]); i >= 0 {
		to = at + n + i
	}
	start, end, ok := rule.FindToken(window, at+n, to, minOrdered, func(start, end int) bool {
		return !(more && end == len(window)) && isOrdered(window[start:end]) && callsSecret(window[max(0, at-nearBefore):start])
	})
	if !ok || !r.PassesInOrder(window[start:end]) || r.Verify(window[start:end], window[at:end]).Outcome == rule.Refuted {
		return m, false
	}
	return Match{
		Rule: r, Start: start, End: end, MatchStart: at, MatchEnd: end, Confidence: magpie.ConfidenceLow,
		Reason: "it stands next to a name that means a " + r.Title + ", though its characters are in order as in an example",
	}, true
}

// saysOnlySecret reports whether a keyword is made of words for a secret and names nobody.
func saysOnlySecret(keyword []byte) bool {
	rest := strings.ToLower(string(keyword))
	for _, w := range secretWords {
		rest = strings.ReplaceAll(rest, w, "")
	}
	return strings.Trim(rest, "_- ") == ""
}

// minOrdered is the length of the shortest text in order that is taken for a secret, in bytes.
const minOrdered = 14

// mayStandAlone reports whether a value that is not assigned, only near its keyword, looks like a secret: random, or counted
// up where the text before it calls it a secret.
func (s *Scanner) mayStandAlone(r *rule.Rule, before, value []byte) bool {
	if standingOf(r, value) == countedUp {
		return callsSecret(before)
	}
	_, _, random := words().traits(value).asRandom()
	return random
}

// nearBefore is how many bytes before a keyword, and before a value near it, are looked at for words about the value.
const nearBefore = 24

// speaksFor reports whether the words before a value at text[start:], which stands near the keyword text[at:end], allow for a
// secret: none directly before it calls it a checksum or the like, and if it could be one, some word calls it a secret.
func speaksFor(text []byte, at, end, start int, value []byte) bool {
	direct := bytes.ToLower(text[max(end, start-nearBefore):start])
	for _, w := range digestWords {
		if bytes.Contains(direct, []byte(w)) {
			return false
		}
	}
	return !isHex(value) && !isUUID(value) || callsSecret(text[max(0, at-nearBefore):start])
}

// callsSecret reports whether a text holds a word for a secret.
func callsSecret(text []byte) bool { return secretPhrases().in(text) != 0 }

var secretPhrases = sync.OnceValue(func() *phrases { return newPhrases(true, secretWords) })

var (
	digestWords = []string{"sha1", "sha2", "sha3", "sha5", "sha-", "hash", "revision", "commit", "checksum", "digest", "integrity", "h1:", "md5", "etag", "fingerprint", "uuid"}
	secretWords = []string{"key", "token", "secret", "api", "auth", "pass", "pwd", "cred", "bearer", "private", "access"}
)

func isHex(v []byte) bool {
	for _, c := range v {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

// startsWord reports whether a word, or a part of one in camel case, starts at b[at].
func startsWord(b []byte, at int) bool {
	if at == 0 {
		return true
	}
	c := b[at-1]
	return !(c|0x20 >= 'a' && c|0x20 <= 'z') || c >= 'a' && b[at] <= 'Z'
}

// thirdLine returns where the third line of b starts, or -1.
func thirdLine(b []byte) int {
	seen := 0
	for i, c := range b {
		if c == '\n' {
			if seen++; seen == 3 {
				return i
			}
		}
	}
	return -1
}

// least returns the lower of two degrees of confidence.
func least(a, b magpie.Confidence) magpie.Confidence {
	if a == magpie.ConfidenceLow {
		return a
	}
	return b
}

// tryValue asks a rule by value about an assignment. What it says depends on the name, the value and the form of the
// assignment alone.
func (s *Scanner) tryValue(r *rule.Rule, window []byte, a assignment) (Match, bool) {
	if r.Generic && (a.end-a.start > maxGeneric || a.end-a.start < minGeneric || r.Filters.Shape == "key" && a.end-a.start < minKey) {
		return Match{}, false
	}
	s.work += workAnchored
	if !r.MatchValue(window[a.nameStart:a.nameEnd], window[a.start:a.end]) {
		return Match{}, false
	}
	key := s.memo.assignment(r, window, a)
	m, ok, known := s.recall(key)
	if !known {
		work := s.work
		m, ok = s.judgeValue(r, window, a)
		s.memo.put(key, m, ok, s.work-work)
	}
	m.Start, m.End, m.MatchStart, m.MatchEnd = a.start, a.end, a.nameStart, a.end
	return m, ok
}

// judgeValue does so for the first time, for an assignment that the rule's expressions match.
func (s *Scanner) judgeValue(r *rule.Rule, window []byte, a assignment) (Match, bool) {
	name, value := window[a.nameStart:a.nameEnd], window[a.start:a.end]
	s.work += workJudged
	m := Match{
		Rule: r, Start: a.start, End: a.end, MatchStart: a.nameStart, MatchEnd: a.end, Confidence: r.Confidence,
		Reason: "a value of its form is assigned to a name that calls it a " + r.Title,
	}
	if r.Generic {
		s.work += workJudged
		if r.Filters.Shape != "password" && !a.login && (isDistorted(value, r.Filters.Shape == "key") || deniesSecret(name)) {
			return m, false
		}
		var ok bool
		if m.Confidence, m.Reason, ok = words().judgeGeneric(r, window[a.pathStart:a.nameEnd], name, a, value); !ok {
			return m, false
		}
		s.work += workJudged
		if r.Filters.Shape != "password" && !a.login && s.e.distorts(window[a.pathStart:a.nameEnd], value) {
			return m, false
		}
	}
	return m, s.judge(&m, window)
}

// judge applies the rule's filters and check to a candidate in text.
func (s *Scanner) judge(m *Match, text []byte) bool {
	s.work += workJudged + (m.MatchEnd-m.MatchStart)/workBytes
	r, secret := m.Rule, text[m.Start:m.End]
	if r.Generic && s.e.claims(secret) {
		return false
	}
	counted := false
	if !r.Filters.Placeholders && !r.Generic {
		switch standingOf(r, secret) {
		case dummy:
			return false
		case countedUp:
			counted = true
		}
	}
	if !r.Passes(secret) && !(counted && r.PassesInOrder(secret)) {
		return false
	}
	if !(r.Generic && r.ByValue()) && !words().fitsShape(r, secret) {
		return false
	}
	v := r.Verify(secret, text[m.MatchStart:m.MatchEnd])
	switch {
	case v.Outcome == rule.Refuted:
		return false
	case v.Outcome == rule.Proven:
		m.Confidence = magpie.ConfidenceProven
	case v.Downgraded || counted:
		m.Confidence = magpie.ConfidenceLow
	}
	if counted {
		m.Reason += ", though its characters are in order as in an example"
	}
	if v.Reason != "" {
		m.Reason += " and " + v.Reason
	}
	return true
}
