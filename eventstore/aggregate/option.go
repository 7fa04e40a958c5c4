package aggregate

import (
	"fmt"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Option configures a [Repository].
type Option func(*settings) error

type settings struct {
	database  string
	exclusive bool
	retries   int
	every     int64
	age       time.Duration
}

// DefaultRetries is how often [Repository.Update] decides anew unless [Retries] says otherwise. In
// each of its tries another update was stored, so that even of a hundred processes that update one
// aggregate all the time each gets through.
const DefaultRetries = 1000

// InDatabase sets the database of the streams; defaults to the provider's default database.
func InDatabase(database string) Option {
	return func(s *settings) error {
		if strings.TrimSpace(database) == "" {
			return bad("InDatabase", "it is blank: leave the option out for the provider's default database")
		}
		s.database = database
		return nil
	}
}

// Exclusive has updates take the stream's lock, so that a second one waits for the first instead of deciding on a
// state that is about to change: where conflicts are frequent or decisions expensive. It costs two requests an update.
// Without it updates are optimistic, they rely on the version alone; both may be mixed on one stream.
func Exclusive() Option {
	return func(s *settings) error { s.exclusive = true; return nil }
}

// Retries sets how often an update that another one came before is loaded, decided and appended
// anew; defaults to [DefaultRetries], 0 never does. The pauses between take up to 128 ms each: to
// give up after some time, use a context with a deadline.
func Retries(n int) Option {
	return func(s *settings) error {
		if n < 0 {
			return bad("Retries", "%d is negative", n)
		}
		s.retries = n
		return nil
	}
}

// SnapshotEvery has an update save a snapshot after its append if the newest usable one lies n events or more back; defaults to
// none. The state's type must be registered.
func SnapshotEvery(n int64) Option {
	return func(s *settings) error {
		if n < 1 {
			return bad("SnapshotEvery", "%d is not positive", n)
		}
		s.every = n
		return nil
	}
}

// SnapshotAfter has an update save a snapshot after its append if the newest usable one, or without one the first event, is that old or
// older; defaults to never. With [SnapshotEvery] either is enough.
func SnapshotAfter(age time.Duration) Option {
	return func(s *settings) error {
		if age <= 0 {
			return bad("SnapshotAfter", "%s is not positive", age)
		}
		s.age = age
		return nil
	}
}

// UpdateOption says more of one [Repository.Update].
type UpdateOption func(*update) error

// update is what one Update is told.
type update struct {
	once     string
	expected int64 // -1: any
	context  eventstore.ContextMetadata
}

// Once gives the command an idempotency id: if one with that id has been stored in the stream, nothing is decided and nothing
// stored again, and the Aggregate's RepeatOf says where the first stands. The first event of the append carries the id. A
// decision without events leaves no trace of it.
func Once(idempotencyID string) UpdateOption {
	return func(u *update) error {
		if strings.TrimSpace(idempotencyID) == "" {
			return bad("Once", "the idempotency id is blank")
		}
		u.once = idempotencyID
		return nil
	}
}

// ExpectVersion has the update fail with an [eventstore.VersionMismatchError], undecided, unless the aggregate is at that version: the one that
// whoever sent the command had seen.
func ExpectVersion(version int64) UpdateOption {
	return func(u *update) error {
		if version < 0 {
			return bad("ExpectVersion", "version %d is negative", version)
		}
		u.expected = version
		return nil
	}
}

// With sets how the events came about, as correlation, causation and user. Its idempotency id and sequence number must be empty: see [Once] and
// [ExpectVersion]. What an event that is an [eventstore.Event] says itself stays.
func With(context eventstore.ContextMetadata) UpdateOption {
	return func(u *update) error {
		if context.IdempotencyID != "" || context.SequenceNumber != 0 {
			return bad("With", "an idempotency id is given by Once, a version by ExpectVersion")
		}
		u.context = context
		return nil
	}
}

func bad(argument, format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
}
