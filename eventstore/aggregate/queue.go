package aggregate

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// patience is how long those who wait for a turn bear with one that does not get on, as one whose
// decision waits for one of them.
const patience = 500 * time.Millisecond

// queue has the updates of one stream take turns within a repository, in the order in which they
// came. Without it they would come before each other at the store, and most of their work would be
// thrown away. It is for order only: what makes an update safe is the version at which it appends.
// So nobody waits for ever, and a turn may be taken over. The zero value is ready.
type queue struct {
	mu    sync.Mutex
	lines map[eventstore.Stream]*line // only of streams that are being updated
}

// line is the updates of one stream.
type line struct {
	holder  *turn
	since   time.Time // the holder has got on last
	waiting []*turn   // the first is served first
}

// turn is one update's place in a line.
type turn struct {
	queue  *queue
	stream eventstore.Stream
	came   chan struct{} // closed when it is the holder
}

// enter waits for a turn, which must be left. If the context ends before, it returns a turn that
// has not come, with which nothing needs to be done but to leave it.
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

// join puts a turn at the end of its line. It reports whether it has come at once.
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

// takeOver makes a turn the holder if it is the first of those that wait, and the holder has not
// got on for long. If not, it returns when to ask again.
func (q *queue) takeOver(t *turn) (wait time.Duration, came bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-t.came: // in this moment, and it may be gone again
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

// next makes the first of those that wait the holder.
func (l *line) next() {
	l.holder, l.since = l.waiting[0], time.Now()
	l.waiting = slices.Delete(l.waiting, 0, 1)
	close(l.holder.came)
}

// goOn notes that the holder has got on.
func (t *turn) goOn() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	if l := t.queue.lines[t.stream]; l != nil && l.holder == t {
		l.since = time.Now()
	}
}

// leave ends a turn, whether it has come, was taken over, or is still waited for.
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
