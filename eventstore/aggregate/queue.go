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
	joins uint64                      // so far
}

// line holds the updates of one stream.
type line struct {
	holder  *turn
	since   time.Time // when the holder last made progress
	waiting []*turn   // the first is served first
}

// place says where a turn is.
type place int

const (
	waiting place = iota // in its line
	holding              // it is the holder
	taken                // the holder decides it together with others, see take
	left                 // out of its line
)

// turn is one update's place in a line. Its fields are guarded by the queue's mutex.
type turn struct {
	queue  *queue
	stream eventstore.Stream
	of     any           // the update, for the holder that takes the turn
	alone  bool          // it is not taken together with others
	place  place         // where it is
	moved  chan struct{} // closed when it no longer waits
	number uint64        // of its last join, in order of time
	joined uint64        // of its first join; never changes
}

// newTurn returns a turn that has not joined its line yet.
func (q *queue) newTurn(stream eventstore.Stream, of any) *turn {
	return &turn{queue: q, stream: stream, of: of}
}

// join puts a new turn at the end of its line. The caller must leave it. From then on another
// holder may take the turn, and use what it is of.
func (t *turn) join() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	t.joined = t.queue.joins + 1
	t.queue.put(t, false)
}

// rejoin puts a turn that is out of its line at its end. It will not be taken with others.
func (t *turn) rejoin() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	t.alone = true
	t.queue.put(t, false)
}

// put puts turns at the end or at the front of their line. The caller holds q.mu.
func (q *queue) put(t *turn, front bool) {
	l := q.lines[t.stream]
	if l == nil {
		if q.lines == nil {
			q.lines = map[eventstore.Stream]*line{}
		}
		l = &line{}
		q.lines[t.stream] = l
	}
	q.joins++
	t.place, t.moved, t.number = waiting, make(chan struct{}), q.joins
	if front {
		l.waiting = slices.Insert(l.waiting, 0, t)
	} else {
		l.waiting = append(l.waiting, t)
	}
	if l.holder == nil && !front {
		l.next()
	}
}

// now returns a number that is larger than those of earlier joins and smaller than those of later
// ones.
func (q *queue) now() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.joins++
	return q.joins
}

// wait waits until the turn is the holder or is taken. If the context ends first, the turn leaves.
// wait returns where the turn is then.
func (t *turn) wait(ctx context.Context) place {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		where, moved := t.where()
		if where != waiting {
			return where
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return t.giveUp()
		case <-timer.C:
			timer.Reset(t.takeOver())
		}
	}
}

func (t *turn) where() (place, <-chan struct{}) {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	return t.place, t.moved
}

// giveUp makes a turn that still waits leave its line. It returns where the turn is then.
func (t *turn) giveUp() place {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	if t.place == waiting {
		t.queue.remove(t)
	}
	return t.place
}

// takeOver makes t the holder if t is first in line and the holder has made no progress for as long
// as patience. Otherwise it returns how long to wait before asking again.
func (t *turn) takeOver() (wait time.Duration) {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	if t.place != waiting {
		return patience
	}
	l := t.queue.lines[t.stream]
	if l.waiting[0] != t {
		return patience
	}
	if wait = patience - time.Since(l.since); wait > 0 {
		return wait
	}
	if l.holder.place == holding {
		l.holder.place = left
	}
	l.next()
	return patience
}

// next makes the first waiting turn the holder.
func (l *line) next() {
	l.holder, l.since = l.waiting[0], time.Now()
	l.waiting = slices.Delete(l.waiting, 0, 1)
	l.holder.moveTo(holding)
}

func (t *turn) moveTo(to place) {
	t.place = to
	close(t.moved)
}

// goOn records that the holder made progress.
func (t *turn) goOn() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	if l := t.queue.lines[t.stream]; l != nil && l.holder == t {
		l.since = time.Now()
	}
}

// take takes the holder's turn, and up to so many of those that wait behind it. From then on it
// is for yield to end these turns, and leave has no effect on them. take returns the turns in
// order. The first is t itself, even if it was taken over.
func (t *turn) take(more int) []*turn {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	all := []*turn{t}
	l := t.queue.lines[t.stream]
	if l == nil || l.holder != t {
		return all
	}
	t.place = taken
	for ; more > 0 && !t.alone && len(l.waiting) > 0 && !l.waiting[0].alone; more-- {
		next := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		next.moveTo(taken)
		all = append(all, next)
	}
	return all
}

// yield ends the turn of a holder that has called take. Some of the turns that it took go back to
// the front of the line, in their order.
func (t *turn) yield(back []*turn) {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	t.place = left
	for _, other := range slices.Backward(back) {
		t.queue.put(other, true)
	}
	l := t.queue.lines[t.stream]
	if l == nil || l.holder != nil && l.holder != t {
		return
	}
	t.queue.advance(t.stream)
}

// advance makes the first waiting turn the holder, or removes the line. The caller holds q.mu.
func (q *queue) advance(stream eventstore.Stream) {
	l := q.lines[stream]
	if len(l.waiting) == 0 {
		delete(q.lines, stream)
		return
	}
	l.next()
}

// leave ends a turn that was not taken, whether it came, was taken over, or is still waiting.
func (t *turn) leave() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	switch t.place {
	case waiting:
		t.queue.remove(t)
	case holding:
		t.place = left
		t.queue.advance(t.stream)
	}
}

// remove takes a turn that waits out of its line. The caller holds q.mu.
func (q *queue) remove(t *turn) {
	l := q.lines[t.stream]
	l.waiting = slices.DeleteFunc(l.waiting, func(other *turn) bool { return other == t })
	t.moveTo(left)
}

// goAlone keeps the turn from being taken together with others.
func (t *turn) goAlone() {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	t.alone = true
}
