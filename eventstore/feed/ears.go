package feed

import (
	"context"
	"sync"
)

// ears listen to the bell of the provider while something in this process waits for news.
type ears struct {
	mu     sync.Mutex
	needed int
	stop   func()
}

// listen makes the Feed hear what other processes tell, until done is called.
func (f *Feed) listen(ctx context.Context) (done func()) {
	if !f.inside.HasBell() {
		return func() {}
	}
	e := &f.ears
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.needed++; e.needed == 1 {
		listening, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.inside.Listen(listening, f.rung.Ring, f.news.ring)
		}()
		e.stop = func() {
			cancel()
			<-ended
		}
	}
	return func() {
		e.mu.Lock()
		var stop func()
		if e.needed--; e.needed == 0 {
			stop = e.stop
		}
		e.mu.Unlock()
		if stop != nil { // leave nothing behind
			stop()
		}
	}
}
