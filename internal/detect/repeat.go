package detect

import "bytes"

// repeats knows where in a text what stands is the same as what stood so many bytes before. Where a literal stands again and
// all that its verdict may depend on is the same, so is the verdict: text that goes on and on costs a verdict only once.
// The verdicts are the same as without it.
type repeats struct {
	seen []sighting // of each literal
	text uint32     // number of the text at hand
	runs [4]run
	turn int // of the runs, which one is given up next
}

// sighting is where a literal stood last, and what was made of it.
type sighting struct {
	text    uint32 // number of the text
	pos     int32
	work    uint16
	verdict *verdict
}

// run is a range of bytes each of which is the same as that so many bytes before.
type run struct{ distance, from, to int }

// begin starts with another text.
func (r *repeats) begin(literals int) {
	if r.text++; r.text == 0 || r.seen == nil { // all numbers were used
		r.seen = make([]sighting, literals)
		r.text = 1
	}
	r.runs = [4]run{}
}

// recall returns what was made of the literal l the last time it stood in text, if it now must be the same.
func (r *repeats) recall(text []byte, h hit, l *literal) (*sighting, bool) {
	s := &r.seen[h.lit]
	if s.text != r.text || int(s.pos) <= l.before || h.pos+l.after >= len(text) {
		return nil, false
	}
	return s, r.same(text, h.pos-int(s.pos), h.pos-l.before, h.pos+l.after)
}

// near reports whether the literal stood a little before, too.
func (r *repeats) near(h hit) bool {
	s := &r.seen[h.lit]
	return s.text == r.text && h.pos-int(s.pos) < nearRepeat
}

const nearRepeat = 4 << 10

// note remembers what was made of a literal.
func (r *repeats) note(h hit, v *verdict, work uint16) {
	r.seen[h.lit] = sighting{r.text, int32(h.pos), work, v}
}

// same reports whether text[from:to] is what stands distance bytes before it. Of a run that goes on each byte is compared
// only once.
func (r *repeats) same(text []byte, distance, from, to int) bool {
	for i := range r.runs {
		if run := &r.runs[i]; run.distance == distance && run.from <= from && from <= run.to {
			return run.reach(text, to)
		}
	}
	if !bytes.Equal(text[from:to], text[from-distance:to-distance]) {
		return false
	}
	r.runs[r.turn] = run{distance, from, to}
	r.turn = (r.turn + 1) % len(r.runs)
	return true
}

// reach makes the run go on up to to, if it does.
func (r *run) reach(text []byte, to int) bool {
	if to <= r.to {
		return true
	}
	if !bytes.Equal(text[r.to:to], text[r.to-r.distance:to-r.distance]) {
		return false
	}
	r.to = to
	return true
}
