package magpie

// Validity says whether a found secret is alive, as far as its vendor told. It says nothing about who may have used it.
type Validity string

// The states of a secret's validity. The zero Validity means the same as ValidityNotChecked.
const (
	ValidityNotChecked Validity = "not_checked" // nobody asked
	ValidityValid      Validity = "valid"       // the vendor accepted it
	ValidityInvalid    Validity = "invalid"     // the vendor refused it as no credential of its own, or no longer
	ValidityUnknown    Validity = "unknown"     // the vendor's answer says neither
	ValidityFailed     Validity = "failed"      // the vendor could not be asked
	ValidityNoChecker  Validity = "no_checker"  // its detector does not say how to ask
)
