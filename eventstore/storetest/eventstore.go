package storetest

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Target is where an event store is tested.
type Target struct {
	State  driver.State
	Locker driver.Locker // nil: the lease in the state store
}

// TestEventStore checks the event store itself over a store: every requirement and every error. It
// takes some seconds, because it waits for sessions to expire.
func TestEventStore(t *testing.T, target Target) {
	run(t, target, requirements)
	run(t, target, refusals)
}

// requirements are what the event store promises. R and S numbers identify the requirements.
var requirements = []rule[Target]{
	{"R1 a stream is opened, appended to, read back in order and closed", "this is what the store is for", testOpenAppendReadClose},
	{"R2 versions begin at 1 and grow by 1; an empty stream is at 0", "positions in history are what everything else refers to", testVersions},
	{"R3 an append at another version than expected, or than an event names, stores nothing", "two decisions on the same state must not both stand", testExpectedVersion},
	{"R4 events of different Go types share a stream and come back as their own", "a history is of many kinds of events", testEventTypes},
	{"R5 at most one session holds a stream; a second waits for OpenTimeout, or not at all", "writers of one aggregate take turns", testOneSessionAtATime},
	{"R6 a session ends by itself, and a new one can open within 5 s", "a process that died must not keep its streams", testSessionEndsByItself},
	{"R7 snapshots are stored, listed, found, cleared, and spare reading what they stand for", "long histories must load fast, and a bad snapshot must never be believed", testSnapshots},
	{"R8 slices include both ends, are empty past the end, and stream both ways", "histories are read in parts", testSlices},
	{"R9 a stream is opened by metadata, by type and id, and by database, type and id", "tenants are kept apart by database", testWaysToOpen},
	{"R10 errors keep their cause", "who reads an error must be able to act on it", testErrorsKeepTheirCause},
	{"R11 each event carries its metadata, and what was left out is filled in", "audits and process managers live on it", testMetadata},
	{"R12 the store is asked for nothing but reads, swaps and writes of the stream's own keys", "the Dapr state API is all there is", testOwnKeysOnly},
	{"R13 an append is there as a whole or not at all, whatever is lost on the way", "half a decision is worse than none", testWholeOrNothing},
	{"R14 logs carry stream, session, version and count, and never payloads", "logs are read by more people than data", testLogs},
	{"R15 an idempotency id is used once, and found again", "a command that is delivered twice takes effect once", testIdempotency},
	{"R16 a reader neither waits for a writer nor holds one up", "queries must not stop business", testReadersDoNotWait},
	{"R17 an update of an aggregate returns exactly what is loaded later, among others and repeated", "what is told to a user must be what is stored", testUpdates},
	{"S2 every conflict among concurrent appends is detected", "of decisions on the same state one stands", testConflicts},
}

// refusals are the errors of the event store, and when it returns them.
var refusals = []rule[Target]{
	{"error: the store is not open", "a closed session must not touch what another may hold now", testNotOpen},
	{"error: the session has expired", "what comes after a session's time must not get between those of the next", testExpired},
	{"error: another session holds the stream now", "a session that lost its lock says so", testSessionLost},
	{"error: the stream could not be opened in time", "who is kept waiting must learn for what, and for how long", testOpenTimeout},
	{"error: version mismatch", "a decision on an old state is refused, with what is needed to decide again", testVersionMismatch},
	{"error: version not found in the stream", "asking for what is not there must not look like an empty event", testVersionNotFound},
	{"error: snapshot version not found", "a snapshot that is not there is named", testSnapshotNotFound},
	{"error: idempotency id not found", "a lookup that finds nothing says so", testIdempotencyIDNotFound},
	{"error: idempotency id already used", "a command that comes twice must learn what it did the first time", testIdempotencyIDUsed},
	{"error: stored data is damaged", "damage is found, named and never skipped", testDamage},
	{"a head that was lost is made anew, when asked to", "a store that evicts keys, or a slip of the hand, must not cost the history", testRebuildHead},
	{"error: the stream is closed", "a history that has ended stays as it is", testStreamClosed},
	{"error: the stream was deleted", "what was deleted is gone, and nothing begins anew under its name", testStreamDeleted},
	{"error: event type not registered", "an event that can't be stored as its own type is not stored at all", testTypeNotRegistered},
	{"error: batch too large for one request", "what can't be one append is refused before any of it is sent", testBatchTooLarge},
	{"error: outcome unknown", "an append whose answer was lost may stand, and who asked must be able to find out", testOutcomeUnknown},
	{"error: storage failed", "a store that is away is told from a stream that is empty", testStorageFailed},
	{"error: bad argument", "what can't work is refused before anything is sent, and says why", testBadArguments},
	{"names with awkward characters work and stay apart", "no name reaches into another stream", testAwkwardNames},
}
