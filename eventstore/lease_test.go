package eventstore

import (
	"errors"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

const minute = time.Minute

func (l *lab) try(owner string) (driver.Lock, error) {
	return lease{l.Store}.TryLock(l.t.Context(), l.keys.partition, owner, minute)
}

func (l *lab) release(owner string) (driver.UnlockStatus, error) {
	return lease{l.Store}.Unlock(l.t.Context(), l.keys.partition, owner)
}

func swapsLease(r *memstate.Request) bool { return r.String() == "swap lease" }

func TestALeaseWhoseAnswerWasLostIsLookedUp(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(swapsLease, 1, unanswered)
		if lock, err := l.try("a"); !lock.Acquired || err != nil {
			t.Errorf("the lease was taken, and TryLock says %+v, %v", lock, err)
		}
		l.on(swapsLease, 1, unanswered)
		if status, err := l.release("a"); status != driver.Unlocked || err != nil {
			t.Errorf("the lease was given back, and Unlock says %v, %v", status, err)
		}
		l.on(swapsLease, 1, lost)
		if _, err := l.try("a"); !errors.Is(err, errLost) {
			t.Errorf("TryLock that did not arrive: %v", err)
		}
		if lock, err := l.try("b"); !lock.Acquired || err != nil {
			t.Errorf("TryLock: %+v, %v", lock, err)
		}
		l.on(swapsLease, 1, lost)
		if _, err := l.release("b"); !errors.Is(err, errLost) {
			t.Errorf("Unlock that did not arrive: %v", err)
		}
		if lock, err := l.try("c"); lock.Acquired || lock.Holder != "b" || err != nil {
			t.Errorf("TryLock: %+v, %v", lock, err)
		}
	})
}

func TestALeaseThatAnotherTakesInTheMeantimeIsTheirs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(swapsLease, 1, func(_ *memstate.Request, next func() error) error {
			if lock, err := l.try("b"); !lock.Acquired || err != nil {
				t.Errorf("TryLock: %+v, %v", lock, err)
			}
			return next()
		})
		if lock, err := l.try("a"); lock.Acquired || lock.Holder != "b" || err != nil {
			t.Errorf("TryLock: %+v, %v", lock, err)
		}
		pass(minute)
		// The lease of b has expired, and b does not know. When b returns it, a must keep it.
		l.on(swapsLease, 1, func(_ *memstate.Request, next func() error) error {
			if lock, err := l.try("a"); !lock.Acquired || err != nil {
				t.Errorf("TryLock: %+v, %v", lock, err)
			}
			return next()
		})
		if _, err := l.release("b"); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		if lock, err := l.try("c"); lock.Acquired || lock.Holder != "a" || err != nil {
			t.Errorf("TryLock: %+v, %v", lock, err)
		}
	})
}

func TestALeaseRunsOutAtItsTimeAndNotBefore(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		if lock, err := l.try("a"); !lock.Acquired || err != nil {
			t.Fatalf("TryLock: %+v, %v", lock, err)
		}
		pass(minute - time.Nanosecond)
		if lock, err := l.try("b"); lock.Acquired || err != nil {
			t.Errorf("TryLock before its time: %+v, %v", lock, err)
		}
		pass(time.Nanosecond)
		if lock, err := l.try("b"); !lock.Acquired || err != nil {
			t.Errorf("TryLock at its time: %+v, %v", lock, err)
		}
	})
}

// On Redis the ETag of a deleted key starts over, so an ETag that was read earlier would match
// again.
func TestALeaseIsNeverDeleted(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for range 3 {
			if _, err := l.try("a"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.release("a"); err != nil {
				t.Fatal(err)
			}
		}
		if _, etag := l.Value(l.keys.lease()); etag != "6" {
			t.Errorf("after six swaps the lease's ETag is %q", etag)
		}
	}, "with counted ETags")
}
