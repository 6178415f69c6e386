package smarthttp

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// server is what discovery found out.
type server struct {
	base    *url.URL // where redirects led
	version int      // of the protocol: 0, 1 or 2
	format  git.Format
	named   bool // whether the server named its format, and so expects us to
	shallow bool // "shallow" and "deepen" are understood
	filter  bool // parts of a history can be asked for
	anyHash bool // hashes that no ref shows can be asked for

	// What is known of servers of version 0 and 1 only.
	sideBand, offsets, canBeQuiet, agent, multiAck bool
	tips                                           map[magpie.Hash]struct{}
}

// Features is what a server can do besides listing refs and sending packs.
type Features struct {
	Version int  // of the protocol: 0, 1 or 2
	Shallow bool // Request.Shallow and Request.Depth
	Filter  bool // Request.CommitsOnly
	AnyHash bool // wants that no ref shows
}

// Features returns what the server can do. It makes a request if none was made before.
func (c *Client) Features(ctx context.Context) (Features, error) {
	s, err := c.discover(ctx)
	if err != nil {
		return Features{}, err
	}
	return Features{Version: s.version, Shallow: s.shallow, Filter: s.filter, AnyHash: s.anyHash}, nil
}

// maxCapabilityBytes bounds the answer to discovery, but for the refs that old versions list there.
const maxCapabilityBytes = 1 << 20

// discover asks, once for each client, how the server speaks.
func (c *Client) discover(ctx context.Context) (*server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found != nil {
		return c.found, nil
	}
	s, _, err := c.ask(ctx)
	return s, err
}

// rediscover asks again. A server of protocol version 0 or 1 gives its refs, too; of version 2 the advert is nil.
func (c *Client) rediscover(ctx context.Context) (*server, *advert, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ask(ctx)
}

// ask makes the request of discovery and keeps the answer; c.mu is held.
func (c *Client) ask(ctx context.Context) (*server, *advert, error) {
	s, a, err := c.askServer(ctx)
	if err != nil {
		c.known.forget(c.base)
		return nil, nil, err
	}
	c.known.remember(c.base, s)
	c.found = s
	return s, a, nil
}

func (c *Client) askServer(ctx context.Context) (*server, *advert, error) {
	const tail = "/info/refs"
	address := c.base.JoinPath(tail)
	address.RawQuery = "service=git-upload-pack"
	a, err := c.do(ctx, http.MethodGet, address.String(), "upload-pack-advertisement", nil)
	if err != nil {
		return nil, nil, err
	}
	defer a.Close()
	s, old, err := c.readDiscovery(newPktReader(a, maxCapabilityBytes))
	if err != nil {
		return nil, nil, badAnswer(err)
	}
	s.base = c.base
	if final := a.resp.Request.URL; strings.HasSuffix(final.Path, tail) {
		moved := *final
		moved.Path, moved.RawPath = strings.TrimSuffix(final.Path, tail), strings.TrimSuffix(final.RawPath, tail)
		moved.RawQuery, moved.Fragment = "", ""
		s.base = &moved
	}
	return s, old, nil
}

// readDiscovery reads the answer to discovery, in whatever version it is.
func (c *Client) readDiscovery(p *pktReader) (*server, *advert, error) {
	kind, line, err := p.line()
	service := err == nil && kind == pktData && strings.HasPrefix(line, "# service=")
	if service {
		if _, _, err = p.line(); err == nil { // the flush
			kind, line, err = p.line()
		}
	}
	switch {
	case err != nil:
		return nil, nil, cutShort(err)
	case kind == pktData && line == "version 2":
		s, err := readCapabilities(p)
		return s, nil, err
	case kind != pktData && !service || kind == pktDelim || kind == pktEnd:
		return nil, nil, errNotGit
	}
	a, err := c.readAdvert(p, kind, line)
	if err != nil {
		return nil, nil, err
	}
	a.tips = make(map[magpie.Hash]struct{}, len(a.refs))
	for _, ref := range a.refs {
		a.tips[ref.Hash] = struct{}{}
	}
	return &a.server, a, nil
}

// readCapabilities reads the answer to discovery in version 2, behind its first line.
func readCapabilities(p *pktReader) (*server, error) {
	s := &server{version: 2, anyHash: true}
	commands := map[string]bool{}
	for {
		kind, line, err := p.line()
		if err != nil {
			return nil, cutShort(err)
		}
		if kind != pktData {
			break
		}
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "object-format":
			if s.format, err = git.ParseFormat(value); err != nil {
				return nil, magpie.Errorf(magpie.KindInvalid, "the repository has object format %q, which is not known", printable(value))
			}
			s.named = true
		case "ls-refs", "fetch":
			commands[key] = true
		}
		if key == "fetch" {
			for word := range strings.FieldsSeq(value) {
				s.shallow = s.shallow || word == "shallow"
				s.filter = s.filter || word == "filter"
			}
		}
	}
	if !commands["ls-refs"] || !commands["fetch"] {
		return nil, errNotGit
	}
	return s, nil
}

// command starts the body of a request.
func (c *Client) command(name string, s *server) []byte {
	b := appendPkt(nil, "command=%s\n", name)
	b = appendPkt(b, "agent=%s\n", strings.ReplaceAll(c.agent, " ", "-"))
	if s.named {
		b = appendPkt(b, "object-format=%s\n", s.format)
	}
	return append(b, "0001"...)
}

// post sends a command.
func (c *Client) post(ctx context.Context, s *server, body []byte) (*answer, error) {
	return c.do(ctx, http.MethodPost, s.base.JoinPath("git-upload-pack").String(), "upload-pack-result", body)
}
