package rule

import (
	"bytes"
	"sync"

	"magpie"
)

// Marker splits the examples in rule files so that they are not secrets where they stand; the parser removes it.
const Marker = "<>"

// Rule is one detector, checked and compiled. It is immutable once parsed and safe for concurrent use.
type Rule struct {
	ID          magpie.RuleID
	Title       string
	Vendor      string
	Category    string
	Severity    magpie.Severity
	Confidence  magpie.Confidence // what a match is worth before its check, if it has one
	Description string
	Remediation string
	References  []string
	Since       string

	// Literals and Keywords are the anchors: each match contains at least one of them. Case counts in Literals only.
	Literals []string
	Keywords []string

	Pattern string // RE2, the secret in the group named "secret"; empty in a rule by value
	Value   string // RE2 for a whole assigned value; empty in a rule by pattern
	Name    string // RE2 that the assigned name must contain a match of; only with Value, may be empty
	Near    int    // with Value: how many bytes after a keyword the value may stand without being assigned; 0 for nowhere
	Window  Window
	Filters Filters
	Check   string // name of a check in Checks, may be empty
	Probe   *Probe // how to ask the vendor whether a secret is alive; nil if nobody can be asked
	Generic bool   // knows no vendor's format: gives way to rules that do, is skipped in binary files

	Match   []string // examples that must be found, marker removed
	NoMatch []string // examples that must not be

	Source string // file the rule was read from, for messages

	// Compiling expressions is most of the time that a catalogue takes to load, and most rules never meet their anchor,
	// so each is compiled when it is first needed; that it compiles is known since it was parsed.
	compiling sync.Once
	program   *program
	secret    int    // index of the secret's group in the pattern, counted from the group around it
	offset    int    // bytes between the start of a match and the anchor; -1 if not fixed
	edge      bool   // the pattern begins at a word boundary
	must      string // a sign that each match has, or nothing
	tails     []Tail // of the anchors, in the order of Anchors
	shortest  int    // bytes of the shortest value
	check     Check
	require   []class
}

// program is what a rule's expressions come to, with what stands around them.
type program struct {
	ctx   expression // the pattern after one byte of context, anchored where offset is fixed
	head  expression // the same at the very start of a file
	value expression
	name  expression // empty if any name will do
	near  expression // the value, and what may follow it outside of an assignment
}

// compiled returns the rule's expressions, ready to run.
func (r *Rule) compiled() *program {
	r.compiling.Do(func() {
		r.program = new(program)
		if r.ByValue() {
			r.program.setValue(r)
		} else {
			r.program.setPattern(r)
		}
	})
	return r.program
}

func (p *program) setPattern(r *Rule) {
	// One byte of context lets \b and its like see what stands before the match; group 1 is the match itself.
	begin := `\A`
	if r.offset < 0 {
		begin = ""
	}
	p.ctx.text = begin + `(?s:.)(` + r.Pattern + `)`
	p.head.text = begin + `(` + r.Pattern + `)`
}

func (p *program) setValue(r *Rule) {
	p.value.text = `\A(?:` + r.Value + `)\z`
	if r.Near > 0 {
		p.near.text = `\A(` + r.Value + `)(?:[^0-9A-Za-z_?^*!@-]|\z)`
	}
	if r.Name != "" {
		p.name.text = `(?i)` + r.Name
	}
}

// Window is how many bytes before the start of an anchor and after its start a verdict may depend on.
type Window struct {
	Before int `yaml:"before"`
	After  int `yaml:"after"`
}

// Filters throw out matches that have the form of the secret but can't be one.
type Filters struct {
	Entropy   float64  `yaml:"entropy"`   // least Shannon entropy of the secret, in bits per character
	Require   []string `yaml:"require"`   // character classes the secret must have: digit, lower, upper, letter, special
	Stopwords []string `yaml:"stopwords"` // the secret must contain none of these, whatever the case
	Allow     []string `yaml:"allow"`     // values that are published examples and no secrets
	Paths     []string `yaml:"paths"`     // globs of files in which the rule is silent

	// Shape asks for more than a pattern can say: "password" for what people think up, "random" for what machines make,
	// "login" for base64 of user:password, "key" for what could hardly be anything but random. Dictionary words, names and dummies have none of these shapes.
	Shape string `yaml:"shape"`

	// Placeholders says whether values that are plainly dummies ("xxxx", "<token>", "your-token-here") are let through;
	// absent and false both mean that they are filtered.
	Placeholders bool `yaml:"placeholders"`
}

