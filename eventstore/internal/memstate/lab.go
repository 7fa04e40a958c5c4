package memstate

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Each runs a test in fake time, on a new store of each of the Kinds.
func Each(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(Kinds)) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, Kinds[kind]()) })
		})
	}
}

var newest atomic.Int64 // the time at which the last test ended, in nanoseconds since 1970

// GoOn makes the fake time of a test begin where that of the tests before ended. So they can use
// one store, like processes that run one after the other.
func GoOn(t *testing.T) {
	t.Helper()
	<-time.After(time.Until(time.Unix(0, newest.Load())))
	t.Cleanup(func() {
		for now := time.Now().UnixNano(); ; {
			if before := newest.Load(); before >= now || newest.CompareAndSwap(before, now) {
				return
			}
		}
	})
}

// SetBack makes the next test that calls GoOn begin by d earlier, as if its clock were set back.
func SetBack(d time.Duration) { newest.Add(-int64(d)) }

// Start calls run in the background. It returns a function that ends run's context, waits until run
// returns, and reports its error. Only the first call of that function does so.
func Start(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	ended := false
	return func() {
		t.Helper()
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error("what ran in the background failed: ", err)
		}
	}
}
