// Package bitbucketsim is a Bitbucket Data Center that lives inside a test, the demo or a load run.
//
// The one idea: whatever a client can see on the wire is there — TLS under an own authority, HTTP access tokens, the REST
// resources with their odd paging and errors, real git served by the real `git http-backend`, and signed webhooks sent by
// a delivery engine that loses, delays and gives up as the real one does — and whatever a test wants to happen at the
// other end is a Go method on [Server]: push, rename, archive, expire a token, drop deliveries.
//
// Repositories are bare git directories on disk; everything else is kept in memory and, when Options.DataDir is set,
// written there as JSON so that a later Server can continue. Every behaviour depends on the simulated version
// (Options.Version): 7.6 knows no archived repositories and no partial clones, 8.9 has project webhooks, 10.x writes
// times in webhook bodies as ISO 8601 text.
//
// It has no web pages, no pull requests, no SSH, no groups, and it checks permissions only as far as tokens and their
// owners need. Nothing in it is meant to face a network: it listens on the loopback interface only.
package bitbucketsim
