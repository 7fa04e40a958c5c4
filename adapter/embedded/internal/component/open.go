package component

import (
	"context"
	"errors"
	"fmt"

	"github.com/dapr/components-contrib/state"
	"github.com/dapr/kit/logger"

	"github.com/hexalith/eventstores-go/internal/probe"
)

// Start starts a component with these properties.
func Start(ctx context.Context, store Store, properties map[string]string, config Config) (*State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m state.Metadata
	m.Name = config.Capabilities.Store
	m.Properties = properties
	started := make(chan error, 1)
	go func() { started <- store.Init(ctx, m) }()
	select {
	case err := <-started:
		if err != nil {
			discard(store)
			return nil, err
		}
		return New(store, config), nil
	case <-ctx.Done(): // which components are slow to see, as in await
		go func() {
			<-started
			discard(store)
		}()
		return nil, ctx.Err()
	}
}

// discard closes a component that did not start, so that nothing of it goes on. The one for Redis
// panics where it has not got as far as a client.
func discard(store state.Store) {
	defer func() { _ = recover() }()
	_ = store.Close()
}

// Probe tries a store out, and closes it where it is not fit.
func Probe(ctx context.Context, s *State) error {
	found, err := probe.Run(ctx, s, probe.Options{})
	if err == nil {
		err = found.Transactions // Dapr encrypts in a sidecar alone, so that nothing explains it
	}
	if err == nil {
		return nil
	}
	_ = s.Close()
	if errors.Is(err, probe.ErrFailed) {
		return fmt.Errorf("%w: may this process write to it? If it may not, open the store with WithoutProbe", err)
	}
	return fmt.Errorf("the store %w: choose another one", err)
}

// Logger returns a silent logger for components. What matters comes back as errors, and a component
// would write the rest to standard output.
func Logger() logger.Logger {
	return logger.FromContextOrDefault(context.Background())
}
