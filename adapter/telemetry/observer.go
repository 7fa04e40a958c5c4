package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/eventstore"
)

// The attributes of operations.
const (
	operationKey = attribute.Key("eventstore.operation.name")
	databaseKey  = attribute.Key("eventstore.database")
	typeKey      = attribute.Key("eventstore.aggregate.type")
	idKey        = attribute.Key("eventstore.aggregate.id")
	sessionKey   = attribute.Key("eventstore.session.id")
	expectedKey  = attribute.Key("eventstore.expected_version")
	versionKey   = attribute.Key("eventstore.version")
	eventsKey    = attribute.Key("eventstore.event.count")
	attemptsKey  = attribute.Key("eventstore.attempts")
	lookupsKey   = attribute.Key("eventstore.lookups")
	waitedKey    = attribute.Key("eventstore.waited")
)

type observer struct {
	tracer     trace.Tracer
	withoutIDs bool
	feeds      feeds

	duration, wait                                       metric.Float64Histogram
	appended, read                                       metric.Int64Counter
	conflicts, unknowns, retries, lookups, updateRetries metric.Int64Counter
}

// NewObserver returns an observer that traces and measures operations, for
// [eventstore.WithObserver]. It is an [eventstore.FeedObserver], so it also measures feeds and
// subscriptions. It is safe for concurrent use, and several providers can share it.
func NewObserver(options ...Option) (eventstore.Observer, error) {
	c, err := newConfig(options)
	if err != nil {
		return nil, err
	}
	i := c.instruments()
	return &observer{
		tracer:     c.tracer(),
		withoutIDs: c.withoutIDs,
		feeds:      newFeeds(i),

		duration:      i.seconds("eventstore.operation.duration", "Duration of operations of the event store."),
		wait:          i.seconds("eventstore.open.wait.duration", "Time that opens waited for other sessions."),
		appended:      i.counter("eventstore.events.appended", "{event}", "Events that were appended."),
		read:          i.counter("eventstore.events.read", "{event}", "Events that were read."),
		conflicts:     i.counter("eventstore.append.conflicts", "{append}", "Appends that failed because another append came first."),
		unknowns:      i.counter("eventstore.append.unknown_outcomes", "{append}", "Appends whose outcome is unknown."),
		retries:       i.counter("eventstore.append.retries", "{attempt}", "Commits that were sent again."),
		lookups:       i.counter("eventstore.append.lookups", "{lookup}", "Lookups of the outcome of an append whose commit failed or was not answered."),
		updateRetries: i.counter("eventstore.aggregate.update.retries", "{attempt}", "Repeated decisions in updates of aggregates."),
	}, nil
}

// Begin implements [eventstore.Observer].
func (o *observer) Begin(ctx context.Context, operation eventstore.Operation) context.Context {
	attributes := make([]attribute.KeyValue, 0, 5)
	attributes = append(attributes, operationKey.String(operation.Name), databaseKey.String(operation.Stream.Database), typeKey.String(operation.Stream.Type))
	if !o.withoutIDs {
		attributes = append(attributes, idKey.String(operation.Stream.ID))
	}
	if operation.Expected >= 0 {
		attributes = append(attributes, expectedKey.Int64(operation.Expected))
	}
	options := []trace.SpanStartOption{}
	if operation.Delivery != nil {
		attributes = append(attributes, ofDelivery(operation.Delivery)...)
		options = append(options, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(linksTo(operation.Delivery)...))
	}
	options = append(options, trace.WithAttributes(attributes...))
	ctx, _ = o.tracer.Start(ctx, operation.Name+" "+operation.Stream.Type, options...)
	return ctx
}

// End implements [eventstore.Observer].
func (o *observer) End(ctx context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	failure := kind(result.Err)
	if isAnswer(result.Err) {
		failure = ""
	}
	o.measure(ctx, operation, result, failure)
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if operation.Session != "" {
		span.SetAttributes(sessionKey.String(operation.Session))
	}
	for _, number := range [...]struct {
		key   attribute.Key
		value int64
	}{
		{versionKey, result.Version},
		{eventsKey, int64(max(operation.Events, result.Events))},
		{attemptsKey, int64(result.Attempts)},
		{lookupsKey, int64(result.Lookups)},
	} {
		if number.value > 0 {
			span.SetAttributes(number.key.Int64(number.value))
		}
	}
	if result.Waited > 0 {
		span.SetAttributes(waitedKey.Float64(result.Waited.Seconds()))
	}
	if result.Disposition != "" {
		span.SetAttributes(dispositionKey.String(string(result.Disposition)))
	}
	if failure == "" {
		return
	}
	text := ""
	if !o.withoutIDs && isOurs(result.Err) {
		text = result.Err.Error()
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(failure))
	span.SetStatus(codes.Error, text)
}

func (o *observer) measure(ctx context.Context, operation eventstore.Operation, result eventstore.OperationResult, failure string) {
	attributes := []attribute.KeyValue{operationKey.String(operation.Name)}
	if failure != "" {
		attributes = append(attributes, semconv.ErrorTypeKey.String(failure))
	}
	o.duration.Record(ctx, result.Duration.Seconds(), metric.WithAttributeSet(attribute.NewSet(attributes...)))
	count := func(counter metric.Int64Counter, n int, attributes ...attribute.KeyValue) {
		if n > 0 {
			counter.Add(ctx, int64(n), metric.WithAttributeSet(attribute.NewSet(attributes...)))
		}
	}
	aggregateType := typeKey.String(operation.Stream.Type)
	switch operation.Name {
	case eventstore.OpOpen:
		if result.Waited > 0 {
			o.wait.Record(ctx, result.Waited.Seconds())
		}
	case eventstore.OpAppend, eventstore.OpAppendRecorded, eventstore.OpRetry:
		again := result.Attempts
		if operation.Name != eventstore.OpRetry {
			again-- // the first attempt is no retry
		}
		count(o.appended, result.Events, aggregateType)
		count(o.retries, again)
		count(o.lookups, result.Lookups)
		if errors.As(result.Err, new(*eventstore.VersionMismatchError)) || errors.As(result.Err, new(*eventstore.SessionLostError)) {
			count(o.conflicts, 1, aggregateType)
		}
		if errors.As(result.Err, new(*eventstore.OutcomeUnknownError)) {
			count(o.unknowns, 1, aggregateType)
		}
	case eventstore.OpRead, eventstore.OpSlice, eventstore.OpEvent:
		count(o.read, result.Events, aggregateType)
	case eventstore.OpAggregateUpdate:
		count(o.updateRetries, result.Attempts-1, aggregateType)
	case eventstore.OpDeliver:
		o.feeds.delivered(ctx, operation, result)
	}
}

// isAnswer reports whether an error only says that something does not exist.
func isAnswer(err error) bool {
	switch find(err, isOurs).(type) {
	case *eventstore.StreamNotFoundError, *eventstore.VersionNotFoundError, *eventstore.SnapshotNotFoundError, *eventstore.IdempotencyIDNotFoundError:
		return true
	}
	return false
}
