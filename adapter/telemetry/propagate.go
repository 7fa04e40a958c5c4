package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// propagate puts the trace of a context into its outgoing gRPC metadata, in the place of one that is there.
func propagate(ctx context.Context, propagator propagation.TextMapPropagator) context.Context {
	fields := propagation.MapCarrier{}
	propagator.Inject(ctx, fields)
	if len(fields) == 0 {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	for key, value := range fields {
		md.Set(key, value)
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// DialOption has a client of Dapr's SDK tell its sidecar the trace of each request, so that the sidecar's spans become
// children of those of [State] and [Locker]:
//
//	client, err := dapr.NewClient(append(sidecar.DialOptions(), telemetry.DialOption())...)
//
// It is needed where the sidecar has an API token: a client that was given one, as by DAPR_API_TOKEN, replaces the metadata of each request by that token,
// before this option comes to it. Of the options it heeds [WithPropagator].
func DialOption(options ...Option) grpc.DialOption {
	propagator := newSettings(options).propagator
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(propagate(ctx, propagator), method, request, reply, conn, opts...)
	})
}
