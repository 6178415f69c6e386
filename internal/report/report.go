package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"magpie"
	"magpie/internal/detect"
)

// Format names a form of output.
type Format string

// The forms of output.
const (
	Text  Format = "text"
	JSON  Format = "json"
	JSONL Format = "jsonl"
	SARIF Format = "sarif"
	CSV   Format = "csv"
)

// Options says how findings are written.
type Options struct {
	Format      Format
	ShowSecrets bool
	Color       bool   // text only
	Version     string // of Magpie, for SARIF
	Rules       []Rule // those that may appear, for SARIF
}

// Rule is what a reader needs to know of a detector.
type Rule struct {
	ID          magpie.RuleID
	Title       string
	Description string
	Remediation string
	References  []string
	Severity    magpie.Severity
}

// Summary is what is said beside the findings.
type Summary struct {
	Findings int           `json:"findings"` // lines of output
	Secrets  int           `json:"secrets"`  // distinct values
	Blobs    int64         `json:"blobs"`    // files or versions of files looked at
	Bytes    int64         `json:"bytes"`    // their size
	Duration time.Duration `json:"-"`
	Seconds  float64       `json:"seconds"`
	LeftOut  LeftOut       `json:"left_out"`               // what is known and accepted, which is not among the findings
	Skipped  int64         `json:"skipped"`                // things that could not be looked at
	Why      []string      `json:"skipped_why,omitempty"`  // the first of them
	Failures []string      `json:"not_finished,omitempty"` // paths that could not be finished, and why
}

// LeftOut counts the places that are known and accepted, by what says so.
type LeftOut struct {
	Comments int      `json:"comments"`
	Paths    int      `json:"paths"`    // and detectors
	Findings int      `json:"findings"` // values and places
	Baseline int      `json:"baseline"`
	Stale    []string `json:"stale,omitempty"`    // secrets of the baseline that are found no more
	Problems []string `json:"problems,omitempty"` // entries of files that can't be used
}

// Line is a finding as programs read it. Field names are a contract.
type Line struct {
	Rule        magpie.RuleID     `json:"rule"`
	Name        string            `json:"name"`
	Provider    string            `json:"provider"`
	Severity    magpie.Severity   `json:"severity"`
	Confidence  magpie.Confidence `json:"confidence"`
	File        string            `json:"file"`
	LineStart   int               `json:"line_start"`
	LineEnd     int               `json:"line_end"`
	ColumnStart int               `json:"column_start"`
	ColumnEnd   int               `json:"column_end"`
	Blob        magpie.Hash       `json:"blob"`
	Commit      magpie.Hash       `json:"commit"`
	Author      string            `json:"author"`
	Email       string            `json:"email"`
	Date        string            `json:"date"` // RFC 3339, empty outside a repository
	Match       string            `json:"match"`
	Secret      string            `json:"secret,omitempty"`
	Fingerprint string            `json:"fingerprint"`
	DecodedFrom string            `json:"decoded_from"`
	Presence    magpie.Presence   `json:"presence,omitempty"` // on the default branch; absent where that is not known
	Refs        []string          `json:"refs,omitempty"`     // that reach it, at most 100; absent where not known
	Ignored     string            `json:"ignored,omitempty"`  // by whose word it would be left out, had that not been overruled
}

// newLine turns a finding into its machine-readable form.
func newLine(f magpie.Finding, showSecrets bool) Line {
	line := Line{
		Rule: f.Rule, Name: f.RuleName, Provider: f.Provider, Severity: f.Severity, Confidence: f.Confidence,
		File: f.File, LineStart: f.LineStart, LineEnd: f.LineEnd, ColumnStart: f.ColumnStart, ColumnEnd: f.ColumnEnd,
		Blob: f.Blob, Commit: f.Commit, Author: f.Author, Email: f.Email,
		Match: f.Excerpt.Text, Fingerprint: detect.Fingerprint(f.Secret.Reveal()), DecodedFrom: f.DecodedFrom,
		Presence: f.Presence, Refs: f.Refs, Ignored: f.Ignored.By,
	}
	if !f.Date.IsZero() {
		line.Date = f.Date.Format(time.RFC3339)
	}
	if showSecrets {
		line.Secret = string(f.Secret.Reveal())
	}
	return line
}

// Write writes all findings and, where the form has a place for it, the summary.
func Write(w io.Writer, findings []magpie.Finding, summary Summary, opts Options) error {
	summary.Seconds = summary.Duration.Seconds()
	writers := map[Format]func(io.Writer, []magpie.Finding, Summary, Options) error{
		Text: writeText, JSON: writeJSON, JSONL: writeJSONL, SARIF: writeSARIF, CSV: writeCSV,
	}
	write, ok := writers[opts.Format]
	if !ok {
		return magpie.Errorf(magpie.KindInvalid, "there is no output format %q", opts.Format)
	}
	if err := write(w, findings, summary, opts); err != nil {
		return fmt.Errorf("writing findings: %w", err)
	}
	return nil
}

// CountSecrets returns the number of distinct values in findings.
func CountSecrets(findings []magpie.Finding) int {
	values := map[string]bool{}
	for _, f := range findings {
		values[string(f.Secret.Reveal())] = true
	}
	return len(values)
}

// bySecret groups findings with the same value, in the order of each group's first.
func bySecret(findings []magpie.Finding) [][]magpie.Finding {
	index := map[string]int{}
	var groups [][]magpie.Finding
	for _, f := range findings {
		i, ok := index[string(f.Secret.Reveal())]
		if !ok {
			i = len(groups)
			index[string(f.Secret.Reveal())] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], f)
	}
	rank := magpie.Severities()
	slices.SortStableFunc(groups, func(a, b []magpie.Finding) int {
		return slices.Index(rank, a[0].Severity) - slices.Index(rank, b[0].Severity)
	})
	return groups
}
