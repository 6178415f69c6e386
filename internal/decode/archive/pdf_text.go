package archive

import (
	"bytes"
	"fmt"
	"math"
)

// Limits of content.
const (
	maxPDFState  = 64   // saved states
	maxPDFForms  = 8    // forms in one another
	maxPDFOperas = 1000 // operands of an operator that are kept

	pdfContentCost = 3 // bytes that a byte of content counts in addition, for it takes longer to show than others to look at
)

// How far apart two pieces of text are that are parted by a blank, or stand on lines of their own, in sizes of their font.
const (
	blankGap = 0.18
	lineGap  = 0.4
	backGap  = 0.5
)

// matrix maps a place to another: x*a+y*c+e, x*b+y*d+f.
type matrix struct{ a, b, c, d, e, f float64 }

var identity = matrix{a: 1, d: 1}

// times returns the matrix that does m and then n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m.a*n.a + m.b*n.c, m.a*n.b + m.b*n.d,
		m.c*n.a + m.d*n.c, m.c*n.b + m.d*n.d,
		m.e*n.a + m.f*n.c + n.e, m.e*n.b + m.f*n.d + n.f,
	}
}

// pdfState is what operators of content change.
type pdfState struct {
	ctm                              matrix
	font                             *pdfFont
	size, char, word, scale, leading float64
	rise                             float64
}

// pdfText puts together the text that content shows. Where pieces of it stand on the page says whether they are one word, two
// words or two lines.
type pdfText struct {
	p     *pdf
	a     *assembly
	path  string
	state pdfState
	saved []pdfState
	text  matrix // where the next character stands
	line  matrix // where its line began
	forms int
	fonts map[pdfName]*pdfFont // of the content at hand

	any    bool    // something was shown
	x, y   float64 // where that ended
	buf    []byte
	within struct{ from, size int } // the stream at hand in the file
	stored bool                     // it stands there as it is
}

func newPDFText(p *pdf, path string) *pdfText {
	t := &pdfText{p: p, path: path, a: p.w.assemble(Member{Path: path, End: len(p.data)})}
	t.state = pdfState{ctm: identity, font: plainFont, scale: 1, size: 1}
	t.text, t.line = identity, identity
	return t
}

// end emits the text.
func (t *pdfText) end() error {
	if err := t.a.end(); err != nil {
		return err
	}
	return t.p.err
}

// page shows the content of a page.
func (t *pdfText) page(d pdfDict) {
	resources := t.p.dict(d["Resources"])
	for up, n := d, 0; resources == nil && n < maxPDFDepth; n++ {
		if up = t.p.dict(up["Parent"]); up == nil {
			break
		}
		resources = t.p.dict(up["Resources"])
	}
	for _, v := range t.contents(d["Contents"]) {
		if ref, ok := v.(pdfRef); ok {
			t.stream(ref, resources)
		}
	}
}

// contents returns the streams of a page, which may be one, a list, or an object that is a list.
func (t *pdfText) contents(v any) pdfArray {
	if ref, ok := v.(pdfRef); ok {
		if o, there := t.p.object(ref); there && o.from > 0 {
			return pdfArray{v}
		}
	}
	return t.p.list(v)
}

// stream shows the content of the stream that ref refers to.
func (t *pdfText) stream(ref pdfRef, resources pdfDict) {
	o, ok := t.p.object(ref)
	if !ok || o.from == 0 || t.p.err != nil {
		return
	}
	d, _ := t.p.value(o).(pdfDict)
	t.content(o, d, resources)
}

// content shows the content that is the stream of o.
func (t *pdfText) content(o pdfObject, d, resources pdfDict) {
	t.p.used[o.from] = true
	text, err := t.p.read(o, d)
	if err != nil {
		t.p.tell(fmt.Sprintf("%s: object %d", t.path, o.number), err)
	}
	if err := t.p.w.budget.take(pdfContentCost * len(text)); err != nil {
		t.p.err = err
		return
	}
	within, stored := t.within, t.stored
	t.within.from, t.within.size, t.stored = o.from, o.to-o.from, len(t.p.list(d["Filter"])) == 0
	t.run(text, resources)
	t.within, t.stored = within, stored
}

// run carries out the operators of content.
func (t *pdfText) run(content []byte, resources pdfDict) {
	fonts := t.fonts
	t.fonts = map[pdfName]*pdfFont{}
	defer func() { t.fonts = fonts }()
	l := pdfLexer{b: content}
	var args []any
	for t.a.err == nil && t.p.err == nil {
		v, ok := l.value()
		if !ok {
			return
		}
		op, isOp := v.(pdfKeyword)
		if !isOp {
			if len(args) < maxPDFOperas {
				args = append(args, v)
			}
			continue
		}
		if op == "ID" {
			skipPDFImage(&l)
		}
		t.operate(op, args, resources)
		args = args[:0]
	}
}

// skipPDFImage passes over the bytes of a picture that stands in content.
func skipPDFImage(l *pdfLexer) {
	for {
		n := bytes.Index(l.b[l.at:], []byte("EI"))
		if n < 0 {
			l.at = len(l.b)
			return
		}
		at := l.at + n
		l.at = at + 2
		if at > 0 && isPDFSpace(l.b[at-1]) && (l.at == len(l.b) || isPDFSpace(l.b[l.at])) {
			return
		}
	}
}

// operand returns the nth operand from the end, from 1.
func operand(args []any, n int) float64 {
	if n > len(args) {
		return 0
	}
	v, _ := args[len(args)-n].(float64)
	return v
}

