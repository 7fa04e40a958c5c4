// Package polling tells requests apart that go on although nothing happens: those of an indexer, of
// a reader that waits for news, and of a subscription. Each of them would be a trace of its own.
package polling

import "context"

type key struct{}

// Mark returns a context for requests that go on although nothing happens.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Unmark returns a context for requests that something has caused, although ctx may be marked.
func Unmark(ctx context.Context) context.Context {
	if !Is(ctx) {
		return ctx
	}
	return context.WithValue(ctx, key{}, false)
}

// Is reports whether a context is marked.
func Is(ctx context.Context) bool {
	marked, _ := ctx.Value(key{}).(bool)
	return marked
}
