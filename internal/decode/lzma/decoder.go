package lzma

import (
	"errors"
	"io"
)

// The ways in which a stream can be wrong.
var (
	ErrFormat   = errors.New("it makes no sense as LZMA")
	ErrWindow   = errors.New("it copies from farther back than is kept")
	ErrChecksum = errors.New("it does not match its checksum")
)

// A symbol is decoded in one of these states, which tell what the last ones were.
const (
	states    = 12
	literals  = 7 // states below follow a literal
	posStates = 1 << 4
	minMatch  = 2
	lenSlots  = 4  // of lengths, which say how distances are coded
	endSlot   = 14 // distance slots from here on have bits of equal odds
	alignBits = 4
	evenOdds  = 1 << 10
	oddsBits  = 11
	oddsShift = 5
)

// odds is how likely a bit is zero, of 2048.
type odds = uint16

// properties are the parameters of the coding of literals and positions.
type properties struct{ lc, lp, pb uint }

// parseProperties reads the byte that holds them.
func parseProperties(b byte) (properties, error) {
	if b >= 9*5*5 {
		return properties{}, ErrFormat
	}
	return properties{lc: uint(b % 9), lp: uint(b / 9 % 5), pb: uint(b / 45)}, nil
}

// lengths decodes the length of a copy.
type lengths struct {
	choice, choice2 odds
	low, mid        [posStates][8]odds
	high            [256]odds
}

// decoder decodes the symbols of a stream.
type decoder struct {
	in  input
	win *window

	rng, code uint32
	failed    error // of the input

	props   properties
	literal []odds
	match   [states][posStates]odds
	rep     [states]odds
	rep0    [states]odds
	rep1    [states]odds
	rep2    [states]odds
	rep0l   [states][posStates]odds
	slot    [lenSlots][64]odds
	special [1 + 128 - endSlot]odds
	align   [1 << alignBits]odds
	matches lengths
	repeats lengths

	state int
	reps  [4]uint32
	left  uint32 // bytes of the last copy that had no room yet
}

// setProperties prepares for streams of the given properties.
func (d *decoder) setProperties(p properties) {
	d.props = p
	n := 0x300 << (p.lc + p.lp)
	if cap(d.literal) < n {
		d.literal = make([]odds, n) // 6 MiB at most
	}
	d.literal = d.literal[:n]
}

// reset forgets what was learnt of the stream.
func (d *decoder) reset() {
	even(d.literal)
	for i := range states {
		even(d.match[i][:])
		even(d.rep0l[i][:])
	}
	for _, all := range [][]odds{d.rep[:], d.rep0[:], d.rep1[:], d.rep2[:], d.special[:], d.align[:]} {
		even(all)
	}
	for i := range d.slot {
		even(d.slot[i][:])
	}
	d.matches.reset()
	d.repeats.reset()
	d.state, d.reps, d.left = 0, [4]uint32{}, 0
}

func (l *lengths) reset() {
	l.choice, l.choice2 = evenOdds, evenOdds
	for i := range l.low {
		even(l.low[i][:])
		even(l.mid[i][:])
	}
	even(l.high[:])
}

func even(all []odds) {
	for i := range all {
		all[i] = evenOdds
	}
}

// start reads the beginning of the range-coded symbols.
func (d *decoder) start() error {
	d.failed = nil
	if d.next() != 0 && d.failed == nil {
		return ErrFormat
	}
	d.rng, d.code = 1<<32-1, 0
	for range 4 {
		d.code = d.code<<8 | uint32(d.next())
	}
	return d.failed
}

// next returns the next byte of the input.
func (d *decoder) next() byte {
	if d.in.at == len(d.in.buf) {
		if err := d.in.more(); err != nil {
			if d.failed == nil {
				d.failed = unexpected(err)
			}
			return 0
		}
	}
	b := d.in.buf[d.in.at]
	d.in.at++
	return b
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bit decodes a bit and learns from it.
func (d *decoder) bit(p *odds) uint32 {
	if d.rng < 1<<24 {
		d.rng <<= 8
		d.code = d.code<<8 | uint32(d.next())
	}
	bound := d.rng >> oddsBits * uint32(*p)
	if d.code < bound {
		d.rng = bound
		*p += (1<<oddsBits - *p) >> oddsShift
		return 0
	}
	d.rng -= bound
	d.code -= bound
	*p -= *p >> oddsShift
	return 1
}

// direct decodes n bits of equal odds.
func (d *decoder) direct(n uint32) uint32 {
	var v uint32
	for range n {
		if d.rng < 1<<24 {
			d.rng <<= 8
			d.code = d.code<<8 | uint32(d.next())
		}
		d.rng >>= 1
		v <<= 1
		if d.code >= d.rng {
			d.code -= d.rng
			v |= 1
		}
	}
	return v
}

// tree decodes n bits, high ones first.
func (d *decoder) tree(p []odds, n uint) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | d.bit(&p[m])
	}
	return m - 1<<n
}

