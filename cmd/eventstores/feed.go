package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func feedCommand(c *call) *cobra.Command {
	cmd := newCommand("feed", "import streams into the feed of a store, verify, repair and describe it", "", c.choose)
	cmd.AddCommand(feedImportCommand(c), feedVerifyCommand(c), feedStatusCommand(c))
	return cmd
}

// feedFlags are the flags of all commands that read the feed of a store.
type feedFlags struct{ store, feed string }

func (f *feedFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.store, "store", "", "the `store` that holds the feed")
	flags.StringVar(&f.feed, "feed", "", "the `name` of the feed, as the services give it; by default that of the store's feed")
}

// named returns the store that the flags name.
func (f *feedFlags) named(c *call, as use) (store, error) {
	s, err := parseStore(f.store, as)
	if err != nil {
		return store{}, wrong(fmt.Errorf("--store: %w", err))
	}
	c.hide(s.secret)
	return s, nil
}

// aboutFeeds is part of the usage of commands.
const aboutFeeds = `The command finds the name of the feed in the store. If no service with a feed has written to the
store yet, give the name with --feed, the same as the services do with WithFeed.
`

// openFeed opens a store and its feed. Call the function that it returns at the end. It writes what
// the feed was not told yet.
func (f feedFlags) openFeed(ctx context.Context, s store, log *slog.Logger) (*feed.Feed, opened, func(), error) {
	o, err := s.openWith(ctx, log)
	if err != nil {
		return nil, opened{}, nil, err
	}
	all, err := f.openOn(ctx, o, log)
	if err != nil {
		if errors.Is(err, errNoFeed) {
			err = noFeed(ctx, s, o)
		}
		o.close()
		return nil, opened{}, nil, err
	}
	return all, o, func() {
		closeProvider(ctx, all.Provider(), log)
		o.close()
	}, nil
}

// openToSearch opens the feed that the flags name, for a command that reads much of it.
func (f *feedFlags) openToSearch(ctx context.Context, c *call) (*feed.Feed, *meter, func(), error) {
	s, err := f.named(c, reading)
	if err != nil {
		return nil, nil, nil, err
	}
	m := newMeter(c, 0)
	all, _, closeFeed, err := f.openFeed(ctx, s, logger(m))
	if err != nil {
		m.end()
		return nil, nil, nil, err
	}
	return all, m, func() { closeFeed(); m.end() }, nil
}

// closeProvider writes what the feed was not told yet.
func closeProvider(ctx context.Context, provider *eventstore.Provider, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := provider.Close(ctx); err != nil { // an indexer finds out by itself, later
		log.WarnContext(ctx, "the feed does not know that this command has ended", "error", err)
	}
}

// errNoFeed says that a store has no feed, so that it knows no streams.
var errNoFeed = errors.New("the store has no feed yet; give its name with --feed, the same as the services do with WithFeed")

// noFeed returns errNoFeed, or why a store that has a feed seems to have none.
func noFeed(ctx context.Context, s store, o opened) error {
	if advice := o.elsewhere(ctx, anyFeed); advice != "" {
		return errors.New("the feed is not found: " + advice)
	}
	if !s.lists {
		return fmt.Errorf("%w; if they have one, compare keyPrefix and app id of this sidecar with those of theirs", errNoFeed)
	}
	return errNoFeed
}

// closeTimeout is how long a command may take to end, also if it was stopped.
const closeTimeout = 10 * time.Second

func (f feedFlags) openOn(ctx context.Context, o opened, log *slog.Logger) (*feed.Feed, error) {
	name := f.feed
	if name == "" {
		var err error
		if name, err = feed.Find(ctx, o.state); isDamaged(err) {
			return nil, fmt.Errorf("%w; give the name of the feed with --feed", err)
		} else if err != nil {
			return nil, err
		}
	}
	if name == "" {
		return nil, errNoFeed
	}
	provider, err := o.provider(log, eventstore.WithFeed(name))
	if err != nil {
		return nil, err
	}
	return feed.Open(provider)
}

// checkAll returns what is wrong with the flag --all.
func checkAll(all, named bool, s store) error {
	switch {
	case all && named:
		return errors.New("give --all or the names of streams, not both")
	case all && !s.lists:
		return errors.New("--all does not work through a sidecar, because Dapr cannot list keys; name the streams")
	}
	return nil
}

func isDamaged(err error) bool {
	_, ok := errors.AsType[*eventstore.DamagedError](err)
	return ok
}
