package rule

import (
	"encoding/binary"
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// expression is a regular expression that knows two ways to run. Each is made ready when it is first needed. Most texts that
// it is asked about have no match, which the first way tells; where the match is, only the second does.
type expression struct {
	text string

	readying sync.Once
	gate     *automaton

	compiling sync.Once
	full      *regexp.Regexp
}

// find returns where the expression and its groups match in text, nil if they don't.
func (x *expression) find(text []byte) []int {
	a := x.automaton()
	if !a.anchored {
		if ok, _ := a.match(text); !ok {
			return nil
		}
		return x.regexp().FindSubmatchIndex(text)
	}
	end := a.longest(text)
	if end < 0 {
		return nil
	}
	// The less text there is, the less package regexp has to do. A match that ends where the text was cut may do so only
	// because it was.
	if cut := end + utf8.UTFMax; cut < len(text) {
		if loc := x.regexp().FindSubmatchIndex(text[:cut]); loc != nil && loc[1] <= end {
			return loc
		}
	}
	return x.regexp().FindSubmatchIndex(text)
}

// matches reports whether the expression matches in text.
func (x *expression) matches(text []byte) bool {
	ok, sure := x.ask(text)
	return ok && (sure || x.regexp().Match(text))
}

func (x *expression) ask(text []byte) (ok, sure bool) { return x.automaton().match(text) }

func (x *expression) automaton() *automaton {
	x.readying.Do(func() { x.gate = newAutomaton(x.text) })
	return x.gate
}

func (x *expression) regexp() *regexp.Regexp {
	x.compiling.Do(func() { x.full = regexp.MustCompile(x.text) })
	return x.full
}

// automaton tells whether an expression matches in a text, with one look at each character: many times faster than package
// regexp, which also has to find out where. It is a deterministic automaton whose states are made when they are first
// reached, and it is safe for concurrent use.
//
// Characters outside of ASCII are all taken for the same one, which any of them stands for that the expression lets pass.
// So a no is always right; a yes is unsure where the expression tells some of them from others.
type automaton struct {
	prog     *syntax.Prog
	anchored bool
	classes  [utf8.RuneSelf]uint8 // of characters that the expression does not tell apart
	sample   []rune               // one of each class, by which it is known
	uneven   bool                 // it tells characters outside of ASCII apart
	start    *state

	mu     sync.Mutex // guards what follows, and the making of states
	states map[string]*state
	room   int // bytes that states may still take up
	marks  []uint32
	mark   uint32
	stack  []uint32
}

// maxStates bounds the memory of an automaton, in bytes. Beyond it a text for which one more state were needed gets an
// unsure yes, and goes on to package regexp.
const maxStates = 64 << 10

// state is a set of instructions at which the expression may stand between two characters, and the kind of the character
// in front, by which edges of words and lines are known.
type state struct {
	next []atomic.Pointer[state] // by class; the last is the end of the text
	at   []uint32                // instructions, in order
	last uint8                   // class of the character in front, or one of those below
	// ended says that a match ends before the character in front.
	ended bool
}

// The states that end a run.
var (
	failed = new(state)
	passed = &state{ended: true}
	unsure = new(state) // no room for another state
)

// newAutomaton returns the automaton of an expression that is known to compile.
func newAutomaton(expr string) *automaton {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		panic("rule: " + err.Error()) // as regexp.MustCompile
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		panic("rule: " + err.Error())
	}
	a := &automaton{
		prog: prog, anchored: prog.StartCond()&syntax.EmptyBeginText != 0, states: map[string]*state{}, room: maxStates,
		marks: make([]uint32, len(prog.Inst)),
	}
	a.classify()
	a.start = a.make([]uint32{uint32(prog.Start)}, a.beginning(), false)
	return a
}

// The numbers that stand for no class of ASCII.
func (a *automaton) foreign() uint8   { return uint8(len(a.sample) - 1) }
func (a *automaton) beginning() uint8 { return uint8(len(a.sample)) } // of a text, and its end

