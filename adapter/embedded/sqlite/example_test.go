package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
)

// A program that may not write opens the file without testing the store.
func ExampleWithoutProbe() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "events")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	state, err := sqlite.Open(ctx, filepath.Join(folder, "events.db"), sqlite.WithoutProbe())
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close()
	provider, err := eventstore.NewProvider(state)
	if err != nil {
		log.Fatal(err)
	}
	reader := provider.Reader(provider.Stream("BankAccount", "123456000"))
	fmt.Println(reader.Version(ctx))
	// Output: 0 <nil>
}
