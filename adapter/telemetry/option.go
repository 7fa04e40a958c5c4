package telemetry

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name under which spans and metrics are made.
const scope = "github.com/hexalith/eventstores-go/adapter/telemetry"

// Option says more of what is traced and measured. Each function of this package takes all of them, and leaves aside what does not
// concern it. A nil Option says nothing.
type Option func(*settings)

type settings struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	component  string
	system     string
	withoutIDs bool
}

// WithTracerProvider sets where spans go; defaults to OpenTelemetry's global one, as it is then or becomes later, and so
// does nil.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(s *settings) {
		if provider != nil {
			s.tracers = provider
		}
	}
}

// WithMeterProvider sets where metrics go; defaults to OpenTelemetry's global one, as it is then or becomes later, and so
// does nil.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(s *settings) {
		if provider != nil {
			s.meters = provider
		}
	}
}

// WithPropagator sets how a trace is told to the sidecar; defaults to OpenTelemetry's global one, which without
// otel.SetTextMapPropagator tells nothing; nil is that default. The sidecar understands propagation.TraceContext.
func WithPropagator(propagator propagation.TextMapPropagator) Option {
	return func(s *settings) {
		if propagator != nil {
			s.propagator = propagator
		}
	}
}

// WithComponent names the Dapr component of a [State] or [Locker], as "statestore"; defaults to none. It is the attribute db.collection.name.
func WithComponent(name string) Option { return func(s *settings) { s.component = name } }

// WithSystem names the kind of store of a [State] or [Locker], the attribute db.system.name; defaults to what the State's capabilities
// say, by the name that the conventions have for it ("redis" for state.redis), and to "lock" for a Locker.
func WithSystem(name string) Option { return func(s *settings) { s.system = name } }

// WithoutAggregateIDs leaves the ids of aggregates out of spans, for where they say something of persons. The texts of errors go
// with them, which name streams.
func WithoutAggregateIDs() Option { return func(s *settings) { s.withoutIDs = true } }

func newSettings(options []Option) settings {
	s := settings{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider(), propagator: otel.GetTextMapPropagator()}
	for _, option := range options {
		if option != nil {
			option(&s)
		}
	}
	return s
}

func (s settings) tracer() trace.Tracer {
	return s.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

// instruments makes metrics. A meter that can't make one gives one that does nothing, and the error goes to OpenTelemetry's handler.
type instruments struct{ metric.Meter }

func (s settings) instruments() instruments {
	return instruments{s.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))}
}

// seconds is a histogram of durations, with the buckets that the conventions advise for databases.
func (i instruments) seconds(name, description string) metric.Float64Histogram {
	h, err := i.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		otel.Handle(err)
	}
	return h
}

func (i instruments) counter(name, unit, description string) metric.Int64Counter {
	c, err := i.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	return c
}
