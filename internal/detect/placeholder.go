package detect

import (
	"bytes"
	"sync"

	"magpie/internal/rule"
)

// isPlaceholder reports whether v is plainly a dummy: a template, a mask, an instruction to put something here, a
// counted-up or repeated run. It says so of nothing that a machine would generate.
func isPlaceholder(v []byte) bool {
	return isTemplate(v) || isMonotone(v) || namesPlaceholder(v)
}

// isTemplate reports whether v is filled in by something later.
func isTemplate(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	first, last := v[0], v[len(v)-1]
	switch {
	case first == '<' && last == '>', first == '[' && last == ']', first == '{' && last == '}', first == '(' && last == ')':
		return true
	case first == '%' && last == '%', first == '@' && last == '@', bytes.HasPrefix(v, []byte("__")) && bytes.HasSuffix(v, []byte("__")):
		return true
	case first == '$' && len(v) > 1 && (isNameByte(v[1]) || v[1] == '{' || v[1] == '('):
		return !bytes.ContainsAny(v[1:], "$!@#%^&*") || v[1] == '{' || v[1] == '('
	}
	return templateSigns().in(v) != 0
}

// templateSigns are what only templates, masks and regular expressions hold.
var templateSigns = sync.OnceValue(func() *phrases {
	return newPhrases(false, []string{"${", "#{", "{{", "}}", "$(", "<%", "%>", "[[", "%(", "...", "…", "***", "•••", "%s", "%v", "{0}", "$$(", "<>", "[0-9", "[a-z", "[A-Z", "]{", `\d`, `\w`, ".{", ".*"})
})

// isMonotone reports whether v is a run of one character, a short repeated text, or a counted-up sequence.
func isMonotone(v []byte) bool { return isUniform(v) || isSequence(v) }

// isUniform reports whether v is hardly more than one or two characters, or one after the other many times each.
func isUniform(v []byte) bool {
	if len(v) < 4 {
		return true
	}
	var seen [256]bool
	distinct, repeats := 0, 0
	for i, c := range v {
		if !seen[c] {
			seen[c] = true
			distinct++
		}
		if i > 0 && c == v[i-1] {
			repeats++
		}
	}
	return distinct == 1 || distinct == 2 && len(v) > 4 || repeats*10 >= (len(v)-1)*6
}

// isSequence reports whether v is counted up or down, or a short text over and over.
func isSequence(v []byte) bool {
	steps, repeats := 0, 0
	for i, c := range v {
		if i == 0 {
			continue
		}
		if c == v[i-1]+1 || c == v[i-1]-1 || c == '0' && v[i-1] == '9' || c == 'a' && (v[i-1] == '9' || v[i-1] == 'f') {
			steps++
		}
		if c == v[i-1] {
			repeats++
		}
	}
	n := len(v) - 1
	return steps*10 >= n*8 || (steps+repeats)*100 >= n*88 || isRepeated(v) || isCounted(v)
}

// isCounted reports whether v is numbers of two digits, each one more than the one before, as in 0102030405060708.
func isCounted(v []byte) bool {
	if len(v) < 12 || len(v)%2 != 0 {
		return false
	}
	steps := 0
	for i := 2; i+1 < len(v); i += 2 {
		a, b := hexPair(v[i-2], v[i-1]), hexPair(v[i], v[i+1])
		if a < 0 || b < 0 {
			return false
		}
		if b-a == 1 || b-a == 7 || b-a == 0x11 || a-b == 1 || a-b == 0x11 { // 7: from 09 to 10
			steps++
		}
	}
	return steps*10 >= (len(v)/2-1)*8
}

