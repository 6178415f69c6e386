package ui

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"magpie"
)

// sentence returns text with a capital first letter and without a final period.
func sentence(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(text[size:], ".")
}

// lowerFirst returns text with a small first letter.
func lowerFirst(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToLower(r)) + text[size:]
}

func contains(list []string, s string) bool { return s != "" && slices.Contains(list, s) }

func orText(inputType string) string {
	if inputType == "" {
		return "text"
	}
	return inputType
}

func orOff(autocomplete string) string {
	if autocomplete == "" {
		return "off"
	}
	return autocomplete
}

func problemIcon(k magpie.Kind) string {
	switch k {
	case magpie.KindNotFound:
		return "search"
	case magpie.KindForbidden, magpie.KindUnauthorized:
		return "key"
	case magpie.KindRateLimited:
		return "clock"
	default:
		return "warning"
	}
}

// typeName names the type of a value without printing the value.
func typeName(v any) string { return fmt.Sprintf("%T", v) }

// paragraphs splits a rule's text where it has empty lines; single line breaks are only how the file was written.
func paragraphs(text string) (all []string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if joined := strings.Join(strings.Fields(part), " "); joined != "" {
			all = append(all, joined)
		}
	}
	return all
}
