package eventstore

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Settings configures a [Provider]. Start from [DefaultSettings] and change what differs.
type Settings struct {
	// DefaultDatabase is the database of streams that are named by type and id alone, see
	// [Provider.Stream]. It defaults to "EventStores" and must not be blank.
	DefaultDatabase string

	// OpenTimeout is how long Open waits for another session to release the stream. It defaults to
	// 5 s and must not be negative. 0 does not wait.
	OpenTimeout time.Duration

	// SessionTimeout is how long a session has its stream. After that the session ends by itself,
	// even if its process has died. It defaults to 1 min and must be positive.
	SessionTimeout time.Duration

	// CommitTimeout is how long an append whose commit failed or was not answered looks up what
	// became of it, and tries again. After that it returns an OutcomeUnknownError. The end of the
	// session and the context also limit it. It defaults to 5 s and must be positive.
	CommitTimeout time.Duration

	// RequestTimeout is how long one request to the store or the lock may go unanswered. After that
	// it counts as lost: a read fails with a StorageError, and an append looks up what became of
	// it. So it limits how long anything waits for a sidecar that hangs. Open ends after
	// OpenTimeout and RequestTimeout together. RequestTimeout should be longer than the largest
	// append takes. It defaults to 15 s, also if it is 0, and must not be negative.
	RequestTimeout time.Duration

	// TailEvents is how many events the head of a stream may carry before a writer stores them
	// under their own keys, all in one request. The writer also does so from 16 KiB on, and when an
	// exclusive session closes. A larger number makes appends cheaper. A head that is lost costs at
	// most so many events, or one larger append. 1 stores each event at once. It has no effect on
	// stores with transactions that roll back. It defaults to 8, also if it is 0, and must not be
	// negative.
	TailEvents int
}

// defaultTailEvents also applies to settings in which TailEvents is 0.
const defaultTailEvents = 8

// defaultRequestTimeout is also the limit for settings that were written before RequestTimeout
// existed, where it is 0. It is longer than the 10 s for which one writer of a SQLite file waits
// for another. After these 10 s, SQLite says for certain that it did not write.
const defaultRequestTimeout = 15 * time.Second

// DefaultSettings returns the defaults.
func DefaultSettings() Settings {
	return Settings{
		DefaultDatabase: "EventStores",
		OpenTimeout:     5 * time.Second,
		SessionTimeout:  time.Minute,
		CommitTimeout:   5 * time.Second,
		RequestTimeout:  defaultRequestTimeout,
		TailEvents:      defaultTailEvents,
	}
}

// openLimit returns how long an open takes at most.
func (s Settings) openLimit() time.Duration {
	if limit := s.OpenTimeout + s.RequestTimeout; limit > 0 {
		return limit
	}
	return math.MaxInt64 // the sum overflows, which means to wait forever
}

func (s Settings) validate() error {
	if strings.TrimSpace(s.DefaultDatabase) == "" {
		return &ArgumentError{Argument: "Settings.DefaultDatabase", Reason: "it is blank; start from DefaultSettings()"}
	}
	if err := validateName("Settings.DefaultDatabase", s.DefaultDatabase); err != nil {
		return err
	}
	if s.OpenTimeout < 0 {
		return &ArgumentError{Argument: "Settings.OpenTimeout", Reason: fmt.Sprintf("%s is negative; 0 does not wait", s.OpenTimeout)}
	}
	if s.SessionTimeout <= 0 {
		return &ArgumentError{Argument: "Settings.SessionTimeout", Reason: fmt.Sprintf("%s is not positive; start from DefaultSettings()", s.SessionTimeout)}
	}
	if s.CommitTimeout <= 0 {
		return &ArgumentError{Argument: "Settings.CommitTimeout", Reason: fmt.Sprintf("%s is not positive; start from DefaultSettings()", s.CommitTimeout)}
	}
	if s.TailEvents < 0 {
		return &ArgumentError{Argument: "Settings.TailEvents", Reason: fmt.Sprintf("%d is negative; 0 is the default of %d", s.TailEvents, defaultTailEvents)}
	}
	if s.RequestTimeout < 0 {
		return &ArgumentError{Argument: "Settings.RequestTimeout", Reason: fmt.Sprintf("%s is negative; 0 is the default of %s", s.RequestTimeout, defaultRequestTimeout)}
	}
	return nil
}
