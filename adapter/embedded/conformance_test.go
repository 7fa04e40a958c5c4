package embedded_test

import (
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
)

func TestMemory(t *testing.T) {
	conform(t, memory.New())
}

func TestSQLite(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "awkward name %?#.db"))
	if err != nil {
		t.Fatal(err)
	}
	conform(t, s)
}

func conform(t *testing.T, s store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
	t.Run("feed", func(t *testing.T) { storetest.TestFeed(t, storetest.Target{State: s}) })
}
