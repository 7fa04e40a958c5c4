// Package racing has writers that append to one stream at the same time. It checks that the stream
// holds what was acknowledged to them.
package racing

import (
	"log/slog"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Stream returns the stream with that id, to which writers append.
func Stream(id string) eventstore.Stream {
	return eventstore.Stream{Database: "EventStores", Type: "race", ID: id}
}

// Event says which event it is: the part-th of a writer's n-th append.
type Event struct {
	Writer string
	N      int
	Part   int
}

// NewProvider returns a provider for writers that compete with each other. Unless options say
// otherwise, its sessions wait long for each other. Without a locker they use the lease.
func NewProvider(s driver.State, l driver.Locker, options ...eventstore.Option) (*eventstore.Provider, error) {
	registry, err := eventstore.NewRegistry(eventstore.Type[Event]("written"))
	if err != nil {
		return nil, err
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.CommitTimeout = 2*time.Minute, time.Minute
	all := []eventstore.Option{
		eventstore.WithRegistry(registry),
		eventstore.WithSettings(settings),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if l != nil {
		all = append(all, eventstore.WithLocker(l))
	}
	return eventstore.NewProvider(s, append(all, options...)...)
}
