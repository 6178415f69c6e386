package smarthttp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// maxSkippedRefs is how many skipped refs a Listing describes.
const maxSkippedRefs = 100

// LsRefs lists the refs whose full names start with one of the prefixes, or all refs if there is no prefix. An empty
// repository has none. Servers may return more than was asked for; that is filtered out.
func (c *Client) LsRefs(ctx context.Context, prefixes ...string) (*Listing, error) {
	for _, p := range prefixes {
		if len(p) > c.limits.MaxRefName || strings.ContainsAny(p, "\n\x00") {
			return nil, magpie.Errorf(magpie.KindInvalid, "%.100q can't start the name of a ref", p)
		}
	}
	if s := c.assume(); s != nil {
		l, err := c.lsRefs(ctx, s, prefixes)
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.found = s
			return l, nil
		}
		if !notAsAssumed(ctx, err) {
			return nil, err
		}
	}
	c.mu.Lock()
	s := c.found
	c.mu.Unlock()
	if s == nil || s.version < 2 {
		var old *advert
		var err error
		if s, old, err = c.rediscover(ctx); err != nil {
			return nil, err
		}
		if old != nil {
			return c.listing(old, prefixes), nil
		}
	}
	return c.lsRefs(ctx, s, prefixes)
}

// lsRefs lists refs of a server that is known.
func (c *Client) lsRefs(ctx context.Context, s *server, prefixes []string) (*Listing, error) {
	body := c.command("ls-refs", s)
	body = appendPkt(body, "peel\n")
	body = appendPkt(body, "symrefs\n")
	for _, p := range prefixes {
		body = appendPkt(body, "ref-prefix %s\n", p)
	}
	if len(prefixes) > 0 {
		body = appendPkt(body, "ref-prefix HEAD\n")
	}
	a, err := c.post(ctx, s, append(body, "0000"...))
	if err != nil {
		return nil, err
	}
	defer a.Close()
	l := &Listing{Format: s.format}
	if err := c.readRefs(newPktReader(a, c.limits.MaxRefBytes), l, prefixes); err != nil {
		return nil, badAnswer(err)
	}
	return l, nil
}

// readRefs reads the answer to ls-refs.
func (c *Client) readRefs(p *pktReader, l *Listing, prefixes []string) error {
	for n := 0; ; n++ {
		kind, line, err := p.line()
		if err != nil {
			return cutShort(err)
		}
		if kind != pktData {
			return nil
		}
		if n >= c.limits.MaxRefs {
			return magpie.Errorf(magpie.KindTooLarge, "the repository has more refs than the limit of %d", c.limits.MaxRefs)
		}
		ref, err := parseRef(line, l.Format)
		if err != nil {
			return err
		}
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
}

// skip notes a ref that is left out.
func (l *Listing) skip(name, why string) {
	l.SkippedCount++
	if len(l.Skipped) < maxSkippedRefs {
		l.Skipped = append(l.Skipped, fmt.Sprintf("%.100q: %s", name, why))
	}
}

func matches(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}

var errRefLine = errors.New("a line of the ref listing is malformed")

// parseRef reads "<id> <name>[ symref-target:<name>][ peeled:<id>]".
func parseRef(line string, format git.Format) (Ref, error) {
	digits, rest, ok := strings.Cut(line, " ")
	id, err := git.ParseID(digits)
	if !ok || err != nil || id.Format() != format {
		return Ref{}, errRefLine
	}
	name, attributes, _ := strings.Cut(rest, " ")
	ref := Ref{Name: name, Hash: id.Hash()}
	for a := range strings.SplitSeq(attributes, " ") {
		key, value, _ := strings.Cut(a, ":")
		switch key {
		case "symref-target":
			ref.Target = value
		case "peeled":
			peeled, err := git.ParseID(value)
			if err != nil || peeled.Format() != format {
				return Ref{}, errRefLine
			}
			ref.Peeled = peeled.Hash()
		}
	}
	return ref, nil
}

// checkName returns why a ref is left out, or the empty string.
func (c *Client) checkName(ref Ref) string {
	switch {
	case len(ref.Name) > c.limits.MaxRefName:
		return "the name is too long"
	case ref.Name != "HEAD" && !validRefName(ref.Name):
		return "git does not allow this name"
	case ref.Target != "" && !validRefName(ref.Target):
		return "git does not allow the name it points to"
	case magpie.Hash(ref.Hash).IsZero():
		return "it names no object"
	}
	return ""
}

// validRefName applies the rules of git-check-ref-format(1) to a full name.
func validRefName(name string) bool {
	if !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte("~^:?*[\\", c) >= 0 {
			return false
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
