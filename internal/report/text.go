package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"magpie"
)

// maxPlaces is how many places of one secret are listed; the other forms list all.
const maxPlaces = 3

// colors of the severities, as ANSI codes.
var colors = map[magpie.Severity]string{
	magpie.SeverityCritical: "1;31", magpie.SeverityHigh: "31", magpie.SeverityMedium: "33", magpie.SeverityLow: "36", magpie.SeverityInfo: "37",
}

func writeText(w io.Writer, findings []magpie.Finding, _ Summary, opts Options) error {
	out := bufio.NewWriter(w)
	for _, group := range bySecret(findings) {
		writeGroup(out, group, opts)
	}
	return out.Flush()
}

// writeGroup writes one secret and where it stands.
func writeGroup(w io.Writer, group []magpie.Finding, opts Options) {
	first := group[0]
	value := first.Secret.Masked()
	if opts.ShowSecrets {
		value = string(first.Secret.Reveal())
	}
	fmt.Fprintf(w, "%s  %s  %s\n", paint(opts.Color, colors[first.Severity], fmt.Sprintf("%-8s", first.Severity)),
		paint(opts.Color, "1", magpie.Printable(first.RuleName)), magpie.Printable(value))
	for i, f := range group {
		if i == maxPlaces {
			fmt.Fprintf(w, "          and in %d more places\n", len(group)-maxPlaces)
			break
		}
		fmt.Fprintf(w, "          %s\n", place(f))
	}
	if line, _, _ := strings.Cut(first.Excerpt.Text, "\n"); line != "" {
		fmt.Fprintf(w, "          %s\n", paint(opts.Color, "2", fmt.Sprintf("%d | %s", first.Excerpt.FirstLine, magpie.Printable(strings.TrimSpace(line)))))
	}
	fmt.Fprintln(w)
}

func place(f magpie.Finding) string {
	file := f.File
	if file == "" {
		file = "blob " + string(f.Blob)
	}
	text := fmt.Sprintf("%s:%d:%d", magpie.Printable(file), f.LineStart, f.ColumnStart)
	if f.Commit != "" {
		text += fmt.Sprintf("  %s  %s  %s", f.Commit.Short(), f.Date.Format("2006-01-02"), magpie.Printable(f.Author))
		if f.Email != "" {
			text += " <" + magpie.Printable(f.Email) + ">"
		}
	}
	if f.DecodedFrom != "" {
		text += "  (decoded from " + magpie.Printable(f.DecodedFrom) + ")"
	}
	return text
}

func paint(on bool, code, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
