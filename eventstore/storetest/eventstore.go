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

// TestEventStore checks the event store itself over a store: every requirement and every error. It takes
// some seconds, for sessions to run out.
func TestEventStore(t *testing.T, target Target) {
	run(t, append(requirements(target), errorRows(target)...))
}
