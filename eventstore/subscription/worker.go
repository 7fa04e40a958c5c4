package subscription

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

const (
	// queued is how many items may wait for the handler in each partition, and queuedBytes how many
	// bytes they may have before no more are added.
	queued      = 128
	queuedBytes = 1 << 20

	// maxParked keeps the record of a partition small, because each save writes it.
	maxParked = 100

	// moveEvery is how often a partition saves that it is further along although it had nothing to
	// handle.
	moveEvery = 10 * time.Second
)

// worker handles the items of one partition, one after the other.
type worker struct {
	*run
	number int
	term   int64
	stage  Stage
	shared shared // as of when the worker began
	began  time.Time

	ctx     context.Context // ends when the partition is lost, or when Run ends
	cancel  context.CancelCauseFunc
	release chan struct{} // closed when the worker shall end in good order
	freed   atomic.Bool   // release is closed
	asked   chan struct{} // an operator wants another try
	soon    chan struct{} // somebody waits for what was handled to be saved
	queue   chan feed.Item
	bytes   atomic.Int64 // of the items in queue
	through atomic.Int64 // every item up to this position is in the queue, or was
	starved atomic.Bool  // an item found no room

	// For reports:
	begins  feed.Position
	at      atomic.Pointer[progress]
	streams atomic.Int64 // how many are parked

	// Of the reader:
	newest offered
	served time.Time

	// Of work. All items up to position are handled, or held back.
	position feed.Position
	done     offered
	parked   []parked
	busy     bool // an item left the queue and is not handled
	waits    bool // another try is asked for, and must wait
	unsaved  int
	saveDue  time.Time
	saved    feed.Position
	last     feed.Position    // the entry of the last item that was handled
	ahead    feed.Position    // as the record has it
	past     feed.Position    // effects up to this one may be durable from before
	late     map[string]int64 // by parked stream: the last item that was handled since the last save
	hanging  <-chan struct{}  // closed when a handler that hangs returns
}

func newWorker(r *run, sh shared, p partition) *worker {
	w := &worker{
		run: r, number: p.number, term: p.term, stage: r.stage(p.number), shared: sh, began: time.Now(),
		release: make(chan struct{}), asked: make(chan struct{}, 1), soon: make(chan struct{}, 1), queue: make(chan feed.Item, queued),
		newest: p.done, done: p.done, position: p.position, begins: p.position, saved: p.position, ahead: p.ahead, past: p.ahead, parked: p.parked,
		late: map[string]int64{},
	}
	w.ctx, w.cancel = context.WithCancelCause(r.ctx)
	w.through.Store(int64(p.position))
	w.streams.Store(int64(len(p.parked)))
	w.saveDue = w.began.Add(moveEvery)
	if p.asked() {
		signal(w.asked)
	}
	return w
}

// giveUp makes the worker end in good order, after the item that it is handling.
func (w *worker) giveUp() {
	if !w.freed.Swap(true) {
		close(w.release)
	}
}

func (w *worker) given() bool { return w.freed.Load() }

