// Package demo is the world that `magpie demo` watches: a simulated Bitbucket whose repositories have believable histories
// with secrets planted in them, and the story that is played there.
//
// The idea: the world knows what it planted. Every secret is made up at run time in its vendor's format, checksums
// included, and is remembered with the repository, file, commit and line of each place, so that after the story the set of
// incidents can be compared with the set of planted secrets, exactly: nothing missing, nothing doubled, nothing invented.
// Beside the secrets stand decoys, which look like secrets to a careless reader and must not become incidents.
//
// The package runs the world and speaks to the product only as a stranger would, by its HTTP API, its webhook receiver and
// its mail. It knows nothing about how the product is started or stored; that is for the command.
package demo
