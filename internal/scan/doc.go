// Package scan turns a push, or a repository's whole history, into findings.
//
// Its core is Examine, which knows no database, network or clock: it walks the blobs of a git.Source, asks the detectors
// about each once, and places what they found (path, introducing commit, author). The command line runs it on a local
// repository; Service runs it on the pack that a server sends.
//
// A service's scan never trusts an event. The event says "look now" and names hashes worth asking for; the scan lists
// the refs, compares them with the tips it has looked at, and fetches the difference, so a lost, late, doubled or
// forged event loses and doubles nothing. No mirror is kept: all that remains of a repository are its tips.
//
// Fetcher brings a pack here and examines it (transfer.go). What is too much for one transfer comes in slices, cut so that
// together they find what one piece finds (slice.go, graph.go); space on disk is claimed first (room.go).
//
// What a scan found, the tips it reached and its own end are stored in one transaction (record.go). A scan that dies
// anywhere before that has changed nothing and runs again; one in slices stores each slice with the position after it, and
// runs again from there.
package scan
