package inprocess_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hexalith/eventstores-go/adapter/inprocess"
	"github.com/hexalith/eventstores-go/eventstore"
)

// A file is opened without being tried out by who only reads, as from a disk that is full.
func ExampleOpenSQLiteWith() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "events")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	state, err := inprocess.OpenSQLiteWith(ctx, inprocess.SQLiteOptions{Path: filepath.Join(folder, "events.db"), WithoutProbe: true})
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
