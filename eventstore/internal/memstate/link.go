package memstate

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Link is a way to a store that loses requests and answers by chance, for tests in fake time. Reads
// of one key and swaps take a millisecond.
type Link struct {
	driver.State

	mu     sync.Mutex
	chance *rand.Rand
	in     int
}

// ErrLost is the error of a request that was lost, or whose answer was.
var ErrLost = errors.New("no answer")

// NewLink returns a link to a store that loses one in so many, or none if that is 0.
func NewLink(to driver.State, seed uint64, in int) *Link {
	return &Link{State: to, chance: rand.New(rand.NewPCG(seed, 0)), in: in}
}

// Lose makes the link lose one in so many from now on, or none if that is 0.
func (l *Link) Lose(in int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in = in
}

func (l *Link) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.in > 0 && l.chance.IntN(l.in) == 0
}

// Get implements [driver.State].
func (l *Link) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	<-time.After(time.Millisecond)
	if l.lost() {
		return driver.Item{}, ErrLost
	}
	return l.State.Get(ctx, partition, key)
}

// Swap implements [driver.State].
func (l *Link) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	<-time.After(time.Millisecond)
	if l.lost() {
		return ErrLost
	}
	err := l.State.Swap(ctx, partition, swap)
	if l.lost() {
		return ErrLost
	}
	return err
}

// SwapMany implements [driver.ManySwapper]. It loses the request, a part of it, or the answer.
func (l *Link) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	<-time.After(time.Millisecond)
	if l.lost() {
		return ErrLost
	}
	if l.lost() && !l.Capabilities().Atomic {
		_ = driver.SwapMany(ctx, l.State, partition, swaps[len(swaps)/2:])
		return ErrLost
	}
	err := driver.SwapMany(ctx, l.State, partition, swaps)
	if l.lost() {
		return ErrLost
	}
	return err
}
