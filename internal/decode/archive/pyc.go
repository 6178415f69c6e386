package archive

import (
	"encoding/binary"
	"errors"
)

// A file of compiled Python is a header and one value, a code object, which holds others: its constants and names, and the code
// of functions in it. Numbers are little-endian.
//
//	file   magic(2) "\r\n" [flags(4)] time(4) [size(4)] value
//	value  a kind, whose highest bit says that later values refer to this one, and what it has: a length and bytes, a count and
//	       values, or a number
//
// The text is what the code says of it: names and the texts that they are set to, arguments of calls and keys of dictionaries; and
// all texts by themselves.
const (
	maxPycDepth = 200     // values in one another
	maxPycItems = 1 << 16 // of a list that are kept
	maxPycRefs  = 1 << 18 // values that are referred to
)

// pyValue is a value, as far as it matters.
type pyValue struct {
	kind  byte // 's' text or bytes, '(' a list, 0 anything else
	from  int  // of a text
	n     int
	items []pyValue
}

// pyc is a file of compiled Python in the making of its text.
type pyc struct {
	data    []byte
	at      int
	version uint16
	refs    []pyValue
	interns []pyValue // of Python 2
	a       *assembly
	err     error
}

// pycHeader returns the length of the header, 0 if data is no compiled Python.
func pycHeader(data []byte) int {
	if len(data) < 20 || data[2] != '\r' || data[3] != '\n' {
		return 0
	}
	n := 0
	switch v := binary.LittleEndian.Uint16(data); {
	case v >= 50_000 && v < 63_000: // Python 1 and 2
		n = 8
	case v >= 3000 && v < 3210:
		n = 8
	case v >= 3210 && v < 3390:
		n = 12
	case v >= 3390 && v < 4000:
		n = 16
	default:
		return 0
	}
	if data[n]&0x7f != 'c' {
		return 0
	}
	return n
}

// pyc emits the text of a file of compiled Python.
func (w *walker) pyc(data []byte) error {
	p := &pyc{data: data, at: pycHeader(data), version: binary.LittleEndian.Uint16(data), a: w.assemble(Member{Path: "pyc", End: len(data)})}
	p.value(0)
	if over := p.a.end(); over != nil {
		return over
	}
	return p.err
}

// take returns where the next n bytes stand.
func (p *pyc) take(n int) (from int) {
	if p.err == nil && (n < 0 || n > len(p.data)-p.at) {
		p.err = errors.New("it is cut off, or makes no sense")
	}
	if p.err != nil {
		return 0
	}
	p.at += n
	return p.at - n
}

func (p *pyc) byte() byte {
	at := p.take(1)
	if p.err != nil {
		return 0
	}
	return p.data[at]
}

func (p *pyc) long() int {
	at := p.take(4)
	if p.err != nil {
		return 0
	}
	return int(int32(binary.LittleEndian.Uint32(p.data[at:])))
}

// value reads a value.
func (p *pyc) value(depth int) (v pyValue) {
	if depth > maxPycDepth {
		p.err = errors.New("its values stand too deep in one another")
	}
	kind := p.byte()
	if p.err != nil || p.a.err != nil {
		return v
	}
	ref := -1
	if kind&0x80 != 0 && len(p.refs) < maxPycRefs {
		ref = len(p.refs)
		p.refs = append(p.refs, v)
	}
	switch kind &= 0x7f; kind {
	case 'i', 'r', 'R':
		n := p.long()
		if kind == 'r' && n >= 0 && n < len(p.refs) {
			v = p.refs[n]
		}
		if kind == 'R' && n >= 0 && n < len(p.interns) {
			v = p.interns[n]
		}
	case 'I', 'g':
		p.take(8)
	case 'y':
		p.take(16)
	case 'f', 'x':
		p.take(int(p.byte()))
		if kind == 'x' {
			p.take(int(p.byte()))
		}
	case 'l':
		n := p.long()
		p.take(2 * max(n, -n))
	case 's', 't', 'u', 'a', 'A':
		v = p.string(p.long())
		if kind == 't' && len(p.interns) < maxPycRefs {
			p.interns = append(p.interns, v)
		}
	case 'z', 'Z':
		v = p.string(int(p.byte()))
	case '(', '[', '<', '>':
		v = p.list(p.long(), depth)
	case ')':
		v = p.list(int(p.byte()), depth)
	case '{':
		for p.err == nil && p.at < len(p.data) && p.data[p.at] != '0' {
			p.value(depth + 1)
			p.value(depth + 1)
		}
		p.byte()
	case 'c':
		p.code(depth)
	case '0', 'N', 'F', 'T', 'S', '.':
	default:
		p.err = errors.New("a value makes no sense")
	}
	if ref >= 0 {
		p.refs[ref] = v
	}
	return v
}

// string reads the bytes of a text.
func (p *pyc) string(n int) pyValue {
	from := p.take(n)
	if p.err != nil {
		return pyValue{}
	}
	return pyValue{kind: 's', from: from, n: n}
}

// list reads n values.
func (p *pyc) list(n, depth int) pyValue {
	v := pyValue{kind: '('}
	if n < 0 {
		p.err = errors.New("a value makes no sense")
	}
	for i := 0; i < n && p.err == nil && p.a.err == nil; i++ {
		item := p.value(depth + 1)
		p.show(item)
		if len(v.items) < maxPycItems {
			v.items = append(v.items, item)
		}
	}
	return v
}

// show appends a text by itself.
func (p *pyc) show(v pyValue) {
	if v.kind == 's' && v.n > 1 && isText(p.data[v.from:][:min(v.n, 512)]) {
		p.put(v)
		p.a.add("\n")
	}
}

