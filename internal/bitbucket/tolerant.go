package bitbucket

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Versions of Bitbucket, and plug-ins before it, differ in how they write what means the same, and in what they leave
// out. The types in this file take what they can get: a value of an unexpected type reads as the zero value and never
// makes a whole answer unreadable. Whether one that is missing can be done without is decided where it is used. A key
// that comes twice counts as it comes last.

// text is a string, or a number or truth value as it is written.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	switch {
	case json.Unmarshal(data, &s) == nil:
		*t = text(s)
	case len(data) > 0 && !strings.ContainsRune(`{["n`, rune(data[0])):
		*t = text(data)
	default:
		*t = ""
	}
	return nil
}

// number is a whole number, which may stand in a string; 0 for all else.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(data []byte) error {
	*n = 0
	digits := strings.TrimSpace(strings.Trim(string(data), `"`))
	if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
		*n = number(v)
	} else if f, err := strconv.ParseFloat(digits, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		*n = number(f)
	}
	return nil
}

// truth is a truth value, which may stand in a string; false for all else.
type truth bool

// UnmarshalJSON implements json.Unmarshaler.
func (t *truth) UnmarshalJSON(data []byte) error {
	*t = truth(strings.EqualFold(strings.Trim(string(data), `"`), "true"))
	return nil
}

// part is an object, empty if something else stands in its place. There says whether it does.
type part[T any] struct {
	It    T
	There bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *part[T]) UnmarshalJSON(data []byte) error {
	var v T
	*p = part[T]{}
	if isObject(data) && json.Unmarshal(data, &v) == nil {
		*p = part[T]{v, true}
	}
	return nil
}

// many is a list without those of its values that can't be read, empty if something else stands in its place. Of one that is
// longer than any real one it is the beginning.
type many[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (m *many[T]) UnmarshalJSON(data []byte) error {
	all, _ := elements(data)
	*m = nil
	for _, raw := range all {
		var v T
		if !isNull(raw) && json.Unmarshal(raw, &v) == nil {
			*m = append(*m, v)
		}
	}
	return nil
}

// mostValues is more than any list within an answer has; a page has as many as were asked for, a thousand.
const mostValues = 10_000

// elements takes a list apart. It reports false if something else stands in its place, or if it is longer than
// mostValues, and then returns its beginning: a value as short as {} would take a hundred times its length in memory.
func elements(data []byte) (all []json.RawMessage, whole bool) {
	in := json.NewDecoder(bytes.NewReader(data))
	if start, err := in.Token(); err != nil || start != json.Delim('[') {
		return nil, false
	}
	for in.More() {
		if len(all) == mostValues {
			return all, false
		}
		var raw json.RawMessage
		if err := in.Decode(&raw); err != nil {
			return all, false
		}
		all = append(all, raw)
	}
	return all, true
}

func isObject(data []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) }

func isNull(data []byte) bool { return bytes.Equal(bytes.TrimSpace(data), []byte("null")) }
