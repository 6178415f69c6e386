// Package e2e tests the product as its user meets it: scripts in testdata run the real binary and check what it prints,
// serves, stores and mails.
//
// The idea: the binary is built once, as it ships; races are looked for where the same parts run in one process, in package
// app and the tests of each package. A script whose name starts with "db-" runs twice, on SQLite and on PostgreSQL, with
// MAGPIE_DATABASE set accordingly; the others need no database. Secrets in the scripts are split by "<>", which the command
// fill removes, so that no scanner takes them for leaks.
package e2e
