package eventstore_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func ExampleProvider_RebuildHead() {
	ctx := context.Background()
	state := memory.New()
	defer state.Close()
	provider, err := eventstore.NewProvider(state)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"))
	if err != nil {
		fmt.Println(err)
		return
	}
	opened := eventstore.Raw{Type: "AccountOpened", ContentType: "application/json", Payload: []byte(`{}`)}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(0), opened, opened, opened); err != nil {
		fmt.Println(err)
		return
	}
	session.Close()

	// A store that may evict keys drops the head.
	stream := session.Stream()
	head := "{" + stream.String() + "}:head"
	if err := state.Write(ctx, stream.String(), []driver.Write{{Key: head}}); err != nil {
		fmt.Println(err)
		return
	}
	_, err = provider.Open(ctx, provider.Stream("BankAccount", "123456000"))
	fmt.Println(err)

	rebuilt, err := provider.RebuildHead(ctx, stream, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("found:", rebuilt.Damage.Cause)
	fmt.Println("the stream is at version", rebuilt.Version, "again")
	// Output:
	// eventstore: stream EventStores:BankAccount:123456000 is damaged: check key {EventStores:BankAccount:123456000}:head: the head is missing but events or snapshots exist: did the store evict or expire it? Provider.RebuildHead can rebuild it
	// found: the head is missing but events up to version 3 exist
	// the stream is at version 3 again
}
