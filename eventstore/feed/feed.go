package feed

import (
	"context"
	"log/slog"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Feed lists and follows all streams of a store. It is safe for concurrent use.
type Feed struct {
	provider *eventstore.Provider
	inside   eventstore.Inside
	name     journal.Feed
	log      *slog.Logger
	config
	news news
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

// news tells the readers of a feed in this process that the log has grown.
type news struct {
	mu      sync.Mutex
	version int64         // of the log, as far as this process knows
	changed chan struct{} // closed when version changes
}

// tell notes that the log has reached a version.
func (n *news) tell(version int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if version <= n.version {
		return
	}
	n.version = version
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// wait returns a channel that is closed once the log is known to be above a version.
func (n *news) wait(version int64) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.version > version {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// unsure reports whether an operation may be tried again later: the store may work again, or
// another process may have got in between.
func unsure(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !isA[*eventstore.DamagedError](err) && !isA[*eventstore.ArgumentError](err)
}
