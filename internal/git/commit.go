package git

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"
)

// Person is who wrote or committed something, and when.
type Person struct {
	Name  string // valid UTF-8, may be empty
	Email string // without the angle brackets, may be empty or nonsense
	When  time.Time
}

// CommitObject is a parsed commit.
type CommitObject struct {
	Tree      ID
	Parents   []ID
	Author    Person // zero if the commit names none
	Committer Person // zero if the commit names none
	Message   []byte // part of the parsed data
}

// ParseCommit parses the content of the commit called id. History holds many commits that no Git of today would write:
// without author, with broken dates or zones, with headers out of order or in odd encodings. Only a commit without a
// readable tree is an error, and a parent line that is no id; everything else is read as well as it can be.
func ParseCommit(id ID, data []byte) (CommitObject, error) {
	var raw rawCommit
	raw.read(data)
	c := CommitObject{Message: raw.message}
	var err error
	if raw.tree != nil {
		if c.Tree, err = ParseID(raw.tree); err != nil {
			return c, corrupt(Commit, id, "reading its tree: %w", err)
		}
	}
	for _, hex := range raw.parents {
		p, err := ParseID(hex)
		if err != nil {
			return c, corrupt(Commit, id, "reading its parent: %w", err)
		}
		c.Parents = append(c.Parents, p)
	}
	if c.Tree.IsZero() {
		return c, corrupt(Commit, id, "it names no tree")
	}
	c.Author = parsePerson(raw.author, string(raw.encoding))
	c.Committer = parsePerson(raw.committer, string(raw.encoding))
	return c, nil
}

// rawCommit is the headers of a commit as they stand there; each is nil if the commit has none.
type rawCommit struct {
	tree, author, committer, encoding []byte
	parents                           [][]byte
	message                           []byte
}

// read finds the headers of a commit. What they hold is part of data.
func (c *rawCommit) read(data []byte) {
	*c = rawCommit{parents: c.parents[:0]}
	for rest := data; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) == 0 {
			c.message = rest
			return
		}
		key, value, _ := bytes.Cut(line, []byte{' '})
		switch string(key) {
		case "tree":
			c.tree = firstOf(c.tree, value)
		case "parent":
			c.parents = append(c.parents, value)
		case "author":
			c.author = firstOf(c.author, value)
		case "committer":
			c.committer = firstOf(c.committer, value)
		case "encoding":
			c.encoding = value
		}
	}
}

// firstOf keeps the first of several headers of one name, as Git does.
func firstOf(have, value []byte) []byte {
	if have != nil {
		return have
	}
	return value
}

// cutLine splits data after its first line and returns the line without its newline. Continuation lines, which start
// with a space, come out as lines whose key is empty.
func cutLine(data []byte) (line, rest []byte) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		return data, nil
	}
	return data[:i], data[i+1:]
}

// TagObject is a parsed annotated tag.
type TagObject struct {
	Object  ID
	Kind    Kind // of Object
	Name    string
	Tagger  Person // zero in very old tags
	Message []byte // part of the parsed data
}

// ParseTag parses the content of the tag called id. A tag that names no object is an error.
func ParseTag(id ID, data []byte) (TagObject, error) {
	var t TagObject
	rest := data
	for len(rest) > 0 {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) == 0 {
			t.Message = rest
			break
		}
		key, value, _ := bytes.Cut(line, []byte{' '})
		switch string(key) {
		case "object":
			o, err := ParseID(value)
			if err != nil {
				return t, corrupt(Tag, id, "reading its object: %w", err)
			}
			t.Object = o
		case "type":
			t.Kind = ParseKind(string(value))
		case "tag":
			t.Name = decodeText(value, "")
		case "tagger":
			t.Tagger = parsePerson(value, "")
		}
	}
	if t.Object.IsZero() {
		return t, corrupt(Tag, id, "it names no object")
	}
	return t, nil
}

// parsePerson reads "Name <email> seconds zone". What can't be made out is left zero. The name may itself hold angle
// brackets, so the e-mail ends at the last ">" and starts at the first "<", as in Git.
func parsePerson(line []byte, encoding string) Person {
	var p Person
	open := bytes.IndexByte(line, '<')
	end := bytes.LastIndexByte(line, '>')
	if open < 0 || end < open {
		p.Name = decodeText(bytes.TrimSpace(line), encoding)
		return p
	}
	p.Name = decodeText(bytes.TrimSpace(line[:open]), encoding)
	p.Email = decodeText(bytes.TrimSpace(line[open+1:end]), encoding)
	p.When = parseStamp(line[end+1:]).time()
	return p
}

// stamp is a moment as an object states it. The zero stamp is unknown.
type stamp struct {
	seconds int64 // since 1970
	east    int32 // of Greenwich, in seconds
	known   bool
}

// time returns the moment in its zone, or the zero time.
func (s stamp) time() time.Time {
	switch {
	case !s.known:
		return time.Time{}
	case s.east == 0:
		return time.Unix(s.seconds, 0).UTC()
	}
	return time.Unix(s.seconds, 0).In(time.FixedZone("", int(s.east)))
}

// parseStamp reads "seconds zone". A missing or absurd zone is UTC; absurd seconds are unknown.
func parseStamp(b []byte) stamp {
	first, rest := cutField(b)
	seconds, ok := parseSeconds(first)
	// Beyond the year 9999 a time can't be written as JSON or RFC 3339 any more.
	if !ok || seconds > 253402300799-86400 || seconds < -62135596800+86400 {
		return stamp{}
	}
	zone, _ := cutField(rest)
	return stamp{seconds, parseZone(zone), true}
}

// cutField returns the first word of b and what is behind it.
func cutField(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " \t\v\f\r")
	if i := bytes.IndexAny(b, " \t\v\f\r"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// parseSeconds reads a decimal number with or without a sign.
func parseSeconds(b []byte) (int64, bool) {
	sign := int64(1)
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<59 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return sign * n, len(b) > 0
}

// parseZone reads "+hhmm" or "-hhmm" as seconds east; everything else, and offsets beyond a day, is UTC.
func parseZone(b []byte) int32 {
	if len(b) != 5 || (b[0] != '+' && b[0] != '-') {
		return 0
	}
	n, ok := parseSeconds(b[1:])
	offset := (n/100*60 + n%100) * 60
	if !ok || n < 0 || n%100 > 59 || offset >= 86400 {
		return 0
	}
	if b[0] == '-' {
		offset = -offset
	}
	return int32(offset)
}

// decodeText returns b as UTF-8. Bytes that are not are read as Latin-1 if the commit says so, or else replaced.
func decodeText(b []byte, encoding string) string {
	if utf8.Valid(b) {
		return string(b)
	}
	switch strings.ToLower(strings.ReplaceAll(encoding, "_", "-")) {
	case "iso-8859-1", "iso8859-1", "latin1", "latin-1", "iso-8859-15", "windows-1252", "cp1252":
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return string(runes)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
