package smarthttp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"magpie"
)

// Servers remembers which servers speak protocol version 2, and how. It is an assumption, which a server may outlive: an
// answer that does not fit makes a client ask again. The zero Servers is ready; it is safe for concurrent use.
type Servers struct {
	mu sync.Mutex
	m  map[string]server // by origin; without base
}

func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// remember notes how the server at base answered. A repository whose format is another one than that of the first is an
// exception that is found out each time.
func (k *Servers) remember(base *url.URL, s *server) {
	if s.version < 2 {
		k.forget(base) // listing is discovering there
		return
	}
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if have, ok := k.m[origin(base)]; ok && have.named == s.named && have.shallow == s.shallow && have.filter == s.filter {
		return
	}
	if k.m == nil {
		k.m = map[string]server{}
	}
	known := *s
	known.base = nil
	k.m[origin(base)] = known
}

func (k *Servers) forget(base *url.URL) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, origin(base))
}

// assume returns how the server presumably speaks if this client did not ask it and another one did, or nil.
func (c *Client) assume() *server {
	c.mu.Lock()
	found := c.found != nil
	c.mu.Unlock()
	if found || c.known == nil {
		return nil
	}
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	s, ok := c.known.m[origin(c.base)]
	if !ok {
		return nil
	}
	s.base = c.base
	return &s
}

// notAsAssumed reports whether err may come from a server that speaks otherwise than was assumed: not from one that can't be
// reached, refuses or is busy.
func notAsAssumed(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.Code < http.StatusInternalServerError && magpie.KindOf(err) == magpie.KindUnavailable
	}
	if said, ok := errors.AsType[*ServerError](err); ok {
		return !said.Busy
	}
	switch magpie.KindOf(err) {
	case magpie.KindInvalid:
		return true
	case magpie.KindUnavailable:
		_, protocol := errors.AsType[*protocolError](err)
		return protocol
	}
	return false
}

// protocolError is the cause of an error about an answer that is not the protocol.
type protocolError struct{ err error }

// Error implements error.
func (e *protocolError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *protocolError) Unwrap() error { return e.err }
