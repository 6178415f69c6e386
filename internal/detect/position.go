package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
)

// Lines finds the line and column of offsets in one file. It is cheapest when asked in the order of the offsets.
type Lines struct {
	data  []byte
	at    int // an offset
	line  int // that it is in, from 0
	start int // of that line
}

// NewLines prepares to answer for data, which must not change.
func NewLines(data []byte) *Lines { return &Lines{data: data} }

// Position returns the line of an offset and the column in bytes, both from 1. Lines end with LF, CRLF or a lone CR's
// LF; an offset at or past the end belongs to the last line.
func (l *Lines) Position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(l.data))
	if offset >= l.at {
		l.line += bytes.Count(l.data[l.at:offset], newline)
		if n := bytes.LastIndexByte(l.data[l.at:offset], '\n'); n >= 0 {
			l.start = l.at + n + 1
		}
	} else if offset < l.start {
		l.line -= bytes.Count(l.data[offset:l.at], newline)
		l.start = bytes.LastIndexByte(l.data[:offset], '\n') + 1
	}
	l.at = offset
	return l.line + 1, offset - l.start + 1
}

var newline = []byte{'\n'}

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
