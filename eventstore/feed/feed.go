package feed

import (
	"context"
	"log/slog"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Feed lists and follows all streams of a store. It is safe for concurrent use. A process needs one
// for each provider: an indexer wakes the readers of its own Feed at once.
type Feed struct {
	provider *eventstore.Provider
	inside   eventstore.Inside
	name     journal.Feed
	log      *slog.Logger
	config

	news news      // of the log
	rung bell.Bell // for the indexer
	ears ears      // for the provider's bell
}

// Open returns the feed of a provider. It sends nothing. It returns an [eventstore.ArgumentError]
// if the provider has none, see [eventstore.WithFeed].
func Open(provider *eventstore.Provider, options ...Option) (*Feed, error) {
	if provider == nil {
		return nil, &eventstore.ArgumentError{Argument: "provider", Reason: "it is nil"}
	}
	in := provider.Inside(permit.Permit{})
	if in.Feed() == "" {
		return nil, &eventstore.ArgumentError{Argument: "provider", Reason: "it has no feed: make it with eventstore.WithFeed"}
	}
	f := &Feed{provider: provider, inside: in, name: in.Feed(), log: in.Log(), config: defaults}
	for _, option := range options {
		if option == nil {
			return nil, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&f.config); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Name returns the name of the feed.
func (f *Feed) Name() string { return string(f.name) }

// Provider returns the provider whose feed this is.
func (f *Feed) Provider() *eventstore.Provider { return f.provider }

// Ring makes the readers of this Feed that follow it [Live] look for news at once, and its indexer
// too. In one process they learn of news by themselves. Across processes they look for news every
// 20 ms to 1 s, depending on how much there is. If that is too slow, see [eventstore.WithBell], or
// call Ring when a message of another process says that there is news. A message that is lost only
// costs time.
func (f *Feed) Ring() {
	f.rung.Ring()
	f.news.ring()
}

func (f *Feed) stream() eventstore.Stream { return eventstore.Stream{Type: "feed", ID: f.Name()} }

func (f *Feed) failed(operation string, cause error) error {
	return &eventstore.StorageError{Stream: f.stream(), Operation: operation, Cause: cause}
}

func (f *Feed) damaged(key string, version int64, cause error) error {
	return &eventstore.DamagedError{Stream: f.stream(), Key: key, Version: version, Cause: cause}
}

// unsure reports whether an operation may be tried again later: the store may work again, or
// another process may have got in between.
func unsure(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !isA[*eventstore.DamagedError](err) && !isA[*eventstore.ArgumentError](err)
}
