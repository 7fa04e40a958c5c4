package aggregate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// update is one call of Update on its way. Its decision and its folds run in the goroutine of the
// call. Unless noted, its fields belong to that goroutine.
type update[S any] struct {
	r      *Repository[S]
	ctx    context.Context
	stream eventstore.Stream
	decide Decide[S]
	config updateConfig
	tries  *int // for the observer: how often it was decided

	turn *turn
	told chan any      // a *batch, a question or a verdict, from the batch that it is in
	gone chan struct{} // closed when the call has ended, in whatever way
	left atomic.Bool   // it ended because its context did; set before gone is closed

	conflicts int   // how often another writer was first
	spent     int   // how many of these count as retries
	before    error // of the last of these
	asked     bool  // it was decided in the batch
}

// verdict is what a batch tells an update at its end.
type verdict[S any] struct {
	after Aggregate[S]
	err   error

	again    <-chan struct{} // not nil: the update must be tried again, once the channel is closed
	conflict bool            // again, because another writer was first
	counts   bool            // the conflict is a try, because the state was loaded for the batch
	since    uint64          // see batch; with counts
	stuck    bool            // again, because its decision held up the others
	spent    bool            // it needs another decision, but none is allowed

	panicked any // the append panicked with this
}

// outcome is what an update made of a state.
type outcome[S any] struct {
	after  Aggregate[S] // what Update will return
	err    error        // what Update will return
	events []any        // to append
	bytes  int          // their payloads
	ids    map[string]int64

	overtaken bool // another writer was first, as err says
	outdated  bool // the session has expired
	sure      bool // err does not depend on the state
	shares    bool // it depends on the events of another update in the batch
	spent     bool // see verdict
}

// run makes an update: it takes turns until one of them ends it.
func (u *update[S]) run() (Aggregate[S], error) {
	u.told, u.gone = make(chan any, 16), make(chan struct{})
	u.turn = u.r.queue.newTurn(u.stream, u)
	u.turn.join()
	defer u.turn.leave()
	defer close(u.gone) // before the turn leaves, see batch.end
	*u.tries = 1
	decided := 0
	decide := u.decide
	u.decide = func(state S) ([]any, error) {
		decided++
		*u.tries, u.asked = decided, true
		return decide(state)
	}
	givenUp := func(why string) error {
		if decided <= 1 && u.ctx.Err() == nil {
			return u.before
		}
		return fmt.Errorf("aggregate: gave up the update of %s after %d tries, because other updates were stored first: nothing was stored; %s: %w",
			u.stream, decided, why, u.before)
	}
	const ofRetries = "repeat it later, or allow more tries with WithRetries"
	pausing := false
	for {
		where := u.turn.wait(u.ctx)
		if len(u.told) > 0 { // the turn was taken, and may be back in its line
			where = taken
		}
		if u.before != nil && (where == left && u.ctx.Err() != nil || where == holding && pausing && !pause(u.ctx, u.conflicts-1)) {
			return Aggregate[S]{}, fmt.Errorf("%w; %w", givenUp("the context ended"), contextErr(u.ctx))
		}
		var v verdict[S]
		pausing, u.asked = false, false
		if where == taken {
			v = u.follow()
		} else {
			v = u.lead()
		}
		switch {
		case v.spent:
			return v.after, givenUp(ofRetries)
		case v.again == nil:
			return v.after, v.err
		}
		<-v.again
		switch {
		case v.stuck:
			u.turn.rejoin()
		case v.conflict:
			// A state that was loaded before the call began may have been old from the first.
			if u.before = v.err; v.counts && u.asked && (u.conflicts > 0 || u.turn.joined <= v.since) {
				u.spent++
			}
			u.conflicts++
			pausing = v.counts
			// The update that was stored first may be this same command. Only another look shows
			// that.
			look := u.config.once != "" || u.config.expected >= 0
			if u.spent > u.r.config.retries && !look || u.conflicts > max(u.r.config.retries, DefaultRetries) {
				return v.after, givenUp(ofRetries)
			}
		}
	}
}

