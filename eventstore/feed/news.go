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
	bell bell.Bell

	mu      sync.Mutex
	version int64     // of the log, the highest that was seen
	looked  time.Time // when a reader looked last, or began to
	rings   int       // how often the process was told to look
}

// tell notes that the log is at a version.
func (n *news) tell(version int64) {
	n.mu.Lock()
	grown := version > n.version
	n.version = max(n.version, version)
	n.mu.Unlock()
	if grown {
		n.bell.Ring()
	}
}

// ring makes all readers look.
func (n *news) ring() {
	n.mu.Lock()
	n.rings++
	n.mu.Unlock()
	n.bell.Ring()
}

// seen notes that a reader has looked at the log.
func (n *news) seen(version int64) {
	n.mu.Lock()
	n.looked = time.Now()
	n.mu.Unlock()
	n.tell(version)
}

// waiter waits for news. Make it before you look at the log, so that no news is missed.
type waiter struct {
	*news
	rung  <-chan struct{}
	rings int
}

func (n *news) waiter() waiter {
	rung := n.bell.Next()
	n.mu.Lock()
	defer n.mu.Unlock()
	return waiter{n, rung, n.rings}
}

// wait waits until there may be news above a version, for example because the delay is over and no
// other reader has looked meanwhile. It returns false when ctx ends.
func (w waiter) wait(ctx context.Context, version int64, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-w.rung:
			w.rung = w.bell.Next()
			w.mu.Lock()
			news := w.version > version || w.news.rings != w.rings
			w.mu.Unlock()
			if news {
				return true
			}
		case <-timer.C:
			w.mu.Lock()
			none := w.version <= version && time.Since(w.looked) < delay/2
			if !none { // readers whose delays end at once look once
				w.looked = time.Now()
			}
			w.mu.Unlock()
			if !none {
				return true
			}
			timer.Reset(delay)
		}
	}
}

// pace says how long to wait until the next look for news: an eighth of the time since the last
// news, but at least pollLeast and at most pollMost. So news that come at any rate are found after
// a small part of the time between them, and a feed without news costs little after a few seconds.
type pace struct{ news time.Time }

func newPace() pace { return pace{time.Now()} }

// found notes that there were news.
func (p *pace) found() { p.news = time.Now() }

func (p pace) wait() time.Duration {
	return min(max(time.Since(p.news)/8, pollLeast), pollMost)
}

const (
	pollLeast = 20 * time.Millisecond
	pollMost  = time.Second
)
