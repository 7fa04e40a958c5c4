package eventtest

import (
	"log/slog"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// NewProvider is an event store of its own in memory, with default settings, which knows these types and logs
// nothing. Types that do not fit together end the test.
func NewProvider(t testing.TB, types ...eventstore.TypeDefinition) *eventstore.Provider {
	t.Helper()
	registry, err := eventstore.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memstate.Transactional(),
		eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return provider
}
