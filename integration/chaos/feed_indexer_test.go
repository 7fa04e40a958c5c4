package chaos

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// indexerVariable turns this executable into an indexer. It holds the feedConfig.
const indexerVariable = "EVENTSTORES_CHAOS_INDEXER"

// feedConfig is the configuration of a process that uses the feed.
type feedConfig struct {
	Name     string // another one after each restart
	Sidecar  string // address
	Sessions sessions
	Seed     uint64
}

// index is the main function of an indexer. It indexes until its standard input ends or it is
// killed.
func index() {
	var config feedConfig
	configOf(indexerVariable, &config)
	j := &journal{out: os.NewFile(resultsFD, "journal")}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-untilStdinEnds(); cancel() }()
	if f := config.open(ctx); f != nil {
		config.note(j, "index", f.Index(ctx))
	}
}

// open opens the feed as soon as the sidecar is up, or returns nil when the process has to end. A
// process that is stopped by a fault loses its leases.
func (c feedConfig) open(ctx context.Context) *feed.Feed {
	for ctx.Err() == nil {
		state, locker, err := dial(ctx, c.Sidecar, c.Sessions)
		if err != nil {
			wait(ctx, 100*time.Millisecond)
			continue
		}
		settings := eventstore.DefaultSettings()
		settings.RequestTimeout = patience
		provider, err := newProvider(state, locker, settings, eventstore.WithFeed(feedName))
		if err != nil {
			fatal(err)
		}
		f, err := feed.Open(provider, feed.WithLease(sessionTimeout), feed.WithWalk(100*time.Millisecond))
		if err != nil {
			fatal(err)
		}
		return f
	}
	return nil
}

// note notes the error with which a process ended its work. There must be none.
func (c feedConfig) note(j *journal, what string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	j.write(entry{Kind: broken, Client: c.Name, Error: what + ": " + err.Error()})
}
