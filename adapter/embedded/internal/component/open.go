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
	case <-ctx.Done(): // components notice that late, as in await
		go func() {
			<-started
			discard(store)
		}()
		return nil, ctx.Err()
	}
}

// discard closes a component that failed to start, so that it leaves nothing running. The Redis
// component panics if it has no client yet.
func discard(store state.Store) {
	defer func() { _ = recover() }()
	_ = store.Close()
}

// Probe tests a store, and closes it if it is unsuitable.
func Probe(ctx context.Context, s *State) error {
	found, err := probe.Run(ctx, s, probe.Options{})
	if err == nil {
		err = found.Transactions // only a sidecar encrypts, so encryption cannot explain it
	}
	if err == nil {
		return nil
	}
	_ = s.Close()
	if errors.Is(err, probe.ErrFailed) {
		return fmt.Errorf("%w: check that this process may write to it, or open the store with WithoutProbe", err)
	}
	return fmt.Errorf("the store %w: choose another one", err)
}

// Logger returns a silent logger for components. Everything that matters is returned as an error,
// and a component would print the rest to standard output.
func Logger() logger.Logger {
	return logger.FromContextOrDefault(context.Background())
}
