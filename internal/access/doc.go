// Package access says who somebody is and what they may do.
//
// The idea: a person is known by a session, which a password opens, or by an API token; both are random values of which
// only the SHA-256 is stored. What a role allows is one table, permission.go; every way in names the permission of each
// of its routes and asks Require, nothing else decides about rights. The one rule that is not a role's is here, too: there
// is exactly one Owner, and nobody else can touch the Owner's account.
//
// Passwords are kept as argon2id. Guessing is limited per account and per address by counters in the database, which all
// instances share and which count an attempt before it is tried, so that many at once gain nothing. A wrong password, an
// unknown e-mail and a disabled account get the same answer after the same work.
//
// The package knows no HTTP: cookies, forms and protection from forged requests are the ways in's.
package access
