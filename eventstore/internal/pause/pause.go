// Package pause waits.
package pause

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// For waits for d. It returns false if ctx ended first.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Again waits before a request is repeated for the nth time: 10 ms, then twice as long each time,
// up to 500 ms. Each wait is shortened at random by up to a half. It returns false if ctx ended
// first.
func Again(ctx context.Context, n int) bool {
	return For(ctx, jitter.Of(ctx, min(10*time.Millisecond<<min(n-1, 6), 500*time.Millisecond)))
}
