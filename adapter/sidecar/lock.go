package sidecar

import (
	"context"
	"fmt"
	"math"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Locker is a lock component of a Dapr sidecar, for [driver.Locker]. It is safe for concurrent use.
// The lock API is alpha, and does not tell who holds a lock.
//
// The component's Redis client repeats a request after its readTimeout (3 s by default). A
// resiliency policy for the component repeats it after its own timeout. The caller then gets the
// answer to the second request. That is "taken" for a lock that the first request took, or "does
// not exist" for a lock that the first request released. [driver.Locker] describes the
// consequences.
type Locker struct {
	client dapr.Client
	store  string
}

var _ driver.Locker = (*Locker)(nil)

// NewLocker connects to the lock component of that name. If the sidecar does not have it, the error
// lists the lock components that the sidecar has.
//
// The caller keeps the client, and closes it after the last use of the Locker.
func NewLocker(ctx context.Context, client dapr.Client, store string) (*Locker, error) {
	if _, err := find(ctx, client, "lock", store); err != nil {
		return nil, err
	}
	return &Locker{client: client, store: store}, nil
}

// TryLock implements [driver.Locker]. It rounds the expiry up to whole seconds, at least 1.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	answer, err := l.client.TryLockAlpha1(ctx, l.store, &dapr.LockRequest{
		ResourceID: resource, LockOwner: owner, ExpiryInSeconds: wholeSeconds(expiry),
	})
	if err != nil {
		return driver.Lock{}, failure(ctx, "locking "+resource, err)
	}
	return driver.Lock{Acquired: answer.Success}, nil
}

func wholeSeconds(d time.Duration) int32 {
	n := d / time.Second
	if d%time.Second > 0 {
		n++
	}
	return int32(min(max(n, 1), math.MaxInt32))
}

// Unlock implements [driver.Locker].
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	doing := "unlocking " + resource
	answer, err := l.client.UnlockAlpha1(ctx, l.store, &dapr.UnlockRequest{ResourceID: resource, LockOwner: owner})
	if err != nil {
		return 0, failure(ctx, doing, err)
	}
	switch pb.UnlockResponse_Status(answer.StatusCode) {
	case pb.UnlockResponse_SUCCESS:
		return driver.Unlocked, nil
	case pb.UnlockResponse_LOCK_DOES_NOT_EXIST:
		return driver.LockAbsent, nil
	case pb.UnlockResponse_LOCK_BELONGS_TO_OTHERS:
		return driver.LockHeldByOther, nil
	default:
		return 0, fmt.Errorf("sidecar: %s: the lock component failed (%s)", doing, answer.Status)
	}
}
