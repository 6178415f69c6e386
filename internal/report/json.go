package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"magpie"
)

func writeJSONL(w io.Writer, findings []magpie.Finding, _ Summary, opts Options) error {
	encoder := newEncoder(w)
	for _, f := range findings {
		if err := encoder.Encode(newLine(f, opts.ShowSecrets)); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, findings []magpie.Finding, summary Summary, opts Options) error {
	lines := make([]Line, 0, len(findings))
	for _, f := range findings {
		lines = append(lines, newLine(f, opts.ShowSecrets))
	}
	encoder := newEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Findings []Line  `json:"findings"`
		Summary  Summary `json:"summary"`
	}{lines, summary})
}

func newEncoder(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder
}

func writeCSV(w io.Writer, findings []magpie.Finding, _ Summary, opts Options) error {
	out := csv.NewWriter(w)
	header := []string{
		"rule", "name", "provider", "severity", "confidence", "file", "line_start", "line_end", "column_start",
		"column_end", "blob", "commit", "author", "email", "date", "match", "fingerprint", "decoded_from",
	}
	if opts.ShowSecrets {
		header = append(header, "secret")
	}
	rows := [][]string{header}
	for _, f := range findings {
		l := newLine(f, opts.ShowSecrets)
		row := []string{
			string(l.Rule), l.Name, l.Provider, string(l.Severity), string(l.Confidence), l.File,
			strconv.Itoa(l.LineStart), strconv.Itoa(l.LineEnd), strconv.Itoa(l.ColumnStart), strconv.Itoa(l.ColumnEnd),
			string(l.Blob), string(l.Commit), l.Author, l.Email, l.Date, l.Match, l.Fingerprint, l.DecodedFrom,
		}
		if opts.ShowSecrets {
			row = append(row, l.Secret)
		}
		for i := range row {
			row[i] = cell(row[i])
		}
		rows = append(rows, row)
	}
	return out.WriteAll(rows)
}

// cell keeps a spreadsheet from taking text of others for a formula: such a cell starts with a quote.
func cell(s string) string {
	if s != "" && strings.ContainsAny(s[:1], "=+-@\t\r\n") {
		return "'" + s
	}
	return s
}