// Categories lists what a rule's category may be.
func Categories() []string {
	return []string{
		"ai", "cdn", "chat", "ci", "cloud", "commerce", "crypto", "database", "design", "finance", "generic", "identity",
		"infrastructure", "mail", "maps", "messaging", "monitoring", "network", "package-registry", "payment",
		"private-key", "productivity", "secrets-manager", "social", "source-hosting", "storage", "support", "token",
	}
}

// ByValue reports whether the rule recognises a value assigned to a telling name rather than a pattern.
func (r *Rule) ByValue() bool { return r.Value != "" || r.Pattern == "" }

// Anchors calls f with each anchor and whether its case counts.
func (r *Rule) Anchors(f func(text string, exact bool)) {
	for _, l := range r.Literals {
		f(l, true)
	}
	for _, k := range r.Keywords {
		f(k, false)
	}
}

// Find looks for the rule's pattern in window, the bytes around an anchor that stands at window[at:at+length]. head
// says that the window starts where the file does. It returns the bounds of the match and of the secret in window; the
// match contains the anchor.
func (r *Rule) Find(window []byte, at, length int, head bool) (match, secret [2]int, ok bool) {
	if r.offset >= 0 {
		return r.findAnchored(window, at, head)
	}
	p := r.compiled()
	for from := 0; from <= at; {
		re := &p.head
		if from > 0 || !head {
			re = &p.ctx
		}
		loc := re.find(window[from:])
		if loc == nil || from+loc[0] > at {
			return match, secret, false
		}
		match = [2]int{from + loc[2], from + loc[3]}
		if match[0] <= at && match[1] >= at+length {
			return match, [2]int{from + loc[2*r.secret], from + loc[2*r.secret+1]}, true
		}
		from = max(match[1]-1, from+loc[0]+1) // the last byte is context for what follows
	}
	return match, secret, false
}

// StartsWord reports whether each match begins with an anchor at the beginning or end of a word.
func (r *Rule) StartsWord() bool { return r.offset == 0 && r.edge }

// MayStart reports whether Find, given the same, is worth the asking: it looks at the edge where the match would begin, and for
// a sign that every match has.
func (r *Rule) MayStart(window []byte, at int, head bool) bool {
	return r.mayBegin(window, at, head) && (r.must == "" || bytes.IndexByte(window, r.must[0]) >= 0)
}

func (r *Rule) mayBegin(window []byte, at int, head bool) bool {
	if r.offset < 0 {
		return true
	}
	start := at - r.offset
	if start <= 0 {
		return start == 0 && head
	}
	return !r.edge || isWord(window[start-1]) != isWord(window[start])
}

// Anchored reports whether each match begins at a place that is known from where the anchor stands.
func (r *Rule) Anchored() bool { return r.offset >= 0 }

// MayMatch reports whether Find, given the same, may find something. Only an anchored rule is asked so; it costs a look at
// each byte of a match, or of what might have been one.
func (r *Rule) MayMatch(window []byte, at int, head bool) bool {
	re, start := r.anchoredAt(at, head)
	if re == nil {
		return false
	}
	ok, _ := re.ask(window[start:])
	return ok
}

// MaySweep reports whether Find may find something in text[from:to]. It is for rules that are not anchored; the sweep is the
// rule's own in this text. head says that the window starts where the file does.
func (r *Rule) MaySweep(w *Sweep, text []byte, from, to int, head bool) bool {
	if head {
		return true
	}
	return w.match(r.compiled().ctx.automaton(), text, from, to)
}

// anchoredAt returns the expression that a match has to match from start on, or nil if there can't be one.
func (r *Rule) anchoredAt(at int, head bool) (re *expression, start int) {
	p := r.compiled()
	switch start = at - r.offset; {
	case start > 0:
		return &p.ctx, start - 1
	case start < 0 || !head:
		return nil, 0
	}
	return &p.head, 0
}

func (r *Rule) findAnchored(window []byte, at int, head bool) (match, secret [2]int, ok bool) {
	re, start := r.anchoredAt(at, head)
	if re == nil {
		return match, secret, false
	}
	loc := re.find(window[start:])
	if loc == nil {
		return match, secret, false
	}
	return [2]int{start + loc[2], start + loc[3]}, [2]int{start + loc[2*r.secret], start + loc[2*r.secret+1]}, true
}

