package magpie

import "time"

// Job is the arguments of one piece of background work. They hold ids, never data and never a secret, and are stored
// as JSON in the transaction that made the work necessary. Kind is its stable name.
type Job interface{ Kind() string }

// JobOptions says how a job is to be run. The zero value runs it as soon as a worker is free.
type JobOptions struct {
	RunAt time.Time // not before; zero means now
	// Once drops the job if one of the same kind and arguments is waiting or running. It must not be used where a
	// running job may already have read what the new one is about.
	Once bool
	// Join names an argument: if a job of the same kind and with the same value of it waits that has never begun, that one
	// will do. It cannot begin before the transaction has ended, so what is stored in it is there for the job to read.
	Join string
}