// work handles items until the worker has to end.
func (w *worker) work() {
	err := w.loop()
	defer w.cancel(nil)
	defer func() { w.run.ended(w, w.hanging) }()
	hung, hangs := errors.AsType[*HungError](err)
	switch {
	case hangs && w.run.ctx.Err() != nil:
		w.mu.Lock()
		w.hung = hung
		w.mu.Unlock()
	case hangs:
		w.log.WarnContext(w.ctx, "a handler hangs, so that its partition goes to another instance", "partition", w.number, "stream", hung.Stream.String(), "version", hung.Version)
	case errors.Is(err, errLost), errors.Is(err, errLapsed), errors.Is(err, errMoved):
		w.log.DebugContext(w.ctx, "a subscription lost a partition", "partition", w.number, "position", int64(w.position), "error", err)
		return // what the record says now is not about this worker
	case isA[*HandlerError](err):
		defer w.fail(err)
	case !errors.Is(err, errReleased) && w.ctx.Err() == nil:
		w.fail(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.lease)
	defer cancel()
	save := func() error { return w.save(ctx, true) }
	if hangs && w.staged { // the handler may be changing what a flush would write
		save = func() error { return w.leave(ctx) }
	}
	if err := save(); err != nil && !errors.Is(err, errLost) {
		w.log.WarnContext(ctx, "a subscription did not save its position, so that items come again", "partition", w.number, "position", int64(w.position), "error", err)
	}
}

func (w *worker) loop() error {
	timer := time.NewTimer(time.Until(w.saveDue))
	defer timer.Stop()
	for {
		if err := w.step(timer.C); err != nil {
			return err
		}
		if w.waits && !w.again() {
			w.waits = false
			signal(w.asked)
		}
		if w.unsaved >= w.saveItems || w.stage.Full() || !time.Now().Before(w.saveDue) {
			if err := w.saveInTime(); err != nil {
				return err
			}
		}
		timer.Reset(time.Until(w.saveDue))
	}
}

// step does what comes next.
func (w *worker) step(due <-chan time.Time) error {
	if err := w.mayGoOn(); err != nil {
		return err
	}
	select {
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	case <-w.release:
		return errReleased
	case <-w.asked:
		w.note()
		if err := w.saveInTime(); err != nil { // which learns what is asked
			return err
		}
		if w.waits = w.again(); w.waits {
			return nil
		}
		return w.retryParked()
	case <-due:
		return nil
	case <-w.soon:
		return w.saveInTime()
	case item := <-w.queue:
		w.bytes.Add(-int64(item.Size(permit.Permit{})))
		if w.starved.Load() && w.halfEmpty() {
			signal(w.wake)
		}
		w.busy = true
		w.at.Store(&progress{position: item.Entry(permit.Permit{}) - 1, committed: item.Time})
		return w.take(item)
	}
}

// again reports whether items still come that may have had effects before. Until they have come,
// the streams stay parked that were parked then. Otherwise an effect would count as one of them
// although the item was held back.
func (w *worker) again() bool {
	return w.staged && w.reached() < w.past
}

// reached returns the position up to which all items are handled or held back.
func (w *worker) reached() feed.Position {
	through := feed.Position(w.through.Load())
	if len(w.queue) == 0 && !w.busy { // in this order: what comes now is beyond through
		return max(w.position, through)
	}
	return w.position
}

// mayGoOn returns why the worker may not handle anything more, if so.
func (w *worker) mayGoOn() error {
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.given():
		return errReleased
	case !w.alive():
		return errLapsed
	}
	return nil
}

// take handles an item from the feed, or holds it back.
func (w *worker) take(item feed.Item) error {
	name := item.Stream.String()
	i, isParked := w.find(name)
	if isParked {
		w.parked[i].hold(item)
		w.handled(item)
		return nil
	}
	attempts, err := w.deliver(item, false)
	if err == nil {
		w.last = max(w.last, item.Entry(permit.Permit{}))
		w.handled(item)
		return nil
	}
	failed, ok := errors.AsType[*HandlerError](err)
	if !ok {
		return err
	}
	switch {
	case w.staged && item.Entry(permit.Permit{}) <= w.past: // a part of its effects may be durable
		failed.Cause = errors.Join(errInPart, failed.Cause)
		return failed
	case w.policy == skip:
		w.log.WarnContext(w.ctx, "an item is left out", w.about(item, "attempts", attempts, "error", failed.Cause)...)
		w.handled(item)
		return nil
	case w.policy == stop:
		return err
	case len(w.parked) >= maxParked:
		failed.Cause = errors.Join(errTooManyParked, failed.Cause)
		return failed
	}
	w.log.WarnContext(w.ctx, "a stream is parked", w.about(item, "attempts", attempts, "error", failed.Cause)...)
	p := parked{stream: name, position: item.Position, since: time.Now(), attempts: int64(attempts), reason: reasonOf(failed.Cause), from: item.Version, to: item.Version - 1}
	if item.What == feed.Closed || item.What == feed.Deleted {
		p.from, p.to = item.Version+1, item.Version
	}
	p.hold(item)
	w.parked = slices.Insert(w.parked, i, p)
	w.handled(item)
	return w.saveInTime()
}

// handled notes that the item needs no more.
func (w *worker) handled(item feed.Item) {
	w.busy = false
	w.position, w.done = item.Position, offered{item.Entry(permit.Permit{}), placeOf(item)}
	w.at.Store(&progress{position: item.Entry(permit.Permit{}), committed: item.Time, over: true})
	w.note()
}

