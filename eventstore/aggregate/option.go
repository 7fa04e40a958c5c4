package aggregate

import (
	"fmt"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Option configures a [Repository].
type Option func(*config) error

type config struct {
	database    string
	exclusive   bool
	retries     int
	cached      int // how many aggregates; unset: as many as the default says
	cachedBytes int64
	every       int64
	age         time.Duration
	kept        int
}

// DefaultRetries is how often [Repository.Update] tries again, unless [WithRetries] sets another
// number. A try fails only if another update was stored. So each update gets through, even when a
// hundred processes update one aggregate all the time.
const DefaultRetries = 1000

// WithDatabase sets the database of the streams. The default is the provider's default database.
func WithDatabase(database string) Option {
	return func(c *config) error {
		if strings.TrimSpace(database) == "" {
			return bad("WithDatabase", "it is blank: leave the option out for the provider's default database")
		}
		c.database = database
		return nil
	}
}

// Exclusive makes each update take the stream's lock. A second update then waits for the first,
// instead of deciding on a state that is about to change. Use it if conflicts are frequent or
// decisions are expensive. It costs two more requests per update. Without it, updates rely on the
// expected version alone. Updates with and without the lock may be mixed on one stream.
//
// A decision must not update the same aggregate: it would wait for its own lock, and then get an
// [eventstore.OpenTimeoutError].
func Exclusive() Option {
	return func(c *config) error { c.exclusive = true; return nil }
}

// WithRetries sets how often an update is loaded, decided and appended again after another update
// was stored first. The default is [DefaultRetries]; 0 means never. Before each retry the update
// pauses for up to 128 ms. To limit the time instead, use a context with a deadline.
//
// A first try on a state that was loaded before the call began does not count. It may be one from
// memory, or one that another update has loaded.
func WithRetries(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return bad("WithRetries", "%d is negative", n)
		}
		c.retries = n
		return nil
	}
}

const (
	defaultCached      = 1000
	defaultCachedBytes = 64 << 20
	unset              = -1
)

// WithCache sets how many aggregates the repository keeps in memory, each with its state and an
// open shared session. The default is 1000, and [WithCacheBytes] sets a second bound. The
// aggregates that were not updated for the longest time go first.
//
// A state is used for at most half of Settings.SessionTimeout, which is 30 s by default. Then the
// next update loads the aggregate. A state that is too old stays in memory until later updates
// remove it: one of its own aggregate, or others when it is the first to go.
//
// With a state in memory, an update on Redis is one request if the one before it was less than 10
// ms ago. Otherwise, and on stores with transactions, it first reads the head of the stream. An
// idempotency id takes one more request. So does a decision that stores nothing, to make sure that
// the state is current.
//
// A repository with [Exclusive] keeps no aggregates.
//
// Personal data that is erased while a state is in memory stays there until the state is dropped.
// So the default is [WithoutCache] if a type of the aggregate's events has a codec that is an
// [eventstore.Sealer].
func WithCache(aggregates int) Option {
	return func(c *config) error {
		if aggregates < 1 {
			return bad("WithCache", "%d is not positive: use WithoutCache to keep none", aggregates)
		}
		c.cached = aggregates
		return nil
	}
}

// WithCacheBytes bounds the aggregates that the repository keeps in memory by their size in bytes.
// The default is 64 MiB, beside the number that [WithCache] sets. An aggregate that is larger than
// the whole bound is not kept.
//
// The size of a Go value in memory is not known. So the repository counts the stored payloads that
// went into the state: of the snapshot that was read, of the events after it, and of the events
// that updates have stored since. That is too much if later events replace what earlier ones said.
// It is too little if the state takes more memory than JSON does, as maps often do.
func WithCacheBytes(n int64) Option {
	return func(c *config) error {
		if n < 1 {
			return bad("WithCacheBytes", "%d is not positive: use WithoutCache to keep no aggregates", n)
		}
		c.cachedBytes = n
		return nil
	}
}

// WithoutCache makes each update load the aggregate. See [WithCache] for the default.
func WithoutCache() Option {
	return func(c *config) error { c.cached = 0; return nil }
}

// WithSnapshotEvery makes an update save a snapshot after its append if the newest usable snapshot
// is n or more events old. By default no snapshots are saved. The state's type must be registered.
func WithSnapshotEvery(n int64) Option {
	return func(c *config) error {
		if n < 1 {
			return bad("WithSnapshotEvery", "%d is not positive", n)
		}
		c.every = n
		return nil
	}
}

// DefaultSnapshotsKept is how many snapshots of an aggregate a repository keeps, unless
// [WithSnapshotsKept] sets another number. Loading needs one. The second is for readers that have
// just read the list of snapshots when a newer one replaces it.
const DefaultSnapshotsKept = 2

// WithSnapshotsKept sets how many snapshots of an aggregate an update keeps when it saves another
// one. The default is [DefaultSnapshotsKept]. Only snapshots of the same type and schema version
// count. So two versions of a service can run side by side without removing each other's snapshots.
func WithSnapshotsKept(n int) Option {
	return func(c *config) error {
		if n < 1 {
			return bad("WithSnapshotsKept", "%d is not positive", n)
		}
		c.kept = n
		return nil
	}
}

// WithSnapshotAfter makes an update save a snapshot after its append if the newest usable snapshot
// is at least that old. If there is no snapshot, the age of the first event counts. By default no
// snapshots are saved. If both [WithSnapshotEvery] and WithSnapshotAfter are set, either is enough.
func WithSnapshotAfter(age time.Duration) Option {
	return func(c *config) error {
		if age <= 0 {
			return bad("WithSnapshotAfter", "%s is not positive", age)
		}
		c.age = age
		return nil
	}
}

// UpdateOption configures one call of [Repository.Update].
type UpdateOption func(*updateConfig) error

type updateConfig struct {
	once     string
	expected int64 // -1: any
	metadata eventstore.Metadata
}

// WithIdempotencyID gives the command an idempotency id. If the stream already has an event with
// that id, Update neither decides nor stores anything, and the Aggregate's RepeatOf is the version
// of that event. Otherwise the first event that Update appends carries the id. If the decision
// returns no events, the id is not stored.
func WithIdempotencyID(id string) UpdateOption {
	return func(c *updateConfig) error {
		if strings.TrimSpace(id) == "" {
			return bad("WithIdempotencyID", "the idempotency id is blank")
		}
		c.once = id
		return nil
	}
}

// WithExpectedVersion makes the update fail before it decides, with an
// [eventstore.VersionMismatchError], unless the aggregate is at that version. Set it to the version
// that the sender of the command saw.
func WithExpectedVersion(version int64) UpdateOption {
	return func(c *updateConfig) error {
		if version < 0 {
			return bad("WithExpectedVersion", "version %d is negative", version)
		}
		c.expected = version
		return nil
	}
}

// WithMetadata sets metadata of all events that the update appends, such as the correlation id,
// causation id and user id in its Context. Metadata that an [eventstore.Event] from the decision
// sets itself takes precedence.
//
// Message must be empty, because it differs from event to event. The context's idempotency id and
// sequence number must be empty as well: see [WithIdempotencyID] and [WithExpectedVersion].
func WithMetadata(metadata eventstore.Metadata) UpdateOption {
	return func(c *updateConfig) error {
		if metadata.Message != (eventstore.MessageMetadata{}) {
			return bad("WithMetadata", "Message differs from event to event: return an eventstore.Event with its own Message from the decision")
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
