package detect

import (
	"slices"

	"magpie"
	"magpie/internal/rule"
)

// Match is one secret found. The slices and strings in it stay valid until the scanner's next scan, unless Clone is
// called.
type Match struct {
	Rule       *rule.Rule
	Start, End int    // of the secret in the file as committed; of the encoded run if DecodedFrom is set
	MatchStart int    // of the whole match, which may be wider than the secret
	MatchEnd   int    //
	Secret     []byte // the value, decoded
	// DecodedFrom names the encodings and containers around the value, outermost first, joined by ">"; empty if it stood there
	// as it is. A container's member is told with its name: "zip:conf/app.properties>base64".
	DecodedFrom string
	Confidence  magpie.Confidence
	Reason      string // why it was reported, in words; never holds the secret
	// WindowStart and WindowEnd bound the bytes of the file that decided about this match: in any other file that has
	// the same bytes (and the same file ends, where the window touches them) it stands as well.
	WindowStart, WindowEnd int

	// Ignored is the comment that says to ignore the match; empty if there is none, which is all that is reported unless
	// Options.KeepIgnored is set.
	Ignored string

	member string // the part of DecodedFrom that names the member of a container in which it stands; empty if in none
}

// Clone returns a copy of m that does not share memory with the data scanned.
func (m Match) Clone() Match {
	m.Secret = slices.Clone(m.Secret)
	return m
}

// move shifts a match by n bytes.
func (m *Match) move(n int) {
	m.Start, m.End, m.MatchStart, m.MatchEnd = m.Start+n, m.End+n, m.MatchStart+n, m.MatchEnd+n
	m.WindowStart, m.WindowEnd = m.WindowStart+n, m.WindowEnd+n
}
