package feed

import (
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Option configures a [Feed].
type Option func(*config) error

type config struct {
	lease     time.Duration
	walkEvery time.Duration
}

var defaults = config{lease: 10 * time.Second, walkEvery: time.Second}

// WithLease sets how long an indexer works before another one may take its place. If the process
// that indexes crashes, another one takes over after at most that time and a second. The default is
// 10 s. It is at least 1 s.
func WithLease(d time.Duration) Option {
	return func(c *config) error {
		if d < time.Second {
			return &eventstore.ArgumentError{Argument: "WithLease", Reason: "it is below 1 s"}
		}
		c.lease = d
		return nil
	}
}

// WithWalk sets how often an indexer looks at 500 heads of streams, one after the other, for
// commits that no journal shows. Such commits are rare: their process crashed at the worst moment,
// or had no feed. The default is 1 s. Each look is two requests where a bulk read may be about
// several partitions. Elsewhere it is a request for each head. After it has seen all streams, the
// indexer begins again, but no sooner than ten times that long after it began.
func WithWalk(every time.Duration) Option {
	return func(c *config) error {
		if every <= 0 {
			return &eventstore.ArgumentError{Argument: "WithWalk", Reason: "it is not positive"}
		}
		c.walkEvery = every
		return nil
	}
}
