package smarthttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"magpie"
	"magpie/internal/git"
)

// NotOurRefError says that the server refused a wanted object: it does not have it (any more), or does not hand it out.
type NotOurRefError struct {
	Hash magpie.Hash // empty if the server did not say which
}

// Error implements error.
func (e *NotOurRefError) Error() string {
	if e.Hash == "" {
		return "the server does not have one of the wanted objects"
	}
	return fmt.Sprintf("the server does not have the wanted object %s", e.Hash)
}

// RateLimitError says that the server wants us to come back later. It is the cause of a magpie.Error of kind
// KindRateLimited.
type RateLimitError struct {
	RetryAfter time.Duration // zero if the server did not say
}

// Error implements error.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("rate limited, retry after %s", e.RetryAfter)
}

// ServerError is what the server itself said went wrong: an ERR line or the error band of a pack. It is the cause of a
// magpie.Error of kind KindUnavailable.
type ServerError struct {
	Message string // control characters removed, shortened
	Busy    bool   // it has more to do than it can, and may do this later
}

// Error implements error.
func (e *ServerError) Error() string { return "the git server says: " + e.Message }

// serverError makes an error of the server's own words, should they repeat the token without it. A refused want is a
// *NotOurRefError, so that the caller can go on without it; everything else may pass and is unavailable.
func serverError(msg []byte, token magpie.Secret) error {
	text := printable(token.CutFrom(string(msg)))
	if strings.Contains(text, "not our ref") || strings.Contains(text, "unadvertised object") ||
		(strings.Contains(text, "want ") && strings.Contains(text, "not valid")) {
		cause := &NotOurRefError{}
		for _, word := range strings.Fields(text) {
			if id, err := git.ParseID(word); err == nil {
				cause.Hash = id.Hash()
			}
		}
		return &magpie.Error{Kind: magpie.KindNotFound, Message: cause.Error(), Err: cause}
	}
	cause := &ServerError{Message: text, Busy: isBusy(text)}
	if cause.Busy {
		return &magpie.Error{
			Kind: magpie.KindUnavailable, Message: "the git server is too busy to serve this now",
			Hint: "it is tried again; if it stays so, Bitbucket needs more room for hosting operations", Err: cause,
		}
	}
	return &magpie.Error{Kind: magpie.KindUnavailable, Message: cause.Error(), Err: cause}
}

// isBusy recognises Bitbucket's words for having no ticket left for hosting operations, which differ between versions.
func isBusy(text string) bool {
	text = strings.ToLower(text)
	for _, words := range []string{"busy", "heavy load", "too many requests", "overloaded", "throttle", "try again later", "try your request again"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// StatusError is the HTTP status of an answer that is no success. It is the cause of a magpie.Error.
type StatusError struct {
	Code       int
	RetryAfter time.Duration // of a 503; zero if the server did not say
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d", e.Code) }

// BrokenError says that an answer broke off, or that none came, although the server was reached. It is the cause of a
// magpie.Error of kind KindUnavailable.
type BrokenError struct{ Err error }

// Error implements error.
func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// Broken reports whether a fetch failed in a way that a smaller one may not: it broke off, took too long, or was more than
// the server could do.
func Broken(err error) bool {
	if _, ok := errors.AsType[*BrokenError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*protocolError](err); ok {
		return true
	}
	if said, ok := errors.AsType[*ServerError](err); ok {
		return !said.Busy
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		switch status.Code {
		case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
			return true
		}
	}
	return false
}

// Busy reports whether a server asks to come back later, and when; zero if it does not say when.
func Busy(err error) (after time.Duration, busy bool) {
	if limit, ok := errors.AsType[*RateLimitError](err); ok {
		return limit.RetryAfter, true
	}
	if status, ok := errors.AsType[*StatusError](err); ok && status.Code == http.StatusServiceUnavailable {
		return status.RetryAfter, true
	}
	said, ok := errors.AsType[*ServerError](err)
	return 0, ok && said.Busy
}

// printable returns what a person may see of text from the network: one line, no control characters, not endless.
func printable(s string) string {
	const most = 300
	s = strings.ToValidUTF8(s[:min(len(s), 4*most)], "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return s
}

// statusError makes an error of an HTTP status that is not 200.
func statusError(resp *http.Response) error {
	host := resp.Request.URL.Host
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	e := &magpie.Error{Kind: magpie.KindUnavailable, Err: &StatusError{Code: resp.StatusCode}}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized && strings.Contains(string(said), "not currently licensed"),
		code == http.StatusForbidden && strings.Contains(string(said), "not currently licensed"):
		e.Kind = magpie.KindNoLicence
		e.Message = fmt.Sprintf("the token's user has no licence for the Bitbucket at %s", host)
		e.Hint = "let an administrator of Bitbucket look at the user's access and at the licence; work resumes by itself"
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.Kind = magpie.KindTokenInvalid
		e.Message = fmt.Sprintf("the git server at %s refuses the access token (status %d)", host, code)
		e.Hint = "check that the token is valid and may read the repository"
	case code == http.StatusNotFound || code == http.StatusGone:
		e.Kind = magpie.KindNotFound
		e.Message = fmt.Sprintf("the git server at %s has no such repository, or not for this token", host)
	case code == http.StatusTooManyRequests:
		e.Kind = magpie.KindRateLimited
		e.Message = fmt.Sprintf("the git server at %s asks us to slow down", host)
		e.Err = &RateLimitError{RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	case code == http.StatusServiceUnavailable:
		e.Message = fmt.Sprintf("the git server at %s is starting, in maintenance or overloaded (status 503)", host)
		e.Hint = "work resumes by itself once Bitbucket does"
		e.Err = &StatusError{Code: code, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	default:
		e.Message = fmt.Sprintf("the git server at %s answered with status %d", host, code)
	}
	return e
}

// maxRefusal is how much of the text of a refusal is read.
const maxRefusal = 16 << 10

// retryAfter reads a Retry-After header in either of its forms. More than a day is cut to a day.
func retryAfter(v string) time.Duration {
	d := time.Duration(0)
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), 24*time.Hour)
}