// operate carries out one operator.
func (t *pdfText) operate(op pdfKeyword, args []any, resources pdfDict) {
	s := &t.state
	switch op {
	case "q":
		if len(t.saved) < maxPDFState {
			t.saved = append(t.saved, *s)
		}
	case "Q":
		if n := len(t.saved); n > 0 {
			*s, t.saved = t.saved[n-1], t.saved[:n-1]
		}
	case "cm":
		s.ctm = matrixOf(args).times(s.ctm)
	case "BT":
		t.text, t.line = identity, identity
	case "Tf":
		if len(args) >= 2 {
			if name, ok := args[len(args)-2].(pdfName); ok {
				s.font = t.font(resources, name)
			}
			s.size = operand(args, 1)
		}
	case "Tc":
		s.char = operand(args, 1)
	case "Tw":
		s.word = operand(args, 1)
	case "Tz":
		s.scale = operand(args, 1) / 100
	case "TL":
		s.leading = operand(args, 1)
	case "Ts":
		s.rise = operand(args, 1)
	case "Td":
		t.move(operand(args, 2), operand(args, 1))
	case "TD":
		s.leading = -operand(args, 1)
		t.move(operand(args, 2), operand(args, 1))
	case "T*":
		t.move(0, -s.leading)
	case "Tm":
		t.line = matrixOf(args)
		t.text = t.line
	case "Tj":
		t.show(args)
	case "'":
		t.move(0, -s.leading)
		t.show(args)
	case "\"":
		s.word, s.char = operand(args, 3), operand(args, 2)
		t.move(0, -s.leading)
		t.show(args)
	case "TJ":
		if len(args) > 0 {
			list, _ := args[len(args)-1].(pdfArray)
			t.show(list)
		}
	case "Do":
		t.form(args, resources)
	}
}

// font returns the font that the content at hand calls name.
func (t *pdfText) font(resources pdfDict, name pdfName) *pdfFont {
	f, known := t.fonts[name]
	if !known {
		f = t.p.font(resources, name)
		t.fonts[name] = f
	}
	return f
}

func matrixOf(args []any) matrix {
	return matrix{operand(args, 6), operand(args, 5), operand(args, 4), operand(args, 3), operand(args, 2), operand(args, 1)}
}

// move begins a new line, so far from where the last one began.
func (t *pdfText) move(x, y float64) {
	t.line = matrix{1, 0, 0, 1, x, y}.times(t.line)
	t.text = t.line
}

// show shows strings; numbers between them move what follows back.
func (t *pdfText) show(list []any) {
	s := &t.state
	for _, v := range list {
		switch v := v.(type) {
		case float64:
			t.advance(-v / 1000 * s.size * s.scale)
		case pdfString:
			t.string(v)
		}
	}
}

func (t *pdfText) advance(x float64) { t.text = matrix{1, 0, 0, 1, x, 0}.times(t.text) }

// string shows one string.
func (t *pdfText) string(v pdfString) {
	s := &t.state
	f := s.font
	if !f.named {
		t.p.unnamed = true
		return
	}
	t.part()
	step := 1
	if f.wide {
		step = 2
	}
	t.buf = t.buf[:0]
	width := 0.0
	for i := 0; i+step <= len(v.text); i += step {
		code := codeOf(v.text[i : i+step])
		t.buf = f.append(t.buf, code)
		w := f.width(code)/1000*s.size + s.char
		if step == 1 && code == ' ' {
			w += s.word
		}
		width += w * s.scale
	}
	t.advance(width)
	at := t.text.times(s.ctm)
	t.x, t.y, t.any = at.e, at.f, true
	from, size, unit := t.within.from, t.within.size, 0
	if t.stored {
		from, size = from+v.start, v.end-v.start
		if v.plain && len(t.buf) == size-2 {
			from, size, unit = from+1, size-2, 1
		}
	}
	t.a.put(t.buf, from, size, unit)
}

// part parts what is to be shown from what was shown before it.
func (t *pdfText) part() {
	if !t.any {
		return
	}
	at := matrix{t.state.size * t.state.scale, 0, 0, t.state.size, 0, 0}.times(t.text).times(t.state.ctm)
	em := math.Hypot(at.a, at.b)
	if em == 0 || math.IsNaN(em) || math.IsInf(em, 0) {
		return
	}
	dx, dy := at.e-t.x, at.f-t.y
	along, across := (dx*at.a+dy*at.b)/em, (dy*at.a-dx*at.b)/em
	switch {
	case math.Abs(across) > lineGap*em || along < -backGap*em:
		t.a.add("\n")
	case along > blankGap*em:
		t.a.add(" ")
	}
}

// form shows a form, which is content that is used like a picture.
func (t *pdfText) form(args []any, resources pdfDict) {
	if len(args) == 0 || t.forms >= maxPDFForms {
		return
	}
	name, _ := args[len(args)-1].(pdfName)
	ref, ok := t.p.dict(resources["XObject"])[name].(pdfRef)
	o, there := t.p.object(ref)
	if !ok || !there || o.from == 0 {
		return
	}
	d, _ := t.p.value(o).(pdfDict)
	if d["Subtype"] != pdfName("Form") {
		return
	}
	if own := t.p.dict(d["Resources"]); own != nil {
		resources = own
	}
	state, saved, text, line := t.state, t.saved, t.text, t.line
	if m, ok := t.p.resolve(d["Matrix"]).(pdfArray); ok && len(m) == 6 {
		t.state.ctm = matrixOf(m).times(t.state.ctm)
	}
	t.forms++
	t.saved = nil
	t.content(o, d, resources)
	t.forms--
	t.state, t.saved, t.text, t.line = state, saved, text, line
}
