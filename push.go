package magpie

import "time"

// ChangeType says what a push did to a ref.
type ChangeType string

// The changes of a ref.
const (
	ChangeAdd    ChangeType = "ADD"
	ChangeUpdate ChangeType = "UPDATE"
	ChangeDelete ChangeType = "DELETE"
)

// RefChange is one ref moved by a push. From is zero for an added ref, To for a deleted one.
type RefChange struct {
	Ref  string // full name, such as "refs/heads/main"
	From Hash
	To   Hash
	Type ChangeType
}

// Push is what a signed event told about a repository: a hint to look there now, and hashes worth asking for. It is
// never the truth; the repository's refs are.
type Push struct {
	RemoteRepoID int64 // Bitbucket's numeric id of the repository
	RequestID    string
	EventKey     string
	Actor        string // name of the pusher, for display
	Changes      []RefChange
	SentAt       time.Time // the event's own time in whole seconds of Bitbucket's clock; zero if not told
}

// Hashes returns the distinct object ids that the push names, without the zero ones, oldest first.
func (p Push) Hashes() []Hash {
	var hashes []Hash
	seen := map[Hash]bool{}
	for _, c := range p.Changes {
		for _, h := range []Hash{c.From, c.To} {
			if !h.IsZero() && !seen[h] {
				seen[h] = true
				hashes = append(hashes, h)
			}
		}
	}
	return hashes
}
