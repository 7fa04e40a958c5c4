package bell

import (
	"context"
	"sync"
)

// Shared is a bell that several providers of one process share, for tests. It implements
// driver.Bell. Its zero value is ready to use.
type Shared struct {
	// Fails is the error of Ring and Listen if it returns one. Set it before the bell is used.
	Fails func() error

	mu    sync.Mutex
	rings int
	hears map[chan string]bool
}

// Ring sends a message to all that listen. A listener that is slow misses it.
func (s *Shared) Ring(_ context.Context, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rings++
	if s.Fails != nil {
		if err := s.Fails(); err != nil {
			return err
		}
	}
	for c := range s.hears {
		select {
		case c <- message:
		default:
		}
	}
	return nil
}

// Listen calls heard with each message until ctx ends.
func (s *Shared) Listen(ctx context.Context, heard func(message string)) error {
	if s.Fails != nil {
		if err := s.Fails(); err != nil {
			return err
		}
	}
	c := make(chan string, 16)
	s.mu.Lock()
	if s.hears == nil {
		s.hears = map[chan string]bool{}
	}
	s.hears[c] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hears, c)
	}()
	for {
		select {
		case m := <-c:
			heard(m)
		case <-ctx.Done():
			return nil
		}
	}
}

// Rings returns how often Ring was called.
func (s *Shared) Rings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rings
}

// Listeners returns how many calls of Listen are under way.
func (s *Shared) Listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hears)
}
