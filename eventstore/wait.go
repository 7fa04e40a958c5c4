package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// await waits until told, or for so long, and returns what it was told. It returns an error if the context ends before.
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

// contextErr is why a context has ended: its error, with the cause that was given where there is one.
func contextErr(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// backoff waits before attempt n, counted from 0: not at all, then 10 ms, doubling up to 500 ms. It
// reports whether the context lived on.
func backoff(ctx context.Context, n int) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	return wait(ctx, min(10*time.Millisecond<<min(n-1, 10), 500*time.Millisecond))
}

// pauseBefore waits before an append is placed again, after n tries: not at all, then 1 ms, doubling up
// to 16 ms. The wait is short, since others get in the way only by appending. It reports whether the
// context lived on.
func pauseBefore(ctx context.Context, n int) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	return wait(ctx, time.Millisecond<<min(n-1, 4))
}

// wait waits and reports whether the context lived on.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
