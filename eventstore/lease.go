package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// lease is a [driver.Locker] that uses the state store itself, for providers without a lock
// component. The lease of a stream is one record that says who holds it and until when. Sessions
// take it and give it back by swaps. They never delete it, so that its ETag never starts over.
//
// A session decides by its own clock whether the lease of another has expired. If clocks differ,
// the end of a session shifts by the difference. Nothing else depends on the clocks.
type lease struct {
	state driver.State
}

func (r leaseRecord) heldAt(now time.Time) bool { return r.owner != "" && now.Before(r.expires) }

func (l lease) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	key := keys{prefix: "{" + resource + "}:"}.lease()
	before, etag, err := l.read(ctx, resource, key)
	if err != nil {
		return driver.Lock{}, err
	}
	now := time.Now()
	if before.heldAt(now) {
		return driver.Lock{Holder: before.owner}, nil
	}
	swapErr := l.state.Swap(ctx, resource, driver.Swap{Key: key, Value: leaseRecord{owner, now.Add(expiry)}.encode(resource), ETag: etag})
	if swapErr == nil {
		return driver.Lock{Acquired: true}, nil
	}
	// Another session has taken the lease, or the answer was lost. The record tells.
	after, etagNow, err := l.read(ctx, resource, key)
	switch {
	case err != nil:
		return driver.Lock{}, fmt.Errorf("%w; then: %w", swapErr, err)
	case after.owner == owner:
		return driver.Lock{Acquired: true}, nil
	case etagNow == etag:
		return driver.Lock{}, swapErr
	}
	return driver.Lock{Holder: after.owner}, nil
}

// Unlock gives the lease back. If another session holds the lease now, Unlock leaves it alone.
// Otherwise it swaps the record even if the owner does not hold the lease, a free one for a free
// one. If a swap of that owner is still under way, it then fails because the ETag has changed.
func (l lease) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	key := keys{prefix: "{" + resource + "}:"}.lease()
	r, etag, err := l.read(ctx, resource, key)
	if err != nil {
		return 0, err
	}
	status := driver.Unlocked
	switch {
	case r.owner == "":
		status = driver.LockAbsent
	case r.owner != owner:
		status = driver.LockHeldByOther
		if r.heldAt(time.Now()) {
			return status, nil
		}
	}
	swapErr := l.free(ctx, resource, key, etag)
	if swapErr == nil {
		return status, nil
	}
	if r, etag, err = l.read(ctx, resource, key); err == nil && r.owner != owner {
		return status, nil // the answer was lost, or the lease expired and another session took it
	}
	if err == nil && status != driver.Unlocked { // the swap that was under way came first
		if swapErr = l.free(ctx, resource, key, etag); swapErr == nil {
			return driver.Unlocked, nil
		}
	}
	return 0, swapErr
}

func (l lease) free(ctx context.Context, resource, key, etag string) error {
	return l.state.Swap(ctx, resource, driver.Swap{Key: key, Value: leaseRecord{}.encode(resource), ETag: etag})
}

func (l lease) read(ctx context.Context, resource, key string) (leaseRecord, string, error) {
	item, err := l.state.Get(ctx, resource, key)
	if err != nil || !item.Found() {
		return leaseRecord{}, "", err
	}
	r, err := decodeLease(resource, item.Value)
	if err != nil {
		stream, _ := ParseStream(resource)
		return leaseRecord{}, "", &DamagedError{Stream: stream, Key: key, Cause: fmt.Errorf("no session can open while the lease is unreadable: remove the key if no session is open: %w", err)}
	}
	return r, item.ETag, nil
}
