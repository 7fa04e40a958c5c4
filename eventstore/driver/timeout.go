package driver

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrTimeLimit is the cause of a context of [WithTimeout] that ended because its limit passed. It
// matches [context.DeadlineExceeded].
var ErrTimeLimit = fmt.Errorf("the time limit of the request passed: %w", context.DeadlineExceeded)

// timeoutKey is under which a context has the timer of its request.
type timeoutKey struct{}

// timeout ends the context of one request.
type timeout struct {
	limit time.Duration
	timer *time.Timer
	over  atomic.Bool
}

// WithTimeout returns a context for one request to a store or lock. It is cancelled, with the cause [ErrTimeLimit], when nothing
// was answered for as long as limit, or when stop is called. The event store makes one for every request, by its
// Settings.RequestTimeout; an implementation of [State] needs [Progress] alone.
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

// Progress says that a part of the request of ctx was answered, so that its time limit begins anew. An implementation of [State]
// that divides what it is asked for into several requests calls it after each of them. It does nothing where ctx has no such limit, and
// is safe for concurrent use.
func Progress(ctx context.Context) {
	if t, ok := ctx.Value(timeoutKey{}).(*timeout); ok && !t.over.Load() {
		t.timer.Reset(t.limit)
	}
}
