package aggregate

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// patience is how long updates wait for a holder that makes no progress. A holder makes none, for
// example, while its decision waits for another update in the same queue.
const patience = 500 * time.Millisecond

// queue lets the updates of one stream take turns within a repository, in order of arrival. Without
// it they would conflict at the store, and most of their work would be thrown away. The queue is
// only for order. What makes an update safe is the expected version of its append. So no update
// waits forever: a turn may be taken over. The zero value is ready to use.
type queue struct {
	mu    sync.Mutex
	lines map[eventstore.Stream]*line // only of streams that are being updated
}

// line holds the updates of one stream.
type line struct {
	holder  *turn
	since   time.Time // when the holder last made progress
	waiting []*turn   // the first is served first
}

// turn is one update's place in a line.
type turn struct {
	queue  *queue
	stream eventstore.Stream
	came   chan struct{} // closed when it is the holder
}

// enter waits for a turn. The caller must leave it. If the context ends first, enter returns a turn
// that did not come and was already left.
func (q *queue) enter(ctx context.Context, stream eventstore.Stream) *turn {
	t := &turn{queue: q, stream: stream, came: make(chan struct{})}
	if q.join(t) {
		return t
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-t.came:
			return t
		case <-ctx.Done():
			t.leave()
			return t
		case <-timer.C:
			wait, came := q.takeOver(t)
			if came {
				return t
			}
			timer.Reset(wait)
		}
	}
}

// join puts a turn at the end of its line. It reports whether the turn came at once.
func (q *queue) join(t *turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[t.stream]
	if l == nil {
		if q.lines == nil {
			q.lines = map[eventstore.Stream]*line{}
		}
		q.lines[t.stream] = &line{holder: t, since: time.Now()}
		return true
	}
	l.waiting = append(l.waiting, t)
	return false
}

// takeOver makes t the holder if t is first in line and the holder has made no progress for as long
// as patience. Otherwise it returns how long to wait before asking again.
func (q *queue) takeOver(t *turn) (wait time.Duration, came bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-t.came: // just now; the turn may already be taken over again
		return 0, true
	default:
	}
	l := q.lines[t.stream]
	if l.waiting[0] != t {
		return patience, false
	}
	if wait = patience - time.Since(l.since); wait > 0 {
		return wait, false
	}
	l.next()
	return 0, true
}

// next makes the first waiting turn the holder.
func (l *line) next() {
	l.holder, l.since = l.waiting[0], time.Now()
	l.waiting = slices.Delete(l.waiting, 0, 1)
	close(l.holder.came)
}

// goOn records that the holder made progress.
func (t *turn) goOn() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	if l := t.queue.lines[t.stream]; l != nil && l.holder == t {
		l.since = time.Now()
	}
}

// leave ends a turn, whether it came, was taken over, or is still waiting.
func (t *turn) leave() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	l := t.queue.lines[t.stream]
	switch {
	case l == nil:
	case l.holder != t:
		l.waiting = slices.DeleteFunc(l.waiting, func(other *turn) bool { return other == t })
	case len(l.waiting) > 0:
		l.next()
	default:
		delete(t.queue.lines, t.stream)
	}
}
