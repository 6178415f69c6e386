package ignore

import (
	"bytes"
	"strings"
)

// splitLines returns the lines of a file as Git reads one: without their ends, and without a byte order mark before them.
func splitLines(data []byte) []string {
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}
