package git

import (
	"bytes"
	"strconv"
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
	var c CommitObject
	var author, committer []byte
	var encoding string
	rest := data
	for len(rest) > 0 {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) == 0 {
			c.Message = rest
			break
		}
		key, value, _ := bytes.Cut(line, []byte{' '})
		var err error
		switch string(key) {
		case "tree":
			if c.Tree.IsZero() {
				c.Tree, err = ParseID(value)
			}
		case "parent":
			var p ID
			p, err = ParseID(value)
			c.Parents = append(c.Parents, p)
		case "author":
			author = firstOf(author, value)
		case "committer":
			committer = firstOf(committer, value)
		case "encoding":
			encoding = string(value)
		}
		if err != nil {
			return c, corrupt(Commit, id, "reading its %s: %w", key, err)
		}
	}
	if c.Tree.IsZero() {
		return c, corrupt(Commit, id, "it names no tree")
	}
	c.Author = parsePerson(author, encoding)
	c.Committer = parsePerson(committer, encoding)
	return c, nil
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
	p.When = parseWhen(line[end+1:])
	return p
}

// parseWhen reads "seconds zone". A missing or absurd zone is UTC; absurd seconds are the zero time.
func parseWhen(b []byte) time.Time {
	fields := bytes.Fields(b)
	if len(fields) == 0 {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(string(fields[0]), 10, 64)
	// Beyond the year 9999 a time can't be written as JSON or RFC 3339 any more.
	if err != nil || seconds > 253402300799-86400 || seconds < -62135596800+86400 {
		return time.Time{}
	}
	zone := time.UTC
	if len(fields) > 1 {
		zone = parseZone(fields[1])
	}
	return time.Unix(seconds, 0).In(zone)
}

// parseZone reads "+hhmm" or "-hhmm"; everything else, and offsets beyond a day, is UTC.
func parseZone(b []byte) *time.Location {
	if len(b) != 5 || (b[0] != '+' && b[0] != '-') {
		return time.UTC
	}
	n, err := strconv.Atoi(string(b[1:]))
	offset := (n/100*60 + n%100) * 60
	if err != nil || n < 0 || n%100 > 59 || offset >= 86400 || offset == 0 {
		return time.UTC
	}
	if b[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset)
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
