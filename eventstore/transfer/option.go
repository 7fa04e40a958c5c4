package transfer

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// What is appended to the target at a time, at most, unless [WithBatches] says otherwise.
const (
	batchEvents = 500
	batchBytes  = 1 << 20
)

// Option configures a [Copy].
type Option func(*config) error

// config is what the options of a copy set.
type config struct {
	batchEvents, batchBytes int
	progress                func(Progress)
}

// WithBatches bounds what is appended at a time: the number of events, and the bytes of their payloads.
// A single event may be larger. Defaults to 500 events and 1 MiB. Copy itself divides further what is
// too large for one request to the target.
func WithBatches(events, bytes int) Option {
	return func(c *config) error {
		if events < 1 || bytes < 1 {
			return &eventstore.ArgumentError{Argument: "WithBatches", Reason: fmt.Sprintf("%d events or %d bytes are not positive", events, bytes)}
		}
		c.batchEvents, c.batchBytes = events, bytes
		return nil
	}
}

// WithProgress calls progress after each piece of work, one call at a time. The copy waits for it.
func WithProgress(progress func(Progress)) Option {
	return func(c *config) error {
		if progress == nil {
			return &eventstore.ArgumentError{Argument: "WithProgress", Reason: "it is nil: leave the option out"}
		}
		c.progress = progress
		return nil
	}
}
