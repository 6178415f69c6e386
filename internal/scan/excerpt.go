package scan

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"
	"unicode"

	"magpie"
	"magpie/internal/detect"
)

const (
	// maxExcerptLine is how many bytes of a line an excerpt shows; a minified file is one line.
	maxExcerptLine = 240
	// A value that is found is masked wherever else it stands in an excerpt, if it has at least so many bytes: shorter
	// ones are words of everyday code.
	minRepeated = 6
	// maxRepeated is how many values on each side of a line, in the order of their places, are looked for in it.
	maxRepeated = 128
)

// hiddenText stands for what is masked and is not exactly one match.
const hiddenText = "••••••••"

// masker writes parts of a file with everything like a secret hidden.
type masker struct {
	data   []byte
	hidden []hidden // in the order of their starts; may overlap
	lines  [8]lineSpan
	turn   int // of the lines, which one is given up next
}

// lineSpan is a line without its end. Those that were asked for last are kept, since a line may be long and have many
// findings. The zero value is no line.
type lineSpan struct {
	start, end int
	known      bool
}

// hidden is a range of a file that must not be shown, and what is shown instead.
type hidden struct {
	start, end int
	text       string
}

// newMasker prepares to show parts of data. covered are the ranges in which the scanner saw anything like a secret, also
// where it then reported none.
func newMasker(data []byte, matches []detect.Match, covered []detect.Span) *masker {
	m := &masker{data: data}
	for _, match := range matches {
		m.hidden = append(m.hidden, hidden{match.Start, match.End, magpie.NewSecret(match.Secret).Masked()})
	}
	for _, span := range covered {
		m.hidden = append(m.hidden, hidden{span.Start, span.End, hiddenText})
	}
	slices.SortStableFunc(m.hidden, compareHidden)
	m.hidden = slices.CompactFunc(m.hidden, func(a, b hidden) bool { return a.start == b.start && a.end == b.end })
	return m
}

func compareHidden(a, b hidden) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
}

// excerpt cuts the line at offset, which has the given number, and context lines on both sides out of the file.
func (m *masker) excerpt(offset, line, context int) magpie.Excerpt {
	at, before := m.lineAt(offset).start, 0
	for ; before < context && at > 0; before++ {
		at = m.lineAt(at - 1).start
	}
	var lines []string
	for range before + 1 + context {
		end := m.lineAt(at).end
		lines = append(lines, m.line(at, end, offset))
		if end == len(m.data) {
			break
		}
		at = end + 1
	}
	return magpie.Excerpt{FirstLine: line - before, Text: strings.Join(lines, "\n")}
}

// lineAt returns the line that holds offset.
func (m *masker) lineAt(offset int) lineSpan {
	for _, l := range m.lines {
		if l.known && l.start <= offset && offset <= l.end {
			return l
		}
	}
	l := lineSpan{bytes.LastIndexByte(m.data[:offset], '\n') + 1, len(m.data), true}
	if i := bytes.IndexByte(m.data[offset:], '\n'); i >= 0 {
		l.end = offset + i
	}
	m.lines[m.turn] = l
	m.turn = (m.turn + 1) % len(m.lines)
	return l
}

// line returns data[at:end] for people to read; a long line is cut to the part around focus.
func (m *masker) line(at, end, focus int) string {
	from, to := at, end
	if to-from > maxExcerptLine {
		if focus >= at && focus < end {
			from = max(at, focus-maxExcerptLine/3)
		}
		to = min(from+maxExcerptLine, end)
	}
	var text strings.Builder
	if from > at {
		text.WriteString("…")
	}
	pos := from
	for _, h := range m.within(from, to) {
		text.WriteString(readable(m.data[pos:max(pos, h.start)]))
		text.WriteString(h.text)
		pos = min(h.end, to)
	}
	text.WriteString(readable(m.data[pos:to]))
	if to < end {
		text.WriteString("…")
	}
	return text.String()
}

// within returns what must be hidden of data[from:to], in order and without overlap: what was seen there, and the values
// seen nearby wherever they stand again.
func (m *masker) within(from, to int) []hidden {
	next := sort.Search(len(m.hidden), func(i int) bool { return m.hidden[i].start >= to })
	var all []hidden
	for i := max(0, next-maxRepeated); i < min(len(m.hidden), next+maxRepeated); i++ {
		h := m.hidden[i]
		if h.end > from && h.start < to {
			all = append(all, h)
		}
		all = append(all, m.repeats(h, from, to)...)
	}
	slices.SortStableFunc(all, compareHidden)
	var merged []hidden
	for _, h := range all {
		last := len(merged) - 1
		switch {
		case last < 0 || h.start >= merged[last].end:
			merged = append(merged, h)
		case h.start != merged[last].start || h.end != merged[last].end:
			merged[last].end, merged[last].text = max(merged[last].end, h.end), hiddenText
		}
	}
	return merged
}

// repeats finds what stands in h elsewhere in or across the edges of data[from:to].
func (m *masker) repeats(h hidden, from, to int) []hidden {
	value := m.data[h.start:h.end]
	if len(value) < minRepeated || len(value) > 4*maxExcerptLine {
		return nil
	}
	var found []hidden
	at, end := max(0, from-len(value)+1), min(len(m.data), to+len(value)-1)
	for {
		i := bytes.Index(m.data[at:end], value)
		if i < 0 {
			return found
		}
		at += i
		if at != h.start {
			found = append(found, hidden{at, at + len(value), h.text})
		}
		at += len(value)
	}
}

// readable makes bytes safe to show: what is not text, and control characters, become replacement characters.
func readable(b []byte) string {
	text := strings.TrimSuffix(strings.ToValidUTF8(string(b), "\uFFFD"), "\r")
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
