package integration

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// zipkinSpan is a span as a sidecar exports it.
type zipkinSpan struct {
	TraceID  string
	ParentID string
	Name     string
}

// startZipkin starts a server that receives the spans of a sidecar until the test ends.
func startZipkin(t *testing.T) (url string, spans <-chan zipkinSpan) {
	t.Helper()
	arrived := make(chan zipkinSpan, 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var batch []zipkinSpan
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Errorf("the sidecar's spans can't be read: %v", err)
		}
		for _, span := range batch {
			arrived <- span
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/api/v2/spans", arrived
}

func TestTheSidecarsSpansAreChildrenOfTheRequests(t *testing.T) {
	t.Parallel()
	tracing, err := telemetry.DialOption(telemetry.WithPropagator(propagation.TraceContext{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		dial  []grpc.DialOption
	}{
		"with the context's metadata": {},
		"with an API token and the dial option": {
			token: "secret",
			dial:  []grpc.DialOption{tracing},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, exported := startZipkin(t)
			r := servers.StartRedis(t)
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", APIToken: test.token, Zipkin: url,
				Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
			client := d.Client(t, test.dial...)
			s, err := sidecar.NewState(t.Context(), client, "statestore")
			if err != nil {
				t.Fatal(err)
			}
			l, err := sidecar.NewLocker(t.Context(), client, "lockstore")
			if err != nil {
				t.Fatal(err)
			}

			recorder := tracetest.NewSpanRecorder()
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
			options := []telemetry.Option{telemetry.WithTracerProvider(tracers), telemetry.WithPropagator(propagation.TraceContext{})}
			registry, err := eventstore.NewRegistry(eventstore.Type[racing.Event]("written"))
			if err != nil {
				t.Fatal(err)
			}
			tracedState, err := telemetry.State(s, options...)
			if err != nil {
				t.Fatal(err)
			}
			tracedLocker, err := telemetry.Locker(l, options...)
			if err != nil {
				t.Fatal(err)
			}
			observer, err := telemetry.NewObserver(options...)
			if err != nil {
				t.Fatal(err)
			}
			p, err := eventstore.NewProvider(tracedState, eventstore.WithLocker(tracedLocker), eventstore.WithObserver(observer), eventstore.WithRegistry(registry))
			if err != nil {
				t.Fatal(err)
			}
			ctx, request := tracers.Tracer("test").Start(t.Context(), "request")
			session, err := p.Open(ctx, p.Stream("traced", "1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Append(ctx, eventstore.ExpectVersion(0), racing.Event{N: 1}, racing.Event{N: 2}); err != nil {
				t.Fatal(err)
			}
			if _, err := session.Slice(ctx, 1, 2); err != nil {
				t.Fatal(err)
			}
			if err := session.Close(); err != nil {
				t.Fatal(err)
			}
			request.End()

			// These are the sidecar's names of the requests.
			calls := map[string]string{
				"try_lock": "/dapr.proto.runtime.v1.dapr/trylockalpha1",
				"get":      "/dapr.proto.runtime.v1.dapr/getstate",
				"get_many": "/dapr.proto.runtime.v1.dapr/getbulkstate",
				"swap":     "/dapr.proto.runtime.v1.dapr/savestate",
				"write":    "/dapr.proto.runtime.v1.dapr/executestatetransaction",
				"unlock":   "/dapr.proto.runtime.v1.dapr/unlockalpha1",
			}
			missing := map[string]string{} // by our span, the name of the sidecar's span under it
			seen := map[string]bool{}
			for _, span := range recorder.Ended() {
				if span.SpanContext().TraceID() != request.SpanContext().TraceID() {
					t.Errorf("%s is in another trace", span.Name())
				}
				if span.SpanKind() == trace.SpanKindClient {
					missing[span.SpanContext().SpanID().String()] = calls[span.Name()]
					seen[span.Name()] = true
				}
			}
			if len(seen) != len(calls) {
				t.Errorf("the requests were %v", seen)
			}
			late := time.After(time.Minute)
			for len(missing) > 0 {
				select {
				case span := <-exported:
					want, ours := missing[span.ParentID]
					if !ours {
						continue // a request before the trace began
					}
					if span.TraceID != request.SpanContext().TraceID().String() || span.Name != want {
						t.Errorf("the sidecar's span is %+v, want a %s in trace %s", span, want, request.SpanContext().TraceID())
					}
					delete(missing, span.ParentID)
				case <-late:
					t.Fatalf("the sidecar has no spans under these: %v", missing)
				}
			}
		})
	}
}

func TestATracedSidecarIsAsFitAsOneThatIsNot(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
	tracers := telemetry.WithTracerProvider(sdktrace.NewTracerProvider())
	s, err := telemetry.State(state(t, d), tracers)
	if err != nil {
		t.Fatal(err)
	}
	l, err := telemetry.Locker(locker(t, d), tracers)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("lock", func(t *testing.T) { storetest.TestLocker(t, l) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s, Locker: l}) })
}
