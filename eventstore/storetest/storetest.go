// Package storetest checks that a store can carry an event store, and that an event store on it
// keeps its promises. The tests of a new adapter call
//
//	storetest.TestState(t, state, storetest.Limits{})
//	storetest.TestLocker(t, locker) // if there is one
//	storetest.TestEventStore(t, storetest.Target{State: state, Locker: locker})
//	storetest.TestFeed(t, storetest.Target{State: state, Locker: locker})
//
// Each failed case says which rule is broken and why the event store needs it. The store may hold
// other data, because every run uses new names. The package follows testing/slogtest and
// testing/fstest.
//
// Every rule is one function. The lists of rules are in eventstore.go, state.go and locker.go.
// Those of feeds are in feed.go, catalogue.go, indexers.go and subscriptions.go.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Limits declares what a store cannot do although the event store would like it to. The zero value
// declares no limits.
type Limits struct {
	// MaxValueBytes is the largest size of a value in bytes. Set it if the store accepts less than
	// 1 MiB.
	MaxValueBytes int
}

// rule is one thing that a subject S must do, and why the event store needs it.
type rule[S any] struct {
	name  string
	why   string
	check func(t *testing.T, subject S)
}

// run checks the rules one after another. A failed case explains why its rule matters.
func run[S any](t *testing.T, subject S, rules []rule[S]) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("why it matters: %s", r.why)
				}
			})
			r.check(t, subject)
		})
	}
}

// timeout limits every case, so that a store that hangs fails a named case.
const timeout = 60 * time.Second

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// unique returns a name that no other run has.
func unique() string { return uuid.NewString() }

// names makes the partition and keys of one case.
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
	if err := s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key(name), Value: []byte(value), ETag: etag}); err != nil {
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

func write(t *testing.T, s driver.State, n names, writes ...driver.Write) {
	t.Helper()
	if err := s.Write(contextOf(t), n.partition, writes); err != nil {
		t.Fatalf("Write of %d: %v", len(writes), err)
	}
}

// getMany reads keys in bulk and expects one item for each.
func getMany(t *testing.T, s driver.State, n names, keys ...string) []driver.Item {
	t.Helper()
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = n.key(key)
	}
	items, err := s.GetMany(contextOf(t), n.partition, full)
	if err != nil {
		t.Fatalf("GetMany of %d: %v", len(keys), err)
	}
	if len(items) != len(keys) {
		t.Fatalf("GetMany of %d gave %d items", len(keys), len(items))
	}
	for _, item := range items {
		if item.Err != nil {
			t.Fatalf("GetMany: key %s: %v", item.Key, item.Err)
		}
	}
	return items
}
