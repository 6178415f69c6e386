package magpie

import "time"

// IncidentStatus is where an incident stands.
type IncidentStatus string

// The states of an incident.
const (
	IncidentTriggered IncidentStatus = "triggered" // open, nobody assigned
	IncidentAssigned  IncidentStatus = "assigned"  // open, somebody works on it
	IncidentResolved  IncidentStatus = "resolved"
	IncidentIgnored   IncidentStatus = "ignored"
)

// Open reports whether somebody still has to act.
func (s IncidentStatus) Open() bool { return s == IncidentTriggered || s == IncidentAssigned }

// IgnoreReason says why an incident needs no action.
type IgnoreReason string

// The reasons to ignore an incident.
const (
	IgnoreTestCredential IgnoreReason = "test_credential"
	IgnoreFalsePositive  IgnoreReason = "false_positive"
	IgnoreLowRisk        IgnoreReason = "low_risk"
	IgnoreInvalid        IgnoreReason = "invalid"
)

// Incident is one leaked secret, wherever it occurs. The value itself is sealed in the store; Masked is a hint for
// those who know it.
type Incident struct {
	ID             IncidentID
	Number         int64 // counts from 1 in the order of discovery, for people
	Rule           RuleID
	Title          string // the rule's name at the time
	Provider       string
	Severity       Severity
	Confidence     Confidence
	Status         IncidentStatus
	IgnoreReason   IgnoreReason // empty unless ignored
	SecretRevoked  bool         // said when resolving
	Regressed      bool         // reopened by a new occurrence after it was resolved
	AssigneeID     UserID       // empty when nobody
	Masked         string
	Occurrences    int64
	FirstSeenAt    time.Time // when the scan found it
	LastSeenAt     time.Time // when its newest occurrence was found
	FirstCommitAt  time.Time // author date of its earliest occurrence
	ClosedAt       time.Time // zero while open
	FromHistory    bool      // first found by a history scan, not by a push
	FirstRepoID    RepoID
	FirstRepo      string // "KEY/slug" of its first occurrence, for lists
	FirstFile      string
	FirstAuthor    string
	FirstAuthorEml string
	Validity       Validity  // what the vendor last said about the secret
	CheckedAt      time.Time // when it was last asked; zero if never
}

// Occurrence is an incident's secret in one file at the commit that brought it there.
type Occurrence struct {
	ID          OccurrenceID
	IncidentID  IncidentID
	RepoID      RepoID
	ScanID      ScanID
	File        string
	LineStart   int
	LineEnd     int
	ColumnStart int
	ColumnEnd   int
	DecodedFrom string
	Blob        Hash
	Commit      Hash
	Author      string
	Email       string
	CommitAt    time.Time
	FoundAt     time.Time
	Presence    Presence  // whether the secret stands anywhere on the repository's default branch
	PresenceAt  time.Time // when that was looked at; zero if never
}

// IncidentEvent is one line of an incident's history.
type IncidentEvent struct {
	At     time.Time
	Actor  UserID // empty when Magpie itself did it
	Action string // "opened", "occurrence", "assigned", "resolved", "ignored", "reopened", "regressed", "revealed", "alerted", "checked"
	Detail string
}
