package inflate

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
)

// Slack is how many bytes of capacity beyond the expanded size let Decoder use its fast loop to the end. It works with
// less.
const Slack = 320

// The reasons not to expand a stream.
var (
	// ErrUnusual is about a stream that is damaged, or is of a form that this decoder leaves to a general one.
	ErrUnusual = errors.New("zlib stream is damaged or unusual")
	// ErrInput says that the stream is cut short, or else damaged.
	ErrInput = errors.New("zlib stream ends too early")
	// ErrSize says that the stream expands to another size than it was said to.
	ErrSize = errors.New("zlib stream expands to another size")
)

// Decoder expands streams for one goroutine. The zero Decoder is ready.
type Decoder struct {
	litlen  [litlenRoom]entry
	dist    [distRoom]entry
	precode [precodeRoom]entry
	lens    [litlenSyms + distSyms + maxCodeLen]uint8 // and what a run at the end may write beyond
}

// Zlib expands the stream at the start of src to exactly len(dst) bytes and returns how many bytes of src it took, its
// checksum included, which is not compared. Up to Slack bytes of dst's capacity beyond its length may be overwritten.
// The error is one of ErrUnusual, ErrInput and ErrSize; dst then holds rubbish.
func (d *Decoder) Zlib(dst, src []byte) (taken int, err error) {
	if len(src) < 2 {
		return 0, ErrInput
	}
	head := uint(src[0])<<8 | uint(src[1])
	if src[0]&15 != 8 || src[0]>>4 > 7 || head%31 != 0 || src[1]&0x20 != 0 {
		return 0, ErrUnusual
	}
	n, err := d.deflate(dst, src[2:])
	if err != nil {
		return 0, err
	}
	if len(src) < 2+n+4 {
		return 0, ErrInput
	}
	return 2 + n + 4, nil
}

// Adler32 reports whether data has the checksum that ends the stream src[:taken].
func Adler32(data, src []byte, taken int) bool {
	return adler32.Checksum(data) == binary.BigEndian.Uint32(src[taken-4:taken])
}

// state is where a stream has got to.
type state struct {
	src  []byte
	in   int    // next byte of src to go into bits
	bits uint64 // taken from src, lowest first
	n    uint   // how many of them count; there may be more above that are right as well
	out  int    // bytes written
}

// refill takes whole bytes until there are at least 56 bits, or src ends.
func (s *state) refill() {
	if s.in+8 <= len(s.src) {
		s.bits |= binary.LittleEndian.Uint64(s.src[s.in:]) << (s.n & 63)
		s.in += int((63 - s.n) >> 3)
		s.n |= 56
		return
	}
	s.bits &= 1<<s.n - 1
	for s.n <= 56 && s.in < len(s.src) {
		s.bits |= uint64(s.src[s.in]) << s.n
		s.in++
		s.n += 8
	}
}

// take removes k bits and returns them, or reports that there are not so many.
func (s *state) take(k uint) (v uint, ok bool) {
	v = uint(s.bits) & (1<<k - 1)
	ok = s.n >= k
	s.bits >>= k
	s.n -= k
	return v, ok
}

// deflate expands the blocks at the start of src and returns how many bytes they took.
func (d *Decoder) deflate(dst, src []byte) (int, error) {
	s := state{src: src}
	for last := false; !last; {
		s.refill()
		head, ok := s.take(3)
		if !ok {
			return 0, ErrInput
		}
		last = head&1 != 0
		var err error
		switch head >> 1 {
		case 0:
			err = s.stored(dst)
		case 1:
			err = s.block(dst, fixedLitlen[:], fixedDist[:], 9, 5)
		case 2:
			var litlenBits, distBits int
			if litlenBits, distBits, err = d.codes(&s); err == nil {
				err = s.block(dst, d.litlen[:], d.dist[:], litlenBits, distBits)
			}
		default:
			err = ErrUnusual
		}
		if err != nil {
			return 0, err
		}
	}
	if s.out != len(dst) {
		return 0, ErrSize
	}
	return s.in - int(s.n>>3), nil // whole bytes that were taken too many go back
}

// stored copies a block that is not compressed.
func (s *state) stored(dst []byte) error {
	s.in -= int(s.n >> 3)
	s.bits, s.n = 0, 0
	if len(s.src)-s.in < 4 {
		return ErrInput
	}
	size := int(binary.LittleEndian.Uint16(s.src[s.in:]))
	if binary.LittleEndian.Uint16(s.src[s.in+2:]) != ^uint16(size) {
		return ErrUnusual
	}
	s.in += 4
	switch {
	case len(s.src)-s.in < size:
		return ErrInput
	case len(dst)-s.out < size:
		return ErrSize
	}
	copy(dst[s.out:], s.src[s.in:s.in+size])
	s.in, s.out = s.in+size, s.out+size
	return nil
}

