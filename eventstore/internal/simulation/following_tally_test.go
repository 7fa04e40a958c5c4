package simulation

import (
	"fmt"
	"sync"
)

// feedTally counts what happened in histories of a feed.
type feedTally struct {
	mu                                                                      sync.Mutex
	streams, commits, entries, adopted, delivered, crashes, restarts, again int64
}

func (t *feedTally) add(f *following) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := f.chronicle
	t.streams += int64(len(c.streams))
	t.commits += int64(len(c.slots))
	t.entries += c.entries
	t.adopted += c.adopted
	t.delivered += c.delivered
	t.again += c.lateEntries
	for _, p := range f.members {
		if !p.crashedAt.IsZero() {
			t.crashes++
		}
	}
	if f.restart != nil {
		t.restarts++
	}
}

func (t *feedTally) String() string {
	return fmt.Sprintf("streams=%d slots=%d logged=%d adopted=%d delivered=%d crashes=%d restarts=%d",
		t.streams, t.commits, t.entries, t.adopted, t.delivered, t.crashes, t.restarts)
}
