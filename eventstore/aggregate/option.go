package aggregate

import (
	"fmt"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Option configures a [Repository].
type Option func(*config) error

// config is what the options of a repository set.
type config struct {
	database  string
	exclusive bool
	retries   int
	every     int64
	age       time.Duration
}

// DefaultRetries is how often [Repository.Update] decides again unless [WithRetries] says otherwise. In
// each of its tries another update was stored. So even when a hundred processes update one aggregate
// all the time, each of them gets through.
const DefaultRetries = 1000

// WithDatabase sets the database of the streams; defaults to the provider's default database.
func WithDatabase(database string) Option {
	return func(c *config) error {
		if strings.TrimSpace(database) == "" {
			return bad("WithDatabase", "it is blank: leave the option out for the provider's default database")
		}
		c.database = database
		return nil
	}
}

// Exclusive makes updates take the stream's lock. A second update then waits for the first, instead of
// deciding on a state that is about to change. Use it where conflicts are frequent or decisions
// expensive; it costs two requests an update. Without it updates rely on the expected version alone.
// Both kinds may be mixed on one stream.
func Exclusive() Option {
	return func(c *config) error { c.exclusive = true; return nil }
}

// WithRetries sets how often an update is loaded, decided and appended again after another update came
// before it. It defaults to [DefaultRetries]; 0 means never. The pauses between the tries take up to
// 128 ms each. To give up after some time, use a context with a deadline.
func WithRetries(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return bad("WithRetries", "%d is negative", n)
		}
		c.retries = n
		return nil
	}
}

// WithSnapshotEvery makes an update save a snapshot after its append if the newest usable snapshot lies
// n events or more back; defaults to no snapshots. The state's type must be registered.
func WithSnapshotEvery(n int64) Option {
	return func(c *config) error {
		if n < 1 {
			return bad("WithSnapshotEvery", "%d is not positive", n)
		}
		c.every = n
		return nil
	}
}

// WithSnapshotAfter makes an update save a snapshot after its append if the newest usable snapshot is
// that old or older. Without a snapshot the age of the first event counts. Defaults to never. Together
// with [WithSnapshotEvery] either of the two is enough.
func WithSnapshotAfter(age time.Duration) Option {
	return func(c *config) error {
		if age <= 0 {
			return bad("WithSnapshotAfter", "%s is not positive", age)
		}
		c.age = age
		return nil
	}
}

// UpdateOption configures one [Repository.Update].
type UpdateOption func(*updateConfig) error

// updateConfig is what the options of an update set.
type updateConfig struct {
	once     string
	expected int64 // -1: any
	metadata eventstore.Metadata
}

// WithIdempotencyID gives the command an idempotency id. If an event with that id is already in the
// stream, Update decides nothing and stores nothing, and the Aggregate's RepeatOf is the version of that
// event. The first event of the append carries the id. A decision without events leaves no trace of it.
func WithIdempotencyID(id string) UpdateOption {
	return func(c *updateConfig) error {
		if strings.TrimSpace(id) == "" {
			return bad("WithIdempotencyID", "the idempotency id is blank")
		}
		c.once = id
		return nil
	}
}

// WithExpectedVersion makes the update fail with an [eventstore.VersionMismatchError], before it decides,
// unless the aggregate is at that version. It is the version that the sender of the command had seen.
func WithExpectedVersion(version int64) UpdateOption {
	return func(c *updateConfig) error {
		if version < 0 {
			return bad("WithExpectedVersion", "version %d is negative", version)
		}
		c.expected = version
		return nil
	}
}

// WithMetadata sets metadata of all events that the update appends, such as correlation, causation and
// user in its Context. What an [eventstore.Event] of the decision says itself takes precedence.
//
// Message must be empty, because it differs from event to event. The context's idempotency id and
// sequence number must be empty as well: see [WithIdempotencyID] and [WithExpectedVersion].
func WithMetadata(metadata eventstore.Metadata) UpdateOption {
	return func(c *updateConfig) error {
		if metadata.Message != (eventstore.MessageMetadata{}) {
			return bad("WithMetadata", "Message differs from event to event: let the decision return an eventstore.Event that says it")
		}
		if metadata.Context.IdempotencyID != "" {
			return bad("WithMetadata", "the context has an idempotency id: use WithIdempotencyID")
		}
		if metadata.Context.SequenceNumber != 0 {
			return bad("WithMetadata", "the context has a sequence number: use WithExpectedVersion")
		}
		c.metadata = metadata
		return nil
	}
}

func bad(argument, format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
}
