package sidecar

import (
	"context"
	"fmt"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Locker is a lock component of a Dapr sidecar. It is safe for concurrent use. Dapr does not tell who
// holds a lock.
type Locker struct {
	client dapr.Client
	store  string
}

var _ driver.Locker = (*Locker)(nil)

// NewLocker connects to the lock component of that name, and refuses one that the sidecar does not have.
func NewLocker(ctx context.Context, client dapr.Client, store string) (*Locker, error) {
	if _, err := find(ctx, client, "lock", store); err != nil {
		return nil, err
	}
	return &Locker{client: client, store: store}, nil
}

// TryLock implements [driver.Locker]; expiry is rounded up to whole seconds.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	seconds := max(1, int32((expiry+time.Second-1)/time.Second))
	answer, err := l.client.TryLockAlpha1(ctx, l.store, &dapr.LockRequest{ResourceID: resource, LockOwner: owner, ExpiryInSeconds: seconds})
	if err != nil {
		return driver.Lock{}, failure(ctx, err)
	}
	return driver.Lock{Acquired: answer.Success}, nil
}

// Unlock implements [driver.Locker].
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	answer, err := l.client.UnlockAlpha1(ctx, l.store, &dapr.UnlockRequest{ResourceID: resource, LockOwner: owner})
	if err != nil {
		return 0, failure(ctx, err)
	}
	switch pb.UnlockResponse_Status(answer.StatusCode) {
	case pb.UnlockResponse_SUCCESS:
		return driver.Unlocked, nil
	case pb.UnlockResponse_LOCK_DOES_NOT_EXIST:
		return driver.LockAbsent, nil
	case pb.UnlockResponse_LOCK_BELONGS_TO_OTHERS:
		return driver.LockHeldByOther, nil
	}
	return 0, fmt.Errorf("sidecar: unlocking failed in the lock component: %s", answer.Status)
}
