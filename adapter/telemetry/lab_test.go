package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// deposited is the event and the snapshot of these tests.
type deposited struct{ Amount int }

// lab is an event store in memory that keeps all spans and metrics, and whose requests can be made
// to fail.
type lab struct {
	t        *testing.T
	spans    *tracetest.SpanRecorder
	metrics  *sdkmetric.ManualReader
	tracer   trace.Tracer
	state    *flaky
	options  []telemetry.Option
	stored   driver.State        // of the provider
	given    []eventstore.Option // to the provider
	provider *eventstore.Provider
	log      strings.Builder
}

// flaky is a state whose requests fail on demand.
type flaky struct {
	driver.State

	mu   sync.Mutex
	fail func(operation string) error // nil: none
	seen []context.Context
}

func (f *flaky) on(fail func(operation string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *flaky) ask(ctx context.Context, operation string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, ctx)
	if f.fail == nil {
		return nil
	}
	return f.fail(operation)
}

// requests returns how many there were.
func (f *flaky) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func (f *flaky) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	if err := f.ask(ctx, "get"); err != nil {
		return driver.Item{}, err
	}
	return f.State.Get(ctx, partition, key)
}

func (f *flaky) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	if err := f.ask(ctx, "get_many"); err != nil {
		return nil, err
	}
	return f.State.GetMany(ctx, partition, keys)
}

func (f *flaky) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	if err := f.ask(ctx, "swap"); err != nil {
		return err
	}
	return f.State.Swap(ctx, partition, swap)
}

func (f *flaky) Write(ctx context.Context, partition string, writes []driver.Write) error {
	if err := f.ask(ctx, "write"); err != nil {
		return err
	}
	return f.State.Write(ctx, partition, writes)
}

func (f *flaky) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if err := f.ask(ctx, "commit"); err != nil {
		return err
	}
	return f.State.Commit(ctx, partition, swap, writes)
}

// always makes the requests of that name fail.
func always(operation string, err error) func(string) error {
	return func(asked string) error {
		if asked == operation || operation == "" {
			return err
		}
		return nil
	}
}

// free is a locker that grants every lock.
type free struct{}

func (free) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (free) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}

func inMemory(t *testing.T) *memory.State {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// must returns a value that cannot fail here.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newLab(t *testing.T, options ...telemetry.Option) *lab {
	t.Helper()
	l := &lab{t: t, spans: tracetest.NewSpanRecorder(), metrics: sdkmetric.NewManualReader(), state: &flaky{State: inMemory(t)}}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l.spans))
	l.tracer = tracers.Tracer("test")
	options = append([]telemetry.Option{
		telemetry.WithTracerProvider(tracers),
		telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.metrics))),
		telemetry.WithPropagator(propagation.TraceContext{}),
		telemetry.WithComponent("statestore"),
	}, options...)
	l.options = options
	registry, err := eventstore.NewRegistry(eventstore.Type[deposited]("deposited"))
	if err != nil {
		t.Fatal(err)
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.CommitTimeout = 0, time.Millisecond
	l.stored = must(telemetry.State(l.state, options...))
	l.given = []eventstore.Option{
		eventstore.WithRegistry(registry),
		eventstore.WithSettings(settings),
		eventstore.WithLocker(must(telemetry.Locker(free{}, append(slices.Clone(options), telemetry.WithComponent("lockstore"))...))),
		eventstore.WithObserver(must(telemetry.NewObserver(options...))),
		eventstore.WithLogger(slog.New(telemetry.LogHandler(slog.NewJSONHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug})))),
	}
	l.provider = must(eventstore.NewProvider(l.stored, l.given...))
	return l
}

