package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/dapr/durabletask-go/backend"
	"github.com/dapr/durabletask-go/backend/sqlite"
	"github.com/dapr/durabletask-go/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// serve runs the engine that is also in the sidecar, with the same gRPC service. It keeps the
// history of the workflows in a SQLite file, and the sidecar in an actor state store. The file ""
// is in memory.
func serve(ctx context.Context, file string, listener net.Listener) error {
	// An engine that was killed still holds the locks of what it worked on.
	options := &sqlite.SqliteOptions{FilePath: file, WorkflowLockTimeout: time.Second, ActivityLockTimeout: time.Second}
	history := sqlite.NewSqliteBackend(options, silent{})
	executor, register := backend.NewGrpcExecutor(history, silent{}, backend.WithSkipWaitForInstanceStart())
	workflows := backend.NewWorkflowWorker(backend.WorkflowWorkerOptions{Backend: history, Executor: executor, Logger: silent{}, AppID: "bank"})
	activities := backend.NewActivityTaskWorker(history, executor, silent{})
	if err := backend.NewTaskHubWorker(history, workflows, activities, silent{}).Start(ctx); err != nil {
		return err
	}
	server := grpc.NewServer()
	register(server)
	context.AfterFunc(ctx, server.Stop)
	return server.Serve(listener)
}

// connect returns a client of the engine at an address. It waits for an engine that is away.
func connect(addr string) (*workflow.Client, func() error, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return nil, nil, err
	}
	return workflow.NewClientWithLogger(conn, silent{}), conn.Close, nil
}

func connected(t *testing.T, addr string) *workflow.Client {
	t.Helper()
	client, disconnect, err := connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = disconnect() })
	return client
}

// silent logs nothing.
type silent struct{}

func (silent) Debug(...any)          {}
func (silent) Debugf(string, ...any) {}
func (silent) Info(...any)           {}
func (silent) Infof(string, ...any)  {}
func (silent) Warn(...any)           {}
func (silent) Warnf(string, ...any)  {}
func (silent) Error(...any)          {}
func (silent) Errorf(string, ...any) {}
