package bitbucket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"magpie"
)

// refusalBody is the body of an error answer. Container-level errors have only Message.
type refusalBody struct {
	Errors many[struct {
		Message       text `json:"message"`
		ExceptionName text `json:"exceptionName"`
	}] `json:"errors"`
	Message text `json:"message"`
}

// exception returns the first exception's class name, empty if there is none.
func (b refusalBody) exception() string {
	for _, e := range b.Errors {
		if e.ExceptionName != "" {
			return string(e.ExceptionName)
		}
	}
	return ""
}

// text returns what the server says, fit for one line.
func (b refusalBody) text() string {
	for _, e := range b.Errors {
		if e.Message != "" && e.Message != "null" {
			return oneLine(string(e.Message))
		}
	}
	return oneLine(string(b.Message))
}

// longestLine is how many characters of a foreign text are shown.
const longestLine = 200

// oneLine makes foreign text safe to show: no control characters, a bounded length.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 20*longestLine)], "�")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > longestLine {
		s = string(r[:longestLine]) + "…"
	}
	return strings.TrimSuffix(strings.TrimSpace(s), ".")
}

// without cuts secrets out of what the server says: some servers, and proxies before them, repeat what they were sent.
func (b refusalBody) without(secrets ...magpie.Secret) refusalBody {
	for _, secret := range secrets {
		b.Message = text(secret.CutFrom(string(b.Message)))
		for i, e := range b.Errors {
			b.Errors[i].Message = text(secret.CutFrom(string(e.Message)))
		}
	}
	return b
}

// refused turns an answer that is no success into an error. It repeats no secret of the request.
func (c *Client) refused(ctx context.Context, path string, ans answer, secrets ...magpie.Secret) error {
	var body refusalBody
	_ = json.Unmarshal(ans.body, &body) // often no JSON at all
	body = body.without(append(secrets, c.token)...)
	said := body.text()
	switch ans.status {
	case http.StatusUnauthorized:
		return c.unauthorized(ctx, ans, body)
	case http.StatusForbidden:
		return forbidden(said)
	case http.StatusNotFound:
		return &magpie.Error{Kind: magpie.KindNotFound, Message: orElse(said, "there is no "+path+" at "+c.base)}
	case http.StatusConflict:
		return &magpie.Error{Kind: magpie.KindConflict, Message: orElse(said, "Bitbucket reports a conflict")}
	case http.StatusTooManyRequests:
		return askedToWait(retryAfter(ans.header.Get("Retry-After"), time.Now()))
	}
	switch {
	case ans.status == http.StatusServiceUnavailable:
		e := &magpie.Error{
			Kind: magpie.KindUnavailable, Message: c.base + " is starting, in maintenance or overloaded (status 503)",
			Hint: "work resumes by itself once Bitbucket does", Err: cause(said),
		}
		if looksLikeHTML(ans) {
			e.Message = c.base + " shows a page instead of serving requests, as it does while it starts or is in maintenance (status 503)"
		}
		return e
	case ans.status >= 500:
		return &magpie.Error{
			Kind: magpie.KindUnavailable, Message: fmt.Sprintf("%s answers with status %d", c.base, ans.status),
			Hint: "this is trouble inside Bitbucket or a proxy before it; it is tried again", Err: cause(said),
		}
	case ans.status/100 == 3:
		return &magpie.Error{
			Kind: magpie.KindInvalid, Field: "url", Message: fmt.Sprintf("%s answers with a redirect", c.base),
			Hint: "type the address that Bitbucket itself uses, as its start page shows it",
		}
	}
	return &magpie.Error{
		Kind:    magpie.KindInvalid,
		Message: fmt.Sprintf("Bitbucket refuses the request with status %d", ans.status) + prefixed(": ", said),
	}
}

