package ui

import (
	"github.com/a-h/templ"

	"magpie"
)

// What people read for the values of the vocabulary, and the colours that go with them.

func currentPage(current bool) templ.Attributes {
	if current {
		return templ.Attributes{"aria-current": "page"}
	}
	return nil
}

// badge is a coloured word.
type badge struct {
	Label string
	Tone  string // good, bad, warn, active, idle
	Icon  string
	Title string
}

func severityLabel(s magpie.Severity) string {
	switch s {
	case magpie.SeverityCritical:
		return "Critical"
	case magpie.SeverityHigh:
		return "High"
	case magpie.SeverityMedium:
		return "Medium"
	case magpie.SeverityLow:
		return "Low"
	default:
		return "Info"
	}
}

func severityClass(s magpie.Severity) string {
	switch s {
	case magpie.SeverityCritical, magpie.SeverityHigh, magpie.SeverityMedium, magpie.SeverityLow:
		return string(s)
	default:
		return "info"
	}
}

func severityBars(s magpie.Severity) int {
	switch s {
	case magpie.SeverityCritical:
		return 4
	case magpie.SeverityHigh:
		return 3
	case magpie.SeverityMedium:
		return 2
	case magpie.SeverityLow:
		return 1
	default:
		return 0
	}
}

// validityBadge says what the vendor last said about a secret; nothing, if nobody was asked.
func validityBadge(v magpie.Validity) (badge, bool) {
	switch v {
	case magpie.ValidityValid:
		return badge{"Valid", "bad", "warning", "Its vendor accepts it: it is alive"}, true
	case magpie.ValidityInvalid:
		return badge{"Invalid", "good", "check", "Its vendor refuses it"}, true
	case magpie.ValidityUnknown:
		return badge{"Validity unknown", "idle", "info", "The vendor's answer says neither"}, true
	case magpie.ValidityFailed:
		return badge{"Check failed", "warn", "warning", "The vendor could not be asked"}, true
	}
	return badge{}, false
}

func statusLabel(s magpie.IncidentStatus) string {
	switch s {
	case magpie.IncidentTriggered:
		return "Triggered"
	case magpie.IncidentAssigned:
		return "Assigned"
	case magpie.IncidentResolved:
		return "Resolved"
	case magpie.IncidentIgnored:
		return "Ignored"
	default:
		return string(s)
	}
}

func statusClass(s magpie.IncidentStatus) string {
	switch s {
	case magpie.IncidentTriggered, magpie.IncidentAssigned, magpie.IncidentResolved:
		return string(s)
	default:
		return "ignored"
	}
}

func statusIcon(s magpie.IncidentStatus) string {
	switch s {
	case magpie.IncidentTriggered:
		return "dot"
	case magpie.IncidentAssigned:
		return "person"
	case magpie.IncidentResolved:
		return "check"
	default:
		return "slash"
	}
}

// ignoreReasons are the reasons a user may choose, in the order of the form.
var ignoreReasons = []struct {
	Reason magpie.IgnoreReason
	Label  string
	Hint   string
}{
	{magpie.IgnoreFalsePositive, "False positive", "It is not a secret at all"},
	{magpie.IgnoreTestCredential, "Test credential", "It opens nothing that matters"},
	{magpie.IgnoreLowRisk, "Low risk", "It is real, and we accept it"},
	{magpie.IgnoreInvalid, "Invalid", "It does not work (any more)"},
}

func ignoreLabel(reason magpie.IgnoreReason) string {
	for _, r := range ignoreReasons {
		if r.Reason == reason {
			return r.Label
		}
	}
	return string(reason)
}

func roleLabel(r magpie.Role) string {
	switch r {
	case magpie.RoleOwner:
		return "Owner"
	case magpie.RoleManager:
		return "Manager"
	default:
		return "Member"
	}
}

func confidenceLabel(c magpie.Confidence) string {
	switch c {
	case magpie.ConfidenceProven:
		return "Proven by its checksum or structure"
	case magpie.ConfidenceHigh:
		return "High: a format that hardly anything else has"
	case magpie.ConfidenceMedium:
		return "Medium"
	default:
		return "Low: please look at the context"
	}
}

func toneIcon(tone string) string {
	switch tone {
	case "good":
		return "check"
	case "bad":
		return "error"
	case "warn":
		return "warning"
	default:
		return "info"
	}
}
