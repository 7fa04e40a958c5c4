// Command workflow is an example: the transfer between two accounts as a Dapr Workflow. Its
// activities append to event streams.
//
//   - transfer.go has the workflow and its activities.
//   - account.go has the events and the decisions of an account.
//   - main.go makes two transfers through a sidecar.
//
// It needs a sidecar with the placement and scheduler services, as "dapr init" sets them up. The
// state store must have the metadata actorStateStore: "true". docs/processes.md says when to take a
// workflow and when a process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"

	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/workflow"
	dapr "github.com/dapr/go-sdk/client"
	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := dapr.NewClient(sidecar.DialOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore")
	if err != nil {
		return err
	}
	return demo(ctx, state, workflow.NewClient(client.GrpcClientConn()), os.Stdout)
}

// open returns the accounts in a store.
func open(state driver.State) (*accounts, error) {
	registry, err := eventstore.NewRegistry(types()...)
	if err != nil {
		return nil, err
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry),
		eventstore.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		return nil, err
	}
	repository, err := aggregate.NewRepository(provider, accountType, Account.Apply)
	return &accounts{provider, repository}, err
}

// start begins a transfer, unless Dapr knows one with that id. Dapr itself refuses an id only as
// long as its workflow runs, and later runs it again. Such a run finds that all steps are done.
func start(ctx context.Context, client *workflow.Client, id string, o Order) error {
	switch _, err := client.FetchWorkflowMetadata(ctx, id); {
	case err == nil:
		return nil
	case !errors.Is(err, api.ErrInstanceNotFound):
		return err
	}
	_, err := client.ScheduleWorkflow(ctx, transferName, workflow.WithInstanceID(id), workflow.WithInput(o))
	return err
}

// demo makes two transfers, and prints what became of them.
func demo(ctx context.Context, state driver.State, client *workflow.Client, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the worker
	a, err := open(state)
	if err != nil {
		return err
	}
	registry, err := a.registry()
	if err != nil {
		return err
	}
	if err := client.StartWorker(ctx, registry); err != nil {
		return err
	}
	ada, bob, eve := uuid.NewString(), uuid.NewString(), uuid.NewString()
	for id, events := range map[string][]any{ada: {Opened{100_00}}, bob: {Opened{}}, eve: {Opened{}, Closed{}}} {
		if _, err := a.repository.Update(ctx, id, func(Account) ([]any, error) { return events, nil }); err != nil {
			return err
		}
	}
	for _, to := range []string{bob, eve} {
		id := uuid.NewString()
		if err := start(ctx, client, id, Order{From: ada, To: to, Amount: 30_00}); err != nil {
			return err
		}
		transfer, err := client.WaitForWorkflowCompletion(ctx, id)
		if err != nil {
			return err
		}
		account, err := a.repository.Load(ctx, ada)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v %s; Ada has %d\n", transfer, transfer.Output.GetValue(), account.State.Balance)
	}
	return nil
}
