package eventstore

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A person who is called at night may have only the message.
func TestEveryMessageSaysWhereItHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	m := Metadata{Message: MessageMetadata{ID: "m1", Type: "FundsWithdrawn"}}
	for _, c := range []struct {
		err  error
		says []string
	}{
		{&NotOpenError{}, []string{"Provider.Open"}},
		{&NotOpenError{labStream, "s1"}, []string{"EventStores:account:1", "s1", "open a new one"}},
		{&SessionExpiredError{labStream, "s1", time.Unix(0, 0)}, []string{"EventStores:account:1", "s1", "1970-01-01T00:00:00Z", "SessionTimeout"}},
		{&SessionLostError{Stream: labStream, Session: "s1"}, []string{"EventStores:account:1", "s1", "another session", "open a new session"}},
		{&SessionLostError{labStream, "s1", "s2", cause}, []string{"session s2", "the cause"}},
		{&LostWritesError{labStream, "s1", 6, "c1", 4}, []string{"EventStores:account:1", "version 6", "is at version 4", "lost acknowledged writes", "nothing was stored", "open a new session"}},
		{&LostWritesError{labStream, "s1", 6, "c1", 6}, []string{"EventStores:account:1", "another event 6"}},
		{&OpenTimeoutError{Stream: labStream, Waited: 5 * time.Second}, []string{"EventStores:account:1", "another session", "waited 5s", "OpenTimeout"}},
		{&OpenTimeoutError{labStream, time.Second, "s2", cause}, []string{"session s2", "the cause"}},
		{&VersionMismatchError{Stream: labStream, Expected: 3, Actual: 4, Metadata: m}, []string{"EventStores:account:1", "at version 4, not 3", "FundsWithdrawn m1", "nothing was stored", "read the newer events"}},
		{&VersionNotFoundError{labStream, 9, 4}, []string{"EventStores:account:1", "no version 9", "at version 4"}},
		{&StreamNotFoundError{labStream}, []string{"EventStores:account:1", "does not exist", "never had an event"}},
		{&SnapshotNotFoundError{labStream, 0}, []string{"EventStores:account:1", "no snapshot"}},
		{&SnapshotNotFoundError{labStream, 9}, []string{"version 9", "Snapshots lists"}},
		{&IdempotencyIDNotFoundError{labStream, "i"}, []string{"EventStores:account:1", `"i"`}},
		{&IdempotencyIDUsedError{labStream, "i", 4}, []string{"EventStores:account:1", `"i"`, "version 4", "nothing was stored"}},
		{&DamagedError{labStream, "the key", 4, cause}, []string{"EventStores:account:1", "version 4", "the key", "the cause"}},
		{&TypeNotRegisteredError{labStream, 4, "t"}, []string{"EventStores:account:1", "version 4", `"t"`, "registry", "AsRaw"}},
		{&TypeNotRegisteredError{labStream, 0, "pkg.T"}, []string{"EventStores:account:1", "Type[pkg.T](name)", "nothing was stored"}},
		{&TypeNotRegisteredError{Type: "t"}, []string{`"t"`, "registry"}},
		{&SchemaError{labStream, 4, "t", 3, 2, nil}, []string{"EventStores:account:1", "version 4", `"t"`, "schema version 3", "newest registered is 2", "newer version of this service", "update this one", "AsRaw"}},
		{&SchemaError{labStream, 4, "t", 1, 2, cause}, []string{"EventStores:account:1", "version 4", `"t"`, "schema version 1 to 2", "upcasters in the registry", "AsRaw", "the cause"}},
		{&SchemaError{Type: "t", Schema: 1, Newest: 2, Cause: cause}, []string{`eventstore: type "t"`, "the cause"}},
		{&TypeMismatchError{labStream, "the key", 4, "t", "pkg.T", cause}, []string{"EventStores:account:1", "version 4", "is intact", `"t"`, "Go type pkg.T", "WithSchemaVersion", "WithUpcast", "AsRaw", "the cause"}},
		{&BatchTooLargeError{labStream, 20, 10}, []string{"EventStores:account:1", "20 bytes", "10 bytes", "nothing was stored", "max-body-size"}},
		{&OutcomeUnknownError{Stream: labStream, CommitID: "c1", Base: 4, Cause: cause}, []string{"EventStores:account:1", "version 4", `Reader.Outcome(ctx, 4, "c1")`, "Session.Retry", "the cause"}},
		{&StorageError{labStream, "append to", cause}, []string{"EventStores:account:1", "append to", "the cause"}},
		{&ArgumentError{"events[0]", "it is nil", cause}, []string{"events[0]", "it is nil", "the cause"}},
	} {
		message := c.err.Error()
		for _, says := range append(c.says, "eventstore: ") {
			if !strings.Contains(message, says) {
				t.Errorf("%T does not say %q: %s", c.err, says, message)
			}
		}
		if strings.Contains(message, "\n") {
			t.Errorf("%T takes more than a line: %s", c.err, message)
		}
		if has := strings.Contains(message, "the cause"); has != errors.Is(c.err, cause) {
			t.Errorf("%T says the cause: %v, wraps it: %v", c.err, has, !has)
		}
	}
}

func TestErrorsAreTheirKindAndNoOther(t *testing.T) {
	t.Parallel()
	kinds := []error{
		&NotOpenError{}, &SessionExpiredError{}, &SessionLostError{}, &OpenTimeoutError{}, &VersionMismatchError{}, &VersionNotFoundError{},
		&SnapshotNotFoundError{}, &IdempotencyIDNotFoundError{}, &IdempotencyIDUsedError{}, &DamagedError{}, &TypeNotRegisteredError{}, &SchemaError{}, &TypeMismatchError{},
		&BatchTooLargeError{}, &OutcomeUnknownError{}, &StorageError{}, &ArgumentError{},
	}
	full := []error{
		&NotOpenError{Session: "s"}, &SessionExpiredError{Session: "s"}, &SessionLostError{Session: "s"}, &OpenTimeoutError{Waited: 1},
		&VersionMismatchError{Actual: 1}, &VersionNotFoundError{Version: 1}, &SnapshotNotFoundError{Version: 1}, &IdempotencyIDNotFoundError{IdempotencyID: "i"},
		&IdempotencyIDUsedError{Version: 1}, &DamagedError{Key: "k"}, &TypeNotRegisteredError{Type: "t"}, &SchemaError{Type: "t"}, &TypeMismatchError{Type: "t"}, &BatchTooLargeError{Size: 1},
		&OutcomeUnknownError{Base: 1}, &StorageError{Operation: "o"}, &ArgumentError{Argument: "a"},
	}
	for i, err := range full {
		for j, kind := range kinds {
			if got := isOfType(fmt.Errorf("x: %w", err), kind); got != (i == j) {
				t.Errorf("errors.As finds a %T in a %T: %v", kind, err, got)
			}
		}
	}
}

// isOfType reports whether errors.As finds an error of the type of kind in err.
func isOfType(err, kind error) bool {
	return errors.As(err, reflect.New(reflect.TypeOf(kind)).Interface())
}

func TestOutcomesReadPlainly(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Outcome{"pending": OutcomePending, "committed": OutcomeCommitted, "rejected": OutcomeRejected, "Outcome(7)": 7} {
		if o.String() != want {
			t.Errorf("got %s, want %s", o, want)
		}
	}
}
