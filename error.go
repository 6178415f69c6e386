package magpie

import (
	"errors"
	"fmt"
)

// Kind sorts errors by what a caller can do about them. Each way in has one table from Kind to its own answer: HTTP
// status, exit status, retry or give up.
type Kind string

// The kinds of error. The zero Kind is KindInternal.
const (
	KindInternal     Kind = ""             // our fault; shown as "internal error" with an id, details go to the log
	KindInvalid      Kind = "invalid"      // the input is wrong; the message says what and how to mend it
	KindUnauthorized Kind = "unauthorized" // who is asking is not known
	KindForbidden    Kind = "forbidden"    // who is asking may not do this
	KindNotFound     Kind = "not_found"    // there is no such thing, or not for who is asking
	KindConflict     Kind = "conflict"     // the state of the thing does not allow it
	KindTooLarge     Kind = "too_large"    // a limit was passed
	KindRateLimited  Kind = "rate_limited" // too often; try later
	KindUnavailable  Kind = "unavailable"  // an outside system did not answer; try later
	KindTokenInvalid Kind = "token"        // an outside system refused our credentials
	KindNoLicence    Kind = "no_licence"   // an outside system knows our credentials, but its licence keeps us out
)

// Error is an error meant to be seen by a person: Message says what was wrong with which thing, Hint, where known, what
// to do. Neither may hold a secret. Err is the cause for the log; it is never shown.
type Error struct {
	Kind    Kind
	Field   string // the form field or parameter at fault, where there is one
	Message string // a sentence without a final period
	Hint    string // what to do about it, may be empty
	Err     error
}

// Error implements error. It includes the cause, so it belongs in logs; people see Message and Hint.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of the given kind. As in fmt.Errorf, %w keeps a cause reachable, but its text becomes part of
// the message, so wrap only what a person may read.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// KindOf returns the kind of the first *Error in err's chain, or KindInternal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// Explain returns what a person may read of err: the message and hint of the first *Error in its chain, or that it is
// internal. It is the text for rows that keep why something did not work.
func Explain(err error) string {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return "an internal error; the log has the details"
	case e.Hint != "":
		return e.Message + "; " + e.Hint
	default:
		return e.Message
	}
}
