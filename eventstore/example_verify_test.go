package eventstore_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func ExampleReader_Verify() {
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
	defer session.Close()
	opened := eventstore.Raw{Type: "AccountOpened", ContentType: "application/json", Payload: []byte(`{}`)}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(0), opened, opened, opened); err != nil {
		fmt.Println(err)
		return
	}

	// Another program deletes an event behind the event store's back.
	stream := session.Stream().String()
	if err := state.Write(ctx, stream, []driver.Write{{Key: "{" + stream + "}:2"}}); err != nil {
		fmt.Println(err)
		return
	}

	found, err := session.Verify(ctx, func(checked, of int64) { fmt.Printf("%d of %d\n", checked, of) })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("sound:", found.Sound(), "whole events:", found.Events, "of", found.Version)
	for _, damage := range found.Damage {
		fmt.Println("version", damage.Version, "at key", damage.Key)
	}
	// Output:
	// 3 of 3
	// sound: false whole events: 2 of 3
	// version 2 at key {EventStores:BankAccount:123456000}:2
}
