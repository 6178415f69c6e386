package pack

import (
	"errors"

	"magpie"
)

// The ways in which a delta can be wrong.
var (
	errDeltaHeader = errors.New("delta has no readable sizes")
	errDeltaBase   = errors.New("delta is for a base of another size")
	errDeltaOp     = errors.New("delta instruction is cut short or reserved")
	errDeltaCopy   = errors.New("delta copies from outside its base")
	errDeltaSize   = errors.New("delta gives a result of another size than it says")
)

// deltaSizes reads the sizes at the start of a delta and returns the instructions after them.
func deltaSizes(delta []byte) (base, result int64, ops []byte, err error) {
	base, ops, ok := varint(delta)
	if !ok {
		return 0, 0, nil, errDeltaHeader
	}
	result, ops, ok = varint(ops)
	if !ok {
		return 0, 0, nil, errDeltaHeader
	}
	return base, result, ops, nil
}

// varint reads a number of 7 bits a byte, low bits first.
func varint(b []byte) (n int64, rest []byte, ok bool) {
	for i, c := range b {
		if i > 8 {
			return 0, nil, false
		}
		n |= int64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

// checkDelta goes through the instructions without carrying them out and fails unless every one is whole, copies from
// within a base of baseSize bytes, and together they give resultSize bytes. Only then is it safe to reserve memory for
// the result, which a few bytes of delta can make huge.
func checkDelta(ops []byte, baseSize, resultSize int64) error {
	var total int64
	for len(ops) > 0 {
		if ops[0]&0x80 == 0 {
			n := int(ops[0])
			if n == 0 || len(ops) < 1+n {
				return errDeltaOp
			}
			total += int64(n)
			ops = ops[1+n:]
			continue
		}
		off, size, n := copyOp(ops)
		if n == 0 {
			return errDeltaOp
		}
		if off+size > baseSize {
			return errDeltaCopy
		}
		total += size
		ops = ops[n:]
	}
	if total != resultSize {
		return errDeltaSize
	}
	return nil
}

// copyOp reads the copy instruction at the start of ops and returns its length, or 0 if it is cut short.
func copyOp(ops []byte) (off, size int64, n int) {
	op := ops[0]
	n = 1
	for i := range 4 {
		if op&(1<<i) != 0 {
			if n >= len(ops) {
				return 0, 0, 0
			}
			off |= int64(ops[n]) << (8 * i)
			n++
		}
	}
	for i := range 3 {
		if op&(0x10<<i) != 0 {
			if n >= len(ops) {
				return 0, 0, 0
			}
			size |= int64(ops[n]) << (8 * i)
			n++
		}
	}
	if size == 0 {
		size = 0x10000
	}
	return off, size, n
}

// applyDelta carries out instructions that checkDelta has passed, appending to dst, which is empty. It appends to copies
// what was copied from base; copies that lie together in both are one.
func applyDelta(dst, base, ops []byte, copies []magpie.Copy) ([]byte, []magpie.Copy) {
	last := magpie.Copy{Len: -1}
	for len(ops) > 0 {
		if ops[0]&0x80 == 0 {
			n := 1 + int(ops[0])
			dst = append(dst, ops[1:n]...)
			ops = ops[n:]
			continue
		}
		off, size, n := copyOp(ops)
		ops = ops[n:]
		c := magpie.Copy{From: int(off), To: len(dst), Len: int(size)}
		dst = append(dst, base[off:off+size]...)
		switch {
		case last.Len >= 0 && last.From+last.Len == c.From && last.To+last.Len == c.To:
			last.Len += c.Len
		case last.Len >= 0:
			copies = append(copies, last)
			last = c
		default:
			last = c
		}
	}
	if last.Len >= 0 {
		copies = append(copies, last)
	}
	return dst, copies
}
