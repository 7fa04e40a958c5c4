package sidecar_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
)

// fakeSidecar is a gRPC server of the Dapr API with the size limits of a real sidecar. It records
// the requests to the state and lock APIs as they were sent, and answers as the test says.
type fakeSidecar struct {
	pb.UnimplementedDaprServer
	components []*pb.RegisteredComponents
	topic      topics

	mu       sync.Mutex
	requests []proto.Message
	answer   func(context.Context, proto.Message) (proto.Message, error) // nil: an empty answer
}

func (f *fakeSidecar) noted() []proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// serve records a request and finds its answer.
func serve[A any](ctx context.Context, f *fakeSidecar, request proto.Message) (*A, error) {
	f.mu.Lock()
	f.requests = append(f.requests, request)
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return new(A), nil
	}
	a, err := answer(ctx, request)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return new(A), nil
	}
	return any(a).(*A), nil
}

func (f *fakeSidecar) GetMetadata(context.Context, *pb.GetMetadataRequest) (*pb.GetMetadataResponse, error) {
	return &pb.GetMetadataResponse{Id: "bank", RegisteredComponents: f.components}, nil
}

func (f *fakeSidecar) GetState(ctx context.Context, r *pb.GetStateRequest) (*pb.GetStateResponse, error) {
	return serve[pb.GetStateResponse](ctx, f, r)
}

func (f *fakeSidecar) GetBulkState(ctx context.Context, r *pb.GetBulkStateRequest) (*pb.GetBulkStateResponse, error) {
	return serve[pb.GetBulkStateResponse](ctx, f, r)
}

func (f *fakeSidecar) SaveState(ctx context.Context, r *pb.SaveStateRequest) (*emptypb.Empty, error) {
	return serve[emptypb.Empty](ctx, f, r)
}

func (f *fakeSidecar) DeleteState(ctx context.Context, r *pb.DeleteStateRequest) (*emptypb.Empty, error) {
	return serve[emptypb.Empty](ctx, f, r)
}

func (f *fakeSidecar) DeleteBulkState(ctx context.Context, r *pb.DeleteBulkStateRequest) (*emptypb.Empty, error) {
	return serve[emptypb.Empty](ctx, f, r)
}

func (f *fakeSidecar) ExecuteStateTransaction(ctx context.Context, r *pb.ExecuteStateTransactionRequest) (*emptypb.Empty, error) {
	return serve[emptypb.Empty](ctx, f, r)
}

func (f *fakeSidecar) TryLockAlpha1(ctx context.Context, r *pb.TryLockRequest) (*pb.TryLockResponse, error) {
	return serve[pb.TryLockResponse](ctx, f, r)
}

func (f *fakeSidecar) UnlockAlpha1(ctx context.Context, r *pb.UnlockRequest) (*pb.UnlockResponse, error) {
	return serve[pb.UnlockResponse](ctx, f, r)
}

const bodyLimit = 4 << 20

// start runs a fake sidecar with one state component of that kind, and returns a client of it.
func start(t *testing.T, kind string, capabilities ...string) (*fakeSidecar, dapr.Client) {
	t.Helper()
	f := &fakeSidecar{components: []*pb.RegisteredComponents{
		{Name: "statestore", Type: kind, Version: "v1", Capabilities: capabilities},
		{Name: "lockstore", Type: "lock.redis", Version: "v1"},
		{Name: "pubsub", Type: "pubsub.redis", Version: "v1"},
	}}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(bodyLimit), grpc.MaxSendMsgSize(bodyLimit))
	pb.RegisterDaprServer(server, f)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///fake",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f, dapr.NewClientWithConnection(conn)
}

// startState is start, and connects a State. It forgets the requests until then.
func startState(t *testing.T, kind string, options ...sidecar.Option) (*fakeSidecar, *sidecar.State) {
	t.Helper()
	f, client := start(t, kind, "ETAG", "TRANSACTIONAL")
	s, err := sidecar.NewState(t.Context(), client, "statestore", append(options, sidecar.WithoutProbe())...)
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}
