package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// This file limits the time of every request to the store and to the lock, in one place, so that
// nothing waits forever for a sidecar that hangs.

// noAnswer is the error of a request that took longer than Settings.RequestTimeout. It matches
// [context.DeadlineExceeded], like any request that ran out of time. It does not match
// [context.Canceled], because the caller did not give up.
type noAnswer struct {
	limit   time.Duration
	text    string // of the driver's error
	refused bool   // the request was not sent
}

func (e *noAnswer) Error() string {
	return fmt.Sprintf("no answer within %s, see Settings.RequestTimeout: does the sidecar or the store hang? (%s)", e.limit, e.text)
}

func (e *noAnswer) Is(target error) bool {
	return target == context.DeadlineExceeded || e.refused && target == driver.ErrRefused
}

// within sends a request that ends after limit. The time starts again whenever the driver says that
// a part of the request was answered, see [driver.Progress].
func within[T any](ctx context.Context, limit time.Duration, send func(context.Context) (T, error)) (T, error) {
	limited, stop := driver.WithTimeout(ctx, limit)
	defer stop()
	answer, err := send(limited)
	if err != nil && context.Cause(limited) == driver.ErrTimeLimit { // even if ctx ended just after
		err = &noAnswer{limit: limit, text: err.Error(), refused: refused(err)}
	}
	return answer, err
}

// boundedState is a state whose requests each end after limit.
type boundedState struct {
	driver.State
	limit time.Duration
}

func (s boundedState) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	return within(ctx, s.limit, func(ctx context.Context) (driver.Item, error) {
		return s.State.Get(ctx, partition, key)
	})
}

func (s boundedState) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	return within(ctx, s.limit, func(ctx context.Context) ([]driver.Item, error) {
		return s.State.GetMany(ctx, partition, keys)
	})
}

func (s boundedState) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return s.send(ctx, func(ctx context.Context) error { return s.State.Swap(ctx, partition, swap) })
}

func (s boundedState) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return s.send(ctx, func(ctx context.Context) error { return s.State.Write(ctx, partition, writes) })
}

func (s boundedState) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return s.send(ctx, func(ctx context.Context) error { return s.State.Commit(ctx, partition, swap, writes) })
}

func (s boundedState) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	return s.send(ctx, func(ctx context.Context) error { return driver.SwapMany(ctx, s.State, partition, swaps) })
}

func (s boundedState) send(ctx context.Context, request func(context.Context) error) error {
	_, err := within(ctx, s.limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, request(ctx) })
	return err
}

// boundedLocker is a locker whose requests each end after limit.
type boundedLocker struct {
	of    driver.Locker
	limit time.Duration
}

func (l boundedLocker) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	return within(ctx, l.limit, func(ctx context.Context) (driver.Lock, error) {
		return l.of.TryLock(ctx, resource, owner, expiry)
	})
}

func (l boundedLocker) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	return within(ctx, l.limit, func(ctx context.Context) (driver.UnlockStatus, error) {
		return l.of.Unlock(ctx, resource, owner)
	})
}

// errOpenTooLong is the cause with which the context of an open ends when the open takes too long.
var errOpenTooLong = errors.New("opening took longer than Settings.OpenTimeout and Settings.RequestTimeout together")
