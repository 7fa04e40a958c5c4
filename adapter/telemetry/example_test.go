package telemetry_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
)

// FundsDeposited is an event.
type FundsDeposited struct{ Amount int64 }

func Example() {
	ctx := context.Background()
	// A service does this once, with the exporters that it chooses. All functions here use the
	// global providers by default.
	exported := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported))
	otel.SetTracerProvider(tracers)
	otel.SetTextMapPropagator(propagation.TraceContext{})

	inMemory := memory.New() // or sidecar.NewState, and sidecar.NewLocker
	defer inMemory.Close()
	types, err := eventstore.NewRegistry(eventstore.Type[FundsDeposited]("FundsDeposited"))
	if err != nil {
		log.Fatal(err)
	}
	state, err := telemetry.State(inMemory, telemetry.WithComponent("statestore"))
	if err != nil {
		log.Fatal(err)
	}
	observer, err := telemetry.NewObserver()
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state,
		eventstore.WithObserver(observer),
		eventstore.WithLogger(slog.New(telemetry.LogHandler(slog.NewJSONHandler(os.Stderr, nil)))),
		eventstore.WithRegistry(types))
	if err != nil {
		log.Fatal(err)
	}

	session, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"), eventstore.Shared())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(0), FundsDeposited{Amount: 500_00}); err != nil {
		log.Fatal(err)
	}
	if err := session.Close(); err != nil {
		log.Fatal(err)
	}
	for _, span := range exported.GetSpans() { // in the order in which they end
		fmt.Println(span.SpanKind, span.Name)
	}
	// Output:
	// client get statestore
	// client get_many statestore
	// internal open_shared BankAccount
	// client commit statestore
	// internal append BankAccount
	// internal close BankAccount
}

func ExampleLogHandler() {
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // so that the output is always the same
		}
		return a
	}}
	logger := slog.New(telemetry.LogHandler(slog.NewTextHandler(os.Stdout, timeless)))
	ctx := traced(context.Background()) // as a tracer makes it
	logger.InfoContext(ctx, "paid", "amount", 500_00)
	// Output: level=INFO msg=paid amount=50000 trace_id=0000000000000000000000000000000a span_id=000000000000000b
}
