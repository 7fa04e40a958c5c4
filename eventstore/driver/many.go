package driver

import (
	"context"
	"errors"
	"sync"
)

// ManySwapper is what some stores can do beyond [State]: send several swaps together. The event
// store works without it, and calls it by [SwapMany]. A State that wraps another one implements it
// by calling SwapMany with that one.
type ManySwapper interface {
	// SwapMany does with each of swaps what Swap does, in as few requests as the store allows. No
	// two of them have the same key. It is not atomic: after an error any of them may have taken
	// effect. Keys may be of several partitions if Capabilities.AnyPartition is true.
	SwapMany(ctx context.Context, partition string, swaps []Swap) error
}

// SwapMany does several swaps, together if the store is a [ManySwapper].
func SwapMany(ctx context.Context, s State, partition string, swaps []Swap) error {
	if many, ok := s.(ManySwapper); ok {
		return many.SwapMany(ctx, partition, swaps)
	}
	return SwapEach(ctx, s, partition, swaps)
}

// SwapEach does several swaps by a request each, 16 at a time.
func SwapEach(ctx context.Context, s State, partition string, swaps []Swap) error {
	const atOnce = 16
	errs := make([]error, len(swaps))
	room := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i, swap := range swaps {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			errs[i] = s.Swap(ctx, partition, swap)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
