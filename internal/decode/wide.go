package decode

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of text in UTF-16 and UTF-32.
const (
	minWide  = 10       // characters of a run
	maxWide  = 1 << 20  // bytes of a run that is decoded at once; longer ones are decoded in parts, by lines
	backWide = 16 << 10 // bytes by which such a part may be shortened to end with a line
	maxAlien = 3        // characters in a row that are not of ASCII, in text without a mark
)

// form is a form of Unicode whose characters have two or four bytes.
type form struct {
	width  int
	little bool
	name   string
}

var forms = []form{{4, true, "utf-32"}, {4, false, "utf-32"}, {2, true, "utf-16"}, {2, false, "utf-16"}}

// unit returns the number of the character, or half of one, at b.
func (f form) unit(b []byte) rune {
	switch {
	case f.width == 2 && f.little:
		return rune(b[0]) | rune(b[1])<<8
	case f.width == 2:
		return rune(b[1]) | rune(b[0])<<8
	case f.little:
		return rune(b[0]) | rune(b[1])<<8 | rune(b[2])<<16 | rune(b[3])<<24
	}
	return rune(b[3]) | rune(b[2])<<8 | rune(b[1])<<16 | rune(b[0])<<24
}

// start returns where a run would start whose first zero byte is at zero.
func (f form) start(zero int) int {
	if f.little {
		return zero - 1
	}
	return zero
}

// isText reports whether u is a character of ASCII text.
func (f form) isText(u rune) bool { return u < 0x80 && u >= 0 && isTextByte(byte(u)) }

// isAlien reports whether u may be a character of text that is not of ASCII. Without a mark only alphabets and signs of
// Europe count, since two letters of ASCII taken for one character are of eastern Asia.
func isAlien(u rune, marked bool) bool {
	if marked {
		return u >= 0xa0 && u < 0xfdd0 || u > 0xfdef && u < 0xfffe || u > 0xffff && u <= utf8.MaxRune
	}
	return u >= 0xa0 && u < 0x600 || u >= 0x2010 && u < 0x2200
}

// run returns the end of the text in this form that starts at start, and whether it is of ASCII throughout. marked says
// that a mark stands before it, after which any characters may come.
func (f form) run(data []byte, start int, marked bool) (end int, ascii bool) {
	ascii, end = true, start
	aliens := 0
	for at := start; at+f.width <= len(data) && at-start < maxWide; at += f.width {
		switch u := f.unit(data[at:]); {
		case f.isText(u):
			ascii = ascii && aliens == 0
			aliens, end = 0, at+f.width
		case isAlien(u, marked) && (aliens < maxAlien || marked):
			aliens++
		default:
			return end, ascii
		}
	}
	if end-start < maxWide-maxAlien*f.width {
		return end, ascii
	}
	for at := end - f.width; at > end-backWide; at -= f.width {
		if f.unit(data[at:]) == '\n' {
			return at + f.width, ascii
		}
	}
	return end, ascii
}

// wide finds text in UTF-16 and UTF-32.
func (d *Decoder) wide(data []byte, from, to int, emit func(Segment)) {
	for i := from; i < to; {
		n := bytes.IndexByte(data[i:to], 0)
		if n < 0 {
			return
		}
		zero := i + n
		if zero == from || !isTextByte(data[zero-1]) {
			// No text in little endian starts here, and one in big endian only where the zeros end.
			end := zero
			for end < to && data[end] == 0 {
				end++
			}
			zero = max(zero, end-3)
			if end-zero == 2 {
				zero++ // neither a half nor three quarters of a character
			}
		}
		i = max(d.wideAt(data, from, zero, emit), zero+1)
	}
}

// wideAt decodes the run whose first zero byte is at zero and returns its end, or 0 if there is none.
func (d *Decoder) wideAt(data []byte, from, zero int, emit func(Segment)) int {
	for _, f := range forms {
		start := f.start(zero)
		if start < from || start+f.width > len(data) || !f.isText(f.unit(data[start:])) {
			continue
		}
		marked := start == f.width && f.unit(data) == 0xfeff
		end, ascii := f.run(data, start, marked)
		if end-start < minWide*f.width {
			continue
		}
		seg := Segment{Start: start, End: end, Kind: f.name, Wide: true}
		if ascii {
			seg.Data, seg.unit = d.narrow(data[start:end], f), f.width
		} else {
			seg.Data = d.transcode(data[start:end], f)
			seg.marks = d.marks
		}
		emit(seg)
		return end
	}
	return 0
}

// narrow decodes a run of ASCII.
func (d *Decoder) narrow(run []byte, f form) []byte {
	at := 0
	if !f.little {
		at = f.width - 1
	}
	d.buf = grow(d.buf, len(run)/f.width)
	text := d.buf[:len(run)/f.width]
	for i := range text {
		text[i] = run[f.width*i+at]
	}
	return text
}

// transcode decodes a run of any characters to UTF-8.
func (d *Decoder) transcode(run []byte, f form) []byte {
	out := grow(d.buf, 2*len(run))[:0]
	d.marks = d.marks[:0]
	for at := 0; at < len(run); {
		d.marks = append(d.marks, mark{int32(len(out)), int32(at)})
		u := f.unit(run[at:])
		at += f.width
		if f.width == 2 && utf16.IsSurrogate(u) && at < len(run) {
			if r := utf16.DecodeRune(u, f.unit(run[at:])); r != utf8.RuneError {
				u, at = r, at+f.width
			}
		}
		out = utf8.AppendRune(out, u)
	}
	d.marks = append(d.marks, mark{int32(len(out)), int32(len(run))})
	d.buf = out[:cap(out)]
	return out
}
