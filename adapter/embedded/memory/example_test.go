package memory_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleNew() {
	ctx := context.Background()
	state := memory.New()
	defer state.Close()
	provider, err := eventstore.NewProvider(state)
	if err != nil {
		log.Fatal(err)
	}
	reader := provider.Reader(provider.Stream("BankAccount", "123456000"))
	fmt.Println(reader.Version(ctx))
	// Output: 0 <nil>
}