// unauthorized tells "you may not" from "who are you"; Bitbucket says 401 to both.
func (c *Client) unauthorized(ctx context.Context, ans answer, body refusalBody) error {
	known := ans.header.Get(userHeader) != ""
	exception := body.exception()
	exception = exception[strings.LastIndexByte(exception, '.')+1:]
	switch {
	case exception == "NoAccessAuthenticationException":
		return noLicence(body.text())
	case known, exception == "AuthorisationException" && c.tokenWorks(ctx):
		return forbidden(body.text())
	}
	e := tokenInvalid(body.text())
	if looksLikeHTML(ans) {
		e.Hint = "the answer is a web page, which may come from a proxy before Bitbucket; if it does, let it pass requests to " +
			"Bitbucket's REST interface, otherwise " + e.Hint
	}
	return e
}

// tokenWorks reports whether the server still knows the token's user. It is asked only after a refusal that may mean both,
// and when in doubt the answer is yes: taking a living token for dead stops all work.
func (c *Client) tokenWorks(ctx context.Context) bool {
	ans, err := c.once(ctx, http.MethodGet, c.base+api+"/application-properties", nil)
	if err != nil || ans.status/100 != 2 {
		return err != nil || ans.status != http.StatusUnauthorized
	}
	return ans.header.Get(userHeader) != ""
}

// tokenInvalid explains a dead token, in Bitbucket's own words where it has some: what it calls the exceptions changes, and
// a two-step verification or a policy may be the reason as well as the end of the token.
func tokenInvalid(said string) *magpie.Error {
	message := "Bitbucket does not accept the access token: it is wrong, expired or revoked, or its user was removed"
	if said != "" {
		message = "Bitbucket does not accept the access token; it says: " + said
	}
	return &magpie.Error{
		Kind: magpie.KindTokenInvalid, Field: "token", Message: message,
		Hint: "create an HTTP access token with Project read and Repository admin permission and without expiry, and enter it here",
	}
}

func noLicence(said string) error {
	return &magpie.Error{
		Kind: magpie.KindNoLicence, Field: "token",
		Message: "the token's user has no licence for Bitbucket" + prefixed("; it says: ", said),
		Hint: "either the user's access was withdrawn or the licence of Bitbucket itself lapsed: let an administrator of Bitbucket " +
			"look at both; the token need not be replaced, and work resumes by itself",
	}
}

func forbidden(said string) error {
	return &magpie.Error{
		Kind: magpie.KindForbidden, Field: "token",
		Message: "the access token may not do this" + prefixed(": ", said),
		Hint:    "the token needs Project read and Repository admin permission, and its user must be an administrator there",
	}
}

// unreachable explains a request that got no answer. Errors that explain themselves and those of a context pass.
func unreachable(base string, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address, which may be that of a redirect and hold anything
	}
	if _, ok := errors.AsType[*magpie.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &magpie.Error{
		Kind: magpie.KindUnavailable, Field: "url", Message: base + " does not answer",
		Hint: "check that it runs and can be reached from this machine", Err: err,
	}
}

// notJSON explains a successful answer that can't be read.
func notJSON(base string, ans answer, err error) error {
	e := &magpie.Error{
		Kind: magpie.KindUnavailable, Field: "url", Message: base + " sent an answer that can't be understood",
		Hint: "check that this is the address of Bitbucket itself", Err: err,
	}
	if looksLikeHTML(ans) {
		e.Message = base + " answers with a web page where Bitbucket would send data"
		e.Hint = "a login page or a proxy may stand before it; Magpie needs to reach Bitbucket's REST interface directly"
	}
	return e
}

func looksLikeHTML(ans answer) bool {
	return strings.Contains(ans.header.Get("Content-Type"), "html") || bytes.HasPrefix(bytes.TrimSpace(ans.body), []byte("<"))
}

func orElse[S ~string](s, other S) S {
	if s == "" {
		return other
	}
	return s
}

// prefixed returns s behind prefix, or nothing if s is empty.
func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// cause keeps what a server said for the log.
func cause(said string) error {
	if said == "" {
		return nil
	}
	return errors.New(said)
}
