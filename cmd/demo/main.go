// Command demo is a bank account on the event store: a tour that opens an account, moves money, and shows
// what is refused and why.
//
//	go run ./cmd/demo                   keeps the accounts in the SQLite file bank.db
//	go run ./cmd/demo -file other.db    keeps them in another
//
// With DAPR_GRPC_PORT in the environment, as "dapr run" sets it, the same tour goes through the Dapr sidecar at that
// port: its state component statestore and, where it has one, its lock component lockstore.
//
// The exit code is 0 only if every step did what it says, 1 if not, 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/inprocess"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// The names of the components, as in the files of components/.
const (
	stateComponent = "statestore"
	lockComponent  = "lockstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, but for what belongs to the process. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Usage: demo [-file bank.db]\n\nRuns the tour of a bank account: beside a Dapr sidecar where DAPR_GRPC_PORT is set, on a SQLite file otherwise.\n\n")
		flags.PrintDefaults()
	}
	file := flags.String("file", "bank.db", "the SQLite `file` that keeps the accounts; not used with a sidecar")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return 2
	}

	// Nothing here takes long; a store that does not answer must not hold the tour up for ever.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	open := openSidecar
	if os.Getenv("DAPR_GRPC_PORT") == "" {
		open = func(ctx context.Context) (store, error) { return openFile(ctx, *file) }
	}
	s, err := open(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer s.close()
	if err := takeTour(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	return 0
}

// store is where the accounts are kept.
type store struct {
	about  string // what it is, for the reader of the tour
	state  driver.State
	locker driver.Locker // nil: sessions use a lease in the state store
	close  func()
}

// openFile opens the embedded store: no sidecar, no server, one file.
func openFile(ctx context.Context, file string) (store, error) {
	state, err := inprocess.OpenSQLite(ctx, file)
	if err != nil {
		return store{}, err
	}
	return store{
		about: fmt.Sprintf(`The accounts are kept in the SQLite file %s, without a sidecar.
Delete it, and the files %[1]s-wal and %[1]s-shm if they are there, to begin anew.
Sessions are kept apart by a lease in the same file.`, file),
		state: state,
		close: func() { _ = state.Close() },
	}, nil
}

// openSidecar connects to the Dapr sidecar that the environment names.
func openSidecar(ctx context.Context) (_ store, err error) {
	dapr.SetLogger(nil) // it would write to standard output
	client, err := dapr.NewClient()
	if err != nil {
		return store{}, fmt.Errorf("no Dapr sidecar answers at DAPR_GRPC_PORT=%s: its log says why, if it did start; unset the variable to run without one: %w", os.Getenv("DAPR_GRPC_PORT"), err)
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
	s := store{state: state, close: client.Close}
	locks := fmt.Sprintf("The sidecar has no lock component %q: sessions are kept apart by a lease in the state store.", lockComponent)
	metadata, err := client.GetMetadata(ctx)
	if err != nil {
		return store{}, err
	}
	if slices.ContainsFunc(metadata.RegisteredComponents, func(c *dapr.MetadataRegisteredComponents) bool { return c.Name == lockComponent }) {
		if s.locker, err = sidecar.NewLocker(ctx, client, lockComponent); err != nil {
			return store{}, err
		}
		locks = fmt.Sprintf("Sessions are kept apart by the lock component %q.", lockComponent)
	}
	s.about = fmt.Sprintf("The accounts are kept by the Dapr sidecar of app %q in its state component %q (%s).\n%s",
		metadata.ID, stateComponent, state.Capabilities().Store, locks)
	return s, nil
}

// newProvider is the event store over a store.
func newProvider(s store) (*eventstore.Provider, error) {
	registry, err := eventstore.NewRegistry(bank.Types()...)
	if err != nil {
		return nil, err
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = 500 * time.Millisecond // of a session that waits for another; the tour shows one
	options := []eventstore.Option{eventstore.WithRegistry(registry), eventstore.WithSettings(settings)}
	if s.locker != nil {
		options = append(options, eventstore.WithLocker(s.locker))
	}
	return eventstore.NewProvider(s.state, options...)
}
