// Package queue runs background jobs. It knows no job: a stage registers a worker for its own argument type, and the
// store enqueues arguments inside the transaction that made the work necessary.
//
// The engine is River, on SQLite or PostgreSQL, in the store's own database. What this package adds:
//
//   - a worker finishes its job inside the transaction of its result (Run.Complete), so a crash can neither lose a result
//     nor apply it twice; a job that was taken over meanwhile can't be completed any more;
//   - one table from the kind of an error to "give up", "try again" or "wait" (outcome.go);
//   - crashed work returns in seconds: at boot where one process owns the database, and by a heartbeat of the instances
//     where several share it (rescue.go).
//
// Arguments are stored in clear, so they hold ids only.
package queue
