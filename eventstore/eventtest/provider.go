package eventtest

import (
	"log/slog"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// NewProvider returns a new event store in memory with default settings. It knows the given types
// and logs nothing. If the types conflict, NewProvider ends the test.
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
