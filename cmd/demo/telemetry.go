package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	prometheusexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/cmd/demo/page"
)

// startTelemetry sets OpenTelemetry up for the process. Metrics are served by the handler, in the format of Prometheus. Traces go to
// the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, by gRPC; without it they go nowhere, but log records and the sidecar's
// spans have their ids all the same. OTEL_SERVICE_NAME (bank) and the other variables of OpenTelemetry's SDK are heeded.
//
// It sends nothing itself, so that the collector may come later; what goes wrong then is logged. Shutdown sends what is still to be sent.
func startTelemetry(ctx context.Context, log *slog.Logger) (shutdown func(context.Context) error, metrics http.Handler, err error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err.Error()) }))
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("bank")), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, nil, err
	}
	traceOptions := []sdktrace.TracerProviderOption{sdktrace.WithResource(about)}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" {
		collector, err := otlptracegrpc.New(ctx)
		if err != nil {
			return nil, nil, err
		}
		traceOptions = append(traceOptions, sdktrace.WithBatcher(collector))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := prometheusexporter.New(prometheusexporter.WithRegisterer(registry))
	if err != nil {
		return nil, nil, err
	}
	tracers := sdktrace.NewTracerProvider(traceOptions...)
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(exporter))
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.TraceContext{}) // no baggage: nothing here needs what callers put into it
	shutdown = func(ctx context.Context) error { return errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx)) }
	return shutdown, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}

// unobserved are the paths that are asked for every few seconds.
var unobserved = []string{"/livez", "/readyz", "/metrics"}

// observeRequests makes each request to a ServeMux a span and measures it, by the conventions for HTTP servers. The span is a child of
// the caller's, if there is one.
func observeRequests(next http.Handler) http.Handler {
	const scope = "github.com/hexalith/eventstores-go/cmd/demo"
	tracer := otel.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	duration, err := otel.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)).Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		otel.Handle(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An event stream lasts as long as someone looks, which says nothing of the service.
		if slices.Contains(unobserved, r.URL.Path) || page.IsWatch(r) {
			next.ServeHTTP(w, r)
			return
		}
		method := r.Method
		if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}, method) {
			method = "_OTHER"
		}
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		known := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(method), semconv.URLScheme(scheme)}
		ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(known...), trace.WithAttributes(semconv.URLPath(r.URL.Path)))
		defer span.End()
		began, answer := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r = r.WithContext(ctx)
		next.ServeHTTP(answer, r)

		if route := r.Pattern[strings.Index(r.Pattern, " ")+1:]; route != "" { // the mux has written down what it found
			known = append(known, semconv.HTTPRoute(route))
			span.SetName(method + " " + route)
		}
		known = append(known, semconv.HTTPResponseStatusCode(answer.status))
		if answer.status >= 500 {
			known = append(known, semconv.ErrorTypeKey.String(strconv.Itoa(answer.status)))
			span.SetStatus(codes.Error, "")
		}
		span.SetAttributes(known...)
		duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(known...))
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 { // before it there may be others, as 103
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController, Flush for who asks for an http.Flusher.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *statusWriter) Flush()                      { _ = http.NewResponseController(w.ResponseWriter).Flush() }
