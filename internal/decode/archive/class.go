package archive

import (
	"encoding/binary"
	"errors"
)

// A Java class holds all its texts in a pool of constants; fields and code refer to them by number. Numbers are big-endian.
//
//	class  cafebabe minor(2) major(2) count(2) {constant, from 1} flags(2) this(2) super(2) interfaces fields methods attributes
//	constant  1 length(2) text; or a kind and numbers of other constants; of 8 bytes if it is of 64 bits, and then counted twice
//	field, method  flags(2) name(2) type(2) attributes;  attribute  name(2) length(4) bytes
//
// The text is what the constants and the code say together: fields and what they are set to, methods and the texts that they are
// called with, as they stand in source; then all texts of the pool by themselves.
const (
	classHead   = 10
	constText   = 1
	constString = 8
	constField  = 9
	constMethod = 10
	constIMeth  = 11
	constName   = 12
)

// isClass reports whether data, which begins with cafebabe, is a class, and not a program of Apple's for several processors,
// which begins so too.
func isClass(data []byte) bool {
	if len(data) < classHead {
		return false
	}
	major := binary.BigEndian.Uint16(data[6:])
	return major >= 45 && major < 200
}

// class is a Java class in the making of its text.
type class struct {
	data []byte
	pool []int // where constants stand
	a    *assembly
}

// class emits the text of a class.
func (w *walker) class(data []byte) error {
	c := &class{data: data, pool: []int{0}, a: w.assemble(Member{Path: "class", End: len(data)})}
	end, err := c.constants()
	if err == nil {
		err = c.members(end)
	}
	for n := range c.pool {
		if from, size, ok := c.text(n); ok && size > 1 && c.a.err == nil {
			c.a.put(data[from:from+size], from, size, 1)
			c.a.add("\n")
		}
	}
	if over := c.a.end(); over != nil {
		return over
	}
	return err
}

var errClassCut = errors.New("it is cut off")

// constants finds the constants and returns where they end.
func (c *class) constants() (int, error) {
	count := int(binary.BigEndian.Uint16(c.data[8:]))
	at := classHead
	for len(c.pool) < count {
		if at+3 > len(c.data) {
			return 0, errClassCut
		}
		size := 0
		switch c.data[at] {
		case constText:
			size = 3 + int(binary.BigEndian.Uint16(c.data[at+1:]))
		case 3, 4, constField, constMethod, constIMeth, constName, 17, 18:
			size = 5
		case 5, 6:
			size = 9
		case 7, constString, 16, 19, 20:
			size = 3
		case 15:
			size = 4
		default:
			return 0, errors.New("a constant makes no sense")
		}
		if at+size > len(c.data) {
			return 0, errClassCut
		}
		c.pool = append(c.pool, at)
		if c.data[at] == 5 || c.data[at] == 6 {
			c.pool = append(c.pool, 0)
		}
		at += size
	}
	return at, nil
}

// constant returns where the nth constant stands if it is of that kind, and 0 if not.
func (c *class) constant(n int, kind byte) int {
	if n < 1 || n >= len(c.pool) || c.pool[n] == 0 || c.data[c.pool[n]] != kind {
		return 0
	}
	return c.pool[n]
}

// refers returns the number that stands so many bytes into a constant.
func (c *class) refers(at, by int) int { return int(binary.BigEndian.Uint16(c.data[at+by:])) }

// text returns where the nth constant, a text, stands.
func (c *class) text(n int) (from, size int, ok bool) {
	at := c.constant(n, constText)
	if at == 0 {
		return 0, 0, false
	}
	return at + 3, c.refers(at, 1), true
}

// value returns the number of the text that the nth constant is as a value.
func (c *class) value(n int) (text int, ok bool) {
	at := c.constant(n, constString)
	if at == 0 {
		return 0, false
	}
	return c.refers(at, 1), true
}

// name returns the number of the text that the nth constant, a field or method of any class, is called.
func (c *class) name(n int, kinds ...byte) (text int, ok bool) {
	for _, kind := range kinds {
		if at := c.constant(n, kind); at > 0 {
			if name := c.constant(c.refers(at, 3), constName); name > 0 {
				return c.refers(name, 1), true
			}
		}
	}
	return 0, false
}

