// Package memory runs Dapr's component state.in-memory inside this process, for tests and examples.
//
//	state := memory.New()
//	defer state.Close()
//	provider, err := eventstore.NewProvider(state)
//
// Nothing is written to disk, so the history ends with the process.
//
// # Examples
//
//   - example_test.go: a provider over a store in memory
package memory

import (
	contrib "github.com/dapr/components-contrib/state/in-memory"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// State is a store in memory. It implements [driver.State] and is safe for concurrent use.
type State struct{ *base }

type base = component.State

var _ driver.State = (*State)(nil)

// New returns a new, empty store. Every call returns another one.
func New() *State {
	// The component is not initialised. All that Init does is to start a search for expired keys,
	// which do not exist here, and Close can hang waiting for that search.
	store := contrib.NewInMemoryStateStore(component.Logger()).(component.Store)
	return &State{component.New(store, component.Config{
		Package:      "memory",
		Capabilities: driver.Capabilities{Store: "state.in-memory", Atomic: true, UniqueETags: true},
	})}
}

// Close releases the store and what it holds. Requests after it fail, and another Close does
// nothing and returns nil. End all requests before.
func (s *State) Close() error { return s.base.Close() }
