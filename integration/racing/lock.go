package racing

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// NoLock lets any number of sessions open a stream at the same time. Only the swap of the head
// keeps their appends apart.
type NoLock struct{}

func (NoLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (NoLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}
