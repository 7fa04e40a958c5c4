package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func ExampleNewRegistry() {
	_, err := eventstore.NewRegistry(
		eventstore.Type[AccountOpened]("AccountOpened"), // events are stored under this name
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsDeposited"),
	)
	fmt.Println(err)
	// Output: eventstore: bad argument type name: "FundsDeposited" is registered twice, for eventstore_test.FundsDeposited and eventstore_test.FundsWithdrawn
}

func ExampleWithSettings() {
	state := memory.New()
	defer state.Close()

	settings := eventstore.DefaultSettings()
	settings.DefaultDatabase = "Bank"
	settings.OpenTimeout = 0 // Open does not wait for other sessions
	settings.SessionTimeout = 10 * time.Second
	provider, err := eventstore.NewProvider(state, eventstore.WithSettings(settings))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(provider.Stream("BankAccount", "1"))

	settings.SessionTimeout = 0
	_, err = eventstore.NewProvider(state, eventstore.WithSettings(settings))
	fmt.Println(err)
	// Output:
	// Bank:BankAccount:1
	// eventstore: bad argument Settings.SessionTimeout: 0s is not positive; start from DefaultSettings()
}

func ExampleWithLogger() {
	timeless := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "time", "session", "duration":
			return slog.Attr{} // to keep the output the same in every run
		}
		return a
	}}
	ctx := context.Background()
	provider := bank(eventstore.WithLogger(slog.New(slog.NewTextHandler(os.Stdout, timeless))))
	if err := openAccount(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}).Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg=opened stream=EventStores:BankAccount:1 version=0
	// level=DEBUG msg=appended stream=EventStores:BankAccount:1 version=2 count=2
	// level=DEBUG msg=closed stream=EventStores:BankAccount:1
}

func ExampleProvider_Open() {
	ctx := context.Background()
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = 0
	provider := bank(eventstore.WithSettings(settings))
	first, err := provider.Open(ctx, provider.Stream("BankAccount", "1"))
	if err != nil {
		log.Fatal(err)
	}

	_, err = provider.Open(ctx, provider.Stream("BankAccount", "1"))
	var timeout *eventstore.OpenTimeoutError
	if errors.As(err, &timeout) {
		fmt.Println("held by the first:", timeout.Holder == first.ID())
	}

	if err := first.Close(); err != nil {
		log.Fatal(err)
	}
	second, err := provider.Open(ctx, provider.Stream("BankAccount", "1"))
	fmt.Println("after it was closed:", err)
	second.Close()
	// Output:
	// held by the first: true
	// after it was closed: <nil>
}

func ExampleProvider_Open_database() {
	ctx := context.Background()
	provider := bank()
	for _, tenant := range []string{"north", "south"} {
		session, err := provider.Open(ctx, eventstore.Stream{Database: tenant, Type: "BankAccount", ID: "1"})
		if err != nil {
			log.Fatal(err)
		}
		version, err := session.Append(ctx, eventstore.ExpectVersion(0), AccountOpened{Owner: tenant})
		fmt.Println(session.Stream(), version, err)
		session.Close()
	}
	// Output:
	// north:BankAccount:1 1 <nil>
	// south:BankAccount:1 1 <nil>
}

// The handler of an event opens the stream that the event came from.
func ExampleProvider_StreamOf() {
	ctx := context.Background()
	provider := bank()
	session := openAccount(ctx, provider, "1", AccountOpened{Owner: "Ada"})
	event, err := session.Event(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	session.Close()

	session, err = provider.Open(ctx, provider.StreamOf(event.Metadata))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	fmt.Println(session.Stream())
	// Output: EventStores:BankAccount:1
}

func ExampleParseStream() {
	name := eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: "north/1"}.String()
	fmt.Println(name)
	stream, err := eventstore.ParseStream(name)
	fmt.Println(stream.ID, err)
	// Output:
	// EventStores:BankAccount:north%2F1
	// north/1 <nil>
}

// frozen is a store that no longer answers.
type frozen struct{ driver.State }

func (frozen) GetMany(ctx context.Context, _ string, _ []string) ([]driver.Item, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A request without an answer ends after RequestTimeout, even if its context has no deadline.
func ExampleSettings_requestTimeout() {
	inMemory := memory.New()
	defer inMemory.Close()
	settings := eventstore.DefaultSettings()
	settings.RequestTimeout = 10 * time.Millisecond
	provider, err := eventstore.NewProvider(frozen{inMemory}, eventstore.WithSettings(settings))
	if err != nil {
		log.Fatal(err)
	}
	reader := provider.Reader(provider.Stream("BankAccount", "123456000"))
	_, err = reader.Version(context.Background())
	fmt.Println(errors.Is(err, context.DeadlineExceeded), errors.As(err, new(*eventstore.StorageError)))
	// Output: true true
}
