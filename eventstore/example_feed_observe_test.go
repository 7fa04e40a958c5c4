package eventstore_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// watchman is an observer that prints what an indexer does. Package telemetry has an observer for
// OpenTelemetry.
type watchman struct{ done context.CancelFunc }

func (watchman) Begin(ctx context.Context, _ eventstore.Operation) context.Context { return ctx }

func (watchman) End(context.Context, eventstore.Operation, eventstore.OperationResult) {}

func (w watchman) ObserveFeed(_ context.Context, report eventstore.FeedReport) {
	switch r := report.(type) {
	case eventstore.IndexReport:
		if r.Logged > 0 {
			fmt.Println("the log of the feed", r.Feed, "took over", r.Logged, "entry and is at position", r.Position)
			w.done()
		}
	case eventstore.SubscriptionReport: // of subscription.Run
		if r.LagAge > time.Minute {
			fmt.Println(r.Subscription, "is behind by", r.LagAge)
		}
	}
}

func ExampleFeedObserver() {
	ctx, cancel := context.WithCancel(context.Background())
	provider := bank(eventstore.WithFeed("all"), eventstore.WithObserver(watchman{cancel}))
	openAccount(ctx, provider, "1", AccountOpened{Owner: "Ada"}).Close()
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	if err := all.Index(ctx); err != nil { // in a goroutine of its own, usually
		log.Fatal(err)
	}
	// Output: the log of the feed all took over 1 entry and is at position 1
}
