// Package apply makes a Magpie server watch what a file says, through the server's own API, so that a team can keep in Git
// which Bitbucket is connected, which projects and repositories are monitored, and how.
//
// The idea: the file is the truth, and each run compares it with the server from scratch. What differs becomes a change with
// a line for people; a change is carried out or, in a dry run, only printed. So a run that was cut off is simply run again, and
// a second run finds nothing to do. Changes come in three rounds, since each needs the outcome of the one before: connections,
// projects, repositories.
//
// The file is TOML: a table [[integration]] for each connection and in it a table [[integration.project]] for each project that
// is not as the integration's defaults say. File, Integration and Project document the keys. It never holds an access token,
// only where the token is; the server is asked whether it has that token already, and gets it only if not.
//
// The package knows no database and no Bitbucket; everything goes through /api/v1 with the rights of the API token's user.
package apply
