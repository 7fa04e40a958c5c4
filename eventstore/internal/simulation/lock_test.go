package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

const sessionTimeout = 10 * time.Second

// lock is the lock component of a world. It reports as little as Dapr's. Only the world's scheduler
// touches it.
type lock struct {
	owner string
	until time.Time
}

func (l *lock) heldAt(now time.Time) bool { return l.owner != "" && now.Before(l.until) }

// locker is the lock component as one process reaches it. If a request arrives twice, the second
// answer counts.
type locker struct{ *process }

func (l locker) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (answer driver.Lock, err error) {
	err = l.around(context.WithValue(ctx, senderKey{}, l.process), &memstate.Request{Op: "trylock", Partition: resource}, func() error {
		answer = driver.Lock{}
		if now := time.Now(); !l.lock.heldAt(now) {
			*l.lock = lock{owner, now.Add(expiry)}
			answer.Acquired = true
		}
		l.log("p%d gets the lock: %v", l.id, answer.Acquired)
		return nil
	})
	if err != nil {
		return driver.Lock{}, err
	}
	return answer, nil
}

func (l locker) Unlock(ctx context.Context, resource, owner string) (answer driver.UnlockStatus, err error) {
	err = l.around(context.WithValue(ctx, senderKey{}, l.process), &memstate.Request{Op: "unlock", Partition: resource}, func() error {
		switch {
		case !l.lock.heldAt(time.Now()):
			answer = driver.LockAbsent
		case l.lock.owner != owner:
			answer = driver.LockHeldByOther
		default:
			*l.lock = lock{}
			answer = driver.Unlocked
		}
		return nil
	})
	return answer, err
}

// locks reports whether a request decides which session holds the stream.
func (f *flight) locks() bool {
	return f.request.Op == "trylock" || f.request.Op == "unlock" || f.request.Has(":lease")
}

// attempt is a session, or an attempt to open one.
type attempt struct {
	process             *process
	began, opened       time.Time // opened is when Open returned, with or without a session
	closed              time.Time // when Close returned, zero if it was not called
	openError, closeErr error
	told                bool // one of its operations reported another writer
}

// until returns the latest time at which the attempt may have held the lock.
func (a *attempt) until() time.Time {
	switch {
	case !a.process.crashedAt.IsZero() && (a.opened.IsZero() || a.process.crashedAt.Before(a.opened)):
		return a.process.crashedAt.Add(sessionTimeout)
	case errors.As(a.openError, new(*eventstore.OpenTimeoutError)):
		return a.opened
	case a.closed.IsZero() || a.closeErr != nil: // the error does not say whether the lock was released
		return a.opened.Add(sessionTimeout)
	}
	return a.closed
}

// recoverable reports whether the process knows that it may have left the lock behind, and so takes
// care of it.
func (a *attempt) recoverable() bool {
	return a.process.crashedAt.IsZero() && (errors.As(a.openError, new(*eventstore.StorageError)) || errors.As(a.closeErr, new(*eventstore.StorageError)))
}

// rivals reports whether another session may have held or wanted the stream between began and
// ended.
func (w *world) rivals(of *attempt, ended time.Time) bool {
	for _, other := range w.attempts {
		if other == of || other.began.After(ended) || other.until().Before(of.began) || other.process == of.process && other.recoverable() {
			continue
		}
		return true
	}
	return false
}

// orderly checks that no session was told of a rival that did not exist. This cannot be checked
// where locks are taken and released long after they were asked for, or where reads of the lease
// may be stale.
func (w *world) orderly() error {
	if !w.punctual || !w.locked && !w.component || w.stale && w.locked {
		return nil
	}
	for _, a := range w.attempts {
		switch {
		case !a.process.crashedAt.IsZero():
		case errors.As(a.openError, new(*eventstore.OpenTimeoutError)) && strings.Contains(a.openError.Error(), "holds it") && !w.rivals(a, a.opened):
			return fmt.Errorf("p%d could not open, but no other session had the stream: %w", a.process.id, a.openError)
		case errors.As(a.closeErr, new(*eventstore.SessionLostError)) && !a.told && !w.rivals(a, a.closed):
			return fmt.Errorf("p%d was told by Close that it had lost the stream, but no other session had it: %w", a.process.id, a.closeErr)
		}
	}
	return nil
}
