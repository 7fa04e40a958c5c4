// Package bell wakes goroutines that wait for news.
package bell

import "sync"

// Bell wakes whoever waits for it. Its zero value is ready to use. It is safe for concurrent use.
type Bell struct {
	mu   sync.Mutex
	next chan struct{} // nil if no goroutine waits
}

// Ring wakes all goroutines that wait. It never blocks.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// Next returns a channel that is closed when the bell rings next. Get it before you look for news,
// so that no ring is missed.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}