func (p *pyc) put(v pyValue) { p.a.put(p.data[v.from:][:v.n], v.from, v.n, 1) }

// assign appends that something is set to a text.
func (p *pyc) assign(name, text pyValue) {
	if name.kind == 's' && text.kind == 's' && isText(p.data[text.from:][:min(text.n, 512)]) {
		p.put(name)
		p.a.add(` = "`)
		p.put(text)
		p.a.add("\"\n")
	}
}

// code reads a code object, whose parts differ from version to version.
func (p *pyc) code(depth int) {
	numbers := 5
	switch {
	case p.version >= 50_000:
		numbers = 4
	case p.version >= 3400 && p.version < 3450: // 3.8 to 3.10
		numbers = 6
	}
	p.take(4 * numbers)
	code := p.value(depth + 1)
	consts, names := p.value(depth+1), p.value(depth+1)
	locals := p.value(depth + 1)
	rest := 4 // free and cell variables, file, name
	if p.version >= 3450 && p.version < 50_000 {
		rest = 4 // kinds of variables, file, name, qualified name
	}
	for range rest {
		p.value(depth + 1)
	}
	p.take(4) // first line
	p.value(depth + 1)
	if p.version >= 3450 && p.version < 50_000 {
		p.value(depth + 1) // exceptions
	}
	if p.err == nil && code.kind == 's' {
		p.run(p.data[code.from:][:code.n], consts.items, names.items, locals.items)
	}
}

// pyOps are the numbers of instructions.
type pyOps struct {
	constant, name, global, fast, attr      byte // loads
	setName, setGlobal, setFast, setAttr    byte
	setItem, keywords, extended, cache, arg byte // arg is the first one with an argument, where those without are shorter
}

var (
	oldPyOps = pyOps{100, 101, 116, 124, 106, 90, 97, 125, 95, 60, 172, 144, 0, 90}
	newPyOps = pyOps{83, 92, 91, 85, 82, 114, 113, 110, 108, 39, 255, 71, 0, 44} // from 3.13 on
)

// run goes through code and appends what is set to texts. The last values that were loaded one after the other are kept, as on
// the stack.
func (p *pyc) run(code []byte, consts, names, locals []pyValue) {
	ops := oldPyOps
	switch {
	case p.version >= 3600 && p.version < 50_000:
		return // not known yet
	case p.version >= 3550 && p.version < 50_000:
		ops = newPyOps
	case p.version >= 50_000:
		ops.extended = 145
	}
	at := func(list []pyValue, n int) pyValue {
		if n < len(list) {
			return list[n]
		}
		return pyValue{}
	}
	var stack []pyValue
	top := func(n int) pyValue {
		if n > len(stack) {
			return pyValue{}
		}
		return stack[len(stack)-n]
	}
	short := p.version < 3370 || p.version >= 50_000 // before 3.6 instructions have one byte or three
	for arg, i := 0, 0; i < len(code) && p.a.err == nil; {
		op := code[i]
		switch {
		case !short && i+1 < len(code):
			arg = arg<<8 | int(code[i+1])
			i += 2
		case short && op >= ops.arg && i+2 < len(code):
			arg = arg<<16 | int(binary.LittleEndian.Uint16(code[i+1:]))
			i += 3
		default:
			i++
		}
		if op == ops.extended {
			arg &= 1<<16 - 1
			continue
		}
		if short && (op == oldCall || op == oldSetKey) {
			p.pairs(stack, op, arg)
			stack = stack[:0]
		}
		switch op {
		case ops.constant, ops.keywords:
			v := at(consts, arg)
			if v.kind == '(' {
				p.pair(v.items, stack)
			}
			if op == ops.constant {
				stack = append(stack, v)
			}
		case ops.name, ops.global, ops.fast:
			stack = append(stack, pyValue{})
		case ops.attr, ops.cache:
		case ops.setName, ops.setGlobal:
			p.assign(at(names, arg), top(1))
			stack = stack[:0]
		case ops.setFast:
			p.assign(at(locals, arg), top(1))
			stack = stack[:0]
		case ops.setAttr:
			p.assign(at(names, arg), top(2))
			stack = stack[:0]
		case ops.setItem:
			p.assign(top(1), top(3))
			stack = stack[:0]
		default:
			stack = stack[:0]
		}
		if len(stack) >= 2*maxPyStack {
			stack = append(stack[:0], stack[len(stack)-maxPyStack:]...)
		}
		arg = 0
	}
}

// Instructions of versions before 3.6.
const (
	oldCall   = 131 // with so many named arguments as the high byte of its argument says, each with its name before it
	oldSetKey = 54  // of a dictionary: the last value is the key of the one before it
)

// pairs appends which of the last values are names of others, for an instruction before 3.6.
func (p *pyc) pairs(stack []pyValue, op byte, arg int) {
	if op == oldSetKey && len(stack) >= 2 {
		p.assign(stack[len(stack)-1], stack[len(stack)-2])
		return
	}
	if n := 2 * (arg >> 8); op == oldCall && n <= len(stack) {
		for named := stack[len(stack)-n:]; len(named) >= 2; named = named[2:] {
			p.assign(named[0], named[1])
		}
	}
}

// maxPyStack is how many values that were loaded are kept.
const maxPyStack = 64

// pair appends which texts the last values are, if these names belong to them.
func (p *pyc) pair(names, stack []pyValue) {
	if len(names) > len(stack) {
		return
	}
	for i, v := range stack[len(stack)-len(names):] {
		p.assign(names[i], v)
	}
}
