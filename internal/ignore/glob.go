package ignore

import "strings"

// glob is a compiled shell pattern with the meaning that Git gives it. It is run as an automaton over all its positions
// at once, so that no pattern takes more time than its length times that of the path.
type glob struct {
	literal string // of a pattern without wildcards
	plain   bool   // there are none
	never   bool   // malformed: it matches nothing
	parts   []part
}

type partKind uint8

const (
	oneByte  partKind = iota // a literal byte
	anyByte                  // ?
	oneOf                    // […]
	star                     // *: any bytes, without slashes
	anything                 // **: any bytes
	folders                  // **/: nothing, or any bytes and a slash
)

type part struct {
	kind partKind
	byte byte
	set  *[4]uint64 // oneOf
}

// compileGlob compiles a pattern. In a path slashes are matched by slashes and ** only.
func compileGlob(text string, path bool) glob {
	if !strings.ContainsAny(text, `*?[\`) {
		return glob{literal: text, plain: true}
	}
	c := globCompiler{text: text, path: path}
	// Git compares what comes before the first wildcard by itself and starts the rest anew, so that two stars there count
	// as if they began the pattern.
	c.start = strings.IndexAny(text, `*?[\`)
	for c.at < len(text) && !c.bad {
		c.next()
	}
	return glob{parts: c.parts, never: c.bad}
}

type globCompiler struct {
	text  string
	path  bool
	start int // where the wildcards begin
	at    int
	parts []part
	bad   bool
}

func (c *globCompiler) next() {
	switch b := c.text[c.at]; b {
	case '\\':
		if c.at+1 == len(c.text) {
			c.bad = true // a lone backslash at the end matches nothing
			return
		}
		c.parts = append(c.parts, part{kind: oneByte, byte: c.text[c.at+1]})
		c.at += 2
	case '?':
		c.parts = append(c.parts, part{kind: anyByte})
		c.at++
	case '[':
		c.class()
	case '*':
		c.stars()
	default:
		c.parts = append(c.parts, part{kind: oneByte, byte: b})
		c.at++
	}
}

// stars reads one star or more. Two or more between slashes, or at an end, stand for folders.
func (c *globCompiler) stars() {
	from := c.at
	for c.at < len(c.text) && c.text[c.at] == '*' {
		c.at++
	}
	rest := c.text[c.at:]
	switch {
	case !c.path || c.at-from < 2:
		c.parts = append(c.parts, part{kind: star})
	case from > c.start && c.text[from-1] != '/':
		c.parts = append(c.parts, part{kind: star})
	case rest == "":
		c.parts = append(c.parts, part{kind: anything})
	case rest[0] == '/':
		c.at++
		c.parts = append(c.parts, part{kind: folders})
	case strings.HasPrefix(rest, `\/`):
		c.parts = append(c.parts, part{kind: anything})
	default:
		c.parts = append(c.parts, part{kind: star})
	}
}

// class reads a set of bytes in brackets.
func (c *globCompiler) class() {
	set := new([4]uint64)
	at := c.at + 1
	negated := at < len(c.text) && (c.text[at] == '!' || c.text[at] == '^')
	if negated {
		at++
	}
	low := -1 // of a range that may follow
	for first := true; ; first = false {
		if at >= len(c.text) {
			c.bad = true
			return
		}
		b := c.text[at]
		switch {
		case b == ']' && !first:
			c.at = at + 1
			c.addClass(set, negated)
			return
		case b == '-' && low >= 0 && at+1 < len(c.text) && c.text[at+1] != ']':
			at++
			if c.text[at] == '\\' {
				if at++; at >= len(c.text) {
					c.bad = true
					return
				}
			}
			for v := low; v <= int(c.text[at]); v++ {
				set[v/64] |= 1 << (v % 64)
			}
			at++
			low = -1
			continue
		case b == '[' && at+1 < len(c.text) && c.text[at+1] == ':':
			n, ok := namedClass(c.text[at:], set)
			if !ok {
				c.bad = true
				return
			}
			if n > 0 {
				at += n
				low = -1
				continue
			}
		case b == '\\':
			if at++; at >= len(c.text) {
				c.bad = true
				return
			}
			b = c.text[at]
		}
		set[b/64] |= 1 << (b % 64)
		low = int(b)
		at++
	}
}

func (c *globCompiler) addClass(set *[4]uint64, negated bool) {
	if negated {
		for i := range set {
			set[i] = ^set[i]
		}
	}
	if c.path {
		set['/'/64] &^= 1 << ('/' % 64)
	}
	c.parts = append(c.parts, part{kind: oneOf, set: set})
}

// namedClass reads a class such as [:digit:] at the start of text and returns its length; 0 if that is no such class but
// bytes as they stand. ok is false if there is no class of that name.
func namedClass(text string, set *[4]uint64) (n int, ok bool) {
	end := strings.IndexByte(text[2:], ']')
	if end < 0 {
		return 0, false
	}
	if end < 1 || text[2+end-1] != ':' {
		return 0, true
	}
	is, ok := classes[text[2:2+end-1]]
	if !ok {
		return 0, false
	}
	for b := range 128 {
		if is(byte(b)) {
			set[b/64] |= 1 << (b % 64)
		}
	}
	return 2 + end + 1, true
}

func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }
func isLower(b byte) bool { return b >= 'a' && b <= 'z' }
func isAlpha(b byte) bool { return isUpper(b) || isLower(b) }
func isDigit(b byte) bool { return b >= '0' && b <= '9' }
func isGraph(b byte) bool { return b > ' ' && b < 0x7f }

var classes = map[string]func(byte) bool{
	"alnum": func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha": isAlpha,
	"blank": func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl": func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit": isDigit,
	"graph": isGraph,
	"lower": isLower,
	"print": func(b byte) bool { return b == ' ' || isGraph(b) },
	"punct": func(b byte) bool { return isGraph(b) && !isAlpha(b) && !isDigit(b) },
	"space": func(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' },
	"upper": isUpper,
	"xdigit": func(b byte) bool {
		return isDigit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
	},
}

// match reports whether the glob matches all of text.
func (g *glob) match(text string) bool {
	switch {
	case g.never:
		return false
	case g.plain:
		return g.literal == text
	}
	// now[i] says that the parts from i on may match the rest of the text.
	var room [2][maxOnStack]bool
	now, next := room[0][:], room[1][:]
	if len(g.parts) >= maxOnStack {
		now, next = make([]bool, len(g.parts)+1), make([]bool, len(g.parts)+1)
	}
	g.enter(now, 0)
	for i := range len(text) {
		if !g.step(now, next, text[i]) {
			return false
		}
		now, next = next, now
	}
	return now[len(g.parts)]
}

// maxOnStack is how many positions need no memory of their own.
const maxOnStack = 64

// enter makes position i one of those that are alive, with those that can be reached from it without a byte.
func (g *glob) enter(alive []bool, i int) {
	for ; ; i++ {
		alive[i] = true
		if i == len(g.parts) {
			return
		}
		if k := g.parts[i].kind; k != star && k != anything && k != folders {
			return
		}
	}
}

// step reads one byte and reports whether anything is still alive. next is overwritten.
func (g *glob) step(now, next []bool, b byte) bool {
	clear(next[:len(g.parts)+1])
	alive := false
	for i := range g.parts {
		if !now[i] {
			continue
		}
		switch p := &g.parts[i]; p.kind {
		case oneByte:
			if p.byte != b {
				continue
			}
			g.enter(next, i+1)
		case anyByte:
			if b == '/' {
				continue
			}
			g.enter(next, i+1)
		case oneOf:
			if p.set[b/64]>>(b%64)&1 == 0 {
				continue
			}
			g.enter(next, i+1)
		case star:
			if b == '/' {
				continue
			}
			g.enter(next, i)
		case anything:
			g.enter(next, i)
		case folders:
			// Inside of the folders nothing else may begin before a slash.
			next[i] = true
			if b == '/' {
				g.enter(next, i+1)
			}
		}
		alive = true
	}
	return alive
}
