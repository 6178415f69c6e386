package bitbucket

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"magpie"
)

// wireToken is an access token as the server lists it, without its text.
type wireToken struct {
	ID     text    `json:"id"`
	Expiry instant `json:"expiryDate"` // only on tokens that expire
}

// TokenExpiry returns when the client's token expires; the zero time is never. Whether a token may read that is up to the
// server and its version, and which of its user's tokens it is must be guessed from its text: known is false, without an
// error, if the server does not tell.
func (c *Client) TokenExpiry(ctx context.Context) (expires time.Time, known bool, err error) {
	_, header, err := c.properties(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	slug := userSlug(username(header))
	if slug == "" {
		return time.Time{}, false, tokenInvalid("")
	}
	path := "/rest/access-tokens/1.0/users/" + url.PathEscape(slug)
	if id, ok := tokenID(c.token); ok {
		var t wireToken
		_, err := c.call(ctx, http.MethodGet, path+"/"+id, nil, nil, &t)
		if err == nil && string(t.ID) == id {
			return t.Expiry.Time, true, nil
		}
		if err != nil && !silent(err) {
			return time.Time{}, false, err
		}
	}
	var all []wireToken
	for t, err := range list[wireToken](ctx, c, path, nil) {
		switch {
		case silent(err):
			return time.Time{}, false, nil
		case err != nil:
			return time.Time{}, false, err
		}
		all = append(all, t)
	}
	expires, known = commonExpiry(all)
	return expires, known, nil
}

// silent reports whether err says that the server does not tell: to no token, not to this one, or not in this version.
func silent(err error) bool {
	switch magpie.KindOf(err) {
	case magpie.KindForbidden, magpie.KindNotFound, magpie.KindInvalid:
		return true
	}
	return false
}

// commonExpiry returns when tokens expire, if all do at the same time.
func commonExpiry(all []wireToken) (time.Time, bool) {
	for _, t := range all {
		if !t.Expiry.Equal(all[0].Expiry.Time) {
			return time.Time{}, false
		}
	}
	if len(all) == 0 {
		return time.Time{}, false
	}
	return all[0].Expiry.Time, true
}

// tokenID reads the id out of a token's text, which is the base64 of the id, a colon and random bytes.
func tokenID(token magpie.Secret) (string, bool) {
	encoded := bytes.TrimPrefix(token.Reveal(), []byte("BBDC-"))
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(string(encoded), "="))
	if err != nil {
		return "", false
	}
	id, _, found := bytes.Cut(plain, []byte(":"))
	if n, err := strconv.ParseUint(string(id), 10, 63); !found || err != nil || n == 0 {
		return "", false
	}
	return string(id), true
}

// userSlug returns the form of a user's name that stands in addresses.
func userSlug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_', r > 0x7f:
			return r
		}
		return '_'
	}, strings.ToLower(name))
}