// MatchValue reports whether name and value are what a rule by value looks for.
func (r *Rule) MatchValue(name, value []byte) bool {
	p := r.compiled()
	return (p.name.text == "" || p.name.matches(name)) && p.value.matches(value)
}

// FindNear looks in text[from:to] for the start of a value that stands by itself, not as a part of a longer word, and that
// accept says yes to. A dash behind a word for a secret parts it from its value, as in vendor-key-1f0c. ok is false if there
// is none.
func (r *Rule) FindNear(text []byte, from, to int, accept func(start, end int) bool) (start, end int, ok bool) {
	if !mayBeNear(text, from, to, r.shortest) {
		return 0, 0, false
	}
	return eachToken(text, from, to, func(p int) (int, bool) {
		if !mayBeNear(text, p, p+1, r.shortest) {
			return 0, false
		}
		loc := r.compiled().near.find(text[p:])
		if loc == nil || !accept(p, p+loc[3]) {
			return 0, false
		}
		return p + loc[3], true
	})
}

// FindToken does so for any text of at least shortest letters, digits and signs that keys have.
func FindToken(text []byte, from, to, shortest int, accept func(start, end int) bool) (start, end int, ok bool) {
	if !mayBeNear(text, from, to, shortest) {
		return 0, 0, false
	}
	return eachToken(text, from, to, func(p int) (int, bool) {
		end := p
		for end < min(len(text), p+maxNearValue) && (isTokenByte(text[end]) || text[end] == '+' || text[end] == '/' || text[end] == '=' || text[end] == '.') {
			end++
		}
		return end, end-p >= shortest && accept(p, end)
	})
}

// maxParts bounds how many dashes of one text may part a word from a value.
const maxParts = 3

// eachToken calls f with each place in text[from:to] where a token may start, until it says where one ends.
func eachToken(text []byte, from, to int, f func(p int) (end int, ok bool)) (start, end int, ok bool) {
	for p := from; p < min(to, len(text)); {
		if !isTokenByte(text[p]) {
			p++
			continue
		}
		if p > 0 && !isTokenByte(text[p-1]) && !splits(text[p-1]) && !(text[p-1] == '.' && !endsSecretWord(text[:p-1])) {
			if end, ok := f(p); ok {
				return p, end, true
			}
		}
		for tries := 0; p < len(text) && isTokenByte(text[p]); {
			if p++; tries < maxParts && p < min(to, len(text)) && text[p-1] == '-' && endsSecretWord(text[:p-1]) {
				tries++
				if end, ok := f(p); ok {
					return p, end, true
				}
			}
		}
	}
	return 0, 0, false
}

// mayBeNear reports whether there are shortest bytes in a row, beginning in text[from:to], that a value may have. It looks at few
// bytes, since most words are shorter.
func mayBeNear(text []byte, from, to, shortest int) bool {
	for at := from; at < to && at+shortest <= len(text); {
		last := at + shortest - 1
		for last >= at && !endsValue[text[last]] {
			last--
		}
		if last < at {
			return true
		}
		at = last + 1
	}
	return false
}

// endsSecretWord reports whether text ends in a word for a secret, whatever the case.
func endsSecretWord(text []byte) bool {
	for _, w := range []string{"key", "token", "secret", "private", "access"} {
		if len(text) >= len(w) && equalFold(text[len(text)-len(w):], w) {
			return true
		}
	}
	return false
}

// splits reports whether c neither belongs to a key nor parts it from what stands around it.
func splits(c byte) bool { return c == '?' || c == '^' || c == '*' || c == '!' || c == '@' || c == '&' }

func isTokenByte(c byte) bool { return isWord(c) || c == '-' }

// endsValue holds the bytes that no value has that stands by itself.
var endsValue = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c <= ' ' || c >= 0x7f
	}
	for _, c := range []byte("\"'`<>\\") {
		t[c] = true
	}
	return t
}()

// Verify runs the rule's check, if it has one, on a secret and the whole match that it stands in.
func (r *Rule) Verify(secret, match []byte) Verdict {
	if r.check == nil {
		return Verdict{Outcome: Unknown}
	}
	return r.check(secret, match)
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }
