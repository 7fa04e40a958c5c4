package subscription

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// One goroutine reads the feed for all partitions of the instance, in passes. A pass begins at a
// position and passes on the items of those partitions that are not behind it. A partition whose
// queue is full leaves the pass, and a later pass begins where it left. At the end of the feed the
// pass waits for what comes.

const (
	// together is how far behind or ahead another partition may be so that one pass serves both.
	together = 1000

	// passItems is how many items a pass reads before partitions that wait get their own pass.
	passItems = 1000
)

// group is the partitions of one pass, by their numbers.
type group map[int]*worker

// read reads the feed until ctx ends.
func (r *run) read(ctx context.Context) {
	failures, empty := 0, 0
	var live bool
	for ctx.Err() == nil {
		g, from, whole := r.plan()
		if len(g) == 0 {
			live = false
			select {
			case <-ctx.Done():
			case <-r.wake:
			}
			continue
		}
		waits := live && whole
		n, atEnd, err := r.pass(ctx, g, from, waits)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return
		case eventstore.Advise(err) != eventstore.AdviceRetry:
			r.fail(err)
			return
		default:
			if failures == 0 {
				r.log.WarnContext(ctx, "a subscription cannot read the feed, and tries again", "error", err)
			}
			failures++
			pause.For(ctx, min(100*time.Millisecond<<min(failures, 6), 5*time.Second))
		}
		if n > 0 || !atEnd {
			empty = 0
		} else if waits { // it did not wait, or not for long
			empty++
			r.rest(ctx, min(10*time.Millisecond<<min(empty, 7), time.Second))
		}
		live = atEnd && err == nil && !waits
	}
}

// rest waits for d, or until a partition has room.
func (r *run) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-r.wake:
	}
}

// plan returns the partitions of the next pass and where it begins. It begins with the partition
// that was not served for the longest time. whole is true if all partitions with room take part.
func (r *run) plan() (g group, from feed.Position, whole bool) {
	waiting := r.waiting()
	if len(waiting) == 0 {
		return nil, 0, false
	}
	first := slices.MinFunc(waiting, func(a, b *worker) int {
		if c := a.served.Compare(b.served); c != 0 {
			return c
		}
		return cmp.Compare(a.through.Load(), b.through.Load())
	})
	from = feed.Position(first.through.Load())
	for _, w := range waiting {
		if at := feed.Position(w.through.Load()); at < from && at+together >= feed.Position(first.through.Load()) {
			from = at
		}
	}
	g = group{}
	now := time.Now()
	for _, w := range waiting {
		if at := feed.Position(w.through.Load()); at >= from && at <= feed.Position(first.through.Load())+together {
			g[w.number], w.served = w, now
			w.starved.Store(false)
		}
	}
	return g, from, len(g) == len(waiting)
}

// waiting returns the workers that have room for more items.
func (r *run) waiting() (all []*worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if w.ctx.Err() == nil && !w.given() && w.hasRoom() {
			all = append(all, w)
		}
	}
	return all
}

// hasRoom reports whether the queue has room for more items. If not, the worker wakes the reader
// once half of the queue is empty.
func (w *worker) hasRoom() bool {
	if !w.starved.Load() && !w.full() {
		return true
	}
	w.starved.Store(true) // before the look at the queue, so that no wake-up is lost
	return w.halfEmpty()
}

// awaitRoom waits a moment until the queue has room. A partition that leaves a pass needs another
// pass, which reads again what the others have had.
func (w *worker) awaitRoom() {
	const atMost, each = 50, time.Millisecond
	for n := 0; n < atMost && w.full() && pause.For(w.ctx, each); n++ {
	}
}

func (w *worker) full() bool { return len(w.queue) >= queued || w.bytes.Load() >= queuedBytes }

func (w *worker) halfEmpty() bool {
	return len(w.queue) <= queued/2 && w.bytes.Load() <= queuedBytes/2
}