// note notes that there is something to save.
func (w *worker) note() {
	w.streams.Store(int64(len(w.parked)))
	if w.unsaved++; w.unsaved == 1 {
		w.saveDue = time.Now().Add(w.saveEvery)
	}
}

func (w *worker) find(stream string) (int, bool) { return partition{parked: w.parked}.find(stream) }

// about returns attributes of a log record about an item.
func (w *worker) about(item feed.Item, more ...any) []any {
	return append([]any{"partition", w.number, "position", int64(item.Position), "stream", item.Stream.String(), "version", item.Version}, more...)
}

// hold adds a later item of the stream. An item below the first one was handled before.
func (p *parked) hold(item feed.Item) {
	switch item.What {
	case feed.Closed:
		p.closed = item.Version
	case feed.Deleted:
		p.deleted = item.Version
	default:
		p.to = max(p.to, item.Version)
	}
}

// reasonOf returns the text of an error, shortened for the record.
func reasonOf(err error) string {
	text := err.Error()
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

// saveInTime saves, and tries again until the lease is over.
func (w *worker) saveInTime() error {
	for n := 0; ; n++ {
		err := w.save(w.ctx, false)
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case err == nil || eventstore.Advise(err) != eventstore.AdviceRetry:
			return err
		case n == 0:
			w.log.WarnContext(w.ctx, "a subscription cannot save its position, and tries again", "partition", w.number, "error", err)
		}
		if !pause.For(w.ctx, min(100*time.Millisecond<<min(n, 5), time.Second)) {
			return context.Cause(w.ctx)
		}
		if !w.alive() {
			return errLapsed
		}
	}
}

// announce notes up to where effects are about to be durable. If the instance dies before it saves
// the position, the next one knows which items may have had a part of their effects. Such an item
// can be neither left out nor parked, because handling it later would not be handling it once.
func (w *worker) announce(ctx context.Context) error {
	if w.last <= w.ahead && len(w.late) == 0 {
		return nil
	}
	ahead := max(w.last, w.ahead)
	err := w.updatePartition(ctx, running, w.number, w.shared, func(p *partition) (bool, error) {
		if p.owner != w.id || p.term != w.term || p.epoch != w.shared.epoch {
			return false, errLost
		}
		p.ahead, p.parked = ahead, slices.Clone(p.parked)
		for i := range p.parked {
			p.parked[i].ahead = max(p.parked[i].ahead, w.late[p.parked[i].stream])
		}
		return true, nil
	})
	if err == nil {
		w.ahead = ahead
	}
	return err
}

// leave gives the partition up as its record is.
func (w *worker) leave(ctx context.Context) error {
	return w.updatePartition(ctx, running, w.number, w.shared, func(p *partition) (bool, error) {
		if p.owner != w.id || p.term != w.term {
			return false, errLost
		}
		p.owner = ""
		return true, nil
	})
}

// save writes what the worker has done, and learns what operators ask for. If the record says that
// another instance has the partition, it returns errLost. If leave is true, the partition has no
// owner afterwards. (Rule F12)
func (w *worker) save(ctx context.Context, leave bool) error {
	if w.unsaved > 0 && w.staged {
		if err := w.announce(ctx); err != nil {
			return err
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.position = w.reached()
	if !leave && w.unsaved == 0 && w.position == w.saved {
		w.saveDue = time.Now().Add(moveEvery)
		return nil
	}
	err := w.updatePartition(ctx, running, w.number, w.shared, func(p *partition) (bool, error) {
		if p.owner != w.id || p.term != w.term || p.epoch != w.shared.epoch {
			return false, errLost
		}
		for _, e := range p.parked {
			if i, found := w.find(e.stream); found && e.request > w.parked[i].request {
				w.parked[i].request, w.parked[i].skip = e.request, e.skip
			}
		}
		p.position, p.done, p.ahead, p.parked = w.position, w.done, w.ahead, w.parked
		if leave {
			p.owner = ""
		}
		return true, nil
	})
	if err == nil {
		clear(w.late)
		w.unsaved, w.saved, w.saveDue = 0, w.position, time.Now().Add(moveEvery)
	}
	return err
}
