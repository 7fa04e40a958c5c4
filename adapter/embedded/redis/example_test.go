package redis_test

import (
	"context"
	"log"
	"os"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/eventstore"
)

// The example needs a server, so it is compiled but not run.
func ExampleOpen() {
	ctx := context.Background()
	state, err := redis.Open(ctx, "redis.example.org:6379",
		redis.WithCredentials("bank", os.Getenv("REDIS_PASSWORD")), redis.WithTLS())
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close()
	provider, err := eventstore.NewProvider(state)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(provider.Stream("BankAccount", "123456000"))
}
