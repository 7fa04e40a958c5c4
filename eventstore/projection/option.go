package projection

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Option configures a [Projection].
type Option func(*config) error

type config struct {
	version int
	state   driver.State
	options []subscription.Option
}

const maxVersion = 1_000_000

// WithVersion sets the version of the projection, from 1. Each version has documents and a position
// of its own, so a new version begins at the beginning of the feed beside the one before. Raise it
// when the handler or the documents change. The default is 1. The subscription of a later version
// is named after it, such as "balances@2", in metrics, logs and the command eventstores.
func WithVersion(version int) Option {
	return func(c *config) error {
		if version < 1 || version > maxVersion {
			return bad("WithVersion", "%d is not from 1 to %d", version, maxVersion)
		}
		c.version = version
		return nil
	}
}

// WithStore keeps the documents in another store than the events, such as another state component
// of the sidecar. The position stays in the store of the events. The caller keeps the store, and
// closes it after the last use of the Projection.
func WithStore(state driver.State) Option {
	return func(c *config) error {
		if state == nil {
			return bad("WithStore", "it is nil")
		}
		c.state = state
		return nil
	}
}

// With sets options of the subscription that reads the feed, such as [subscription.OfType] and
// [subscription.WithParking]. Without [subscription.WithSaving], changes are written after 1,000
// items of a partition, or a second.
func With(options ...subscription.Option) Option {
	return func(c *config) error { c.options = append(c.options, options...); return nil }
}

func bad(argument, format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
}
