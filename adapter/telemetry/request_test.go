package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
)

func TestATracedStateIsAsFitAsTheOneBelow(t *testing.T) {
	t.Parallel()
	s := must(telemetry.State(inMemory(t)))
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
}

// able is a state with given capabilities.
type able struct {
	driver.State
	caps driver.Capabilities
}

func (a able) Capabilities() driver.Capabilities { return a.caps }

func TestATracedStateCanDoWhatTheOneBelowCan(t *testing.T) {
	t.Parallel()
	all := driver.Capabilities{Store: "state.x", Atomic: true, Conditions: true, CountedETags: true, BulkMisses: true, AnyPartition: true, MaxRequestBytes: 1, MaxCommitWrites: 2, MaxKeyBytes: 3}
	for _, caps := range []driver.Capabilities{{}, all} {
		if got := must(telemetry.State(able{caps: caps})).Capabilities(); got != caps {
			t.Errorf("it declares %+v, want %+v", got, caps)
		}
	}
}

func TestAStoreIsNamedAsTheConventionsNameIt(t *testing.T) {
	t.Parallel()
	for store, want := range map[string]string{
		"state.redis": "redis", "state.postgres": "postgresql", "state.postgresql": "postgresql", "state.sqlite3": "sqlite",
		"state.sqlserver": "microsoft.sql_server", "state.in-memory": "in-memory", "other": "other", "": "unknown",
	} {
		l := newLab(t)
		requested(l, able{l.state, driver.Capabilities{Store: store}})
		if spans := l.take(); !strings.Contains(spans, " db.system.name="+want+" ") {
			t.Errorf("the store %q gives the spans %s", store, spans)
		}
	}
	l := newLab(t, telemetry.WithSystem("valkey"))
	l.open(t.Context())
	if spans := l.take(); !strings.Contains(spans, "get_many statestore (client) db.system.name=valkey ") {
		t.Error(spans)
	}
}

// requested sends one request to a state that is traced like the lab's.
func requested(l *lab, of driver.State) {
	_, _ = must(telemetry.State(of, l.options...)).Get(l.t.Context(), "partition", "key")
}

// myError is an error of another library.
type myError struct{}

func (*myError) Error() string { return "at 4711" }

func TestAnErrorIsNamedByAWordOfFew(t *testing.T) {
	t.Parallel()
	for word, err := range map[string]error{
		"Aborted":                  fmt.Errorf("swapping 4711: %w", status.Error(codes.Aborted, "etag mismatch of 4711")),
		"context.Canceled":         fmt.Errorf("%w: %w", driver.ErrRefused, context.Canceled),
		"context.DeadlineExceeded": fmt.Errorf("at 4711: %w", context.DeadlineExceeded),
		"refused":                  fmt.Errorf("4711 is too large: %w", driver.ErrRefused),
		"telemetry_test.myError":   fmt.Errorf("at 4711: %w", errors.Join(errors.New("at 4711"), &myError{})),
		"_OTHER":                   fmt.Errorf("at 4711: %w", errors.New("at 4711")),
		"DamagedError":             fmt.Errorf("at 4711: %w", &eventstore.DamagedError{Cause: context.Canceled}),
	} {
		l := newLab(t)
		l.state.on(always("get", err))
		requested(l, l.state)
		spans, metrics := l.take(), l.measured()
		for _, text := range []string{spans, metrics} {
			if !strings.Contains(text, "error.type="+word) || strings.Contains(text, "4711") {
				t.Errorf("the word for %v is not %q: %s", err, word, text)
			}
		}
		if code := "db.response.status_code=" + word; strings.Contains(metrics, code) != (word == "Aborted") {
			t.Errorf("%s: %s", word, metrics)
		}
		if !strings.Contains(spans, " Error\n") {
			t.Errorf("its span does not say that it failed: %s", spans)
		}
	}
}

// partly is a state that cannot read one of its items.
type partly struct{ driver.State }

func (partly) GetMany(context.Context, string, []string) ([]driver.Item, error) {
	return []driver.Item{{}, {Err: errDown}}, nil
}

func TestABulkReadThatFailedInPartHasFailed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	items, err := must(telemetry.State(partly{l.state}, l.options...)).GetMany(t.Context(), "partition", []string{"a", "b"})
	if err != nil || len(items) != 2 || !errors.Is(items[1].Err, errDown) {
		t.Errorf("it gave %v, %v", items, err)
	}
	if spans := l.take(); !strings.Contains(spans, "error.type=_OTHER Error") {
		t.Error(spans)
	}
}

func TestATraceGoesIntoTheMetadataOfItsRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-api-token", "t", "traceparent", "of somebody else")
	if _, err := l.open(ctx).Append(ctx, eventstore.ExpectAny(), deposited{1}); err != nil {
		t.Fatal(err)
	}
	var spans []string
	for _, span := range l.spans.Ended() {
		if span.InstrumentationScope().Name != "test" && span.SpanKind().String() == "client" && strings.HasSuffix(span.Name(), "statestore") {
			spans = append(spans, fmt.Sprintf("00-%s-%s-01", span.SpanContext().TraceID(), span.SpanContext().SpanID()))
		}
	}
	if len(l.state.seen) != len(spans) || len(spans) == 0 {
		t.Fatalf("%d requests, %d spans", len(l.state.seen), len(spans))
	}
	for i, ctx := range l.state.seen {
		md, _ := metadata.FromOutgoingContext(ctx)
		if got := md.Get("traceparent"); len(got) != 1 || got[0] != spans[i] {
			t.Errorf("request %d has traceparent %q, its span is %s", i, got, spans[i])
		}
		if got := md.Get("dapr-api-token"); len(got) != 1 || got[0] != "t" {
			t.Errorf("request %d has the token %q", i, got)
		}
	}
	if md, _ := metadata.FromOutgoingContext(ctx); md.Get("traceparent")[0] != "of somebody else" {
		t.Error("the caller's metadata has changed")
	}
}

func TestWithoutATraceTheContextStaysAsItIs(t *testing.T) {
	t.Parallel()
	s := &flaky{State: inMemory(t)}
	traced := must(telemetry.State(s, telemetry.WithTracerProvider(noop.NewTracerProvider()), telemetry.WithPropagator(propagation.TraceContext{})))
	if _, err := traced.Get(t.Context(), "partition", "key"); err != nil {
		t.Fatal(err)
	}
	if md, ok := metadata.FromOutgoingContext(s.seen[0]); ok {
		t.Errorf("the metadata is %v", md)
	}
}
