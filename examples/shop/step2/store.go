package main

import (
	"context"
	"os"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// besideSidecar reports whether the shop was started beside a Dapr sidecar, which "dapr run" does.
func besideSidecar() bool { return os.Getenv("DAPR_GRPC_PORT") != "" }

// openStore opens a store: a component of the sidecar, or else a SQLite file in this folder. The
// caller calls the function that it returns when the store is no longer needed.
func openStore(ctx context.Context, name string) (driver.State, func(), error) {
	if !besideSidecar() {
		file, err := sqlite.Open(ctx, name+".db")
		if err != nil {
			return nil, nil, err
		}
		return file, func() { _ = file.Close() }, nil
	}
	client, err := dapr.NewClient(sidecar.DialOptions()...)
	if err != nil {
		return nil, nil, err
	}
	component, err := sidecar.NewState(ctx, client, name)
	return component, func() {}, err
}
