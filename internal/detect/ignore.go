package detect

import (
	"bytes"
	"slices"
)

// ignoreReach is how far from a match, in bytes, a comment that ignores it is looked for.
const ignoreReach = 256

// marks are the comments that mean "this is known and accepted", ours and those of other tools: on the line of a secret,
// or of its first or last line if it has several.
var marks = [][]byte{
	[]byte("magpie:ignore"), []byte("gitleaks:allow"), []byte("ggignore"), []byte("pragma: allowlist secret"),
	[]byte("pragma: whitelist secret"),
}

// nextLineMarks mean the same about the line after them.
var nextLineMarks = [][]byte{
	[]byte("magpie:ignore-next-line"), []byte("pragma: allowlist nextline secret"),
}

// nosec is the comment by which bandit and gosec are told to leave a line alone. It is a word of English code as well,
// so it counts only where it begins a comment.
var nosec = []byte("nosec")

// comment returns the comment that says to ignore a match, or nothing, and widens the match's window by what was looked at.
func comment(m *Match, data []byte) string {
	from, to := max(0, m.MatchStart-ignoreReach), min(len(data), m.MatchEnd+ignoreReach)
	m.WindowStart, m.WindowEnd = min(m.WindowStart, from), max(m.WindowEnd, to)
	before, previous := lastLine(data[from:m.MatchStart], from == 0)
	after := data[m.MatchEnd:to]
	if i := bytes.IndexByte(after, '\n'); i >= 0 {
		after = after[:i]
	}
	for _, part := range [][]byte{after, before} {
		if mark := markIn(part); mark != "" {
			return mark
		}
	}
	if previous == nil {
		return ""
	}
	for _, mark := range nextLineMarks {
		if hasWord(previous, mark) {
			return string(mark)
		}
	}
	if bytes.IndexByte(data[m.MatchStart:m.MatchEnd], '\n') >= 0 {
		// There may be no place for a comment in what is a key over several lines.
		return markIn(previous)
	}
	// gosec takes a comment that has a line of its own for the line below it.
	if at := nosecAt(previous); at >= 0 && len(bytes.Trim(previous[:at], commentSigns)) == 0 {
		return string(nosec)
	}
	return ""
}

// lastLine cuts what stands before a match into its line and, if that is there as a whole, the line before. whole says that
// the text begins where the file does.
func lastLine(text []byte, whole bool) (line, previous []byte) {
	i := bytes.LastIndexByte(text, '\n')
	if i < 0 {
		return text, nil
	}
	line, text = text[i+1:], text[:i]
	if i = bytes.LastIndexByte(text, '\n'); i < 0 && !whole {
		return line, nil
	}
	return line, text[i+1:]
}

// markIn returns the mark in a part of a line, or nothing.
func markIn(part []byte) string {
	for _, mark := range marks {
		if hasWord(part, mark) {
			return string(mark)
		}
	}
	if nosecAt(part) >= 0 {
		return string(nosec)
	}
	return ""
}

// hasWord reports whether a mark stands in text and is not the beginning of something else.
func hasWord(text, mark []byte) bool {
	for from := 0; ; {
		i := bytes.Index(text[from:], mark)
		if i < 0 {
			return false
		}
		if from += i + len(mark); endsWord(text, from) {
			return true
		}
	}
}

func endsWord(text []byte, at int) bool {
	return at == len(text) || !isWordByte(text[at]) && text[at] != '-'
}

// commentSigns are what comments begin with in most languages, and the spaces around.
const commentSigns = " \t#/*;-!<%\"'{"

// nosecAt returns where nosec begins a comment in a part of a line and means secrets among others, or -1.
func nosecAt(part []byte) int {
	for from := 0; ; {
		i := bytes.Index(part[from:], nosec)
		if i < 0 {
			return -1
		}
		at := from + i
		from = at + len(nosec)
		if endsWord(part, from) && beginsComment(part[:at]) && aboutSecrets(part[from:]) {
			return at
		}
	}
}

// beginsComment reports whether what stands before a word opens a comment: one of the signs, with nothing but
// spaces after it.
func beginsComment(before []byte) bool {
	text := bytes.TrimRight(before, " \t")
	for _, sign := range []string{"#", "//", "/*", "--", ";", "%"} {
		rest, ok := bytes.CutSuffix(text, []byte(sign))
		switch {
		case !ok:
			continue
		case sign == "--" && len(text) == len(before): // an option of a command
			return false
		case len(rest) == 0, bytes.IndexByte([]byte(" \t;,(){}[]\"'`>!"), rest[len(rest)-1]) >= 0:
			return true
		}
		// In an address, or in a value, none of these stands before it; but another sign may, as in "//#nosec".
		return beginsComment(rest)
	}
	return false
}

// secretChecks are the checks of bandit and gosec for hard-coded credentials, by their codes and names.
var secretChecks = []string{
	"B105", "B106", "B107", "G101", "hardcoded_password_string", "hardcoded_password_funcarg", "hardcoded_password_default",
}

// aboutSecrets reports whether the rest of a comment, after nosec, names no checks at all or one for credentials. What
// follows "--" or another sign of a comment is a reason, for people.
func aboutSecrets(rest []byte) bool {
	if i := bytes.Index(rest, []byte("--")); i >= 0 {
		rest = rest[:i]
	}
	if i := bytes.IndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	named := false
	for _, word := range bytes.FieldsFunc(rest, func(r rune) bool {
		return r == ' ' || r == '\t' || r == ',' || r == ':' || r == '\r' || r == '*' || r == '/'
	}) {
		switch {
		case slices.Contains(secretChecks, string(word)):
			return true
		case isCheckCode(word):
			named = true
		}
	}
	return !named
}

// isCheckCode reports whether a word is a check's code, such as B301 or G404.
func isCheckCode(word []byte) bool {
	if len(word) != 4 || word[0] != 'B' && word[0] != 'G' {
		return false
	}
	for _, c := range word[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
