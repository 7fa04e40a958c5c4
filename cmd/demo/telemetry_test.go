package main

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// traceCollector is where the demo sends its spans in these tests, by the protocol of real ones.
type traceCollector struct {
	collector.UnimplementedTraceServiceServer

	mu       sync.Mutex
	services []string
	spans    []*wire.Span
}

func (c *traceCollector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range r.ResourceSpans {
		for _, a := range from.Resource.Attributes {
			if a.Key == "service.name" {
				c.services = append(c.services, a.Value.GetStringValue())
			}
		}
		for _, scope := range from.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func startCollector(t *testing.T) (*traceCollector, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server := &traceCollector{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c, "http://" + listener.Addr().String()
}

// observed is a mux as the service's, behind observeRequests.
func observed(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accounts/{number}", func(w http.ResponseWriter, r *http.Request) {
		if !trace.SpanContextFromContext(r.Context()).IsValid() {
			t.Error("a handler gets no trace")
		}
		switch r.PathValue("number") {
		case "broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "early":
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, "ok")
		w.(http.Flusher).Flush()
	})
	mux.HandleFunc("GET /accounts/{number}/live", func(_ http.ResponseWriter, r *http.Request) {
		if trace.SpanContextFromContext(r.Context()).IsValid() {
			t.Error("an event stream, which lasts as long as someone looks, is traced")
		}
	})
	mux.HandleFunc("GET /livez", func(_ http.ResponseWriter, r *http.Request) {
		if trace.SpanContextFromContext(r.Context()).IsValid() {
			t.Error("the probe is traced")
		}
	})
	return observeRequests(mux)
}

func request(t *testing.T, handler http.Handler, method, path, traceparent string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Header.Set("traceparent", traceparent)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// Not parallel: environment and OpenTelemetry's providers are the process's.
func TestTelemetryGoesToTheCollectorAndToPrometheus(t *testing.T) {
	c, endpoint := startCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_SERVICE_NAME", "bank-north")
	shutdown, metrics, err := startTelemetry(t.Context(), "bank", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	handler := observed(t)
	const parent = "0af7651916cd43dd8448eb211c80319c"
	request(t, handler, "GET", "/accounts/ZEBRA", "00-"+parent+"-b7ad6b7169203331-01")
	live := httptest.NewRequestWithContext(t.Context(), "GET", "/accounts/ZEBRA/live", nil)
	live.Header.Set("Accept", "text/event-stream")
	handler.ServeHTTP(httptest.NewRecorder(), live)
	request(t, handler, "GET", "/accounts/broken", "")
	request(t, handler, "GET", "/accounts/early", "")
	request(t, handler, "BREW", "/pot", "")
	request(t, handler, "GET", "/livez", "")

	page := request(t, metrics, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/accounts/{number}"`,
		`error_type="503",http_request_method="GET",http_response_status_code="503",http_route="/accounts/{number}"`,
		`http_request_method="_OTHER",http_response_status_code="404"`,
		`service_name="bank-north"`,
		"go_goroutines ",
	} {
		if !strings.Contains(page, line) {
			t.Errorf("/metrics lacks %s:\n%s", line, page)
		}
	}
	for _, never := range []string{"livez", "ZEBRA", "BREW"} {
		if strings.Contains(page, never) {
			t.Errorf("/metrics has %s", never)
		}
	}

	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.spans) != 4 || len(c.services) == 0 || c.services[0] != "bank-north" {
		t.Fatalf("the collector has %v of %v", c.spans, c.services)
	}
	first, broken := c.spans[0], c.spans[1]
	if first.Name != "GET /accounts/{number}" || first.Kind != wire.Span_SPAN_KIND_SERVER || hex.EncodeToString(first.TraceId) != parent ||
		hex.EncodeToString(first.ParentSpanId) != "b7ad6b7169203331" || first.Status.GetCode() != wire.Status_STATUS_CODE_UNSET {
		t.Errorf("the first span is %v", first)
	}
	if len(broken.ParentSpanId) > 0 || broken.Status.GetCode() != wire.Status_STATUS_CODE_ERROR {
		t.Errorf("the second span is %v", broken)
	}
}

func TestWithoutACollectorTracesHaveIdsAllTheSame(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	shutdown, _, err := startTelemetry(t.Context(), "bank", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const parent = "0af7651916cd43dd8448eb211c80319c"
	handler := observeRequests(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := trace.SpanContextFromContext(r.Context()).TraceID().String(); got != parent {
			t.Errorf("the trace is %s, the caller's %s", got, parent)
		}
	}))
	request(t, handler, "GET", "/", "00-"+parent+"-b7ad6b7169203331-01")
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	_, span := otel.Tracer("after").Start(t.Context(), "after")
	if span.IsRecording() {
		t.Error("spans are recorded after the shutdown")
	}
}

func TestTelemetryThatCanNotBeSetUpSaysSo(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no-value")
	if _, _, err := startTelemetry(t.Context(), "bank", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "no-value") {
		t.Errorf("the error is %v", err)
	}
}
