package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
)

// Lines finds the line and column of offsets in one file.
type Lines struct {
	data   []byte
	starts []int // offsets of line starts found so far
}

// NewLines prepares to answer for data, which must not change.
func NewLines(data []byte) *Lines { return &Lines{data: data, starts: []int{0}} }

// Position returns the line of an offset and the column in bytes, both from 1. Lines end with LF, CRLF or a lone CR's
// LF; an offset at or past the end belongs to the last line.
func (l *Lines) Position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(l.data))
	for {
		last := l.starts[len(l.starts)-1]
		if last > offset {
			break
		}
		n := bytes.IndexByte(l.data[last:], '\n')
		if n < 0 {
			break
		}
		l.starts = append(l.starts, last+n+1)
	}
	lo, hi := 0, len(l.starts)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; l.starts[mid] <= offset {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + 1, offset - l.starts[lo] + 1
}

// Range returns the place of m's secret as findings show it: lines and columns from 1, both ends inclusive.
func (l *Lines) Range(m Match) (lineStart, columnStart, lineEnd, columnEnd int) {
	lineStart, columnStart = l.Position(m.Start)
	lineEnd, columnEnd = l.Position(max(m.Start, m.End-1))
	return lineStart, columnStart, lineEnd, columnEnd
}

// Fingerprint identifies a secret value wherever and by whichever rule it is found: 32 hexadecimal digits. It has no
// key, so a value that can be guessed can be guessed from it; it is for the command line, never for the store.
func Fingerprint(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:16])
}
