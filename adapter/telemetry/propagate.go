package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// propagate puts the trace of a context into its outgoing gRPC metadata, and replaces a trace that
// is already there.
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

// DialOption makes a client of Dapr's SDK pass the trace of each request to its sidecar. The
// sidecar's spans then become children of the spans of [State] and [Locker]:
//
//	tracing, err := telemetry.DialOption()
//	// …
//	client, err := dapr.NewClient(append(sidecar.DialOptions(), tracing)...)
//
// Use it if the sidecar has an API token. A client with a token, for example from DAPR_API_TOKEN,
// replaces the metadata of each request with that token, and this option adds the trace afterwards.
// It uses [WithPropagator].
func DialOption(options ...Option) (grpc.DialOption, error) {
	c, err := newConfig(options)
	if err != nil {
		return nil, err
	}
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(propagate(ctx, c.propagator), method, request, reply, conn, opts...)
	}), nil
}
