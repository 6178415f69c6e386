package archive

import "sort"

// span is a part of a text that was put together: the bytes from at on were made of size bytes of the container that stand
// at from. Where length and size are the same, byte stands for byte.
type span struct {
	at, length int
	from, size int
}

// place returns where the text from start to end was taken from. ok is false if no part of it was taken from anywhere.
func place(spans []span, start, end int) (from, to int, ok bool) {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].at+spans[i].length > start })
	last := sort.Search(len(spans), func(i int) bool { return spans[i].at >= end }) - 1
	if i >= len(spans) || last < i {
		return 0, 0, false
	}
	from, _ = spans[i].source(max(start, spans[i].at), spans[i].at+spans[i].length)
	_, to = spans[last].source(spans[last].at, min(end, spans[last].at+spans[last].length))
	if to <= from { // what comes later stands before it
		_, to = spans[i].source(spans[i].at, spans[i].at+spans[i].length)
	}
	return from, to, true
}

// source returns where in the container the part of the text from start to end, all of it in the span, stands.
func (s span) source(start, end int) (from, to int) {
	if s.length > 0 && s.size%s.length == 0 { // so many bytes to each
		unit := s.size / s.length
		return s.from + (start-s.at)*unit, s.from + (end-s.at)*unit
	}
	return s.from, s.from + s.size
}
