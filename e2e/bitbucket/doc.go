// Package bitbucket proves the requirement checklist of the Bitbucket integration, B1 to B44, with the real binary against
// the simulated Bitbucket of each version line that is supported.
//
// The idea: one server process for each version, as an administrator runs it, and for each requirement a Bitbucket of its
// own that this server connects to. A test acts as the people involved do (developers push, an administrator revokes a
// token, a Manager clicks) and looks only at what they can see: pages, API, mails, and what stands at the Bitbucket. The
// table in docs/bitbucket.md names the test of each requirement; a test compares it with the list here. At the end of
// each server's life its log and database are searched for every token and secret of the run.
package bitbucket
