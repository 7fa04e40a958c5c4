package sidecar

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// reconnectDelay is the longest time between two tries to connect. By gRPC's default it grows to two minutes.
	reconnectDelay = 500 * time.Millisecond

	// connectTimeout is how long one try may take, as to a sidecar that is frozen. By default it is 20 s.
	connectTimeout = 2 * time.Second

	// keepaliveTime is how often a connection is tried that nothing comes from. A sidecar of Dapr ends connections that are tried more often
	// than every 8 s, and gRPC sends no more than one try in 10 s.
	keepaliveTime = 10 * time.Second

	// keepaliveTimeout is how long the answer to that may take, before the connection is given up.
	keepaliveTimeout = 5 * time.Second
)

// DialOptions are the options with which to dial a client of Dapr's SDK, so that it finds a sidecar that was away within 2 seconds of its being
// back, and gives up a connection from which nothing comes for 15 seconds:
//
//	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
//
// By default a client waits for up to two minutes between two tries to connect, and on a connection that is dead
// without a word for ever. All functions of the SDK that make a client take these options, also beside others; of two of one kind the later
// one counts.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectDelay},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
	}
}
