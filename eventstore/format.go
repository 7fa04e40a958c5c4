package eventstore

// The kinds of records that are stored. Package frame describes their common form. Each kind has
// its own file.
const (
	kindEvent       = "event"
	kindHead        = "head"
	kindIdempotency = "idempotency"
	kindSnapshots   = "snapshots"
	kindSnapshot    = "snapshot"
	kindLease       = "lease"
)
