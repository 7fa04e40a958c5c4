package followers_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

// The list has the name of a subscription before it exists, and for a moment after it was dropped.
func TestANameWithoutASubscriptionIsLeftOut(t *testing.T) {
	t.Parallel()
	p, err := eventstore.NewProvider(memory.New(), eventstore.WithFeed("all"), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := subscription.New(f, "mails", func(context.Context, feed.Item) error { return nil }, subscription.WithStart(1000))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Fatal("it starts beyond the end of the feed")
	}
	if names, err := subscription.Names(t.Context(), f); len(names) != 1 || err != nil {
		t.Fatal(names, err)
	}
	if all, err := followers.All(t.Context(), f, nil); len(all) != 0 || err != nil {
		t.Errorf("there are %v, %v", all, err)
	}
}
