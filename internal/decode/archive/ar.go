package archive

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// arHeader is the size of a member's header in bytes.
const arHeader = 60

// ar emits the members of an archive of ar, which Debian's packages and libraries of objects are.
//
//	"!<arch>\n" {name(16) date(12) owner(6) group(6) mode(8) size(10) "`\n" data, padded to an even size}
//
// A name "/17" stands at that place of the member "//", and "#1/17" is the first 17 bytes of the data.
func (w *walker) ar(data []byte) error {
	var long []byte
	for at := len("!<arch>\n"); at < len(data); {
		h := data[at:]
		if len(h) < arHeader || string(h[58:60]) != "`\n" {
			return errors.New("what follows its last readable member is lost")
		}
		size, err := strconv.ParseUint(strings.TrimRight(string(h[48:58]), " "), 10, 62)
		if err != nil {
			return errors.New("what follows its last readable member is lost")
		}
		start := at + arHeader
		end := start + int(min(size, uint64(len(data)-start)))
		cut := uint64(end-start) < size
		name := strings.TrimRight(string(h[:16]), " ")
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "#1/")); err == nil && strings.HasPrefix(name, "#1/") && n >= 0 && n <= end-start {
			name = strings.TrimRight(string(data[start:start+n]), "\x00")
			start += n
		}
		at = end + end&1
		switch name {
		case "//":
			long = data[start:end]
			continue
		case "/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED":
			continue // tables of symbols
		}
		name = arName(name, long)
		m := Member{Path: "ar:" + shown(name), Name: name, Start: start, End: end}
		if err := w.whole(data, m); err != nil {
			return err
		}
		if cut {
			return errors.New("it is cut off")
		}
	}
	return nil
}

// arName returns a name as it is meant, given the member with long names.
func arName(name string, long []byte) string {
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "/")); err == nil && strings.HasPrefix(name, "/") && n >= 0 && n < len(long) {
		line, _, _ := bytes.Cut(long[n:], []byte{'\n'})
		name = string(line)
	}
	return strings.TrimSuffix(name, "/")
}