// precodeOrder is the order in which the lengths of the precode are written.
var precodeOrder = [precodeSyms]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codes reads the description of a block's codes and builds their tables.
func (d *Decoder) codes(s *state) (litlenIndex, distIndex int, err error) {
	counts, ok := s.take(14)
	if !ok {
		return 0, 0, ErrInput
	}
	litlens, dists, precodes := int(counts&31)+257, int(counts>>5&31)+1, int(counts>>10)+4
	if litlens > 286 || dists > 30 {
		return 0, 0, ErrUnusual
	}
	clear(d.lens[:precodeSyms])
	for i := range precodes {
		if s.n < 3 {
			if s.refill(); s.n < 3 {
				return 0, 0, ErrInput
			}
		}
		v, _ := s.take(3)
		d.lens[precodeOrder[i]] = uint8(v)
	}
	index, ok := build(d.precode[:], d.lens[:precodeSyms], precodeEntries[:], precodeBits)
	if !ok {
		return 0, 0, ErrUnusual
	}
	if err := d.readLens(s, litlens+dists, index); err != nil {
		return 0, 0, err
	}
	if d.lens[256] == 0 {
		return 0, 0, ErrUnusual // such a block can't end
	}
	distIndex, ok = build(d.dist[:], d.lens[litlens:litlens+dists], distEntries[:], distBits)
	if ok {
		litlenIndex, ok = build(d.litlen[:], d.lens[:litlens], litlenEntries[:], litlenBits)
	}
	if !ok {
		return 0, 0, ErrUnusual
	}
	return litlenIndex, distIndex, nil
}

// readLens reads the n lengths of codewords that follow, in the precode.
func (d *Decoder) readLens(s *state, n, index int) error {
	mask := uint64(1)<<index - 1
	for i := 0; i < n; {
		if s.n < precodeBits+7 {
			s.refill()
		}
		e := d.precode[s.bits&mask&(precodeRoom-1)]
		if e&flagSpecial != 0 {
			return ErrUnusual
		}
		if _, ok := s.take(uint(e & 15)); !ok {
			return ErrInput
		}
		sym := uint8(e >> 16)
		if sym < 16 {
			d.lens[i] = sym
			i++
			continue
		}
		var value uint8
		var base, extra uint
		switch sym {
		case 16:
			if i == 0 {
				return ErrUnusual
			}
			value, base, extra = d.lens[i-1], 3, 2
		case 17:
			base, extra = 3, 3
		default:
			base, extra = 11, 7
		}
		more, ok := s.take(extra)
		if !ok {
			return ErrInput
		}
		run := int(base + more)
		if i+run > n {
			return ErrUnusual
		}
		for end := i + run; i < end; i++ {
			d.lens[i] = value
		}
	}
	return nil
}

// The most that one round of the fast loop may take of src and write to dst: two refills, and three bytes and a match
// that is copied in steps of 32 bytes.
const (
	fastIn  = 16
	fastOut = 3 + 258 + 32
)

// block expands the symbols of a block up to its end.
func (s *state) block(dst []byte, litlen, dist []entry, litlenIndex, distIndex int) error {
	done, err := s.fast(dst[:cap(dst)], len(dst), litlen, dist, litlenIndex, distIndex)
	if done || err != nil {
		return err
	}
	return s.careful(dst, litlen, dist, litlenIndex, distIndex)
}