// pause waits before the next try: up to 2 ms at first, and up to 128 ms in the end. The random
// part keeps updates that met once from meeting again. pause reports whether the context is still
// alive.
func pause(ctx context.Context, n int) bool {
	timer := time.NewTimer(jitter.Below(ctx, 2*time.Millisecond<<min(n, 6)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// contextErr returns why ctx ended: its error, and its cause if there is one.
func contextErr(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// lead makes one try, together with the updates that wait behind this one.
func (u *update[S]) lead() verdict[S] {
	u.turn.goOn()
	b, err := u.begin()
	if err != nil {
		if !conflicts(err) {
			return verdict[S]{err: err, after: b.base.Aggregate}
		}
		return verdict[S]{err: err, again: closed, conflict: true, counts: true, since: b.since}
	}
	b.state, b.session = b.base.Aggregate, b.base.session
	for _, t := range u.turn.take(u.r.batch - 1)[1:] {
		b.updates = append(b.updates, t.of.(*update[S]))
	}
	if len(b.updates) == 1 {
		b.ctx = u.ctx
		return b.runAlone()
	}
	b.ctx, b.cancel = context.WithCancelCause(context.WithoutCancel(u.ctx))
	for _, other := range b.updates {
		other.told <- b
	}
	go b.runForAll()
	return u.follow()
}

// closed is a channel to receive from at once.
var closed = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// begin returns a batch that is based on the cached state, or on one that it loads.
func (u *update[S]) begin() (*batch[S], error) {
	r, ctx := u.r, u.ctx
	b := newBatch(u)
	if ctx.Err() == nil {
		b.base = r.cache.take(ctx, u.stream)
		b.kept = b.base != nil
	}
	switch {
	case b.base == nil:
	case b.base.behind:
		if b.loaded = r.catchUp(ctx, b.base); b.loaded {
			return b, nil
		}
		b.base.close(ctx)
	case u.conflicts > 0: // an update whose tries are limited does not spend them on old states
		b.base.close(ctx)
	default:
		return b, nil
	}
	b.loaded, b.kept, b.since = true, false, r.queue.now()
	b.base = &cached[S]{within: scoped(ctx)}
	opened := time.Now()
	session, err := r.open(b.base.within, u.stream)
	if err != nil {
		return b, err
	}
	b.base.session, b.base.until, b.base.known = session, opened.Add(session.ExpiresAt().Sub(opened)/2), opened
	done := false
	defer func() {
		if !done {
			b.base.close(ctx)
		}
	}()
	if b.base.loaded, err = r.load(ctx, session); err != nil {
		return b, err
	}
	done = true
	return b, nil
}

// catchUp folds what others have appended since into a cached aggregate. It reports whether it
// could.
func (r *Repository[S]) catchUp(ctx context.Context, l *cached[S]) bool {
	for event, err := range l.session.Read(ctx, eventstore.After(l.Version), eventstore.CountBytes(&l.bytes)) {
		if err != nil || r.apply(&l.Aggregate, event) != nil {
			return false
		}
		if l.since.IsZero() {
			l.since = event.Metadata.Message.Created
		}
	}
	l.behind = false
	return true
}

// conflicts reports whether an error of a session says that another writer was first.
func conflicts(err error) bool {
	return errors.As(err, new(*eventstore.VersionMismatchError)) || errors.As(err, new(*eventstore.SessionLostError)) ||
		errors.As(err, new(*eventstore.LostWritesError))
}

// question asks an update for its decision on a state.
type question[S any] struct {
	state  Aggregate[S]
	answer chan<- outcome[S]
}

// grace is how long an update whose events are on their way waits for the answer after its context
// has ended. If all contexts of a batch end, that is long enough for the append to end as well.
const grace = 50 * time.Millisecond

// follow takes part in a batch until it tells its verdict.
func (u *update[S]) follow() verdict[S] {
	var b *batch[S]
	ended, late := u.ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case message := <-u.told:
			switch m := message.(type) {
			case *batch[S]:
				b = m
			case question[S]:
				m.answer <- u.answer(b, m.state)
			case verdict[S]:
				if m.panicked != nil {
					panic(m.panicked)
				}
				return m
			}
		case <-ended:
			if b == nil {
				b = (<-u.told).(*batch[S])
			}
			ended = nil
			if b.leave(u) {
				u.left.Store(true)
				return verdict[S]{err: &eventstore.StorageError{Stream: u.stream, Operation: "append", Cause: fmt.Errorf("%w: %w", driver.ErrRefused, contextErr(u.ctx))}}
			}
			timer := time.NewTimer(grace)
			defer timer.Stop()
			late = timer.C
		case <-late:
			if !b.abandon(u) {
				continue
			}
			return verdict[S]{err: &eventstore.OutcomeUnknownError{Stream: u.stream, Base: b.state.Version,
				Cause: fmt.Errorf("the context ended while the events were on their way together with those of other updates: %w", contextErr(u.ctx))}}
		}
	}
}

// answer decides on a state.
func (u *update[S]) answer(b *batch[S], at Aggregate[S]) outcome[S] {
	out := outcome[S]{after: at}
	if expected := u.config.expected; expected >= 0 && expected != at.Version {
		out.err = &eventstore.VersionMismatchError{Stream: u.stream, Expected: expected, Actual: at.Version}
		return out
	}
	if u.spent > u.r.config.retries {
		out.spent = true
		return out
	}
	decided, err := u.decide(at.State)
	if err != nil || len(decided) == 0 {
		out.err = err
		return out
	}
	after, stored, err := u.r.decided(u.ctx, b.session, at, decided, u.config)
	if err != nil {
		out.err, out.outdated = err, b.outdated(err)
		return out
	}
	out.after, out.events, out.ids = after, stored, map[string]int64{}
	for _, event := range stored {
		event := event.(eventstore.Event)
		out.bytes += len(event.Data.(eventstore.Raw).Payload)
		if id := event.Metadata.Context.IdempotencyID; id != "" {
			out.ids[id] = event.Version
		}
	}
	return out
}
