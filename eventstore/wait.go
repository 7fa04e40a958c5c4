package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// await waits until a value comes from told, or for atMost, and returns the value. It returns an
// error if the context ends first.
func await[T any](ctx context.Context, told <-chan T, atMost time.Duration) (what T, err error) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case what = <-told:
	case <-timer.C:
	case <-ctx.Done():
		err = contextErr(ctx)
	}
	return what, err
}

// contextErr returns why a context has ended: its error, with the cause if one was given.
func contextErr(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// backoff waits before attempt n, counted from 0. It waits not at all the first time, then 10 ms,
// doubling up to 500 ms. It returns false if the context ended.
func backoff(ctx context.Context, n int) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	return pause.For(ctx, min(10*time.Millisecond<<min(n-1, 10), 500*time.Millisecond))
}

// pauseBefore waits before an append is tried again after n tries. It waits not at all before the
// first try, then 1 ms, doubling up to 16 ms. The wait is short, because others get in the way only
// by appending. It returns false if the context ended.
func pauseBefore(ctx context.Context, n int) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	return pause.For(ctx, time.Millisecond<<min(n-1, 4))
}
