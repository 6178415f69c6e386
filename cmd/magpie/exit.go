package main

import (
	"errors"

	"magpie"
)

// The exit statuses, which scripts rely on.
const (
	exitOK       = 0
	exitFound    = 1 // secrets were found, or a dry run would change something
	exitUsage    = 2 // wrong use: arguments, settings, input
	exitUnfinish = 3 // right use, but it could not be finished
)

// errSecretsFound is returned by a scan that finished and found something. It is not printed.
var errSecretsFound = errors.New("secrets were found")

// errWouldChange is returned by a dry run that would change something. It is not printed.
var errWouldChange = errors.New("the server is not as the file says")

// usageKinds are the kinds of error that the caller's own input causes; all others are exitUnfinish.
var usageKinds = map[magpie.Kind]bool{
	magpie.KindInvalid:  true,
	magpie.KindNotFound: true,
}

// exitStatus is the one table from errors to exit statuses. Where several errors are joined, the kind of the first counts.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSecretsFound), errors.Is(err, errWouldChange):
		return exitFound
	case usageKinds[magpie.KindOf(err)]:
		return exitUsage
	}
	return exitUnfinish
}
