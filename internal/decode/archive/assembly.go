package archive

// assembly puts text together of parts of a container and emits it as a member, in pieces if it is long.
type assembly struct {
	w     *walker
	m     Member // without data
	buf   []byte
	spans []span
	kept  int   // bytes of buf that are of the piece before
	named bool  // the member was counted
	err   error // that the budget is used up
}

// Text that is put together is handed out from so many bytes or spans on.
const (
	assemblyBytes = 1 << 20
	assemblySpans = 1 << 16
)

// assemble begins a member.
func (w *walker) assemble(m Member) *assembly { return &assembly{w: w, m: m} }

// put appends text that was made of the size bytes of the container at from; unit is as in span. It reports whether there is
// budget for more.
func (a *assembly) put(text []byte, from, size, unit int) bool {
	for len(text) > 0 && a.err == nil {
		part := text[:min(len(text), assemblyBytes)]
		text = text[len(part):]
		if a.err = a.w.budget.take(len(part)); a.err != nil {
			return false
		}
		s := span{at: len(a.buf), length: len(part), from: from, size: size, unit: unit}
		if unit > 0 {
			s.size = len(part) * unit
			from, size = from+s.size, size-s.size
		}
		a.spans = append(a.spans, s)
		a.buf = append(a.buf, part...)
		if len(a.buf) >= a.kept+assemblyBytes || len(a.spans) >= assemblySpans {
			a.flush()
		}
	}
	return a.err == nil
}

// add appends text that stands nowhere in the container, such as the end of a line.
func (a *assembly) add(text string) {
	if a.err == nil {
		a.buf = append(a.buf, text...)
		a.err = a.w.budget.take(len(text))
	}
}

// flush emits what there is and keeps its end for what comes after it.
func (a *assembly) flush() {
	if len(a.buf) == a.kept || a.err != nil {
		return
	}
	if !a.named {
		a.named = true
		if a.err = a.w.budget.member(); a.err != nil {
			return
		}
	}
	m := a.m
	m.Data, m.spans = a.buf, a.spans
	a.w.emit(m)
	cut := max(0, len(a.buf)-overlap)
	a.kept = copy(a.buf, a.buf[cut:])
	a.buf = a.buf[:a.kept]
	n := 0
	for _, s := range a.spans {
		if s.at+s.length <= cut {
			continue
		}
		if over := max(0, cut-s.at); s.unit > 0 {
			s.from, s.size, s.length = s.from+over*s.unit, s.size-over*s.unit, s.length-over
			s.at += over
		} else {
			s.at, s.length = s.at+over, s.length-over
		}
		s.at -= cut
		a.spans[n] = s
		n++
	}
	a.spans = a.spans[:n]
}

// end emits what is left. The error says that the budget is used up.
func (a *assembly) end() error {
	a.flush()
	return a.err
}

// minText is how many bytes of text in a row are taken for text where anything may stand.
const minText = 6

// texts appends the texts in data[from:to], each on a line.
func (a *assembly) texts(data []byte, from, to int) {
	for from < to && a.err == nil {
		for from < to && !isTextByte(data[from]) {
			from++
		}
		end := from
		for end < to && isTextByte(data[end]) {
			end++
		}
		if end-from >= minText {
			a.put(data[from:end], from, end-from, 1)
			a.add("\n")
		}
		from = end
	}
}

// isTextByte reports whether c may be a byte of text in UTF-8.
func isTextByte(c byte) bool { return c >= ' ' && c != 0x7f || c == '\n' || c == '\t' || c == '\r' }

// isText reports whether something begins as text does.
func isText(head []byte) bool {
	odd := 0
	for _, c := range head {
		if c < ' ' && !isPDFSpace(c) || c == 0 || c >= 0x7f {
			odd++
		}
	}
	return len(head) > 0 && odd*10 <= len(head)
}