// fast expands symbols as long as neither end is near. done says that the block's end was met. dst may be longer than
// the size that must not be exceeded in the end.
func (s *state) fast(dst []byte, size int, litlen, dist []entry, litlenIndex, distIndex int) (done bool, err error) {
	src, in, bits, n, out := s.src, s.in, s.bits, s.n, s.out
	lastIn, lastOut := len(src)-fastIn, min(len(dst)-fastOut, size)
	litlenMask, distMask := uint64(1)<<litlenIndex-1, uint64(1)<<distIndex-1
loop:
	for in <= lastIn && out < lastOut {
		bits |= binary.LittleEndian.Uint64(src[in:]) << (n & 63)
		in += int((63 - n) >> 3)
		n |= 56
		e := litlen[bits&litlenMask]
		// Two bytes of at most 15 bits each leave 26 bits, enough for the codeword of a third symbol.
		if e&flagLiteral != 0 {
			bits >>= e & 63
			n -= uint(e & 63)
			dst[out] = byte(e >> 16)
			out++
			if e = litlen[bits&litlenMask]; e&flagLiteral != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				dst[out] = byte(e >> 16)
				out++
				if e = litlen[bits&litlenMask]; e&flagLiteral != 0 {
					bits >>= e & 63
					n -= uint(e & 63)
					dst[out] = byte(e >> 16)
					out++
					continue
				}
			}
		}
		if e&flagSpecial != 0 {
			if e&flagSubtable != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				e = litlen[uint64(e>>16&0x3fff)+bits&(1<<(e>>8&15)-1)]
				if e&flagLiteral != 0 {
					bits >>= e & 63
					n -= uint(e & 63)
					dst[out] = byte(e >> 16)
					out++
					continue
				}
			}
			if e&flagSpecial != 0 {
				if done = e&flagEnd != 0; !done {
					err = ErrUnusual
				}
				bits >>= e & 63
				n -= uint(e & 63)
				break loop
			}
		}
		saved := bits
		bits >>= e & 63
		n -= uint(e & 63)
		length := int(e>>16) + int((saved&(1<<(e&63)-1))>>(e>>8&15))
		// A distance takes up to 28 bits.
		bits |= binary.LittleEndian.Uint64(src[in:]) << (n & 63)
		in += int((63 - n) >> 3)
		n |= 56
		e = dist[bits&distMask]
		if e&flagSpecial != 0 {
			if e&flagSubtable == 0 {
				err = ErrUnusual
				break loop
			}
			bits >>= e & 63
			n -= uint(e & 63)
			if e = dist[uint64(e>>16&0x3fff)+bits&(1<<(e>>8&15)-1)]; e&flagSpecial != 0 {
				err = ErrUnusual
				break loop
			}
		}
		saved = bits
		bits >>= e & 63
		n -= uint(e & 63)
		back := int(e>>16) + int((saved&(1<<(e&63)-1))>>(e>>8&15))
		from := out - back
		if from < 0 {
			err = ErrUnusual
			break loop
		}
		if back >= 16 {
			// In steps of 16 bytes, beyond the end of the match if need be.
			to, end := dst[out:out+fastOut-3], out+length
			for p := 0; ; p += 16 {
				a := binary.LittleEndian.Uint64(dst[from+p:])
				b := binary.LittleEndian.Uint64(dst[from+p+8:])
				binary.LittleEndian.PutUint64(to[p:], a)
				binary.LittleEndian.PutUint64(to[p+8:], b)
				if p+16 >= length {
					break
				}
			}
			out = end
			continue
		}
		end := out + length
		if back == 1 {
			c := dst[from]
			for p := range dst[out:end] {
				dst[out+p] = c
			}
		} else {
			for ; out < end; out++ {
				dst[out] = dst[out-back]
			}
		}
		out = end
	}
	if err == nil && out > size {
		err = ErrSize
	}
	s.in, s.bits, s.n, s.out = in, bits, n, out
	return done, err
}

// careful expands symbols one by one and checks everything.
func (s *state) careful(dst []byte, litlen, dist []entry, litlenIndex, distIndex int) error {
	for {
		s.refill()
		e, err := s.symbol(litlen, litlenIndex)
		switch {
		case err != nil:
			return err
		case e&flagLiteral != 0:
			if s.out >= len(dst) {
				return ErrSize
			}
			dst[s.out] = byte(e >> 16)
			s.out++
			continue
		case e&flagEnd != 0:
			return nil
		}
		extra := uint(e&63) - uint(e>>8&15)
		more, ok := s.take(extra)
		if !ok {
			return ErrInput
		}
		length := int(e>>16) + int(more)
		s.refill()
		if e, err = s.symbol(dist, distIndex); err != nil {
			return err
		}
		if more, ok = s.take(uint(e&63) - uint(e>>8&15)); !ok {
			return ErrInput
		}
		back := int(e>>16) + int(more)
		switch {
		case back > s.out:
			return ErrUnusual
		case length > len(dst)-s.out:
			return ErrSize
		}
		for range length {
			dst[s.out] = dst[s.out-back]
			s.out++
		}
	}
}

// symbol takes the next codeword and returns its entry; the extra bits are still to be taken.
func (s *state) symbol(table []entry, index int) (entry, error) {
	e := table[s.bits&(1<<index-1)]
	if e&flagSubtable != 0 && e&flagSpecial != 0 && e&flagLiteral == 0 {
		if _, ok := s.take(uint(e & 63)); !ok {
			return 0, ErrInput
		}
		e = table[uint64(e>>16&0x3fff)+s.bits&(1<<(e>>8&15)-1)]
	}
	if _, ok := s.take(uint(e >> 8 & 15)); !ok {
		return 0, ErrInput
	}
	if e&flagSpecial != 0 && e&flagEnd == 0 {
		return 0, ErrUnusual
	}
	return e, nil
}
