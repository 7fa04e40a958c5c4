package transfer

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// What is appended to the target at a time, at most, unless [Batches] says otherwise.
const (
	batchEvents = 500
	batchBytes  = 1 << 20
)

// Option changes how [Copy] goes about it.
type Option func(*job) error

// Batches bounds what is appended at a time: the number of events, and the bytes of their payloads, but for a single event that has more.
// Defaults to 500 events and 1 MiB. What is too large for one request to the target is divided further by itself.
func Batches(events, bytes int) Option {
	return func(j *job) error {
		if events < 1 || bytes < 1 {
			return &eventstore.ArgumentError{Argument: "Batches", Reason: fmt.Sprintf("%d events or %d bytes are not positive", events, bytes)}
		}
		j.batchEvents, j.batchBytes = events, bytes
		return nil
	}
}

// OnProgress has progress called after each piece of work, never at the same time twice. It holds up the copy while it runs.
func OnProgress(progress func(Progress)) Option {
	return func(j *job) error {
		if progress == nil {
			return &eventstore.ArgumentError{Argument: "OnProgress", Reason: "it is nil: leave the option out"}
		}
		j.progress = progress
		return nil
	}
}
