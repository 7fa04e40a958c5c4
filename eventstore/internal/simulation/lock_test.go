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

// lock is the lock component of a world, which tells as little as Dapr's. Only the world's scheduler touches it.
type lock struct {
	owner string
	until time.Time
}

func (l *lock) heldAt(now time.Time) bool { return l.owner != "" && now.Before(l.until) }

// locker is the lock component as one process reaches it. Of a request that arrives twice the second answer counts.
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

// locks reports whether a request is about who has the stream.
func (f *flight) locks() bool {
	return f.request.Op == "trylock" || f.request.Op == "unlock" || f.request.Has(":lease")
}

// attempt is a session, or that somebody wanted one.
type attempt struct {
	process             *process
	began, opened       time.Time // opened is when Open returned, with or without a session
	closed              time.Time // when Close returned, zero if it was not called
	openError, closeErr error
	told                bool // by one of its operations, that somebody else had written
}

// until is how long the lock may have been held for it.
func (a *attempt) until() time.Time {
	switch {
	case !a.process.crashedAt.IsZero() && (a.opened.IsZero() || a.process.crashedAt.Before(a.opened)):
		return a.process.crashedAt.Add(sessionTimeout)
	case errors.As(a.openError, new(*eventstore.OpenTimeoutError)):
		return a.opened
	case a.closed.IsZero() || a.closeErr != nil: // what became of the lock, its error does not say
		return a.opened.Add(sessionTimeout)
	}
	return a.closed
}

// recoverable reports whether its process knows, and so heeds, that it may have left the lock behind.
func (a *attempt) recoverable() bool {
	return a.process.crashedAt.IsZero() && (errors.As(a.openError, new(*eventstore.StorageError)) || errors.As(a.closeErr, new(*eventstore.StorageError)))
}

// rivals reports whether anybody else may have had the stream, or wanted it, between began and ended.
func (w *world) rivals(of *attempt, ended time.Time) bool {
	for _, other := range w.attempts {
		if other == of || other.began.After(ended) || other.until().Before(of.began) || other.process == of.process && other.recoverable() {
			continue
		}
		return true
	}
	return false
}

// orderly checks that nobody was told of another who was not there. That is not to be had where locks are taken and
// given back long after they were asked for, or where reads of the lease tell what was true before.
func (w *world) orderly() error {
	if !w.punctual || !w.locked && !w.component || w.stale && w.locked {
		return nil
	}
	for _, a := range w.attempts {
		switch {
		case !a.process.crashedAt.IsZero():
		case errors.As(a.openError, new(*eventstore.OpenTimeoutError)) && strings.Contains(a.openError.Error(), "holds it") && !w.rivals(a, a.opened):
			return fmt.Errorf("p%d could not open, and nobody else had the stream: %w", a.process.id, a.openError)
		case errors.As(a.closeErr, new(*eventstore.SessionLostError)) && !a.told && !w.rivals(a, a.closed):
			return fmt.Errorf("p%d was told when it closed that it had lost the stream, which nobody else had: %w", a.process.id, a.closeErr)
		}
	}
	return nil
}
