package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// pass lets fake time pass.
func pass(d time.Duration) { <-time.After(d) }

// following appends to two streams, and follows them with an indexer, a subscription and a live
// loop, in fake time. One item is handled at the second try, and the other stream is parked. It
// returns the metrics of the time when all was running.
func following(l *lab) string {
	t := l.t
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	provider := must(eventstore.NewProvider(l.stored, append(l.given, eventstore.WithFeed("all"))...))
	all := must(feed.Open(provider))
	ctx, span := l.tracer.Start(t.Context(), "two appends")
	for _, id := range []string{"4712", "4713"} {
		event := eventstore.Event{Data: deposited{confidential}, Metadata: eventstore.Metadata{Custom: map[string]string{}}}
		propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(event.Metadata.Custom))
		_, err := provider.Append(ctx, provider.Stream("account", id), eventstore.ExpectVersion(0), event)
		ok(err)
	}
	span.End()

	running, stop := context.WithCancel(t.Context())
	indexed, run := make(chan error, 1), make(chan error, 1)
	go func() { indexed <- all.Index(running) }()
	pass(20 * time.Second)
	tries := 0
	mails := must(subscription.New(all, "mails", func(ctx context.Context, item feed.Item) error {
		_, span := l.tracer.Start(ctx, "handler")
		defer span.End()
		if tries++; tries == 1 || item.Stream.ID == "4713" {
			return errors.New("no mail to 4711")
		}
		return nil
	}, subscription.WithPartitions(1), subscription.WithRetries(1), subscription.WithParking()))
	go func() { run <- mails.Run(running) }()
	pass(20 * time.Second)

	ctx, span = l.tracer.Start(t.Context(), "live")
	for item, err := range all.Read(ctx, feed.Live()) {
		ok(err)
		if item.Stream.ID == "4713" {
			break
		}
	}
	span.End()
	metrics := l.measured()
	stop()
	ok(<-run)
	ok(<-indexed)
	ctx, span = l.tracer.Start(t.Context(), "the end")
	ok(provider.Close(ctx))
	span.End()
	return metrics
}

// reports are reports with what following does not contain.
var reports = []eventstore.FeedReport{
	eventstore.IndexReport{Feed: "all", Logged: 1, Derived: 1},
	eventstore.JournalReport{Feed: "all", Waiting: 3, Age: 2 * time.Minute},
	eventstore.SubscriptionReport{Feed: "all", Subscription: "mails", Partitions: 2, Parked: 1, Lag: 7, LagAge: time.Second},
}

func TestFeedsAndSubscriptionsAreSpansAndMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		metrics := following(l)
		spans := uuids.ReplaceAllString(l.take(), "…")
		golden(t, "spans_feed.txt", spans)
		var ours strings.Builder
		for line := range strings.Lines(metrics) { // how often an indexer asks depends on chance
			if strings.HasPrefix(line, "eventstore.") {
				ours.WriteString(line)
			}
		}
		golden(t, "metrics_feed.txt", ours.String())
		documented(t, spans+ours.String()+" eventstore.feed.derived eventstore.feed.waiting eventstore.feed.waiting.age")
	})
}

func TestWhatIsIdleMakesNoSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		provider := must(eventstore.NewProvider(l.stored, append(l.given, eventstore.WithFeed("all"))...))
		all := must(feed.Open(provider))
		ctx, span := l.tracer.Start(t.Context(), "service") // that lasts as long as the process
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 4)
		for range 2 { // one indexes, and the other waits
			other := must(feed.Open(provider))
			go func() { ended <- other.Index(running) }()
		}
		mails := must(subscription.New(all, "mails", func(context.Context, feed.Item) error { return nil }))
		go func() { ended <- mails.Run(running) }()
		go func() {
			for range all.Read(running, feed.Live()) {
			}
			ended <- nil
		}()
		pass(time.Minute)
		l.spans.Reset()
		asked := l.state.requests()
		pass(2 * time.Minute)
		if n := l.state.requests() - asked; n < 120 {
			t.Errorf("they sent %d requests in two minutes", n)
		}
		for _, s := range l.spans.Started() {
			t.Errorf("%s %s began", s.SpanKind(), s.Name())
		}
		stop()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		span.End()
	})
}

func TestReportsAreGaugesUntilTheyAreOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		o := must(telemetry.NewObserver(l.options...)).(eventstore.FeedObserver)
		reported := func(metric string) bool { return strings.Contains(l.measured(), metric+" [") }
		o.ObserveFeed(t.Context(), eventstore.JournalReport{Feed: "all", Waiting: 3, Age: 59 * time.Second})
		o.ObserveFeed(t.Context(), eventstore.IndexReport{Feed: "all", Position: 9, Unindexed: 2})
		o.ObserveFeed(t.Context(), eventstore.SubscriptionReport{Feed: "all", Subscription: "mails", Partitions: 2, Lag: 5})
		for _, line := range []string{
			"eventstore.feed.waiting [{entry}] eventstore.feed.name=all: 3\n",
			"eventstore.feed.position [{entry}] eventstore.feed.name=all: 9\n",
			"eventstore.feed.unindexed [{entry}] eventstore.feed.name=all: 2\n",
			"eventstore.subscription.lag [{entry}] eventstore.subscription.name=mails: 5\n",
		} {
			if metrics := l.measured(); !strings.Contains(metrics, line) {
				t.Errorf("there is no %q in\n%s", line, metrics)
			}
		}
		o.ObserveFeed(t.Context(), eventstore.IndexReport{Feed: "all", Ended: true})
		if reported("eventstore.feed.position") || !reported("eventstore.feed.waiting") {
			t.Errorf("once the indexer has ended there is\n%s", l.measured())
		}
		pass(time.Minute)
		o.ObserveFeed(t.Context(), eventstore.SubscriptionReport{Feed: "all", Subscription: "mails"})
		pass(2 * time.Minute)
		if reported("eventstore.feed.waiting") || !reported("eventstore.subscription.lag") {
			t.Errorf("two minutes later there is\n%s", l.measured())
		}
		pass(time.Second)
		if reported("eventstore.subscription.lag") {
			t.Errorf("later there is\n%s", l.measured())
		}
	})
}

func TestADeliveryIsLinkedOnlyToATraceThatItsEventNames(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	o := must(telemetry.NewObserver(l.options...))
	const traceID, spanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for traceparent, want := range map[string]int{"": 0, "nonsense": 0, "00-" + traceID + "-" + spanID + "-01": 1} {
		delivery := &eventstore.Delivery{Subscription: "mails"}
		if traceparent != "" {
			delivery.Metadata.Custom = map[string]string{"traceparent": traceparent}
		}
		operation := eventstore.Operation{Name: eventstore.OpDeliver, Expected: -1, Delivery: delivery}
		ctx := o.Begin(t.Context(), operation)
		span := trace.SpanFromContext(ctx).(sdktrace.ReadOnlySpan)
		if links := span.Links(); len(links) != want || want == 1 && (links[0].SpanContext.TraceID().String() != traceID || links[0].SpanContext.SpanID().String() != spanID) {
			t.Errorf("with the traceparent %q it has the links %v", traceparent, links)
		}
		o.End(ctx, operation, eventstore.OperationResult{Disposition: eventstore.DeliveryHandled})
	}
}
