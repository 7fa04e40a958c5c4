package jitter_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

func TestAWaitLastsFromHalfToTheWhole(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-1, 0, 1, 2, 3, time.Millisecond, 25 * time.Millisecond} {
		seen := map[time.Duration]bool{}
		for range 200 {
			got := jitter.Of(t.Context(), d)
			if got > d || got < d-d/2 && d > 0 {
				t.Errorf("%s became %s", d, got)
			}
			seen[got] = true
		}
		if d >= time.Millisecond && len(seen) < 2 {
			t.Errorf("%s is the same wait each time", d)
		}
	}
}

func TestAGivenSourceMakesWaitsRepeatable(t *testing.T) {
	t.Parallel()
	var runs [2][20]time.Duration
	for i := range runs {
		ctx := jitter.WithSource(t.Context(), rand.New(rand.NewPCG(1, 2)))
		for j := range runs[i] {
			runs[i][j] = jitter.Of(ctx, time.Second)
		}
	}
	if runs[0] != runs[1] {
		t.Errorf("one source gave %v, then %v", runs[0], runs[1])
	}
}
