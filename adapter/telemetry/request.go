package telemetry

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// requests traces and measures the requests to one component.
type requests struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram
	target     []attribute.KeyValue // attributes of all requests
	component  string
}

func newRequests(system string, options []Option) (requests, error) {
	c, err := newConfig(options)
	if err != nil {
		return requests{}, err
	}
	if c.system != "" {
		system = c.system
	}
	r := requests{
		tracer:     c.tracer(),
		propagator: c.propagator,
		duration:   c.instruments().seconds("db.client.operation.duration", "Duration of database client operations."),
		target:     []attribute.KeyValue{semconv.DBSystemNameKey.String(system)},
		component:  c.component,
	}
	if c.component != "" {
		r.target = append(r.target, semconv.DBCollectionName(c.component))
	}
	return r, nil
}

// request traces and measures one request, which consists of size operations on keys. A request
// that goes on although nothing happens is only measured.
func request[T any](ctx context.Context, r *requests, operation string, size int, send func(context.Context) (T, error)) (T, error) {
	name := operation
	if r.component != "" {
		name += " " + r.component
	}
	attributes := append(r.target[:len(r.target):len(r.target)], semconv.DBOperationName(operation))
	span := trace.SpanFromContext(context.Background()) // does nothing
	if !polling.Is(ctx) {
		ctx, span = r.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	}
	defer span.End()
	if size > 1 { // a single operation is no batch
		span.SetAttributes(semconv.DBOperationBatchSize(size))
	}
	began := time.Now()
	answer, err := send(propagate(ctx, r.propagator))
	took := time.Since(began)
	failed := err
	if items, ok := any(answer).([]driver.Item); ok && err == nil {
		for _, item := range items {
			if failed = item.Err; failed != nil {
				break
			}
		}
	}
	if failed != nil {
		failure := []attribute.KeyValue{semconv.ErrorTypeKey.String(kind(failed))}
		if code := grpcCode(failed); code != "" {
			failure = append(failure, semconv.DBResponseStatusCode(code))
		}
		attributes = append(attributes, failure...)
		span.SetAttributes(failure...)
		span.SetStatus(codes.Error, "")
	}
	r.duration.Record(ctx, took.Seconds(), metric.WithAttributeSet(attribute.NewSet(attributes...)))
	return answer, err
}

// sent is request for a request without a result.
func sent(ctx context.Context, r *requests, operation string, size int, send func(context.Context) error) error {
	_, err := request(ctx, r, operation, size, func(ctx context.Context) (struct{}, error) { return struct{}{}, send(ctx) })
	return err
}

// systems maps the names of Dapr's components to the names of stores in the conventions.
var systems = map[string]string{
	"oracledatabase": "oracle.db",
	"postgres":       "postgresql",
	"sqlite3":        "sqlite",
	"sqlserver":      "microsoft.sql_server",
}

// systemOf returns the name of the store behind a State, from its capabilities.
func systemOf(caps driver.Capabilities) string {
	store := strings.TrimPrefix(caps.Store, "state.")
	if store == "" {
		return "unknown"
	}
	if name, ok := systems[store]; ok {
		return name
	}
	return store
}

type state struct {
	driver.State
	requests requests
}

// State returns a state that traces and measures the requests to another one, for
// [eventstore.NewProvider]. Operations have the names of the methods of driver.State and
// driver.ManySwapper: "get", "get_many", "swap", "swap_many", "write", "commit". A request that an
// adapter divides, as the sidecar adapter does, counts as one.
//
// The trace goes into the outgoing gRPC metadata of each request. A client of Dapr's SDK with an
// API token drops it unless you dial it with [DialOption]. A nil state or a wrong option is an
// [eventstore.ArgumentError].
func State(of driver.State, options ...Option) (driver.State, error) {
	if of == nil {
		return nil, bad("state", "it is nil")
	}
	r, err := newRequests(systemOf(of.Capabilities()), options)
	if err != nil {
		return nil, err
	}
	return &state{State: of, requests: r}, nil
}

func (s *state) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	return request(ctx, &s.requests, "get", 1, func(ctx context.Context) (driver.Item, error) {
		return s.State.Get(ctx, partition, key)
	})
}

func (s *state) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	return request(ctx, &s.requests, "get_many", len(keys), func(ctx context.Context) ([]driver.Item, error) {
		return s.State.GetMany(ctx, partition, keys)
	})
}

func (s *state) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return sent(ctx, &s.requests, "swap", 1, func(ctx context.Context) error {
		return s.State.Swap(ctx, partition, swap)
	})
}

func (s *state) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return sent(ctx, &s.requests, "write", len(writes), func(ctx context.Context) error {
		return s.State.Write(ctx, partition, writes)
	})
}

func (s *state) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return sent(ctx, &s.requests, "commit", 1+len(writes), func(ctx context.Context) error {
		return s.State.Commit(ctx, partition, swap, writes)
	})
}

func (s *state) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	return sent(ctx, &s.requests, "swap_many", len(swaps), func(ctx context.Context) error {
		return driver.SwapMany(ctx, s.State, partition, swaps)
	})
}

type locker struct {
	of       driver.Locker
	requests requests
}

// Locker returns a locker that traces and measures the requests to another one, for
// [eventstore.WithLocker]. Its operations are "try_lock" and "unlock". Otherwise it works like
// [State].
func Locker(of driver.Locker, options ...Option) (driver.Locker, error) {
	if of == nil {
		return nil, bad("locker", "it is nil")
	}
	r, err := newRequests("lock", options)
	if err != nil {
		return nil, err
	}
	return &locker{of: of, requests: r}, nil
}

func (l *locker) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	return request(ctx, &l.requests, "try_lock", 1, func(ctx context.Context) (driver.Lock, error) {
		return l.of.TryLock(ctx, resource, owner, expiry)
	})
}

func (l *locker) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	return request(ctx, &l.requests, "unlock", 1, func(ctx context.Context) (driver.UnlockStatus, error) {
		return l.of.Unlock(ctx, resource, owner)
	})
}