// classify works out the classes: characters are apart if an instruction or an edge tells them apart.
func (a *automaton) classify() {
	split := func(in func(rune) bool) {
		var rest [utf8.RuneSelf]bool // classes of which something stays
		for c, class := range a.classes {
			rest[class] = rest[class] || !in(rune(c))
		}
		var moved [utf8.RuneSelf]uint8 // new class by old one
		for c, class := range a.classes {
			if !rest[class] || !in(rune(c)) {
				continue
			}
			if moved[class] == 0 {
				moved[class] = uint8(len(a.sample))
				a.sample = append(a.sample, rune(c))
			}
			a.classes[c] = moved[class]
		}
	}
	a.sample = []rune{0}
	split(func(c rune) bool { return c == '\n' })
	split(syntax.IsWordChar)
	known := map[string]bool{}
	var key []byte
	for i := range a.prog.Inst {
		inst := &a.prog.Inst[i]
		if !takesRune(inst) {
			continue
		}
		key = append(key[:0], byte(inst.Op), byte(inst.Arg))
		for _, r := range inst.Rune {
			key = binary.LittleEndian.AppendUint32(key, uint32(r))
		}
		if !known[string(key)] {
			known[string(key)] = true
			split(inst.MatchRune)
			a.uneven = a.uneven || isUneven(inst)
		}
	}
	for c := range a.classes { // a class whose first character has left it
		a.sample[a.classes[c]] = rune(c)
	}
	a.sample = append(a.sample, utf8.RuneError)
}

// isUneven reports whether an instruction tells characters outside of ASCII apart.
func isUneven(inst *syntax.Inst) bool {
	switch {
	case inst.Op == syntax.InstRuneAny || inst.Op == syntax.InstRuneAnyNotNL:
		return false
	case len(inst.Rune) == 1: // with what is the same in the other case
		r := inst.Rune[0]
		return r >= utf8.RuneSelf || syntax.Flags(inst.Arg)&syntax.FoldCase != 0 && (r|0x20 == 'k' || r|0x20 == 's')
	}
	last := inst.Rune[len(inst.Rune)-2:]
	if last[1] == utf8.MaxRune && last[0] <= utf8.RuneSelf {
		return false
	}
	return last[1] >= utf8.RuneSelf
}

// passesForeign reports whether an instruction lets any character outside of ASCII pass.
func passesForeign(inst *syntax.Inst) bool {
	return inst.Op == syntax.InstRuneAny || inst.Op == syntax.InstRuneAnyNotNL || isUneven(inst) || len(inst.Rune) > 1 && inst.Rune[len(inst.Rune)-1] >= utf8.RuneSelf
}

