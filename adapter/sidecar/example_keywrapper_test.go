package sidecar_test

import (
	"context"
	"log"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

// Personal keys are stored in a separate component, encrypted with a key that never leaves the
// vault. The example needs a sidecar, so it is compiled but not run.
func ExampleNewKeyWrapper() {
	ctx := context.Background()
	client, err := dapr.NewClient(sidecar.DialOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	keyStore, err := sidecar.NewState(ctx, client, "keystore")
	if err != nil {
		log.Fatal(err)
	}
	wrapper, err := sidecar.NewKeyWrapper(client, "vault", "master", "RSA-OAEP-256")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := sealed.NewStateKeys(keyStore, sealed.WithWrapper(wrapper))
	if err != nil {
		log.Fatal(err)
	}
	if err := keys.Forget(ctx, "customer-7"); err != nil {
		log.Fatal(err)
	}
}
