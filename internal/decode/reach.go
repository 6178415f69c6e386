package decode

// Back returns the start of the longest encoded run on which a change of data at or after p may bear: what Segments finds
// in front of that place does not depend on what stands from p on, and no run that it finds behind it starts before. It
// looks back no further than to floor, from where on the answer does not matter.
func Back(data []byte, p, floor int) int {
	for {
		q := min(blockStart(data, p, floor), urlStart(data, p, floor))
		if q == p || q <= floor {
			return q
		}
		p = q
	}
}

// Ahead returns the end of the longest encoded run on which a change of data before p may bear.
func Ahead(data []byte, p int) int {
	for {
		q := max(blockEnd(data, p), urlEnd(data, p))
		if q == p {
			return q
		}
		p = q
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
		b := p
		for b > floor && p-b < maxIndent && (data[b-1] == ' ' || data[b-1] == '\t') {
			b--
		}
		if b > floor && data[b-1] == '\n' {
			b--
		}
		if b > floor && data[b-1] == '\r' {
			b--
		}
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
		b := p
		if b < len(data) && data[b] == '\r' {
			b++
		}
		if b < len(data) && data[b] == '\n' {
			b++
		}
		for indent := b; b < len(data) && b-indent < maxIndent && (data[b] == ' ' || data[b] == '\t'); {
			b++
		}
		end := runEnd(data, b)
		// A run that is too short to be one by itself matters only where it is joined with what stands before.
		if end == b || end-b < MinRun && !isLong(data, p) {
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
