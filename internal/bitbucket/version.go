package bitbucket

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"magpie"
)

// Version is a Bitbucket version; the zero Version is unknown.
type Version struct{ Major, Minor, Patch int }

// Versions from which things are there.
var (
	oldestSupported = Version{Major: 7, Minor: 6}
	archivedSince   = Version{Major: 8}
)

// ParseVersion reads "8.19.1"; what follows the numbers, as in "9.0.0-rc1", is ignored.
func ParseVersion(s string) (Version, error) {
	s, _, _ = strings.Cut(s, "-")
	parts := strings.Split(s, ".")
	if len(parts) < 2 {
		return Version{}, fmt.Errorf("%q is not a version", s)
	}
	var n [3]int
	for i := range min(len(parts), 3) {
		v, err := strconv.Atoi(parts[i])
		if err != nil || v < 0 {
			return Version{}, fmt.Errorf("%q is not a version", s)
		}
		n[i] = v
	}
	return Version{n[0], n[1], n[2]}, nil
}

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

// String returns "8.19.1".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Instance is what one probe tells about a Bitbucket and a token.
type Instance struct {
	Version  string // as reported, such as "9.4.3"
	Username string // name of the token's owner, such as "magpie" or "access-token-user/1/2"
}

// Probe asks whether the address is a supported Bitbucket and the token is alive, in one request. Each way to fail has its
// own *magpie.Error: no Bitbucket there and too old (KindInvalid, field "url"), a bad token (KindTokenInvalid, field
// "token"), trouble on the way (KindUnavailable).
func (c *Client) Probe(ctx context.Context) (Instance, error) {
	version, header, err := c.properties(ctx)
	if err != nil {
		return Instance{}, err
	}
	parsed, err := ParseVersion(version)
	if err != nil {
		return Instance{}, noBitbucket(c.base, err)
	}
	if parsed.Before(oldestSupported) {
		return Instance{}, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "url",
			Message: fmt.Sprintf("%s is Bitbucket %s; Magpie needs 7.6 or later", c.base, oneLine(version)),
			Hint:    "let the instance be upgraded, then connect it again",
		}
	}
	user := header.Get(userHeader)
	if user == "" {
		// The address answers anyone, but only known users get their name back. What is wrong is said elsewhere.
		_, err := c.call(ctx, http.MethodGet, api+"/projects", url.Values{"limit": {"1"}}, nil, nil)
		if kind := magpie.KindOf(err); kind == magpie.KindTokenInvalid || kind == magpie.KindNoLicence {
			return Instance{}, err
		}
		return Instance{}, tokenInvalid("")
	}
	return Instance{Version: oneLine(version), Username: username(header)}, nil
}

// username returns the name of the user that an answer was for.
func username(header http.Header) string {
	user := header.Get(userHeader)
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	return oneLine(user)
}

// properties reads version and headers of the one address that answers everyone, and remembers the version.
func (c *Client) properties(ctx context.Context) (string, http.Header, error) {
	var body struct {
		Version text `json:"version"`
	}
	ans, err := c.call(ctx, http.MethodGet, api+"/application-properties", nil, nil, &body)
	switch kind := magpie.KindOf(err); {
	case err != nil && (ans.status == http.StatusOK || kind == magpie.KindNotFound || ans.status == http.StatusForbidden && looksLikeHTML(ans)):
		return "", nil, noBitbucket(c.base, err)
	case err != nil:
		return "", nil, err
	case body.Version == "":
		return "", nil, noBitbucket(c.base, nil)
	}
	if v, err := ParseVersion(string(body.Version)); err == nil {
		c.mu.Lock()
		c.version = v
		c.mu.Unlock()
	}
	return string(body.Version), ans.header, nil
}

func noBitbucket(base string, err error) error {
	return &magpie.Error{
		Kind: magpie.KindInvalid, Field: "url", Message: fmt.Sprintf("%s is not a Bitbucket", base),
		Hint: "type the address of Bitbucket's start page; if it ends in a path such as /bitbucket, that belongs to it", Err: err,
	}
}

// since reports whether the server is version v or newer, asking it the first time.
func (c *Client) since(ctx context.Context, v Version) (bool, error) {
	c.mu.Lock()
	have := c.version
	c.mu.Unlock()
	if have == (Version{}) {
		text, _, err := c.properties(ctx)
		if err != nil {
			return false, err
		}
		if have, err = ParseVersion(text); err != nil {
			return false, noBitbucket(c.base, err)
		}
	}
	return !have.Before(v), nil
}
