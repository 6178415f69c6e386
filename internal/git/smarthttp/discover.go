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
	base   *url.URL // where redirects led
	format git.Format
	named  bool // whether the server named its format, and so expects us to
}

// maxCapabilityBytes bounds the answer to discovery.
const maxCapabilityBytes = 1 << 20

// discover asks, once for each client, whether and how the server speaks protocol version 2.
func (c *Client) discover(ctx context.Context) (*server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found != nil {
		return c.found, nil
	}
	s, err := c.ask(ctx)
	if err != nil {
		c.known.forget(c.base)
		return nil, err
	}
	c.known.remember(c.base, s)
	c.found = s
	return s, nil
}

// ask makes the request of discovery.
func (c *Client) ask(ctx context.Context) (*server, error) {
	const tail = "/info/refs"
	address := c.base.JoinPath(tail)
	address.RawQuery = "service=git-upload-pack"
	a, err := c.do(ctx, http.MethodGet, address.String(), "upload-pack-advertisement", nil)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	s, err := readCapabilities(newPktReader(a, maxCapabilityBytes))
	if err != nil {
		return nil, badAnswer(err)
	}
	s.base = c.base
	if final := a.resp.Request.URL; strings.HasSuffix(final.Path, tail) {
		moved := *final
		moved.Path, moved.RawPath = strings.TrimSuffix(final.Path, tail), strings.TrimSuffix(final.RawPath, tail)
		moved.RawQuery, moved.Fragment = "", ""
		s.base = &moved
	}
	return s, nil
}

// errOldProtocol is for servers that answer in protocol version 0 or 1.
func errOldProtocol() error {
	return &magpie.Error{
		Kind:    magpie.KindInvalid,
		Message: "the git server does not speak protocol version 2",
		Hint: "Bitbucket speaks it since 5.13 with Git 2.18 or later on the server; a proxy in between must let the " +
			"Git-Protocol header pass",
	}
}

// readCapabilities reads the answer to discovery.
func readCapabilities(p *pktReader) (*server, error) {
	kind, line, err := p.line()
	if err == nil && kind == pktData && strings.HasPrefix(line, "# service=") {
		if _, _, err = p.line(); err == nil { // the flush
			kind, line, err = p.line()
		}
	}
	if err != nil {
		return nil, cutShort(err)
	}
	if kind != pktData || line != "version 2" {
		return nil, errOldProtocol()
	}
	s := &server{}
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
	}
	if !commands["ls-refs"] || !commands["fetch"] {
		return nil, errOldProtocol()
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
