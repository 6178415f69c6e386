package magpie

// Identifiers of our own rows. Each is a UUIDv7 in its usual text form, so ids sort by the time of their birth; the
// empty string is "no such row". They are distinct types so that one can't be passed where another is meant.
type (
	IntegrationID string
	ProjectID     string
	RepoID        string
	HookID        string // the unguessable last part of a webhook receiver's address
	DeliveryID    string
	ScanID        string
	IncidentID    string
	OccurrenceID  string
	UserID        string
	TokenID       string
	AlertID       string
	AuditID       string
)

// RuleID is the stable id of a detector, such as "aws-access-key". It never changes once released.
type RuleID string

// Hash is a Git object id in lower-case hexadecimal: 40 digits for SHA-1 repositories, 64 for SHA-256.
type Hash string

// IsZero reports whether h names no object: it is empty or all zeros, as in the events of created and deleted refs.
func (h Hash) IsZero() bool {
	for i := range len(h) {
		if h[i] != '0' {
			return false
		}
	}
	return true
}

// Short returns the first ten digits, for people.
func (h Hash) Short() string {
	if len(h) > 10 {
		return string(h[:10])
	}
	return string(h)
}