func (l *lab) open(ctx context.Context) *eventstore.Session {
	l.t.Helper()
	s, err := l.provider.Open(ctx, l.provider.Stream("account", "4711"))
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// take returns the spans since the last call, as a tree: name and kind, attributes, status. It
// leaves out everything that differs from run to run.
func (l *lab) take() string {
	l.t.Helper()
	spans := l.spans.Started()
	if ended := l.spans.Ended(); len(ended) != len(spans) {
		l.t.Errorf("%d spans began, %d ended", len(spans), len(ended))
	}
	l.spans.Reset()
	inside := map[trace.SpanID][]sdktrace.ReadWriteSpan{}
	known := map[trace.SpanID]bool{}
	names := map[trace.SpanID]string{}
	for _, s := range spans {
		known[s.SpanContext().SpanID()], names[s.SpanContext().SpanID()] = true, s.Name()
	}
	for _, s := range spans {
		parent := s.Parent().SpanID()
		if !known[parent] {
			parent = trace.SpanID{}
		}
		inside[parent] = append(inside[parent], s)
	}
	var tree strings.Builder
	var write func(depth int, of trace.SpanID)
	write = func(depth int, of trace.SpanID) {
		for _, s := range inside[of] {
			fmt.Fprintf(&tree, "%s%s", strings.Repeat("  ", depth), s.Name())
			if s.SpanKind() != trace.SpanKindInternal {
				fmt.Fprintf(&tree, " (%s)", s.SpanKind())
			}
			if s.InstrumentationScope().Name != "test" {
				writeAttributes(&tree, s.Attributes())
			}
			for _, link := range s.Links() {
				fmt.Fprintf(&tree, " linked to %q", names[link.SpanContext.SpanID()])
			}
			if s.Status().Code != codes.Unset {
				fmt.Fprintf(&tree, " %s", s.Status().Code)
			}
			if s.Status().Description != "" {
				fmt.Fprintf(&tree, ": %s", s.Status().Description)
			}
			tree.WriteByte('\n')
			write(depth+1, s.SpanContext().SpanID())
		}
	}
	write(0, trace.SpanID{})
	return tree.String()
}

func writeAttributes(to io.Writer, attributes []attribute.KeyValue) {
	for _, a := range attributes {
		switch a.Key {
		case "eventstore.session.id":
			a.Value = attribute.StringValue("…")
		case "eventstore.waited":
			a.Value = attribute.StringValue("…")
		}
		fmt.Fprintf(to, " %s=%s", a.Key, a.Value.Emit())
	}
}

// measured returns all metrics: the unit of each, and for each set of attributes the sum or, for a
// histogram, the count.
func (l *lab) measured() string {
	l.t.Helper()
	var all metricdata.ResourceMetrics
	if err := l.metrics.Collect(context.Background(), &all); err != nil {
		l.t.Fatal(err)
	}
	var lines []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			line := func(attributes attribute.Set, n any) {
				var text strings.Builder
				fmt.Fprintf(&text, "%s [%s]", m.Name, m.Unit)
				writeAttributes(&text, attributes.ToSlice())
				lines = append(lines, fmt.Sprintf("%s: %v", &text, n))
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					line(point.Attributes, point.Value)
				}
			case metricdata.Gauge[int64]:
				for _, point := range data.DataPoints {
					line(point.Attributes, point.Value)
				}
			case metricdata.Gauge[float64]:
				for _, point := range data.DataPoints {
					if point.Value < 0 || point.Value > 60 {
						l.t.Errorf("%s is %v s", m.Name, point.Value)
					}
					line(point.Attributes, "…")
				}
			case metricdata.Histogram[float64]:
				for _, point := range data.DataPoints {
					if point.Sum < 0 || point.Sum > 60 || !slices.Equal(point.Bounds, []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}) {
						l.t.Errorf("%s: %v s in the buckets %v", m.Name, point.Sum, point.Bounds)
					}
					line(point.Attributes, point.Count)
				}
			default:
				l.t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// same compares texts line by line.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	got, want = strings.TrimSpace(got), strings.TrimSpace(want)
	if got == want {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := "", ""
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Errorf("%s, line %d:\n got %s\nwant %s", what, i+1, g, w)
			break
		}
	}
	t.Logf("%s, all of it:\n%s", what, got)
}

var errDown = errors.New("the store is down at 4711")
