package transfer

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// The largest append to the target, unless [WithBatches] sets other limits.
const (
	batchEvents = 500
	batchBytes  = 1 << 20
)

// Option configures [Copy].
type Option func(*config) error

type config struct {
	batchEvents, batchBytes int
	progress                func(Progress)
}

// WithBatches limits one append to the target: the number of events, and the bytes of their
// payloads. A single event may be larger. The default is 500 events and 1 MiB. Copy splits further
// whatever is too large for one request to the target.
func WithBatches(events, bytes int) Option {
	return func(c *config) error {
		if events < 1 || bytes < 1 {
			return &eventstore.ArgumentError{Argument: "WithBatches", Reason: fmt.Sprintf("%d events or %d bytes are not positive", events, bytes)}
		}
		c.batchEvents, c.batchBytes = events, bytes
		return nil
	}
}

// WithProgress sets a function that Copy calls after each piece of work. Copy waits for each call,
// and makes one at a time.
func WithProgress(progress func(Progress)) Option {
	return func(c *config) error {
		if progress == nil {
			return &eventstore.ArgumentError{Argument: "WithProgress", Reason: "it is nil: leave the option out"}
		}
		c.progress = progress
		return nil
	}
}
