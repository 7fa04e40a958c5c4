package subscription

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// hangingAfter is how long a handler may go on after its context has ended.
const hangingAfter = 5 * time.Second

// try calls the handler until the item is handled, and returns how often it called it. The error is
// a HandlerError if it was called often enough, and else why the worker must end.
func (w *worker) try(ctx context.Context, item feed.Item) (int, error) {
	if item.Err != nil {
		return 0, w.unhandled(item, 0, item.Err)
	}
	wait, away := w.firstPause, false
	for n := 1; ; n++ {
		if err := w.mayGoOn(); err != nil {
			return n - 1, err
		}
		err := w.call(ctx, item)
		switch {
		case err == nil:
			return n, nil
		case isA[*HungError](err):
			return n, err
		case w.ctx.Err() != nil:
			return n, context.Cause(w.ctx)
		}
		if p, ok := errors.AsType[*PanicError](err); ok {
			w.log.WarnContext(ctx, "the handler panicked", w.about(item, "error", err, "stack", string(p.Stack))...)
		}
		switch {
		case w.waitsFor(err):
			if !away {
				w.log.WarnContext(ctx, "a subscription cannot use the store", w.about(item, "error", err)...)
			}
			away = true
			n--
		case n > w.retries:
			return n, w.unhandled(item, n, err)
		}
		w.log.DebugContext(ctx, "the handler failed and is called again", w.about(item, "attempts", n, "error", err)...)
		timer := time.NewTimer(jitter.Of(w.ctx, wait))
		select {
		case <-timer.C:
		case <-w.ctx.Done():
		case <-w.release:
		}
		timer.Stop()
		wait = min(2*wait, w.longestWait)
	}
}

func (w *worker) unhandled(item feed.Item, attempts int, cause error) error {
	return &HandlerError{Subscription: w.name, Partition: w.number, Position: item.Position, Stream: item.Stream,
		What: item.What, Version: item.Version, Attempts: attempts, Cause: cause}
}

// call calls the handler once. It waits until the handler returns, but not for ever.
func (w *worker) call(ctx context.Context, item feed.Item) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, w.limit, errHandlerTimeout)
	defer cancel()
	done := make(chan error, 1)
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		protect(func() error { return w.stage.Handle(ctx, item) }, done)
	}()
	select {
	case err := <-done:
		<-returned
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(hangingAfter)
	defer timer.Stop()
	select {
	case err := <-done:
		<-returned
		if err != nil && context.Cause(ctx) == errHandlerTimeout {
			err = errors.Join(errHandlerTimeout, err)
		}
		return err
	case <-timer.C:
		w.hanging = returned
		return &HungError{w.name, w.number, item.Stream, item.Version, time.Since(began)}
	}
}

// retryAtOnce is how many items of a parked stream are handled before it is another item's turn.
const retryAtOnce = 64

// retryParked tries again what operators ask for.
func (w *worker) retryParked() error {
	for i := 0; i < len(w.parked); i++ {
		p := &w.parked[i]
		if p.request <= p.answered {
			continue
		}
		over, err := w.retry(p)
		switch {
		case err != nil:
			w.note() // items before may have been handled, and are no longer held back
			return err
		case over && p.over():
			w.log.DebugContext(w.ctx, "a stream is no longer parked", "partition", w.number, "stream", p.stream)
			w.parked = slices.Delete(slices.Clone(w.parked), i, i+1)
			i--
		case over:
			p.answered = p.request
		default:
			signal(w.asked)
		}
		w.note()
		if over {
			if err := w.saveInTime(); err != nil {
				return err
			}
		}
	}
	return nil
}

// over reports whether nothing is held back any more.
func (p *parked) over() bool { return p.from > p.to && p.closed == 0 && p.deleted == 0 }

