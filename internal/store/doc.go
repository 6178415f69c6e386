// Package store holds every SQL statement that Magpie sends to its own database: SQLite by default, PostgreSQL for
// several instances. One SQL text serves both, because it keeps to what both understand ($1 parameters, ON CONFLICT,
// RETURNING, partial indexes, BOOLEAN).
//
// All access goes through a transaction: DB.Read gives a consistent snapshot, DB.Write a durable change that also
// enqueues the jobs it makes necessary (Tx.Enqueue), so that a change and its consequences are stored together or not at
// all. Statements are methods of Tx, one file per noun. Errors of the drivers become *magpie.Error kinds in error.go.
//
// The package decides nothing about incidents, users or scans; it stores what the stages decide. Secret values reach it
// sealed.
package store
