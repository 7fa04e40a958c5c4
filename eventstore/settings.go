package eventstore

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Settings of a provider. Start from [DefaultSettings] and change what differs.
type Settings struct {
	// DefaultDatabase is the database of streams that are opened by type and id
	// alone. Defaults to "EventStores"; not blank.
	DefaultDatabase string

	// OpenTimeout is how long Open waits for another session to give the stream free. Defaults to 5 s;
	// not negative; 0 does not wait.
	OpenTimeout time.Duration

	// SessionTimeout is how long a session has its stream. Then it ends by itself, also
	// if its process has died. Defaults to 1 min; positive.
	SessionTimeout time.Duration

	// CommitTimeout is how long an append whose commit failed or was not answered looks up
	// what became of it, and tries again, before it returns an OutcomeUnknownError. The session's
	// end and the context bound it too. Defaults to 5 s; positive.
	CommitTimeout time.Duration

	// RequestTimeout is how long one request to the store or the lock may go unanswered. Then it counts as lost: a read fails with a
	// StorageError, and an append looks up what became of it. It bounds the time that anything waits on a sidecar
	// that stands still; Open ends by OpenTimeout and RequestTimeout together. It should be longer than the largest append takes.
	// Defaults to 15 s, also where it is 0; not negative.
	RequestTimeout time.Duration
}

// defaultRequestTimeout is also that of settings that were written before there was one. It is longer than the 10 s for which one writer of
// a SQLite file waits for another, after which SQLite says for certain that it did not write.
const defaultRequestTimeout = 15 * time.Second

// DefaultSettings returns the defaults.
func DefaultSettings() Settings {
	return Settings{
		DefaultDatabase: "EventStores",
		OpenTimeout:     5 * time.Second,
		SessionTimeout:  time.Minute,
		CommitTimeout:   5 * time.Second,
		RequestTimeout:  defaultRequestTimeout,
	}
}

// openLimit is how long an open takes at most.
func (s Settings) openLimit() time.Duration {
	if limit := s.OpenTimeout + s.RequestTimeout; limit > 0 {
		return limit
	}
	return math.MaxInt64 // who waits for ever
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
	if s.RequestTimeout < 0 {
		return &ArgumentError{Argument: "Settings.RequestTimeout", Reason: fmt.Sprintf("%s is negative; 0 is the default of %s", s.RequestTimeout, defaultRequestTimeout)}
	}
	return nil
}
