package integration

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
)

// provider opens streams for writers that get in each other's way.
func provider(t *testing.T, s driver.State, l driver.Locker, options ...eventstore.Option) *eventstore.Provider {
	t.Helper()
	p, err := racing.NewProvider(s, l, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
