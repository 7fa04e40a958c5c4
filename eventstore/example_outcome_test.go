package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// away is a store that can be cut off: then it still carries out commits, but their answers are
// lost.
type away struct {
	*memory.State
	cut atomic.Bool
}

var errAway = errors.New("connection lost")

func (s *away) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	err := s.State.Commit(ctx, partition, swap, writes)
	if s.cut.Load() {
		return errAway
	}
	return err
}

func (s *away) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	if s.cut.Load() {
		return driver.Item{}, errAway
	}
	return s.State.Get(ctx, partition, key)
}

func ExampleSession_Retry() {
	ctx := context.Background()
	inMemory := memory.New()
	defer inMemory.Close()
	state := &away{State: inMemory}
	types, err := eventstore.NewRegistry(eventstore.Type[AccountOpened]("AccountOpened"))
	if err != nil {
		log.Fatal(err)
	}
	settings := eventstore.DefaultSettings()
	settings.CommitTimeout = 50 * time.Millisecond
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types), eventstore.WithSettings(settings),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	session, err := provider.Open(ctx, provider.Stream("BankAccount", "1"))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	state.cut.Store(true)
	_, err = session.Append(ctx, eventstore.ExpectVersion(0), AccountOpened{Owner: "Ada"})
	var unknown *eventstore.OutcomeUnknownError
	fmt.Println("unknown:", errors.As(err, &unknown), errors.Is(err, errAway))

	// Later the store is back. Any process may ask what happened.
	state.cut.Store(false)
	outcome, err := session.Outcome(ctx, unknown.Base, unknown.CommitID)
	fmt.Println(outcome, err)

	// Or make sure that the events are stored. They are never stored twice.
	for range 2 {
		fmt.Println(session.Retry(ctx, unknown))
	}
	fmt.Println(session.Version(ctx))
	// Output:
	// unknown: true true
	// committed <nil>
	// 1 <nil>
	// 1 <nil>
	// 1 <nil>
}

// Match an error by its type. errors.AsType returns the error, and errors.As with new only tells
// whether there is one.
func Example_errors() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	session.Close()

	_, err := session.Append(ctx, eventstore.ExpectAny(), FundsDeposited{Amount: 1_00})
	fmt.Println(errors.As(err, new(*eventstore.NotOpenError)), errors.As(err, new(*eventstore.StorageError)))

	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err = bank().Open(ctx, eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: "1"})
	var storage *eventstore.StorageError
	if errors.As(err, &storage) {
		fmt.Println("failed to", storage.Operation, storage.Stream, errors.Is(err, context.Canceled))
	}
	// Output:
	// true false
	// failed to open EventStores:BankAccount:1 true
}