// retry handles some of the items that are held back. It returns true if it has come to their end,
// or to an item that cannot be handled.
func (w *worker) retry(p *parked) (bool, error) {
	stream, err := eventstore.ParseStream(p.stream)
	if err != nil {
		return true, w.damaged(w.keys.of(w.number), err)
	}
	if p.skip == p.from && w.staged && p.from <= p.ahead {
		w.log.WarnContext(w.ctx, "an item is not left out, because a part of its effects may be durable", "partition", w.number, "stream", p.stream, "version", min(p.from, p.to))
		p.skip = 0
	}
	if p.skip != 0 && p.skip == p.from {
		w.log.WarnContext(w.ctx, "an item is left out", "partition", w.number, "stream", p.stream, "version", min(p.from, p.to))
		p.drop()
		p.skip = 0
		w.note()
		// Whoever takes the partition over must not deliver the item after those that follow it.
		if err := w.saveInTime(); err != nil {
			return true, err
		}
	}
	items, err := w.heldBack(stream, p)
	if err != nil {
		return true, err
	}
	for _, item := range items {
		if isA[*eventstore.StreamDeletedError](item.Err) {
			p.from, p.closed = p.to+1, 0
			return p.over(), nil
		}
		if item.Err != nil || w.wants(item) {
			attempts, err := w.deliver(item, p.attempts > 0)
			if failed, ok := errors.AsType[*HandlerError](err); ok {
				w.log.WarnContext(w.ctx, "a stream stays parked", w.about(item, "attempts", attempts, "error", failed.Cause)...)
				p.attempts, p.reason, p.position = int64(attempts), reasonOf(failed.Cause), item.Position
				return true, nil
			}
			if err != nil {
				return true, err
			}
			w.late[p.stream] = p.from
		}
		p.drop()
	}
	return p.over(), nil
}

// drop removes the first item that is held back. The handler was not called for the one after it.
func (p *parked) drop() {
	p.attempts = 0
	switch {
	case p.from <= p.to:
		p.from++
	case p.closed != 0:
		p.closed = 0
	default:
		p.deleted = 0
	}
}

// wants reports whether the subscription is about events of that type.
func (w *worker) wants(item feed.Item) bool {
	return item.What != feed.Appended || len(w.events) == 0 || slices.Contains(w.events, item.Event.Metadata.Message.Type)
}

// heldBack reads the next items of a parked stream, from the stream itself.
func (w *worker) heldBack(stream eventstore.Stream, p *parked) ([]feed.Item, error) {
	item := feed.Item{Position: p.position, Stream: stream}
	if p.from > p.to {
		item.What, item.Version = feed.Closed, p.closed
		if p.closed == 0 {
			item.What, item.Version = feed.Deleted, p.deleted
		}
		if item.Version == 0 {
			return nil, nil
		}
		return []feed.Item{item}, nil
	}
	events := make([]eventstore.Committed, min(p.to-p.from+1, retryAtOnce))
	for i := range events {
		events[i] = eventstore.Committed{Stream: stream, Version: p.from + int64(i)}
	}
	for n := 0; ; n++ {
		err := w.inside.Events(w.ctx, running, events)
		for i := range events {
			if e := &events[i]; err == nil && e.Err == nil {
				if w.inside.Decode(w.ctx, e); isA[*eventstore.StorageError](e.Err) {
					err = e.Err
				}
			}
		}
		switch {
		case err == nil:
			items := make([]feed.Item, len(events))
			for i, e := range events {
				item.Version, item.Time, item.Event, item.Err = e.Version, e.Event.Metadata.Context.Timestamp, e.Event, e.Err
				items[i] = item
			}
			return items, nil
		case w.ctx.Err() != nil:
			return nil, context.Cause(w.ctx)
		case eventstore.Advise(err) != eventstore.AdviceRetry:
			return nil, err
		case !w.alive():
			return nil, errLapsed
		}
		pause.For(w.ctx, min(100*time.Millisecond<<min(n, 5), time.Second))
	}
}
