// Package jitter spreads waits, so that callers that wait for the same thing do not all return at
// the same moment.
package jitter

import (
	"context"
	"math/rand/v2"
	"time"
)

type sourceKey struct{}

// WithSource returns a context in which [Of] and [Below] draw from source instead of real
// randomness. A simulation uses it to make a run repeatable. Calls in that context must not run at
// the same time.
func WithSource(ctx context.Context, source *rand.Rand) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}

// Uint64 returns a random number.
func Uint64(ctx context.Context) uint64 {
	if source, ok := ctx.Value(sourceKey{}).(*rand.Rand); ok {
		return source.Uint64()
	}
	return rand.Uint64()
}

// Of returns a random duration between half of d and d. If d is below 2 ns, Of returns d.
func Of(ctx context.Context, d time.Duration) time.Duration {
	half := int64(d / 2)
	if half <= 0 {
		return d
	}
	return d - Below(ctx, time.Duration(half+1))
}

// Below returns a random duration from 0 to d, which must be positive. It never returns d.
func Below(ctx context.Context, d time.Duration) time.Duration {
	if source, ok := ctx.Value(sourceKey{}).(*rand.Rand); ok {
		return time.Duration(source.Int64N(int64(d)))
	}
	return rand.N(d)
}
