package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/connectivity"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/notices"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// The names of the components in the files of components/.
const (
	stateComponent  = "statestore"
	lockComponent   = "lockstore"
	pubsubComponent = "pubsub"
	noticeComponent = "noticestore" // the state store of demo notify
)

// store is an open store of accounts.
type store struct {
	about  string // describes the store for the reader of the tour
	state  driver.State
	locker driver.Locker                              // nil: sessions use a lease in the state store
	broker driver.Broker                              // nil: the sidecar has no pub/sub component
	conn   interface{ GetState() connectivity.State } // to the sidecar; nil without one
	close  func()
}

// chooseStore returns a function that opens the store, and the name of what it connects to. The
// store is a sidecar if the environment names one, otherwise a SQLite file.
func chooseStore(file string) (open func(context.Context) (store, error), part string) {
	if hasSidecar() {
		return openSidecar, "sidecar"
	}
	return func(ctx context.Context) (store, error) { return openFile(ctx, file) }, "state store"
}

func hasSidecar() bool {
	return os.Getenv("DAPR_GRPC_PORT") != "" || os.Getenv("DAPR_GRPC_ENDPOINT") != ""
}

// openFile opens the embedded store: one file, without a sidecar or a server.
func openFile(ctx context.Context, file string) (store, error) {
	state, err := sqlite.Open(ctx, file)
	if err != nil {
		return store{}, err
	}
	return store{
		about: fmt.Sprintf(`The accounts are in the SQLite file %s, without a sidecar.
To start again, delete it and, if they exist, the files %[1]s-wal and %[1]s-shm.
Sessions use a lease in the same file.`, file),
		state: state,
		close: func() { _ = state.Close() },
	}, nil
}

// openSidecar connects to the Dapr sidecar that the environment names. It may be called again after
// a failure.
func openSidecar(ctx context.Context) (_ store, err error) {
	client, err := dialSidecar(ctx)
	if err != nil {
		return store{}, err
	}
	defer func() {
		if err != nil {
			client.Close()
		}
	}()
	state, err := sidecar.NewState(ctx, client, stateComponent)
	if err != nil {
		return store{}, err
	}
	s := store{state: state, conn: client.GrpcClientConn(), close: client.Close}
	locks := fmt.Sprintf("The sidecar has no lock component %q, so sessions use a lease in the state store.", lockComponent)
	metadata, err := client.GetMetadata(ctx)
	if err != nil {
		return store{}, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(metadata.RegisteredComponents, func(c *dapr.MetadataRegisteredComponents) bool { return c.Name == name })
	}
	if has(lockComponent) {
		if s.locker, err = sidecar.NewLocker(ctx, client, lockComponent); err != nil {
			return store{}, err
		}
		locks = fmt.Sprintf("Sessions use the lock component %q.", lockComponent)
	}
	if has(pubsubComponent) {
		if s.broker, err = sidecar.NewBroker(ctx, client, pubsubComponent); err != nil {
			return store{}, err
		}
	}
	s.about = fmt.Sprintf("The accounts are in state component %[2]q (%[3]s) of the Dapr sidecar of app %[1]q.\n%[4]s",
		metadata.ID, stateComponent, state.Capabilities().Store, locks)
	return s, nil
}

// dialSidecar connects to the Dapr sidecar that the environment names.
func dialSidecar(ctx context.Context) (dapr.Client, error) {
	dapr.SetLogger(nil) // it would write to standard output
	variable, address := "DAPR_GRPC_ENDPOINT="+os.Getenv("DAPR_GRPC_ENDPOINT"), os.Getenv("DAPR_GRPC_ENDPOINT")
	if address == "" {
		variable, address = "DAPR_GRPC_PORT="+os.Getenv("DAPR_GRPC_PORT"), net.JoinHostPort("127.0.0.1", os.Getenv("DAPR_GRPC_PORT"))
	}
	// dapr.NewClient is not used, because it always returns the same client, even a closed one.
	tracing, err := telemetry.DialOption()
	if err != nil {
		return nil, err
	}
	client, err := dapr.NewClientWithAddressContext(ctx, address, append(sidecar.DialOptions(), tracing)...)
	if err != nil {
		return nil, fmt.Errorf("no Dapr sidecar answers at %s; see its log, or unset the variable to run without a sidecar: %w", variable, err)
	}
	return client, nil
}

// newProvider returns a provider for a store. It traces and measures all requests if
// [startTelemetry] was called.
func newProvider(s store, options ...eventstore.Option) (*eventstore.Provider, error) {
	registry, err := eventstore.NewRegistry(append(bank.Types(), notices.Types()...)...)
	if err != nil {
		return nil, err
	}
	options = append(options, eventstore.WithRegistry(registry), eventstore.WithFeed(bank.FeedName))
	if s.locker != nil {
		locker, err := telemetry.Locker(s.locker, telemetry.WithComponent(lockComponent))
		if err != nil {
			return nil, err
		}
		options = append(options, eventstore.WithLocker(locker))
	}
	state, err := telemetry.State(s.state, telemetry.WithComponent(stateComponent))
	if err != nil {
		return nil, err
	}
	return eventstore.NewProvider(state, options...)
}

// openTimeout returns an option that limits how long a session waits for another.
func openTimeout(d time.Duration) eventstore.Option {
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = d
	return eventstore.WithSettings(settings)
}
