package driver

import "context"

// Bell tells the processes that share a store that there is news in its feed, so that they need not
// wait until they look by themselves. Nothing depends on it: a message that is lost, late or
// doubled costs time or a request. It is safe for concurrent use.
type Bell interface {
	// Ring sends a short text to all processes that listen. This process may be one of them. It
	// returns when the text is on its way, or when ctx ends.
	Ring(ctx context.Context, message string) error

	// Listen calls heard with each message, one after the other. It returns nil when ctx has ended,
	// and an error when it cannot hear any more. Its caller then tries again.
	Listen(ctx context.Context, heard func(message string)) error
}
