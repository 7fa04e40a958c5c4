package storetest_test

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
)

// kinds holds each kind of store, and a store that declares limits and nothing else.
var kinds = map[string]func() *memstate.Store{
	"transactional": memstate.Transactional,
	"redis":         memstate.Redis,
	"transactional, not known as such": func() *memstate.Store {
		s := memstate.Transactional()
		s.Caps = driver.Capabilities{Store: "unknown", MaxRequestBytes: 200_000}
		return s
	},
	"transactional with limits": func() *memstate.Store {
		s := memstate.Transactional()
		s.Caps.MaxRequestBytes, s.Caps.MaxCommitWrites, s.Caps.MaxKeyBytes = 200_000, 100, 179
		return s
	},
	"redis, not known as such": func() *memstate.Store {
		s := memstate.Redis()
		s.Caps = driver.Capabilities{Store: "unknown", MaxRequestBytes: 200_000}
		return s
	},
}

func TestASoundStorePasses(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("state", func(t *testing.T) {
				s := kind()
				storetest.TestState(t, s, storetest.Limits{MaxValueBytes: s.Caps.MaxRequestBytes / 2})
			})
			t.Run("event store", func(t *testing.T) {
				storetest.TestEventStore(t, storetest.Target{State: kind()})
			})
			t.Run("feed", func(t *testing.T) {
				storetest.TestFeed(t, storetest.Target{State: kind()})
			})
		})
	}
}
