package feed

import (
	"context"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
)

// news tells the readers of a feed in this process that the log has grown. They share what one of
// them or the indexer finds out.
type news struct {
	bell.Bell // rings when somebody finds that the log has grown

	mu      sync.Mutex
	version int64     // of the log, the highest that was seen
	looked  time.Time // when a reader looked last
}

// tell notes that the log is at a version.
func (n *news) tell(version int64) {
	n.mu.Lock()
	grown := version > n.version
	n.version = max(n.version, version)
	n.mu.Unlock()
	if grown {
		n.Ring()
	}
}

// seen notes that a reader has looked at the log.
func (n *news) seen(version int64) {
	n.mu.Lock()
	n.looked = time.Now()
	n.mu.Unlock()
	n.tell(version)
}

// none reports whether a reader has looked within d and saw nothing above a version.
func (n *news) none(version int64, d time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.version <= version && time.Since(n.looked) < d
}

// wait waits until there may be news above a version: a bell rings, or the delay is over and no
// other reader has looked meanwhile. It returns false when ctx ends.
func (n *news) wait(ctx context.Context, rung <-chan struct{}, version int64, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-rung:
			return true
		case <-timer.C:
			if !n.none(version, delay/2) {
				return true
			}
			timer.Reset(delay)
		}
	}
}