func (c *class) is(n int, text string) bool {
	from, size, ok := c.text(n)
	return ok && string(c.data[from:from+size]) == text
}

// put appends the text of that number.
func (c *class) put(n int) {
	if from, size, ok := c.text(n); ok {
		c.a.put(c.data[from:from+size], from, size, 1)
	}
}

// assign appends that something is set to a text.
func (c *class) assign(name, text int) {
	c.put(name)
	c.a.add(` = "`)
	c.put(text)
	c.a.add("\"\n")
}

// members reads the fields and methods, which begin at at, behind the flags and so on.
func (c *class) members(at int) error {
	if at+8 > len(c.data) {
		return errClassCut
	}
	at += 8 + 2*c.refers(at, 6)
	for range 2 {
		if at+2 > len(c.data) {
			return errClassCut
		}
		count := c.refers(at, 0)
		at += 2
		for range count {
			if at+8 > len(c.data) {
				return errClassCut
			}
			name, attributes := c.refers(at, 2), c.refers(at, 6)
			at += 8
			for range attributes {
				if at+6 > len(c.data) {
					return errClassCut
				}
				kind, size := c.refers(at, 0), binary.BigEndian.Uint32(c.data[at+2:])
				at += 6
				if uint64(size) > uint64(len(c.data)-at) {
					return errClassCut
				}
				c.attribute(name, kind, at, at+int(size))
				at += int(size)
			}
		}
	}
	return c.a.err
}

// attribute reads an attribute of a field or method, if it is a value or code.
func (c *class) attribute(name, kind, from, to int) {
	switch {
	case to-from == 2 && c.is(kind, "ConstantValue"):
		if text, ok := c.value(c.refers(from, 0)); ok {
			c.assign(name, text)
		}
	case to-from > 8 && c.is(kind, "Code"):
		size := binary.BigEndian.Uint32(c.data[from+4:])
		c.code(from+8, from+8+int(min(uint64(size), uint64(to-from-8))))
	}
}

// Instructions of the code that matter.
const (
	opLoad      = 0x12 // a constant, by one byte
	opLoadWide  = 0x13 // by two
	opPutStatic = 0xb3
	opPutField  = 0xb5
	opInvoke    = 0xb6 // this and the next two, and that of interfaces
	opInvokeEnd = 0xb9
)

// code looks for texts that are loaded and then stored in a field or given to a method. Instructions have different lengths,
// which are not needed: that their bytes occur in others, with numbers of constants of the right kinds, does not happen.
func (c *class) code(from, to int) {
	for at := from; at < to && c.a.err == nil; {
		first, n := c.load(at, to)
		if n == 0 {
			at++
			continue
		}
		at += n
		second, n := c.load(at, to)
		c.use(at+n, to, first, second, n > 0)
	}
}

// load reads the instruction at at, which may load a text, and returns the number of that and the length, 0 if it does not.
func (c *class) load(at, to int) (text, n int) {
	constant := 0
	switch {
	case at+2 <= to && c.data[at] == opLoad:
		constant, n = int(c.data[at+1]), 2
	case at+3 <= to && c.data[at] == opLoadWide:
		constant, n = c.refers(at, 1), 3
	default:
		return 0, 0
	}
	text, ok := c.value(constant)
	if !ok {
		return 0, 0
	}
	return text, n
}

// use appends what the instruction at at does with one or two texts.
func (c *class) use(at, to, first, second int, both bool) {
	if at+3 > to {
		return
	}
	switch op := c.data[at]; {
	case (op == opPutStatic || op == opPutField) && !both:
		if name, ok := c.name(c.refers(at, 1), constField); ok {
			c.assign(name, first)
		}
	case op >= opInvoke && op <= opInvokeEnd:
		name, ok := c.name(c.refers(at, 1), constMethod, constIMeth)
		if !ok {
			return
		}
		c.put(name)
		c.a.add(`("`)
		c.put(first)
		if both {
			c.a.add(`", "`)
			c.put(second)
		}
		c.a.add("\")\n")
	}
}
