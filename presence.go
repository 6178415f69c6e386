package magpie

// Presence says whether something stands on a repository's default branch, at the tip that was looked at.
type Presence string

// The states of presence. The zero Presence is PresenceUnknown.
const (
	PresenceUnknown Presence = ""        // not looked at, or not all of the tip's files could be
	PresencePresent Presence = "present" // it is in a file there
	PresenceAbsent  Presence = "absent"  // it was removed, or never was on that branch
)
