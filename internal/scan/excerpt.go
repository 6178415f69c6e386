package scan

import (
	"bytes"
	"sort"
	"strings"
	"unicode"

	"magpie"
	"magpie/internal/detect"
)

// maxExcerptLine is how many bytes of a line an excerpt shows; a minified file is one line.
const maxExcerptLine = 240

// excerpt cuts the line of m, which has the given number, and context lines on both sides out of data. All matches in
// them are masked, not only m, because neighbours hold secrets too. The matches must be in the order of their places.
func excerpt(data []byte, matches []detect.Match, m detect.Match, line, context int) magpie.Excerpt {
	at, before := lineStart(data, m.Start), 0
	for ; before < context && at > 0; before++ {
		at = lineStart(data, at-1)
	}
	var lines []string
	for range before + 1 + context {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i
		}
		lines = append(lines, maskedLine(data, at, end, m.Start, matches))
		if end == len(data) {
			break
		}
		at = end + 1
	}
	return magpie.Excerpt{FirstLine: line - before, Text: strings.Join(lines, "\n")}
}

// lineStart returns the offset at which the line that holds offset starts.
func lineStart(data []byte, offset int) int { return bytes.LastIndexByte(data[:offset], '\n') + 1 }

// maskedLine returns data[at:end] for people to read: matches masked, a long line cut to the part around focus.
func maskedLine(data []byte, at, end, focus int, matches []detect.Match) string {
	from, to := at, end
	if to-from > maxExcerptLine {
		if focus >= at && focus < end {
			from = max(at, focus-maxExcerptLine/3)
		}
		to = min(from+maxExcerptLine, end)
	}
	var line strings.Builder
	if from > at {
		line.WriteString("…")
	}
	next := sort.Search(len(matches), func(i int) bool { return matches[i].End > from })
	pos := from
	for ; next < len(matches) && matches[next].Start < to; next++ {
		m := matches[next]
		if m.End <= pos {
			continue // inside one that is masked already
		}
		line.WriteString(readable(data[pos:max(pos, m.Start)]))
		line.WriteString(magpie.NewSecret(m.Secret).Masked())
		pos = min(m.End, to)
	}
	line.WriteString(readable(data[pos:max(pos, to)]))
	if to < end {
		line.WriteString("…")
	}
	return line.String()
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
