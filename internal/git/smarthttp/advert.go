package smarthttp

import (
	"errors"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// errNotGit is for answers to discovery that are of no version of the protocol.
var errNotGit = &magpie.Error{
	Kind: magpie.KindInvalid, Message: "the server does not answer in git's protocol",
	Hint: "check the repository's address, and that a proxy in between lets git through",
}

// errAdvert says that an advertisement of protocol version 0 is malformed.
var errAdvert = errors.New("a line of the ref advertisement is malformed")

// advert is an answer to discovery in protocol version 0 or 1, which lists all refs at once.
type advert struct {
	server
	refs []Ref // as they came, unchecked names included
	head string
}

// readAdvert reads an advertisement from its first line on, which the caller has read.
func (c *Client) readAdvert(p *pktReader, kind pktKind, line string) (*advert, error) {
	a := &advert{server: server{version: 0, format: git.SHA1}}
	if kind == pktData && line == "version 1" {
		a.version = 1
		var err error
		if kind, line, err = p.line(); err != nil {
			return nil, cutShort(err)
		}
	}
	p.limit = c.limits.MaxRefBytes
	for first := true; kind == pktData; first = false {
		if first {
			var words string
			line, words, _ = strings.Cut(line, "\x00")
			if err := a.capabilities(words); err != nil {
				return nil, err
			}
		}
		if len(a.refs) > c.limits.MaxRefs {
			return nil, magpie.Errorf(magpie.KindTooLarge, "the repository has more refs than the limit of %d", c.limits.MaxRefs)
		}
		if err := a.add(line); err != nil {
			return nil, err
		}
		var err error
		if kind, line, err = p.line(); err != nil {
			return nil, cutShort(err)
		}
	}
	if kind != pktFlush {
		return nil, errAdvert
	}
	a.findHead()
	return a, nil
}

// capabilities reads the words behind the first ref.
func (a *advert) capabilities(words string) error {
	for word := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "object-format":
			var err error
			if a.format, err = git.ParseFormat(value); err != nil {
				return magpie.Errorf(magpie.KindInvalid, "the repository has object format %q, which is not known", printable(value))
			}
			a.named = true
		case "symref":
			if target, ok := strings.CutPrefix(value, "HEAD:"); ok {
				a.head = target
			}
		case "side-band-64k":
			a.sideBand = true
		case "ofs-delta":
			a.offsets = true
		case "no-progress":
			a.canBeQuiet = true
		case "agent":
			a.agent = true
		case "multi_ack_detailed":
			a.multiAck = true
		case "shallow":
			a.shallow = true
		case "filter":
			a.filter = true
		case "allow-reachable-sha1-in-want":
			a.anyHash = true
		}
	}
	return nil
}

// add reads "<id> <name>", "<id> <name>^{}", which peels the ref before, or "shallow <id>".
func (a *advert) add(line string) error {
	digits, name, ok := strings.Cut(line, " ")
	if ok && digits == "shallow" {
		digits = name
	}
	id, err := git.ParseID(digits)
	if !ok || err != nil || id.Format() != a.format {
		return errAdvert
	}
	if digits == name || name == "capabilities^{}" && id.IsZero() {
		return nil
	}
	if of, peels := strings.CutSuffix(name, "^{}"); peels {
		if n := len(a.refs); n > 0 && a.refs[n-1].Name == of {
			a.refs[n-1].Peeled = id.Hash()
			return nil
		}
		return errAdvert
	}
	a.refs = append(a.refs, Ref{Name: name, Hash: id.Hash()})
	return nil
}

// findHead sets what HEAD stands for. Old servers don't say; then it is a branch at the same commit, by preference one
// with the usual name.
func (a *advert) findHead() {
	if len(a.refs) == 0 || a.refs[0].Name != "HEAD" {
		return
	}
	head := &a.refs[0]
	for _, ref := range a.refs[1:] {
		usual := ref.Name == "refs/heads/master" || ref.Name == "refs/heads/main"
		if a.symrefUnknown() && ref.Hash == head.Hash && strings.HasPrefix(ref.Name, "refs/heads/") && (head.Target == "" || usual) {
			head.Target = ref.Name
		}
	}
	if a.head != "" {
		head.Target = a.head
	}
}

func (a *advert) symrefUnknown() bool { return a.head == "" }

// listing makes a Listing of the refs that match.
func (c *Client) listing(a *advert, prefixes []string) *Listing {
	l := &Listing{Format: a.format, Head: a.head}
	for _, ref := range a.refs {
		if why := c.checkName(ref); why != "" {
			l.skip(ref.Name, why)
			continue
		}
		if ref.Name == "HEAD" {
			l.Head = ref.Target
		}
		if matches(ref.Name, prefixes) {
			l.Refs = append(l.Refs, ref)
		}
	}
	if l.Head != "" && !validRefName(l.Head) {
		l.Head = ""
	}
	return l
}