// hexPair returns the number that two hexadecimal digits write, or -1.
func hexPair(a, b byte) int {
	n := 0
	for _, c := range []byte{a, b} {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}

// isRepeated reports whether v is a text of a third of its length or less over and over.
func isRepeated(v []byte) bool {
	for p := 1; p <= len(v)/3; p++ {
		if v[p] == v[0] && bytes.Equal(v[p:], v[:len(v)-p]) {
			return true
		}
	}
	return false
}

// dummies are words that only made-up values hold.
var dummies = []string{
	"example", "placeholder", "changeme", "change_me", "change-me", "changeit", "change_it", "replaceme", "replace_me",
	"replace-me", "replace-with", "replace_with", "your-", "your_", "yourtoken", "yourkey", "yoursecret", "yourpass", "yourapi",
	"my-secret", "my_secret", "mysecret", "my-token", "mytoken", "my_token", "insert-", "insert_", "enter-", "enter_", "dummy",
	"redacted", "removed", "censored", "xxxx", "xxxxxxxx", "todo", "fixme", "sample", "not-a-real", "notreal", "notarealkey", "fake", "faketoken", "fakekey", "fakesecret", "fakepass",
	"foobar", "lorem", "some-secret", "somesecret", "some_secret", "test-token", "testtoken", "test_token", "deadbeef",
	"supersecret", "super-secret", "super_secret", "topsecret", "top-secret", "abcdefgh", "12345678", "qwerty", "put-your",
	"s3cr3t", "secr3t", "s3cret", "p@ssw0rd", "passw0rd", "p4ssw0rd", "pa55word", "pa$$word", "p@ssword", "put_your", "masked", "hidden", "<your", "{your",
}

// namesPlaceholder reports whether v says in words that it is a dummy.
func namesPlaceholder(v []byte) bool {
	if len(v) > 256 {
		return false
	}
	found := dummyWords().in(v)
	return found&1 != 0 || found&2 != 0 && len(v) <= 40 // in a long random text a short word is chance
}

// dummyWords are the dummies of six letters or more, and the shorter ones.
var dummyWords = sync.OnceValue(func() *phrases {
	var long, short []string
	for _, d := range dummies {
		if len(d) >= 6 {
			long = append(long, d)
		} else {
			short = append(short, d)
		}
	}
	return newPhrases(true, long, short)
})

// standing is what the body of a token, which has the form that its vendor gives it, says about being one in use.
type standing int

const (
	inUse     standing = iota // nothing speaks against it
	countedUp                 // typed in order: made by hand, but nothing says that it does not stand for a secret
	dummy                     // a template, a mask, or a text that says it is an example
)

// standingOf judges the secret of a rule that knows its format: the part after the anchor decides.
func standingOf(r *rule.Rule, v []byte) standing {
	for _, l := range r.Literals {
		if i := bytes.Index(v, []byte(l)); i >= 0 && len(v)-i-len(l) >= 8 {
			v = v[i+len(l):]
			break
		}
	}
	if isTemplate(v) || isUniform(v) {
		return dummy
	}
	var found uint8
	if len(v) <= 256 {
		found = bodyWords().in(v)
	}
	switch {
	case found&saying != 0:
		return dummy
	case isSequence(v), found&counting != 0:
		return countedUp
	}
	return inUse
}

// What a word in the body of a token says.
const (
	saying   = 1 << iota // that it is an example
	counting             // that it is counted up or down, as no machine does at random
	row                  // that it was typed along a row of the keyboard
)

// bodyWords are words that in the body of a token are a statement, not chance.
var bodyWords = sync.OnceValue(func() *phrases {
	return newPhrases(true, []string{
		"example", "xxxxx", "placeholder", "changeme", "redacted", "yourtoken", "your_token", "your-token", "your_api", "yourapi", "dummy", "00000000",
		"secrethere", "tokenhere", "keyhere", "insert_", "replace_",
	}, []string{"abcdefghij", "1234567890", "0123456789"}, []string{"qwertyuiop", "asdfghjkl", "9876543210", "0987654321", "zyxwvutsrq"})
})

// isOrdered reports whether v was typed in order on a keyboard, in one row or in two that take turns, as in a1b2c3d4.
func isOrdered(v []byte) bool {
	if len(v) > maxGeneric || isTemplate(v) || isUniform(v) || bytes.Count(v, []byte("-")) == 4 && !isUUID(v) {
		return false
	}
	found := bodyWords().in(v)
	if found&saying != 0 || found&(counting|row) != 0 || isRepeated(v) {
		return found&saying == 0
	}
	next, second := 0, 0
	for i := range v {
		if i > 0 && follows(v[i-1], v[i]) {
			next++
		}
		if i > 1 && follows(v[i-2], v[i]) {
			second++
		}
	}
	return next*10 >= len(v)*6 || second*10 >= len(v)*6
}

// follows reports whether b is the character after a, or the one before it, whatever their case.
func follows(a, b byte) bool {
	if a >= 'A' && b >= 'A' {
		a, b = a|0x20, b|0x20
	}
	return b == a+1 || b == a-1 || a == '9' && b == '0' || a == '0' && b == '9'
}
