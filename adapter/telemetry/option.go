package telemetry

import (
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/eventstore"
)

// scope is the instrumentation scope of all spans and metrics.
const scope = "github.com/hexalith/eventstores-go/adapter/telemetry"

// Option configures tracing and measuring. Each function of this package accepts all options and
// ignores those that do not concern it. A wrong or nil option is an [eventstore.ArgumentError].
type Option func(*config) error

type config struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	component  string
	system     string
	withoutIDs bool
}

// WithTracerProvider sets where spans go. The default is OpenTelemetry's global provider, even if
// that is set later.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(c *config) error {
		if provider == nil {
			return bad("WithTracerProvider", "the provider is nil: leave the option out for the global one")
		}
		c.tracers = provider
		return nil
	}
}

// WithMeterProvider sets where metrics go. The default is OpenTelemetry's global provider, even if
// that is set later.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) error {
		if provider == nil {
			return bad("WithMeterProvider", "the provider is nil: leave the option out for the global one")
		}
		c.meters = provider
		return nil
	}
}

// WithPropagator sets how a trace is passed to the sidecar. The default is OpenTelemetry's global
// propagator, which passes nothing unless the program calls otel.SetTextMapPropagator. The sidecar
// understands propagation.TraceContext.
func WithPropagator(propagator propagation.TextMapPropagator) Option {
	return func(c *config) error {
		if propagator == nil {
			return bad("WithPropagator", "the propagator is nil: leave the option out for the global one")
		}
		c.propagator = propagator
		return nil
	}
}

// WithComponent sets the name of the Dapr component of a [State] or [Locker], for example
// "statestore". It becomes the attribute db.collection.name. By default there is none.
func WithComponent(name string) Option {
	return func(c *config) error {
		if strings.TrimSpace(name) == "" {
			return bad("WithComponent", "the name is blank: leave the option out for none")
		}
		c.component = name
		return nil
	}
}

// WithSystem sets the kind of store of a [State] or [Locker], the attribute db.system.name. The
// default for a State is the kind in its capabilities, with its name in the conventions ("redis"
// for state.redis). The default for a Locker is "lock".
func WithSystem(name string) Option {
	return func(c *config) error {
		if strings.TrimSpace(name) == "" {
			return bad("WithSystem", "the name is blank: leave the option out for the kind in the capabilities")
		}
		c.system = name
		return nil
	}
}

// WithoutAggregateIDs leaves the ids of aggregates out of spans, for ids that identify people. It
// also leaves out the texts of errors, because they contain the names of streams.
func WithoutAggregateIDs() Option {
	return func(c *config) error { c.withoutIDs = true; return nil }
}

func newConfig(options []Option) (config, error) {
	c := config{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider(), propagator: otel.GetTextMapPropagator()}
	for _, option := range options {
		if option == nil {
			return config{}, bad("option", "it is nil")
		}
		if err := option(&c); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

func bad(argument, reason string) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: reason}
}

func (c config) tracer() trace.Tracer {
	return c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

// instruments creates metrics. If a meter cannot create one, it returns one that does nothing, and
// OpenTelemetry's handler gets the error.
type instruments struct{ metric.Meter }

func (c config) instruments() instruments {
	return instruments{c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))}
}

// seconds returns a histogram of durations, with the buckets that the conventions recommend for
// databases.
func (i instruments) seconds(name, description string) metric.Float64Histogram {
	h, err := i.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		otel.Handle(err)
	}
	return h
}

// gauges measures by a callback, which OpenTelemetry calls when it collects metrics.
func (i instruments) gauges(callback metric.Callback, gauges ...metric.Observable) {
	if _, err := i.RegisterCallback(callback, gauges...); err != nil {
		otel.Handle(err)
	}
}

func (i instruments) number(name, unit, description string) metric.Int64ObservableGauge {
	g, err := i.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	return g
}

func (i instruments) age(name, description string) metric.Float64ObservableGauge {
	g, err := i.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	return g
}

func (i instruments) counter(name, unit, description string) metric.Int64Counter {
	c, err := i.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	return c
}
