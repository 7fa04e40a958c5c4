// Package memory runs Dapr's component state.in-memory in this process, for tests and examples.
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

// New returns a new, empty store. Two calls return two independent stores.
func New() *State {
	// The component is not initialised. Init only starts a search for expired keys, which do not
	// exist here, and Close can hang waiting for that search.
	store := contrib.NewInMemoryStateStore(component.Logger()).(component.Store)
	return &State{component.New(store, component.Config{
		Package:      "memory",
		Capabilities: driver.Capabilities{Store: "state.in-memory", Atomic: true, Conditions: true, UniqueETags: true, AnyPartition: true},
	})}
}

// Close releases the store and everything in it. End all requests first, because later ones fail.
// Closing again does nothing and returns nil.
func (s *State) Close() error { return s.base.Close() }
