// Package api is the JSON API under /api/v1, for scripts and other programs.
//
// The idea: every operation is registered once, by add, with its path, its permission and two Go types, for what it takes
// and what it answers. The OpenAPI document is made from these, so it can't drift, and docs/openapi.json is a copy that a
// test compares. An operation without a permission is an error of construction: the server does not start.
//
// Callers prove who they are with an API token ("Authorization: Bearer …"); session cookies are not looked at, so there is
// nothing for a foreign page to ride on. Errors are problem documents (RFC 9457); one table leads from kind to status. Lists
// come in pages: "next" of an answer is the "cursor" of the next request.
//
// The package holds no rule of its own about what may be done: that is for access and the stages. It never shows a secret
// value; revealing one is left to the web app.
package api
