package magpie

// Job is the arguments of one piece of background work. They hold ids, never data and never a secret, and are stored
// as JSON in the transaction that made the work necessary. Kind is its stable name.
type Job interface{ Kind() string }
