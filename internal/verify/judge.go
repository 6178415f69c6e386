package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"magpie"
	"magpie/internal/rule"
)

// answer is what a host said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// judge compares an answer with those that the probe names.
func judge(p *rule.Probe, host string, a answer) Result {
	switch {
	case a.status == http.StatusTooManyRequests:
		return Result{Validity: magpie.ValidityFailed, Why: host + " asks to be asked less often (status 429)"}
	case a.status >= 500:
		return Result{Validity: magpie.ValidityFailed, Why: fmt.Sprintf("%s is in trouble (status %d)", host, a.status)}
	case a.status >= 300 && a.status < 400:
		return Result{Validity: magpie.ValidityUnknown, Why: fmt.Sprintf("%s answers with a redirect (status %d), which is not followed", host, a.status)}
	case a.page():
		return Result{Validity: magpie.ValidityUnknown, Why: fmt.Sprintf("a web page came instead of an answer of %s (status %d)", host, a.status)}
	case len(a.body) > maxAnswer:
		return Result{Validity: magpie.ValidityUnknown, Why: host + " answers at too great a length"}
	}
	valid, invalid := slices.ContainsFunc(p.Valid, a.meets), slices.ContainsFunc(p.Invalid, a.meets)
	switch {
	case valid && !invalid:
		return Result{Validity: magpie.ValidityValid, Why: host + " accepts it"}
	case invalid && !valid:
		return Result{Validity: magpie.ValidityInvalid, Why: fmt.Sprintf("%s refuses it (status %d)", host, a.status)}
	}
	return Result{Validity: magpie.ValidityUnknown, Why: fmt.Sprintf("%s answers with status %d in a way that says neither", host, a.status)}
}

// page reports whether the body is for people, so it comes from somebody who is not the API that was asked.
func (a answer) page() bool {
	kind := strings.ToLower(a.header.Get("Content-Type"))
	start := bytes.ToLower(bytes.TrimLeft(a.body[:min(len(a.body), 512)], " \t\r\n\ufeff"))
	return strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml") ||
		bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// meets reports whether all parts of a condition hold.
func (a answer) meets(want rule.Answer) bool {
	if a.status != want.Status {
		return false
	}
	if want.Header != "" && a.header.Get(want.Header) == "" {
		return false
	}
	if want.Contains != "" && !bytes.Contains(a.body, []byte(want.Contains)) {
		return false
	}
	if want.Field == "" {
		return true
	}
	got, ok := a.field(want.Field)
	return ok && (len(want.Equals) == 0 || slices.Contains(want.Equals, got))
}

// field returns the field at a dotted path of a JSON body as text; that of an object or a list is empty. It reports false
// if there is none, or null. A number in the path counts into a list.
func (a answer) field(path string) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		return "", false
	}
	for _, name := range strings.Split(path, ".") {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(inner) {
				return "", false
			}
			value = inner[i]
		default:
			return "", false
		}
	}
	switch value := value.(type) {
	case nil:
		return "", false
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		return strconv.FormatBool(value), true
	}
	return "", true
}

// escape writes a value so that it stands in a body of the given kind as it is.
func escape(value, kind string) string {
	if kind == "application/x-www-form-urlencoded" {
		return url.QueryEscape(value)
	}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil { // can't be for a string
		return ""
	}
	text := strings.TrimSuffix(quoted.String(), "\n")
	return text[1 : len(text)-1] // without the quotes
}