func takesRune(inst *syntax.Inst) bool {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// match reports whether the expression matches in text, and whether that is sure.
func (a *automaton) match(text []byte) (ok, sure bool) {
	sure = true
	s := a.start
	for i := 0; i < len(text); {
		class, n := a.read(text[i:])
		sure = sure && !(a.uneven && class == a.foreign())
		i += n
		next := a.after(s, class)
		if next.ended || next.next == nil {
			return next != failed, sure && next != unsure
		}
		s = next
	}
	next := a.after(s, a.beginning())
	return next != failed, sure && next != unsure
}

// read returns the class of the first character of text and its length.
func (a *automaton) read(text []byte) (class uint8, n int) {
	if c := text[0]; c < utf8.RuneSelf {
		return a.classes[c], 1
	}
	_, n = utf8.DecodeRune(text)
	return a.foreign(), n
}

// after returns where a character of a class leads, or the end of the text.
func (a *automaton) after(s *state, class uint8) *state {
	if next := s.next[class].Load(); next != nil {
		return next
	}
	return a.step(s, class)
}

// longest returns how many bytes of text the longest match of an anchored expression has, at most; -1 if there is none.
func (a *automaton) longest(text []byte) int {
	best := -1
	s := a.start
	for i := 0; i < len(text); {
		class, n := a.read(text[i:])
		s = a.after(s, class)
		if s == unsure {
			return len(text)
		}
		if s.ended {
			best = i
		}
		if s.next == nil {
			return best
		}
		i += n
	}
	if a.after(s, a.beginning()) != failed {
		return len(text)
	}
	return best
}

// Sweep goes over a text with the windows of one rule, in the order of their places, so that what several windows have in
// common is looked at once. The zero value is ready for any text.
type Sweep struct {
	state    *state // after text[from:to], in which there is no match; nil if nothing is known
	from, to int
}

// match reports whether the expression may match in text[from:to].
func (w *Sweep) match(a *automaton, text []byte, from, to int) bool {
	s, i := w.state, w.to
	if s == nil || from < w.from || from > w.to || to < w.to || !utf8.RuneStart(text[from]) {
		s, i, w.from = a.start, from, from
	}
	w.state = nil
	for i < to {
		class, n := a.read(text[i:])
		if i+n > to { // of the last character there is only a part
			ok, _ := a.match(text[from:to])
			return ok
		}
		s = a.after(s, class)
		if s.ended || s.next == nil {
			return s != failed
		}
		i += n
	}
	w.state, w.to = s, to
	return a.after(s, a.beginning()) != failed
}

// step works out where a character of a class leads, or the end of the text.
func (a *automaton) step(s *state, class uint8) *state {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.follow(s, class)
	s.next[class].Store(next)
	return next
}

func (a *automaton) follow(s *state, class uint8) *state {
	edge := syntax.EmptyOpContext(a.runeOf(s.last), a.runeOf(class))
	var at []uint32
	ended := false
	a.mark++
	a.stack = append(a.stack[:0], s.at...)
	for len(a.stack) > 0 {
		pc := a.stack[len(a.stack)-1]
		a.stack = a.stack[:len(a.stack)-1]
		if a.marks[pc] == a.mark {
			continue
		}
		a.marks[pc] = a.mark
		switch inst := &a.prog.Inst[pc]; inst.Op {
		case syntax.InstMatch:
			if ended = true; !a.anchored {
				return passed
			}
		case syntax.InstAlt, syntax.InstAltMatch:
			a.stack = append(a.stack, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			a.stack = append(a.stack, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^edge == 0 {
				a.stack = append(a.stack, inst.Out)
			}
		case syntax.InstFail:
		default:
			if a.takes(inst, class) {
				at = append(at, inst.Out)
			}
		}
	}
	if !a.anchored && class != a.beginning() {
		at = append(at, uint32(a.prog.Start))
	}
	switch {
	case len(at) == 0 && ended:
		return passed
	case len(at) == 0:
		return failed
	}
	slices.Sort(at)
	return a.make(slices.Compact(at), class, ended)
}

func (a *automaton) takes(inst *syntax.Inst, class uint8) bool {
	switch class {
	case a.beginning():
		return false
	case a.foreign():
		return passesForeign(inst)
	}
	return inst.MatchRune(a.sample[class])
}

// runeOf returns a character of a class, as package syntax wants it: -1 at both ends of a text.
func (a *automaton) runeOf(class uint8) rune {
	if class == a.beginning() {
		return -1
	}
	return a.sample[class]
}

// make returns the state of a set of instructions behind a character of the class. Of that only the kind counts by which
// edges are known.
func (a *automaton) make(at []uint32, class uint8, ended bool) *state {
	last := class
	if r := a.runeOf(class); r >= 0 && r != '\n' {
		last = a.classes['-']
		if syntax.IsWordChar(r) {
			last = a.classes['a']
		}
	}
	key := []byte{last, 0}
	if ended {
		key[1] = 1
	}
	for _, pc := range at {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	if s := a.states[string(key)]; s != nil {
		return s
	}
	cost := 2*len(key) + 8*(len(a.sample)+1) + 128
	if a.room -= cost; a.room < 0 && a.start != nil {
		a.room = 0
		return unsure
	}
	s := &state{next: make([]atomic.Pointer[state], len(a.sample)+1), at: at, last: last, ended: ended}
	a.states[string(key)] = s
	return s
}
