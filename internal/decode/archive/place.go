package archive

import "sort"

// span is a part of a text that was put together: the length bytes from at on were made of the size bytes of the container
// that stand at from.
type span struct {
	at, length int
	from, size int
	unit       int // bytes of the container to one of the text, if that is the same throughout; otherwise 0
}

// place returns where the text from start to end was taken from. ok is false if no part of it was taken from anywhere.
func place(spans []span, start, end int) (from, to int, ok bool) {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].at+spans[i].length > start })
	last := sort.Search(len(spans), func(i int) bool { return spans[i].at >= end }) - 1
	if i >= len(spans) || last < i {
		return 0, 0, false
	}
	from, to = spans[i].source(start, end)
	if last > i {
		if _, stop := spans[last].source(start, end); stop > from { // otherwise what comes later stands before it
			to = stop
		}
	}
	return from, to, true
}

// source returns where in the container the part of the text from start to end that is in the span stands.
func (s span) source(start, end int) (from, to int) {
	if s.unit == 0 {
		return s.from, s.from + s.size
	}
	start, end = max(start-s.at, 0), min(end-s.at, s.length)
	return s.from + start*s.unit, s.from + end*s.unit
}
