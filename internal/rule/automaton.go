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
	if ok, _ := x.ask(text); !ok {
		return nil
	}
	return x.regexp().FindSubmatchIndex(text)
}

// matches reports whether the expression matches in text.
func (x *expression) matches(text []byte) bool {
	ok, sure := x.ask(text)
	return ok && (sure || x.regexp().Match(text))
}

func (x *expression) ask(text []byte) (ok, sure bool) {
	x.readying.Do(func() { x.gate = newAutomaton(x.text) })
	return x.gate.match(text)
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
}

// The states that end a run.
var (
	failed = new(state)
	passed = new(state)
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
	a.start = a.make([]uint32{uint32(prog.Start)}, a.beginning())
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
		class := a.foreign()
		if c := text[i]; c < utf8.RuneSelf {
			class = a.classes[c]
			i++
		} else {
			_, n := utf8.DecodeRune(text[i:])
			i += n
			sure = sure && !a.uneven
		}
		next := s.next[class].Load()
		if next == nil {
			next = a.step(s, class)
		}
		if next.next == nil {
			return next != failed, sure && next == passed
		}
		s = next
	}
	next := s.next[a.beginning()].Load()
	if next == nil {
		next = a.step(s, a.beginning())
	}
	return next != failed, sure && next == passed
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
			return passed
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
	if class == a.beginning() {
		return failed
	}
	if !a.anchored {
		at = append(at, uint32(a.prog.Start))
	}
	if len(at) == 0 {
		return failed
	}
	slices.Sort(at)
	return a.make(slices.Compact(at), class)
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
func (a *automaton) make(at []uint32, class uint8) *state {
	last := class
	if r := a.runeOf(class); r >= 0 && r != '\n' {
		last = a.classes['-']
		if syntax.IsWordChar(r) {
			last = a.classes['a']
		}
	}
	key := []byte{last}
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
	s := &state{next: make([]atomic.Pointer[state], len(a.sample)+1), at: at, last: last}
	a.states[string(key)] = s
	return s
}
