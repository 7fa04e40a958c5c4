package sidecar

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// reconnectDelay is the longest pause between two attempts to connect. In gRPC it grows to two
	// minutes by default.
	reconnectDelay = 500 * time.Millisecond

	// connectTimeout is how long one attempt may take, for example to a frozen sidecar. The default
	// in gRPC is 20 s.
	connectTimeout = 2 * time.Second

	// keepaliveTime is the pause after which the client pings a silent connection. A Dapr sidecar
	// closes connections that are pinged more often than every 8 s, and gRPC pings at most once in
	// 10 s.
	keepaliveTime = 10 * time.Second

	// keepaliveTimeout is how long a ping may stay unanswered before the client gives up the
	// connection.
	keepaliveTimeout = 5 * time.Second
)

// DialOptions returns options for dialing a client of Dapr's SDK. The client then finds a sidecar
// again within 2 seconds of its return. It gives up a connection that has been silent for 15
// seconds:
//
//	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
//
// By default a client waits up to two minutes between two attempts to connect. On a dead connection
// that was never closed it waits forever. All functions of the SDK that create a client take these
// options, also together with others. Of two options of one kind the later one counts.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectDelay},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
	}
}
