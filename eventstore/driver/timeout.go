package driver

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrTimeLimit is the cause of a context of [WithTimeout] that ended because its time limit passed.
// It matches [context.DeadlineExceeded].
var ErrTimeLimit = fmt.Errorf("the time limit of the request passed: %w", context.DeadlineExceeded)

// timeoutKey is the context key of a request's timeout.
type timeoutKey struct{}

// timeout ends the context of one request.
type timeout struct {
	limit time.Duration
	timer *time.Timer
	over  atomic.Bool
}

// WithTimeout returns a context for one request to a store or lock. It is cancelled when stop is
// called, or with the cause [ErrTimeLimit] when there was no answer for as long as limit. The event
// store calls WithTimeout for every request, with its Settings.RequestTimeout. An implementation of
// [State] needs only [Progress].
func WithTimeout(ctx context.Context, limit time.Duration) (_ context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &timeout{limit: limit}
	t.timer = time.AfterFunc(limit, func() {
		t.over.Store(true)
		cancel(ErrTimeLimit)
	})
	return context.WithValue(ctx, timeoutKey{}, t), func() {
		t.timer.Stop()
		cancel(context.Canceled)
	}
}

// Progress reports that a part of the request of ctx was answered, and restarts the request's time
// limit. An implementation of [State] that splits a request into several calls it after each of
// them. Progress does nothing if ctx has no such limit. It is safe for concurrent use.
func Progress(ctx context.Context) {
	if t, ok := ctx.Value(timeoutKey{}).(*timeout); ok && !t.over.Load() {
		t.timer.Reset(t.limit)
	}
}
