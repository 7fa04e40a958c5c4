package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/eventstore"
)

// The attributes of feeds and subscriptions.
const (
	feedKey         = attribute.Key("eventstore.feed.name")
	positionKey     = attribute.Key("eventstore.feed.position")
	subscriptionKey = attribute.Key("eventstore.subscription.name")
	partitionKey    = attribute.Key("eventstore.subscription.partition")
	dispositionKey  = attribute.Key("eventstore.subscription.disposition")
)

// reportsLast is how long a report is believed. A process that hangs sends no other one.
const reportsLast = 2 * time.Minute

// feeds measures feeds and subscriptions.
type feeds struct {
	indexed, derived, read, items, redelivered metric.Int64Counter
	indexDelay, readDelay, delay               metric.Float64Histogram

	latest *latest
}

func newFeeds(i instruments) feeds {
	f := feeds{
		indexed:     i.counter("eventstore.feed.indexed", "{entry}", "Entries that the log of the feed took over."),
		derived:     i.counter("eventstore.feed.derived", "{entry}", "Entries that no journal showed, so that they came from the streams themselves."),
		indexDelay:  i.seconds("eventstore.feed.index.delay", "Time from the oldest commit of a round of the indexer until the log had it."),
		read:        i.counter("eventstore.feed.read", "{item}", "Items that loops over the feed were given."),
		readDelay:   i.seconds("eventstore.feed.read.delay", "Time from a commit until a live loop was given it."),
		items:       i.counter("eventstore.subscription.items", "{item}", "Items that a subscription delivered."),
		redelivered: i.counter("eventstore.subscription.redelivered", "{delivery}", "Calls of a handler for an item for which it was called before."),
		delay:       i.seconds("eventstore.subscription.delay", "Time from a commit until its item was handled."),
		latest:      &latest{reports: map[reporter]reported{}},
	}
	f.latest.observe(i)
	return f
}

// ObserveFeed implements [eventstore.FeedObserver].
func (o *observer) ObserveFeed(ctx context.Context, report eventstore.FeedReport) {
	f := &o.feeds
	count := func(counter metric.Int64Counter, n int, of attribute.Set) {
		if n > 0 {
			counter.Add(ctx, int64(n), metric.WithAttributeSet(of))
		}
	}
	switch r := report.(type) {
	case eventstore.IndexReport:
		of := attribute.NewSet(feedKey.String(r.Feed))
		count(f.indexed, r.Logged, of)
		count(f.derived, r.Derived, of)
		if r.Logged > 0 {
			f.indexDelay.Record(ctx, r.Delay.Seconds(), metric.WithAttributeSet(of))
		}
		f.latest.note(reporter{"index", r.Feed, ""}, r, r.Ended)
	case eventstore.JournalReport:
		f.latest.note(reporter{"journal", r.Feed, ""}, r, false)
	case eventstore.ReadReport:
		of := attribute.NewSet(feedKey.String(r.Feed))
		count(f.read, r.Items, of)
		if r.Live {
			f.readDelay.Record(ctx, r.Delay.Seconds(), metric.WithAttributeSet(of))
		}
	case eventstore.SubscriptionReport:
		f.latest.note(reporter{"subscription", r.Feed, r.Subscription}, r, r.Ended)
	}
}

// delivered measures a delivery.
func (f *feeds) delivered(ctx context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	d := operation.Delivery
	if d == nil {
		return
	}
	of := subscriptionKey.String(d.Subscription)
	f.items.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(of, dispositionKey.String(string(result.Disposition)))))
	again := result.Attempts
	if !d.Again {
		again-- // the first call
	}
	if again > 0 {
		f.redelivered.Add(ctx, int64(again), metric.WithAttributeSet(attribute.NewSet(of)))
	}
	if result.Disposition == eventstore.DeliveryHandled && !d.Committed.IsZero() {
		f.delay.Record(ctx, max(0, time.Since(d.Committed).Seconds()), metric.WithAttributeSet(attribute.NewSet(of)))
	}
}

// latest is the last report of each reporter, for gauges.
type latest struct {
	mu      sync.Mutex
	reports map[reporter]reported
}

