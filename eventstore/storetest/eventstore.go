package storetest

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Target is what an event store is tested on.
type Target struct {
	State  driver.State
	Locker driver.Locker // nil for leases in the state store
}

// TestEventStore checks that an event store on the target meets every requirement and returns every
// error. It takes some seconds, because it waits for sessions to expire.
func TestEventStore(t *testing.T, target Target) {
	run(t, target, requirements)
	run(t, target, refusals)
}

// requirements holds what the event store promises. R and S numbers identify the requirements.
var requirements = []rule[Target]{
	{"R1 a stream is opened, appended to, read back in order and closed", "this is what the store is for", testOpenAppendReadClose},
	{"R2 versions begin at 1 and grow by 1; an empty stream is at 0", "positions in history are what everything else refers to", testVersions},
	{"R3 an append stores nothing if the expected version, or the version of an event, is another", "two decisions on the same state must not both stand", testExpectedVersion},
	{"R4 events of different Go types share a stream and come back as their own", "a history consists of many kinds of events", testEventTypes},
	{"R5 at most one session holds a stream; a second waits for OpenTimeout, or not at all", "writers of one aggregate take turns", testOneSessionAtATime},
	{"R6 a session ends by itself, and a new one can open within 5 s", "a process that died must not keep its streams", testSessionEndsByItself},
	{"R7 snapshots are stored, listed, found, cleared, and save reading the events before them", "long histories must load fast, and a bad snapshot must never be believed", testSnapshots},
	{"R8 slices include both ends, are empty past the end, and stream both ways", "histories are read in parts", testSlices},
	{"R9 a stream is opened by metadata, by type and id, and by database, type and id", "tenants are kept apart by database", testWaysToOpen},
	{"R10 errors keep their cause", "the reader of an error must be able to act on it", testErrorsKeepTheirCause},
	{"R11 each event carries its metadata, and what was left out is filled in", "audits and process managers rely on it", testMetadata},
	{"R12 the event store only reads, swaps and writes the stream's own keys", "it has nothing but the Dapr state API", testOwnKeysOnly},
	{"R13 an append is stored completely or not at all, whatever is lost on the way", "half a decision is worse than none", testWholeOrNothing},
	{"R14 logs carry stream, session, version and count, and never payloads", "more people read logs than data", testLogs},
	{"R15 an idempotency id is used once, and found again", "a command that is delivered twice takes effect once", testIdempotency},
	{"R16 a reader neither waits for a writer nor holds one up", "queries must not stop commands", testReadersDoNotWait},
	{"R17 an update of an aggregate returns exactly what is loaded later, even if concurrent or repeated", "what is told to a user must be what is stored", testUpdates},
	{"S2 every conflict among concurrent appends is detected", "only one decision on a state may be stored", testConflicts},
}

// refusals holds the errors of the event store, and when it returns them.
var refusals = []rule[Target]{
	{"error: the store is not open", "a closed session must not touch a stream that another may hold now", testNotOpen},
	{"error: the session has expired", "an expired session must not interfere with the next one", testExpired},
	{"error: another session holds the stream now", "a session that lost its lock says so", testSessionLost},
	{"error: the stream could not be opened in time", "a caller that waits must learn for what, and how long", testOpenTimeout},
	{"error: version mismatch", "a refused decision needs what it takes to decide again", testVersionMismatch},
	{"error: version not found in the stream", "a missing event must not look like an empty one", testVersionNotFound},
	{"error: snapshot version not found", "the error must name the missing snapshot", testSnapshotNotFound},
	{"error: idempotency id not found", "a lookup that finds nothing must say so", testIdempotencyIDNotFound},
	{"error: idempotency id already used", "a command that comes twice must learn what it did the first time", testIdempotencyIDUsed},
	{"error: stored data is damaged", "damage must be found and named, and never skipped", testDamage},
	{"a lost head is rebuilt on request", "a store that evicts keys, or a mistake, must not cost the history", testRebuildHead},
	{"error: the stream is closed", "a closed history must not change", testStreamClosed},
	{"error: the stream was deleted", "a deleted stream must not start again under its name", testStreamDeleted},
	{"error: event type not registered", "an event that can't be stored as its own type must not be stored", testTypeNotRegistered},
	{"error: batch too large for one request", "an append that does not fit must be refused before any of it is sent", testBatchTooLarge},
	{"error: outcome unknown", "an append whose answer was lost may be stored, and the caller must be able to find out", testOutcomeUnknown},
	{"error: storage failed", "a store that does not answer must not look like an empty stream", testStorageFailed},
	{"error: bad argument", "a bad argument must be refused with a reason before anything is sent", testBadArguments},
	{"names with awkward characters work and stay apart", "no name may reach into another stream", testAwkwardNames},
}
