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

// startTelemetry sets up OpenTelemetry for the process. The handler serves metrics in the format of
// Prometheus. The traces go by gRPC to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.
// Without it they are not exported, but log records and the sidecar's spans still have their ids.
// OpenTelemetry's SDK also reads OTEL_SERVICE_NAME (default: service) and its other variables.
//
// startTelemetry sends nothing itself, so the collector may start later. Export errors are logged.
// Shutdown sends what is not sent yet.
func startTelemetry(ctx context.Context, service string, log *slog.Logger) (shutdown func(context.Context) error, metrics http.Handler, err error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err.Error()) }))
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName(service)), resource.WithTelemetrySDK(), resource.WithFromEnv())
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

// unobserved lists the paths that are polled every few seconds.
var unobserved = []string{"/livez", "/readyz", "/metrics"}

// observeRequests traces and measures each request to a ServeMux, according to the conventions for
// HTTP servers. The span is a child of the caller's span, if there is one.
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
		// An event stream lasts as long as its page is open, which says nothing about the service.
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

		if route := r.Pattern[strings.Index(r.Pattern, " ")+1:]; route != "" { // the mux has set the matching pattern
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

// statusWriter records the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 { // 1xx answers such as 103 may precede it
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is used by http.ResponseController, Flush by callers that need an http.Flusher.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *statusWriter) Flush()                      { _ = http.NewResponseController(w.ResponseWriter).Flush() }
