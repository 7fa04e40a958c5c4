package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// lease is a [driver.Locker] over the state store itself, for where there is no lock component. The
// lease of a stream is one record that says who has it until when. It is taken and given back
// by swaps and never deleted, so that its ETag never starts over.
//
// When it has run out is judged by the clock of who wants it, so clocks that differ shift
// the end of a session by as much. Nothing else depends on them.
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
	// Lost to another, or the answer was: the record tells.
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

// Unlock gives the lease back. Where it is not the owner's it is swapped all the same, free for free, unless another has
// it now: then a swap of the owner's that is still under way finds that its ETag is over.
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
		return status, nil // the answer was lost, or it had just run out and another took it
	}
	if err == nil && status != driver.Unlocked { // the swap that was under way has come first
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
