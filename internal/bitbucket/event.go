package bitbucket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"magpie"
)

// Names of events, as in the header X-Event-Key and in the body.
const (
	EventRefsChanged = "repo:refs_changed" // a push, or anything else that moves refs
	EventModified    = "repo:modified"     // a rename or a move
	EventPing        = "diagnostics:ping"  // "Test connection"; never signed, so it deserves an answer and no trust
)

// Limits of an event. A longer list of changes is cut, which loses nothing: the refs themselves are read afterwards.
const (
	MaxEventBytes = 8 << 20 // a push of 30,000 refs
	maxChanges    = 1000
	maxRefName    = 4096
	maxDepth      = 64 // of JSON; real events have about 8
)

// ErrIgnored is returned for an event that is sound but of no use to Magpie. The answer to it should be a success, or
// Bitbucket stops delivering.
var ErrIgnored = errors.New("an event that Magpie has no use for")

// VerifySignature reports whether header, the value of X-Hub-Signature, is the HMAC-SHA256 of body, exactly as it was
// received, under secret. An empty secret verifies nothing. The comparison takes the same time for every wrong signature.
func VerifySignature(secret magpie.Secret, header string, body []byte) bool {
	digits, ok := strings.CutPrefix(header, "sha256=")
	if !ok || len(digits) != 2*sha256.Size || strings.ToLower(digits) != digits || secret.Len() == 0 {
		return false
	}
	got, err := hex.DecodeString(digits)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret.Reveal())
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

type wireChange struct {
	Ref      part[wireRef] `json:"ref"`
	RefID    text          `json:"refId"`
	FromHash text          `json:"fromHash"`
	ToHash   text          `json:"toHash"`
	Type     text          `json:"type"`
}

type wireRef struct {
	ID text `json:"id"`
}

// change checks and converts one changed ref. What an unknown type of change does is seen from its hashes.
func (w wireChange) change() (magpie.RefChange, error) {
	c := magpie.RefChange{
		Ref: string(orElse(w.RefID, w.Ref.It.ID)), From: magpie.Hash(w.FromHash), To: magpie.Hash(w.ToHash), Type: magpie.ChangeType(w.Type),
	}
	if !validRef(c.Ref) {
		return magpie.RefChange{}, errors.New("a ref name that Git would not allow")
	}
	if !validHash(c.From) || !validHash(c.To) {
		return magpie.RefChange{}, errors.New("a hash that is none")
	}
	switch c.Type {
	case magpie.ChangeAdd, magpie.ChangeUpdate, magpie.ChangeDelete:
		return c, nil
	}
	switch {
	case c.To.IsZero():
		c.Type = magpie.ChangeDelete
	case c.From.IsZero():
		c.Type = magpie.ChangeAdd
	default:
		c.Type = magpie.ChangeUpdate
	}
	return c, nil
}

// validHash reports whether h is empty or 40 or 64 lower-case hexadecimal digits.
func validHash(h magpie.Hash) bool {
	if len(h) != 0 && len(h) != 40 && len(h) != 64 {
		return false
	}
	return strings.Trim(string(h), "0123456789abcdef") == ""
}

// validRef reports whether name is a full ref name that can be shown and sent to Git safely.
func validRef(name string) bool {
	if !strings.HasPrefix(name, "refs/") || len(name) > maxRefName || strings.Contains(name, "..") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == ' ' || strings.ContainsRune(`~^:?*[\`, r) })
}

// wireEvent holds what we read of all events.
type wireEvent struct {
	EventKey   text             `json:"eventKey"`
	Date       instant          `json:"date"`
	Actor      part[wireUser]   `json:"actor"`
	Repository part[wireID]     `json:"repository"`
	New        part[wireID]     `json:"new"`
	Changes    many[wireChange] `json:"changes"`
}

type wireID struct {
	ID number `json:"id"`
}

// ParseEvent reads a delivery whose signature was verified. eventKey and requestID are the headers X-Event-Key and
// X-Request-Id; as headers are not signed, the key must agree with the one in the body. The push of a repo:modified event
// has no changes. An odd value in a field that can be done without does no harm. It returns ErrIgnored for other events, and
// a *magpie.Error of KindInvalid or KindTooLarge for a body that no Bitbucket sends.
func ParseEvent(eventKey, requestID string, body []byte) (magpie.Push, error) {
	if len(body) > MaxEventBytes {
		return magpie.Push{}, magpie.Errorf(magpie.KindTooLarge, "the event has %d bytes, more than %d", len(body), MaxEventBytes)
	}
	if eventKey != EventRefsChanged && eventKey != EventModified {
		return magpie.Push{}, ErrIgnored
	}
	if tooDeep(body) {
		return magpie.Push{}, malformed("is not plain JSON", nil)
	}
	var event wireEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return magpie.Push{}, malformed("is not the JSON of an event", err)
	}
	if string(event.EventKey) != eventKey {
		return magpie.Push{}, malformed("and its header name different events", nil)
	}
	repo := event.Repository.It
	if eventKey == EventModified {
		repo = event.New.It
	}
	if repo.ID <= 0 {
		return magpie.Push{}, malformed("names no repository", nil)
	}
	push := magpie.Push{
		RemoteRepoID: int64(repo.ID), RequestID: oneLine(requestID), EventKey: eventKey, Actor: oneLine(string(event.Actor.It.Name)),
		SentAt: event.Date.Time,
	}
	if eventKey == EventModified {
		return push, nil
	}
	for i, w := range event.Changes[:min(len(event.Changes), maxChanges)] {
		change, err := w.change()
		if err != nil {
			return magpie.Push{}, malformed(fmt.Sprintf("has, as change %d, %v", i+1, err), nil)
		}
		push.Changes = append(push.Changes, change)
	}
	return push, nil
}

func malformed(what string, err error) error {
	return &magpie.Error{Kind: magpie.KindInvalid, Message: "the event's body " + what, Err: err}
}

// tooDeep reports whether JSON nests deeper than any real event, without parsing it.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}
