// Package incident turns findings into incidents and leads those through their life.
//
// The idea: one secret is one incident, wherever it occurs. Equal secrets are recognised by a keyed fingerprint of the value
// alone; an occurrence is one place: repository, file, commit, line and column. Recording the same finding again changes
// nothing, so a scan may be repeated, and concurrent scans of the same secret end in one incident.
//
// What may happen to an incident in which state is one table, state.go. Each action is one transaction that changes the
// incident, adds a line to its history and to the audit record, and puts what people must hear into the outbox.
//
// Where the operator allows it, the vendor of each new secret is asked whether it is alive, by a job and on request; the
// answer is kept with the incident and changes nothing else.
//
// Values and the lines around them are sealed before they are stored. The value comes back by Reveal alone, which records
// who asked before it answers. Whether a user may do something at all is decided by the ways in, from access's table; this
// package only insists that there is a user and that the account is not disabled.
package incident
