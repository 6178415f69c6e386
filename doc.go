// Package magpie is the vocabulary of Magpie, a self-hosted secrets monitor for Bitbucket Server and Data Center.
//
// It holds the nouns that every other package talks about: integrations, projects, repositories, pushes, scans,
// findings, incidents, users, their identifiers and their states, the kinds of error, and Secret, the only type in
// which a leaked value may travel. It knows no database, network or log and imports nothing but the standard library.
//
// Data flows hook → scan → incident → alert → mail; docs/architecture.md draws the whole tree.
package magpie