// reverse decodes n bits, low ones first.
func (d *decoder) reverse(p []odds, n uint32) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := d.bit(&p[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

// decode puts up to n bytes into the window and returns how many. Fewer come only with an error; io.EOF says that the stream
// ends here by its own mark.
func (d *decoder) decode(n int) (int, error) {
	done := 0
	for done < n {
		if d.left > 0 {
			got := min(int(d.left), n-done)
			d.win.copy(int(d.reps[0]), got)
			d.left -= uint32(got)
			done += got
			continue
		}
		if d.failed != nil {
			return done, d.failed
		}
		pos := uint(d.win.total) & (1<<d.props.pb - 1)
		if d.bit(&d.match[d.state][pos]) == 0 {
			d.putLiteral()
			done++
			continue
		}
		if err := d.copy(pos); err != nil {
			return done, err
		}
	}
	return done, nil
}

// putLiteral decodes a byte.
func (d *decoder) putLiteral() {
	w := d.win
	prev := uint(0)
	if w.total > 0 {
		prev = uint(w.back(0))
	}
	low := uint(w.total) & (1<<d.props.lp - 1)
	context := low<<d.props.lc + prev>>(8-d.props.lc)
	p := d.literal[0x300*context:][:0x300]
	m := uint32(1)
	if d.state >= literals {
		like := uint32(w.back(int(d.reps[0])))
		for m < 0x100 {
			want := like >> 7 & 1
			like <<= 1
			b := d.bit(&p[(1+want)<<8+m])
			m = m<<1 | b
			if b != want {
				break
			}
		}
	}
	for m < 0x100 {
		m = m<<1 | d.bit(&p[m])
	}
	w.put(byte(m))
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
}

// copy decodes a copy of what came before: how far back it is and how long.
func (d *decoder) copy(pos uint) error {
	if d.bit(&d.rep[d.state]) == 0 {
		d.reps[3], d.reps[2], d.reps[1] = d.reps[2], d.reps[1], d.reps[0]
		d.left = d.length(&d.matches, pos)
		d.state = after(d.state, 7)
		d.reps[0] = d.distance(d.left)
		if d.reps[0] == 1<<32-1 {
			d.left = 0
			if d.failed != nil {
				return d.failed
			}
			return io.EOF
		}
		return d.check()
	}
	if d.bit(&d.rep0[d.state]) == 0 {
		if d.bit(&d.rep0l[d.state][pos]) == 0 {
			d.state = after(d.state, 9)
			d.left = 1
			return d.check()
		}
	} else {
		d.repeat()
	}
	d.left = d.length(&d.repeats, pos)
	d.state = after(d.state, 8)
	return d.check()
}

// repeat makes one of the distances before the last one the last one.
func (d *decoder) repeat() {
	r := &d.reps
	switch {
	case d.bit(&d.rep1[d.state]) == 0:
		r[0], r[1] = r[1], r[0]
	case d.bit(&d.rep2[d.state]) == 0:
		r[0], r[1], r[2] = r[2], r[0], r[1]
	default:
		r[0], r[1], r[2], r[3] = r[3], r[0], r[1], r[2]
	}
}

// after returns the state after a copy: one of two, by what came before it.
func after(state, first int) int {
	if state < literals {
		return first
	}
	if first == 7 {
		return 10
	}
	return 11
}

// check fails unless the window has what is to be copied.
func (d *decoder) check() error {
	err := d.failed
	if back := int64(d.reps[0]); err == nil && back >= int64(d.win.kept()) {
		err = ErrFormat
		if back < d.win.total && back < int64(d.win.asked) {
			err = ErrWindow
		}
	}
	if err != nil {
		d.left = 0
	}
	return err
}

// length decodes the length of a copy.
func (d *decoder) length(l *lengths, pos uint) uint32 {
	if d.bit(&l.choice) == 0 {
		return minMatch + d.tree(l.low[pos][:], 3)
	}
	if d.bit(&l.choice2) == 0 {
		return minMatch + 8 + d.tree(l.mid[pos][:], 3)
	}
	return minMatch + 16 + d.tree(l.high[:], 8)
}

// distance decodes how far back a copy of the given length is, less one.
func (d *decoder) distance(length uint32) uint32 {
	slot := d.tree(d.slot[min(length-minMatch, lenSlots-1)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := slot>>1 - 1
	base := (2 | slot&1) << bits
	if slot < endSlot {
		return base + d.reverse(d.special[base-slot:], bits)
	}
	return base + d.direct(bits-alignBits)<<alignBits + d.reverse(d.align[:], alignBits)
}
