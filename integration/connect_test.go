package integration

import (
	"testing"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

func state(t *testing.T, d *servers.Daprd) *sidecar.State {
	t.Helper()
	s, err := sidecar.NewState(t.Context(), d.Client(t), "statestore")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func locker(t *testing.T, d *servers.Daprd) *sidecar.Locker {
	t.Helper()
	l, err := sidecar.NewLocker(t.Context(), d.Client(t), "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// provider returns a provider for writers that compete with each other.
func provider(t *testing.T, s driver.State, l driver.Locker, options ...eventstore.Option) *eventstore.Provider {
	t.Helper()
	p, err := racing.NewProvider(s, l, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
