package magpie

import "time"

// Finding is one secret at one place, fresh from a scan and still holding the plain value. It lives in memory only.
type Finding struct {
	Rule       RuleID
	RuleName   string
	Provider   string // the vendor whose secret it is, such as "GitHub"; empty for generic ones
	Severity   Severity
	Confidence Confidence
	Secret     Secret

	File        string // path in the repository or folder; empty if no commit holds the blob
	LineStart   int    // from 1
	LineEnd     int    // inclusive
	ColumnStart int    // from 1, in bytes
	ColumnEnd   int    // inclusive
	// DecodedFrom is "base64" and so on, or a container with the member's name, "zip:a/b.txt", outermost first, joined by ">";
	// empty if it stood there as it is.
	DecodedFrom string

	Blob   Hash
	Commit Hash // the commit that introduced it; empty outside a repository
	Author string
	Email  string
	Date   time.Time // the commit's author date

	// Refs names the refs that reach a commit with this version of the file, at most 100 of them; nil where that was not
	// asked for. Presence says whether the secret still stands somewhere on the default branch.
	Refs     []string
	Presence Presence

	Excerpt Excerpt

	// Comment is the comment at its line that says to ignore it, such as "gitleaks:allow"; empty if there is none.
	Comment string
	// Line is the line of the match, shortened if it is long, and Match the part of it that the detector matched, for rules
	// about what to ignore. Both hold the secret. They are empty where too much was found to keep them.
	Line, Match Secret
	// Ignored says by whose word it is known and accepted; the zero Ignored means that it is not.
	Ignored Ignored
}

// Ignored says by whose word a finding is known and accepted.
type Ignored struct {
	Kind string // what that word goes by: "comment", "path", "finding", or "excluded" by the server's own settings
	By   string // the comment, or the file and line that says so, for people
}

// Confidence says how sure a detector is.
type Confidence string

// The confidences, surest first.
const (
	ConfidenceProven Confidence = "proven" // a checksum or structure was verified
	ConfidenceHigh   Confidence = "high"   // a format that hardly anything else has
	ConfidenceMedium Confidence = "medium"
	ConfidenceLow    Confidence = "low"
)

// Excerpt is a few lines around a finding, every found value in them already masked.
type Excerpt struct {
	FirstLine int    `json:"first_line"` // number of the first line, from 1
	Text      string `json:"text"`
}
