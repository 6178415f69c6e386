package decode

import "bytes"

// Back returns the start of the longest encoded run on which a change of data at or after p may bear: what Segments finds
// in front of that place does not depend on what stands from p on, and no run that it finds behind it starts before. It
// looks back no further than to floor, from where on the answer does not matter. e tells of the escapes in data.
func Back(data []byte, p, floor int, e *Escapes) int {
	for {
		q := min(blockStart(data, p, floor), urlStart(data, p, floor))
		if q == p {
			q = escapeStart(data, p, e)
		}
		if q == p && e.arrays {
			q = arrayStart(data, p, floor)
		}
		if q == p || q <= floor {
			return q
		}
		p = q
	}
}

// Ahead returns the end of the longest encoded run on which a change of data before p may bear. e tells of the escapes in
// data.
func Ahead(data []byte, p int, e *Escapes) int {
	first := p
	for {
		q := max(blockEnd(data, p), urlEnd(data, p))
		if q == p {
			q = escapeEnd(data, p, p == first, e)
		}
		if q == p && e.arrays {
			q = arrayEnd(data, p)
		}
		if q == p {
			return q
		}
		p = q
	}
}

// farEscape is how far from one another an escape and a change may be that bear on one another: the escape may be of one
// run with another one, which comes or goes with the change.
const farEscape = 2*aroundEscape + maxSoftLine + maxEscape

// escapeStart goes back over the part of a run of escapes that is before p.
func escapeStart(data []byte, p int, e *Escapes) int {
	if !e.in(data, max(0, p-farEscape), min(len(data), p+farEscape)) {
		return p
	}
	start := lineFrom(data, inQuoted, p, farEscape)
	if start == p || !e.in(data, start, lineEnd(data[:min(len(data), p+farEscape)], inQuoted, p)) {
		return p
	}
	return max(start, p-aroundEscape)
}

// escapeEnd goes forward over the part of a run of escapes that is behind p. fresh says that what is before p was changed,
// which may make the end of its line one at which text goes on, or no longer.
func escapeEnd(data []byte, p int, fresh bool, e *Escapes) int {
	if !e.in(data, max(0, p-farEscape), min(len(data), p+2+farEscape)) {
		return p
	}
	from := p
	if fresh && p+1 < len(data) && data[p] == '\r' && data[p+1] == '\n' {
		from++
	}
	if fresh && from < len(data) && data[from] == '\n' {
		from++
	} else {
		from = p
	}
	end := lineEnd(data[:min(len(data), from+farEscape)], inQuoted, from)
	if end == p || !e.in(data, lineFrom(data, inQuoted, p, farEscape), end) {
		return p
	}
	return min(end, from+aroundEscape)
}

// hasEscape reports whether an escape that makes text be decoded begins in data[from:to].
func hasEscape(data []byte, from, to int) bool {
	found := false
	pairs(data, from, to, func(at int) bool {
		kind, _ := escapeAt(data, at)
		found = kind != noEscape && kind != inArray
		return found
	})
	return found
}

// arrayStart goes back over an array of bytes.
func arrayStart(data []byte, p, floor int) int {
	start, end := p, p
	for start > floor && class[data[start-1]]&inArrays != 0 {
		start--
	}
	if start == p {
		return p
	}
	for end < len(data) && end-p < 2 && class[data[end]]&inArrays != 0 {
		end++
	}
	if !hasElement(data[start:end]) {
		return p
	}
	return start
}

// arrayEnd goes forward over one.
func arrayEnd(data []byte, p int) int {
	start, end := p, p
	for end < len(data) && class[data[end]]&inArrays != 0 {
		end++
	}
	if end == p {
		return p
	}
	for start > 0 && p-start < 3 && class[data[start-1]]&inArrays != 0 {
		start--
	}
	if !hasElement(data[start:end]) {
		return p
	}
	return end
}

// hasElement reports whether text may hold an element of an array of bytes.
func hasElement(text []byte) bool {
	for {
		n := bytes.IndexByte(text, '0')
		if n < 0 || n+1 >= len(text) {
			return false
		}
		if text[n+1]|0x20 == 'x' {
			return true
		}
		text = text[n+1:]
	}
}

func urlStart(data []byte, p, floor int) int {
	for p > floor && class[data[p-1]]&inURL != 0 {
		p--
	}
	return p
}

func urlEnd(data []byte, p int) int {
	for p < len(data) && class[data[p]]&inURL != 0 {
		p++
	}
	return p
}

func runStart(data []byte, p, floor int) int {
	for p > floor && class[data[p-1]]&inBase64 != 0 {
		p--
	}
	return p
}

func runEnd(data []byte, p int) int {
	for p < len(data) && class[data[p]]&inBase64 != 0 {
		p++
	}
	return p
}

// isLong reports whether a run that ends at p is long enough to go on in the next line.
func isLong(data []byte, p int) bool { return p-runStart(data, p, max(0, p-minJoined)) == minJoined }

// blockStart goes back over a run of base64 that ends at p, with up to two signs of padding, and over the lines before it
// that are long enough to be joined with it.
func blockStart(data []byte, p, floor int) int {
	padded := p
	for padded > floor && p-padded < 2 && data[padded-1] == '=' {
		padded--
	}
	if start := runStart(data, padded, floor); start < padded {
		p = start
	}
	for {
		b := gapStart(data, p, floor)
		start := runStart(data, b, floor)
		if b-start < minJoined && start > floor || start == b {
			return p
		}
		p = start
	}
}

// blockEnd goes forward over a run of base64 that goes on at p, and over the lines after it that may be joined with it.
func blockEnd(data []byte, p int) int {
	p = runEnd(data, p)
	for {
		b := gapEnd(data, p)
		end := runEnd(data, b)
		// A run that is too short to be one by itself, with the letter of an escaped line feed before it, matters only where it is joined with what stands before.
		if end == b || end-b < MinRun-1 && !isLong(data, p) {
			break
		}
		p = end
		if end-b < minJoined {
			break
		}
	}
	for padded := p; p < len(data) && p-padded < 2 && data[p] == '='; {
		p++
	}
	return p
}

// gapStart goes back over what may stand between two lines of base64 that are joined, as gap reads it, and may be cut off
// at p.
func gapStart(data []byte, p, floor int) int {
	b := p
	for b > floor && p-b <= maxGap+1 {
		switch c := data[b-1]; {
		case isGap(c):
			b--
		case (c == 'n' || c == 'r') && b-2 >= floor && data[b-2] == '\\':
			b -= 2
		case c == '+' && isLoose(data, b-1):
			b--
		default:
			return b
		}
	}
	return b
}

// gapEnd goes forward over the rest of it.
func gapEnd(data []byte, p int) int {
	b := p
	if p > 0 && p < len(data) && data[p-1] == '\\' && (data[p] == 'n' || data[p] == 'r') {
		b++
	}
	for b < len(data) && b-p <= maxGap+1 {
		switch c := data[b]; {
		case c == '\\' && b+1 < len(data) && (data[b+1] == 'n' || data[b+1] == 'r'):
			b += 2
		case isGap(c), c == '+' && isLoose(data, b):
			b++
		default:
			return b
		}
	}
	return b
}

func isGap(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '"' || c == '\'' || c == '\\'
}
