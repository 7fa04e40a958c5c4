package storetest

import (
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// TestState checks that a state store does what [driver.State] says and what its
// [driver.Capabilities] declare.
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
	if caps.Conditions {
		rules = append(rules, conditionRules...)
	}
	if caps.AnyPartition {
		rules = append(rules, partitionRules...)
	}
	run(t, store{s, limits}, rules)
}

// store is the state store under test, with its declared limits.
type store struct {
	driver.State
	limits Limits
}

// stateRules holds the rules for every state store.
var stateRules = []rule[store]{
	{"a swap without an ETag creates a key, once", "the first append creates the head; if that worked twice, two writers would each believe that they began the stream", testSwapCreatesOnce},
	{"a swap with a stale ETag changes nothing", "an append that lost the race must leave the winner's head alone", testStaleSwap},
	{"of concurrent swaps with one ETag exactly one succeeds", "this is the commit: if two succeed, an acknowledged append is lost", testConcurrentSwaps},
	{"swaps that are sent together each keep their condition", "a projection writes its documents so; one that another instance has changed meanwhile must not be overwritten", testManySwaps},
	{"every swap changes the ETag, even if it writes the same value", "a trimmed head must be told from one that was not trimmed", testSwapChangesETag},
	{"a read after a write sees it", "an append reads the head that the last one wrote; a stale head costs retries, and idempotency is checked by reading", testReadYourWrites},
	{"an absent key is an item without an ETag, not an error", "an empty stream has no head; an error would look like a store that does not answer", testAbsentKey},
	{"values come back byte for byte", "events may have any encoding, and their checksums notice a single changed byte", testValues},
	{"keys that differ in one character are different keys", "keys tell streams apart; a store that ignores case would let one aggregate write into another", testKeys},
	{"a bulk read gives one item for each key, in order, absent ones without an ETag", "a read identifies events by their place in the answer", testBulkOrder},
	{"a bulk read gives the ETags that belong to the values", "opening reads the head in bulk, and the first append swaps it with that ETag", testBulkETags},
	{"a bulk read is split if its answer is too large for one", "events may be large, and a stream must stay readable", testLargeBulkRead},
	{"writes replace values, and are split if they are too large for one request", "the events of a batch are written after its head, unconditionally and as often as needed", testLargeWrites},
	{"a write without a value deletes, also together with other writes or if the key is absent", "snapshots and deleted streams may be cleared more than once", testDeletes},
	{"a request whose context has ended is refused and changes nothing", "a request that the caller gave up before it was sent must not take effect", testEndedContext},
	{"values are copied", "the event store reuses memory, and so may its caller", testValuesAreCopied},
}

// countedRules holds the rules for a store that declares CountedETags.
var countedRules = []rule[store]{
	{"ETags count from 1", "declared as CountedETags: the event store computes the next ETag instead of reading it", testCountedETags},
}

// limitRules holds the rules for a store that declares MaxRequestBytes.
var limitRules = []rule[store]{
	{"a swap that is too large is refused and changes nothing", "an event that is too large must be a clear error, not an unknown outcome", testSwapTooLarge},
}

// partitionRules holds the rules for a store that declares AnyPartition.
var partitionRules = []rule[store]{
	{"one request is about keys of several partitions", "declared as AnyPartition: a feed reads many streams at once, and its entries go with the commits that they are about", testAnyPartition},
}

// commitRules holds the rules for a store that declares Atomic.
var commitRules = []rule[store]{
	{"a commit applies all of its writes", "declared as Atomic: head and events go together", testCommitWrites},
	{"a commit whose swap is refused writes nothing", "declared as Atomic: the loser of a race must not write an event that was never committed", testCommitRefused},
	{"a commit that creates a key which exists writes nothing", "declared as Atomic: an idempotency id must not be used twice", testCommitCreates},
	{"of concurrent commits and swaps with one ETag exactly one succeeds", "declared as Atomic: services that use transactions share streams with services that do not", testConcurrentCommits},
}
