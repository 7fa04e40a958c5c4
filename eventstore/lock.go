package eventstore

import (
	"context"
	"errors"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// lockStream waits for the lock of the stream and returns when the time it was given for began.
func lockStream(ctx context.Context, h *history, locker driver.Locker, id string, o *observed) (time.Time, error) {
	began := time.Now()
	holder := ""
	timeout := func(cause error) error {
		o.result.Waited = time.Since(began)
		return &OpenTimeoutError{Stream: h.Stream, Waited: o.result.Waited, Holder: holder, Cause: cause}
	}
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		now := time.Now()
		if o.result.Attempts++; o.result.Attempts > 1 {
			o.result.Waited = now.Sub(began)
		}
		lock, err := locker.TryLock(ctx, h.keys.partition, id, h.settings.SessionTimeout)
		if err != nil {
			// The lock may be ours all the same; nobody else should wait for it.
			release, cancel := releasing(ctx, time.Second)
			defer cancel()
			_, _ = locker.Unlock(release, h.keys.partition, id)
			if errors.Is(err, &DamagedError{}) {
				return time.Time{}, err
			}
			return time.Time{}, h.failed("lock", err)
		}
		if lock.Acquired {
			return now, nil
		}
		holder = lock.Holder
		left := h.settings.OpenTimeout - time.Since(began)
		if left <= 0 {
			return time.Time{}, timeout(nil)
		}
		timer := time.NewTimer(min(wait, left))
		select {
		case <-ctx.Done():
			timer.Stop()
			return time.Time{}, timeout(over(ctx))
		case <-timer.C:
		}
	}
}

func (s *Session) unlock(ctx context.Context, h *history) (driver.UnlockStatus, error) {
	ctx, cancel := releasing(ctx, unlockTimeout)
	defer cancel()
	return s.locker.Unlock(ctx, h.keys.partition, s.id)
}

// Giving a lock back is bounded, since it runs out by itself: in any case, and where a context has ended that
// somebody waits on.
const (
	unlockTimeout = 5 * time.Second
	unlockGrace   = 50 * time.Millisecond
)

// releasing is the context in which to give a lock back. It goes on when ctx ends, but not for long.
func releasing(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(unlockGrace, cancel) })
	return release, func() { stop(); cancel() }
}

// noLock is the locker of sessions that share their stream.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}
