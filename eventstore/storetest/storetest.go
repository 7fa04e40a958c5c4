// Package storetest checks that a store can carry an event store, and that an event store on it keeps
// its promises. Who connects another store runs
//
//	storetest.TestState(t, state, storetest.Limits{})
//	storetest.TestLocker(t, locker) // if there is one
//	storetest.TestEventStore(t, storetest.Target{State: state, Locker: locker})
//
// and learns from each case that fails which rule is broken and what the event store needs it for. The store
// may hold other data: every run uses names of its own. The idea is that of testing/slogtest
// and testing/fstest.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Limits declares what a store can't do although the event store would like it to. The zero value
// declares nothing.
type Limits struct {
	// MaxValueBytes bounds one value where the store takes less than 1 MiB.
	MaxValueBytes int
}

// test is one case: a rule, and why the event store needs it.
type test struct {
	name string
	why  string
	run  func(t *testing.T)
}

// run runs the cases one after the other; a case that fails explains itself.
func run(t *testing.T, tests []test) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("why it matters: %s", c.why)
				}
			})
			c.run(t)
		})
	}
}

// timeout bounds every case, so that a store that hangs is a failure with a name.
const timeout = 60 * time.Second

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// unique makes a name that no other run has.
func unique() string { return uuid.NewString() }

// names are a partition and keys of its own for one case.
type names struct{ partition string }

func newNames() names { return names{partition: "storetest:case:" + unique()} }

func (n names) key(name string) string { return "{" + n.partition + "}:" + name }

func get(t *testing.T, s driver.State, n names, name string) driver.Item {
	t.Helper()
	item, err := s.Get(contextOf(t), n.partition, n.key(name))
	if err != nil {
		t.Fatalf("Get(%s): %v", name, err)
	}
	return item
}

func swap(t *testing.T, s driver.State, n names, name, value, etag string) {
	t.Helper()
	if err := s.Swap(contextOf(t), n.partition, n.key(name), []byte(value), etag); err != nil {
		t.Fatalf("Swap(%s, %q, etag %q): %v", name, value, etag, err)
	}
}

func wantValue(t *testing.T, item driver.Item, want string) {
	t.Helper()
	if want == "" {
		if item.Found() || len(item.Value) > 0 {
			t.Errorf("key %s has value %.60q and ETag %q, want it absent", item.Key, item.Value, item.ETag)
		}
		return
	}
	if string(item.Value) != want || !item.Found() {
		t.Errorf("key %s has value %.60q and ETag %q, want %.60q with an ETag", item.Key, item.Value, item.ETag, want)
	}
}