// reporter is who sent a report: an indexer, a provider or a subscription.
type reporter struct{ kind, feed, subscription string }

type reported struct {
	report eventstore.FeedReport
	at     time.Time
}

// note keeps a report, or forgets the reporter that has ended.
func (l *latest) note(by reporter, report eventstore.FeedReport, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended {
		delete(l.reports, by)
		return
	}
	l.reports[by] = reported{report, time.Now()}
}

// observe creates the gauges. One that was not reported for a while has no value, so that it does
// not go on showing what a process saw before it hung.
func (l *latest) observe(i instruments) {
	position := i.number("eventstore.feed.position", "{entry}", "End of the log of the feed.")
	unindexed := i.number("eventstore.feed.unindexed", "{entry}", "Entries in journals that the last round of the indexer did not take over.")
	open := i.number("eventstore.feed.open_numbers", "{number}", "Numbers of journals that were passed over and may still be used.")
	journals := i.number("eventstore.feed.journals", "{journal}", "Journals that have not ended.")
	walkAge := i.age("eventstore.feed.walk.age", "Time in which the indexer has looked at every stream.")
	waiting := i.number("eventstore.feed.waiting", "{entry}", "Entries of this process from the oldest that is known to wait for an indexer.")
	waitingAge := i.age("eventstore.feed.waiting.age", "Time for which the oldest entry of this process is known to have waited for an indexer.")
	partitions := i.number("eventstore.subscription.partitions", "{partition}", "Partitions of a subscription that this process has.")
	parked := i.number("eventstore.subscription.parked", "{stream}", "Parked streams in the partitions of this process.")
	lag := i.number("eventstore.subscription.lag", "{entry}", "Positions of the feed that the slowest partition of this process is behind.")
	lagAge := i.age("eventstore.subscription.lag.age", "Time since the commit of the oldest item that waits in this process.")
	i.gauges(func(_ context.Context, to metric.Observer) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for by, last := range l.reports {
			if time.Since(last.at) > reportsLast {
				delete(l.reports, by)
				continue
			}
			feed := metric.WithAttributeSet(attribute.NewSet(feedKey.String(by.feed)))
			switch r := last.report.(type) {
			case eventstore.IndexReport:
				to.ObserveInt64(position, r.Position, feed)
				to.ObserveInt64(unindexed, int64(r.Unindexed), feed)
				to.ObserveInt64(open, int64(r.OpenNumbers), feed)
				to.ObserveInt64(journals, int64(r.Journals), feed)
				to.ObserveFloat64(walkAge, r.WalkAge.Seconds(), feed)
			case eventstore.JournalReport:
				to.ObserveInt64(waiting, int64(r.Waiting), feed)
				to.ObserveFloat64(waitingAge, r.Age.Seconds(), feed)
			case eventstore.SubscriptionReport:
				subscription := metric.WithAttributeSet(attribute.NewSet(subscriptionKey.String(by.subscription)))
				to.ObserveInt64(partitions, int64(r.Partitions), subscription)
				to.ObserveInt64(parked, int64(r.Parked), subscription)
				to.ObserveInt64(lag, r.Lag, subscription)
				to.ObserveFloat64(lagAge, r.LagAge.Seconds(), subscription)
			}
		}
		return nil
	}, position, unindexed, open, journals, walkAge, waiting, waitingAge, partitions, parked, lag, lagAge)
}

// ofDelivery returns the attributes that only a delivery has.
func ofDelivery(d *eventstore.Delivery) []attribute.KeyValue {
	return []attribute.KeyValue{feedKey.String(d.Feed), positionKey.Int64(d.Position), subscriptionKey.String(d.Subscription), partitionKey.Int(d.Partition)}
}

// linksTo returns a link to the trace in which an event was appended, if the event's metadata has
// one.
func linksTo(d *eventstore.Delivery) []trace.Link {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(d.Metadata.Custom))
	link := trace.LinkFromContext(ctx)
	if !link.SpanContext.IsValid() {
		return nil
	}
	return []trace.Link{link}
}