// pass reads the feed from a position on, for the partitions of g. It returns how many items it
// passed on, and whether it came to the end of the feed. If live is true, it waits there until
// another partition has room.
func (r *run) pass(ctx context.Context, g group, from feed.Position, live bool) (n int, atEnd bool, err error) {
	members := make([]atomic.Bool, r.size) // a read calls Where in another goroutine
	for k := range g {
		members[k].Store(true)
	}
	options := append(slices.Clone(r.filter), feed.After(from), feed.WithProgress(), feed.Where(func(s eventstore.Stream) bool {
		return members[partitionOf(s, len(members))].Load()
	}))
	read := 0
	reading := ctx
	if live {
		var stop func()
		reading, stop = r.untilWoken(ctx)
		defer func() {
			if reading.Err() != nil && ctx.Err() == nil { // it was woken
				atEnd, err = false, nil
			}
			stop()
		}()
		options = append(options, feed.Live())
	} else {
		end, err := r.feed.End(ctx)
		if err != nil {
			return 0, false, err
		}
		if end < from { // the store has lost writes since the partition was taken
			return 0, false, &AheadError{r.name, slices.Min(slices.Collect(maps.Keys(g))), from, end}
		}
		r.knows(end)
	}
	for item, err := range r.feed.Read(reading, options...) {
		if err != nil {
			return n, false, err
		}
		if isA[*eventstore.StorageError](item.Err) { // it may be readable later
			return n, false, item.Err
		}
		read++
		r.knows(max(item.Position, item.Entry(permit.Permit{})))
		if item.What == feed.Progress { // all up to here was read; the log may seem shorter than end
			for _, w := range g {
				w.advance(item.Position)
			}
		} else {
			k := partitionOf(item.Stream, r.size)
			if w := g[k]; w != nil && !live {
				w.awaitRoom()
			}
			if r.dispatch(g, k, item) {
				n++
			}
			if g[k] == nil {
				members[k].Store(false) // no more of its events are read
			}
		}
		if len(g) == 0 || read%passItems == 0 && r.othersWait(g) {
			return n, false, nil
		}
	}
	return n, true, nil
}

// untilWoken returns a context that ends when a partition has room. Call stop when it is no longer
// needed.
func (r *run) untilWoken(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-r.wake:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-ended
	}
}

// othersWait reports whether a partition that is not in g has room.
func (r *run) othersWait(g group) bool {
	return slices.ContainsFunc(r.waiting(), func(w *worker) bool { return g[w.number] != w })
}

// dispatch passes an item on to its partition k, and reports whether the partition needed it and
// had room. A partition without room leaves g.
func (r *run) dispatch(g group, k int, item feed.Item) (took bool) {
	if w := g[k]; w != nil && w.needs(item) {
		if took = !w.full(); took { // only the reader adds
			w.bytes.Add(int64(item.Size(permit.Permit{})))
			w.queue <- item
			w.newest = offered{item.Entry(permit.Permit{}), placeOf(item)}
		} else {
			delete(g, k)
			if w.starved.Store(true); w.halfEmpty() { // it has just become empty
				signal(r.wake)
			}
		}
	}
	for _, w := range g {
		w.advance(item.Position)
	}
	return took
}

// needs reports whether an item was not put into the queue before.
//
// All items of a commit but the last have the position before the commit. So a pass may begin
// within a commit, and then their places in the stream tell what is new.
func (w *worker) needs(item feed.Item) bool {
	entry := item.Entry(permit.Permit{})
	return int64(entry) > w.through.Load() && (entry != w.newest.entry || w.newest.before(placeOf(item)))
}

// offered is an item that was put into a queue.
type offered struct {
	entry feed.Position
	place
}

// place is where an item comes in its stream. A stream that is closed has the version of its last
// event, and the closing comes after that event. One entry may tell of both.
type place struct {
	version int64
	closing bool
}

func placeOf(item feed.Item) place { return place{item.Version, item.What == feed.Closed} }

func (p place) before(other place) bool {
	return p.version < other.version || p.version == other.version && !p.closing && other.closing
}

// advance notes that every item up to a position was offered.
func (w *worker) advance(position feed.Position) {
	if int64(position) > w.through.Load() {
		w.through.Store(int64(position))
	}
}
