// Package jitter spreads waits, so that those who wait for the same thing do not all come back at
// the same moment.
package jitter

import (
	"context"
	"math/rand/v2"
	"time"
)

type sourceKey struct{}

// WithSource returns a context in which [Of] draws from source instead of true chance. A simulation
// uses it to make a run repeatable. Calls in that context must not run at the same time.
func WithSource(ctx context.Context, source *rand.Rand) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}

// Of returns a random duration from half of d to the whole of it. Of returns d if it is below 2 ns.
func Of(ctx context.Context, d time.Duration) time.Duration {
	half := int64(d / 2)
	if half <= 0 {
		return d
	}
	if source, ok := ctx.Value(sourceKey{}).(*rand.Rand); ok {
		return d - time.Duration(source.Int64N(half+1))
	}
	return d - time.Duration(rand.Int64N(half+1))
}
