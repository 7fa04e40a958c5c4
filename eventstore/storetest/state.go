package storetest

import (
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// TestState checks that a state store does what [driver.State] says, and what it declares in
// its [driver.Capabilities].
func TestState(t *testing.T, s driver.State, limits Limits) {
	caps := s.Capabilities()
	rules := slices.Clone(stateRules)
	if caps.CountedETags {
		rules = append(rules, countedRules...)
	}
	if caps.MaxRequestBytes > 0 {
		rules = append(rules, limitRules...)
	}
	if caps.Atomic {
		rules = append(rules, commitRules...)
	}
	run(t, store{s, limits}, rules)
}

// store is the state store under test, with what it is said not to be able to do.
type store struct {
	driver.State
	limits Limits
}

// stateRules are the rules of every state store.
var stateRules = []rule[store]{
	{"a swap without an ETag creates a key, once", "the first append of a stream is a creation; were it possible twice, two writers would each believe they began the stream", testSwapCreatesOnce},
	{"a swap with a stale ETag changes nothing", "an append that lost the race must leave the winner's head alone", testStaleSwap},
	{"of concurrent swaps with one ETag exactly one succeeds", "this is the commit: if two succeed, an acknowledged append is lost", testConcurrentSwaps},
	{"every swap changes the ETag, also one that writes the same value", "a head that was trimmed and one that was not must be told apart", testSwapChangesETag},
	{"a read after a write sees it", "an append reads the head that the one before wrote; a stale one costs retries, and idempotency is checked by reading", testReadYourWrites},
	{"an absent key is an item without an ETag, and no error", "an empty stream is one whose head is absent; were that an error, it could not be told from a store that is away", testAbsentKey},
	{"values come back byte for byte", "events may be of any encoding, and their checksums notice a single changed byte", testValues},
	{"keys that differ in one character are different keys", "streams are told apart by their keys: a store that folds case would let one aggregate write into another", testKeys},
	{"a bulk read gives one item for each key, in order, absent ones without an ETag", "a read takes events by their place in the answer", testBulkOrder},
	{"a bulk read gives the ETags that belong to the values", "opening reads the head in bulk, and the first append swaps it with that ETag", testBulkETags},
	{"a bulk read is divided where its answer is too large for one", "events may be large, and a stream must stay readable", testLargeBulkRead},
	{"writes replace, and are divided where they are too many for one request", "the events of a batch follow its head, written last-write and as often as needed", testLargeWrites},
	{"a write without a value deletes, also together with others, and of a key that is absent", "snapshots are cleared, and deleted streams swept, more than once", testDeletes},
	{"a request whose context has ended is refused and changes nothing", "what a caller gave up must not happen behind its back when nothing was sent yet", testEndedContext},
	{"values are copied", "the event store reuses memory, and so may its caller", testValuesAreCopied},
}

// countedRules are the rules of a store that declares CountedETags.
var countedRules = []rule[store]{
	{"ETags count from 1", "declared as CountedETags: the event store does not read the next one but counts on it", testCountedETags},
}

// limitRules are the rules of a store that declares MaxRequestBytes.
var limitRules = []rule[store]{
	{"a swap that is too large is refused and changes nothing", "an event that can't fit must be a clear error, not an append of unknown outcome", testSwapTooLarge},
}

// commitRules are the rules of a store that declares Atomic.
var commitRules = []rule[store]{
	{"a commit applies all of its writes", "declared as Atomic: head and events go together", testCommitWrites},
	{"a commit whose swap is refused writes nothing", "declared as Atomic: an event written by the loser of a race would be an event that nobody committed", testCommitRefused},
	{"of concurrent commits and swaps with one ETag exactly one succeeds", "declared as Atomic: services that commit carefully and ones that commit in one transaction share streams", testConcurrentCommits},
}
