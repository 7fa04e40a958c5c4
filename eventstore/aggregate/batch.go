package aggregate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// These limit a batch. An update is not decided in a batch that has reached one of them.
const (
	batchUpdates = 100
	batchEvents  = 100
	batchBytes   = 256 << 10 // of payloads
)

// batch is one try of one or more updates of a stream. Each is decided on the state that the one
// before it left, and all of their events go into one append.
//
// A single update runs its batch itself. Otherwise the batch has a goroutine of its own, because no
// update may hold up the others when its context ends. That goroutine asks the updates for their
// decisions, which they make in their own goroutines.
type batch[S any] struct {
	r       *Repository[S]
	leader  *update[S]
	updates []*update[S] // the first is leader
	base    *cached[S]   // not for the goroutines of the updates, which use the next two

	state   Aggregate[S] // as it was before
	session *eventstore.Session

	// loaded says that base was brought up to date for the leader. since is a number of the queue
	// before that, or 0 if it is not known.
	loaded bool
	since  uint64
	kept   bool // base was in the cache

	ctx    context.Context // ends when the contexts of all updates have ended
	cancel context.CancelCauseFunc

	found map[*update[S]]outcome[S] // of the updates whose idempotency id decides
	parts []*part[S]                // of the updates that were decided, in order
	back  []*update[S]              // updates that were not decided
	again chan struct{}             // closed when the updates to be tried again are back in their line

	stored   bool // the events are stored
	released bool // base is in the cache, or its session is closed

	mu     sync.Mutex
	over   map[*update[S]]bool // updates whose context has ended
	away   map[*update[S]]bool // updates that have left
	flying map[*update[S]]bool // updates whose events may be stored
	told   map[*update[S]]bool // updates whose verdict is there
}

// part is the part of one update in a batch.
type part[S any] struct {
	update  *update[S]
	outcome outcome[S]
	verdict verdict[S]
}

func newBatch[S any](leader *update[S]) *batch[S] {
	return &batch[S]{r: leader.r, leader: leader, updates: []*update[S]{leader}, again: make(chan struct{}),
		over: map[*update[S]]bool{}, away: map[*update[S]]bool{}, flying: map[*update[S]]bool{}, told: map[*update[S]]bool{}}
}

// leave lets an update leave whose context has ended. It returns false if the update's events may
// be stored, or if its verdict is there.
func (b *batch[S]) leave(u *update[S]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told[u] {
		return false
	}
	b.over[u] = true
	if !slices.ContainsFunc(b.updates, func(u *update[S]) bool { return !b.over[u] && !b.told[u] }) {
		b.cancel(contextErr(u.ctx))
	}
	b.away[u] = !b.flying[u]
	return b.away[u]
}

// abandon lets an update leave even if its events may be stored. It returns false if the update's
// verdict is there.
func (b *batch[S]) abandon(u *update[S]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away[u] = !b.told[u]
	return b.away[u]
}

func (b *batch[S]) isTold(u *update[S]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told[u]
}

func (b *batch[S]) isAway(u *update[S]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.away[u]
}

// runForAll runs a batch in a goroutine of its own.
func (b *batch[S]) runForAll() {
	defer b.cancel(nil)
	ended := false
	defer func() {
		if !ended {
			b.crashed(recover())
			defer func() { _ = recover() }() // one of the updates panics already
			b.release(false)
		}
	}()
	b.run()
	ended = true
}

// runAlone runs the batch of a single update, in the goroutine of the update.
func (b *batch[S]) runAlone() verdict[S] {
	ended := false
	defer func() {
		if !ended {
			defer b.leader.turn.yield(nil)
			b.release(false)
		}
	}()
	b.run()
	ended = true
	return (<-b.leader.told).(verdict[S])
}

// run decides the updates, stores their events, and tells each update its verdict.
func (b *batch[S]) run() {
	b.find()
	for {
		if !b.decide() {
			return
		}
		if events, complete := b.takeOff(); complete {
			b.store(events)
			return
		}
	}
}

// find looks for the idempotency ids of the updates, in one request.
func (b *batch[S]) find() {
	ids := map[string][]*update[S]{}
	for _, u := range b.updates {
		if id := u.config.once; id != "" {
			ids[id] = append(ids[id], u)
		}
	}
	if len(ids) == 0 {
		return
	}
	b.found = map[*update[S]]outcome[S]{}
	versions, err := b.session.VersionsOf(b.ctx, slices.Sorted(maps.Keys(ids))...)
	for id, updates := range ids {
		if isA[*eventstore.ArgumentError](err) && len(ids) > 1 { // one of the ids is not possible
			one, err := b.session.VersionsOf(b.ctx, id)
			b.findOne(updates, id, one[id], err)
			continue
		}
		b.findOne(updates, id, versions[id], err)
	}
}

// findOne notes what was found out about the idempotency id of these updates.
func (b *batch[S]) findOne(updates []*update[S], id string, version int64, err error) {
	out := outcome[S]{after: b.state}
	switch {
	case err != nil:
		out.err, out.sure, out.overtaken, out.outdated = err, true, conflicts(err), b.outdated(err)
	case version > b.state.Version: // it was stored after the state was read
		out.overtaken = true
		out.err = &eventstore.VersionMismatchError{Stream: b.leader.stream, Expected: b.state.Version, Actual: version}
	case version > 0:
		out.after.RepeatOf = version
	default:
		return
	}
	for _, u := range updates {
		b.found[u] = out
	}
}

// decide asks each update for its decision. It returns false if that ended the batch.
func (b *batch[S]) decide() bool {
	b.parts, b.back = nil, nil
	state, used := b.state, map[string]int64{}
	events, bytes := 0, 0
	for i, u := range b.updates {
		if b.isAway(u) {
			continue
		}
		if events >= batchEvents || bytes >= batchBytes {
			b.back = b.updates[i:]
			break
		}
		p := &part[S]{update: u}
		found, known := b.found[u]
		switch version := used[u.config.once]; {
		case version > 0:
			p.outcome = outcome[S]{after: state, shares: true}
			p.outcome.after.RepeatOf = version
		case known:
			p.outcome = found
		default:
			answered, stuck := b.ask(p, state)
			switch {
			case stuck:
				b.parts, b.back = append(b.parts, p), b.updates[i+1:]
				b.retry()
				p.verdict.stuck = true
				b.end(true)
				return false
			case !answered && u.left.Load():
				continue
			case !answered: // it may have changed the state
				b.back = b.updates[i+1:]
				b.retry()
				b.end(false)
				return false
			}
		}
		b.leader.turn.goOn()
		b.parts = append(b.parts, p)
		if p.outcome.outdated {
			b.back = b.updates[i+1:]
			b.retryInNewSession()
			return false
		}
		if p.outcome.overtaken {
			b.back = b.updates[i+1:]
			b.conflict(p.outcome.err)
			b.end(false)
			return false
		}
		for id := range p.outcome.ids {
			if version := used[id]; version > 0 {
				p.outcome = outcome[S]{after: state, shares: true, err: &eventstore.IdempotencyIDUsedError{Stream: u.stream, IdempotencyID: id, Version: version}}
				break
			}
		}
		if len(p.outcome.events) > 0 {
			events, bytes = events+len(p.outcome.events), bytes+p.outcome.bytes
			maps.Copy(used, p.outcome.ids)
			state = p.outcome.after
			state.Appended = nil
		}
	}
	return true
}

// ask asks an update for its decision. If there is no answer, the update has ended. It is stuck if
// its decision takes so long that the updates behind it should not wait for it any longer.
func (b *batch[S]) ask(p *part[S], state Aggregate[S]) (answered, stuck bool) {
	u := p.update
	if len(b.updates) == 1 {
		p.outcome = u.answer(b, state)
		return true, false
	}
	answer := make(chan outcome[S], 1)
	u.told <- question[S]{state, answer}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p.outcome = <-answer:
		return true, false
	case <-u.gone:
		return false, false
	case <-timer.C:
		return false, true
	}
}

// takeOff returns the events to append. From then on, updates cannot take back their events. It
// returns false if an update has left meanwhile whose events others were decided on.
func (b *batch[S]) takeOff() (events []any, complete bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.parts {
		if b.away[p.update] && len(p.outcome.events) > 0 {
			return nil, false
		}
		events = append(events, p.outcome.events...)
	}
	for _, p := range b.parts {
		if len(p.outcome.events) > 0 || p.outcome.shares {
			b.flying[p.update] = true
		}
	}
	return events, true
}

// store appends the events. If there are none, it makes sure that what was decided is up to date.
func (b *batch[S]) store(events []any) {
	if len(events) == 0 {
		b.confirm()
		return
	}
	at, began := b.state.Version, time.Now()
	_, err := b.session.Append(b.ctx, eventstore.ExpectVersion(at), events...)
	if err != nil {
		b.notStored(err)
		return
	}
	b.stored, b.base.known = true, began
	for _, p := range b.parts {
		p.verdict = verdict[S]{after: p.outcome.after, err: p.outcome.err, spent: p.outcome.spent}
	}
	b.end(true)
}

// confirm tells the updates what they have decided on the state, if the state is still current.
func (b *batch[S]) confirm() {
	current := func(p *part[S]) bool {
		return p.outcome.sure || b.loaded && p.update.turn.number <= b.since
	}
	var err error
	if slices.ContainsFunc(b.parts, func(p *part[S]) bool { return !current(p) }) {
		var version int64
		at, began := b.state.Version, time.Now()
		version, err = b.session.Refresh(b.ctx)
		if err == nil && version != at {
			err = &eventstore.VersionMismatchError{Stream: b.leader.stream, Expected: at, Actual: version}
		}
		switch {
		case b.outdated(err):
			b.retryInNewSession()
			return
		case conflicts(err):
			b.conflict(err)
			for _, p := range b.parts {
				p.verdict.counts = false
			}
			b.end(false)
			return
		case err == nil:
			b.base.known = began
		}
	}
	for _, p := range b.parts {
		p.verdict = verdict[S]{after: p.outcome.after, err: p.outcome.err, spent: p.outcome.spent}
		if err != nil && !current(p) {
			p.verdict = verdict[S]{after: b.state, err: err}
		}
	}
	failed := func(p *part[S]) bool { return p.outcome.sure }
	b.end(err == nil && !slices.ContainsFunc(b.parts, failed))
}

// notStored ends a batch whose append failed.
func (b *batch[S]) notStored(err error) {
	var used *eventstore.IdempotencyIDUsedError
	of := func(p *part[S]) bool { return len(p.outcome.events) > 0 }
	many := len(b.parts) > 1 && slices.ContainsFunc(b.parts[slices.IndexFunc(b.parts, of)+1:], of)
	fails := func(p *part[S]) bool { return of(p) || p.outcome.shares }
	switch {
	case errors.As(err, new(*eventstore.OutcomeUnknownError)):
	case conflicts(err):
		b.conflict(err)
		b.base.behind = isA[*eventstore.VersionMismatchError](err) && !isA[*eventstore.SessionLostError](err) && !isA[*eventstore.LostWritesError](err)
		b.end(b.base.behind)
		return
	case errors.As(err, &used):
		fails = func(p *part[S]) bool { _, ok := p.outcome.ids[used.IdempotencyID]; return ok }
	case b.outdated(err), b.kept && isA[*eventstore.StreamClosedError](err): // it may be deleted by now
		b.retryInNewSession()
		return
	case many && !isA[*eventstore.StorageError](err) && !isA[*eventstore.StreamClosedError](err) && !isA[*eventstore.StreamDeletedError](err):
		// They do not fit together.
		b.retry()
		for _, p := range b.parts {
			p.update.turn.goAlone()
		}
		b.end(false)
		return
	}
	b.retry()
	for _, p := range b.parts {
		switch {
		case !fails(p):
		case used != nil && p.update.config.once == used.IdempotencyID: // the next try will find it
			p.verdict.conflict, p.verdict.counts, p.verdict.since, p.verdict.err = true, b.loaded, b.since, err
		default:
			p.verdict = verdict[S]{after: b.state, err: err}
		}
	}
	b.end(false)
}

// outdated reports whether err says that the session has expired, although a new one would have
// had time enough.
func (b *batch[S]) outdated(err error) bool {
	return (b.kept || len(b.updates) > 1) && isA[*eventstore.SessionExpiredError](err)
}

// retryInNewSession ends the batch and makes all updates try again. If the session was new, there
// was not enough time for so many decisions.
func (b *batch[S]) retryInNewSession() {
	b.retry()
	for _, p := range b.parts {
		if !b.kept {
			p.update.turn.goAlone()
		}
	}
	b.end(false)
}

// retry makes all updates try again. No other writer is to blame.
func (b *batch[S]) retry() {
	for _, p := range b.parts {
		p.verdict = verdict[S]{after: b.state, again: b.again}
	}
}

// conflict makes all updates try again because another writer was first.
func (b *batch[S]) conflict(err error) {
	b.retry()
	for _, p := range b.parts {
		p.verdict.err, p.verdict.conflict, p.verdict.counts, p.verdict.since = err, true, b.loaded, b.since
	}
}

// crashed ends a batch whose goroutine panicked with that value, or ended by runtime.Goexit. One
// update panics with the value.
func (b *batch[S]) crashed(value any) {
	if !b.stored {
		b.unanswered(fmt.Errorf("the append did not return: %v", value))
	}
	for _, p := range b.parts {
		if p.verdict.again == nil && !b.isTold(p.update) {
			p.verdict.panicked = value
			break
		}
	}
	b.finish()
}

// unanswered gives all updates their verdicts when nothing is known of the append. It makes those
// that have no events in it try again, but for one if none has.
func (b *batch[S]) unanswered(cause error) {
	b.parts, b.back = nil, nil
	for _, u := range b.updates {
		if !b.isAway(u) {
			b.parts = append(b.parts, &part[S]{update: u})
		}
	}
	b.retry()
	for i, p := range b.parts {
		if b.flying[p.update] || len(b.flying) == 0 && i == 0 {
			p.verdict = verdict[S]{after: b.state, err: &eventstore.OutcomeUnknownError{Stream: p.update.stream, Base: b.state.Version, Cause: cause}}
		}
	}
}

// end tells each update its verdict, and ends the turns. If keep is true, the state goes into the
// cache. One update whose events were stored is told last, when a snapshot is saved.
func (b *batch[S]) end(keep bool) {
	for _, u := range b.back {
		b.parts = append(b.parts, &part[S]{update: u, verdict: verdict[S]{again: b.again}})
	}
	b.back = nil
	var last *part[S]
	for _, p := range b.parts {
		if p.verdict.again == nil && !b.isAway(p.update) {
			last = p
		}
	}
	for _, p := range b.parts {
		if p != last {
			b.tell(p)
		}
	}
	if len(b.parts) > 1 {
		runtime.Gosched() // the callers may have further updates for the next batch
	}
	if b.stored {
		b.settle()
	}
	b.release(keep)
	b.finish()
}

// release puts the state into the cache if keep is true, or closes its session.
func (b *batch[S]) release(keep bool) {
	if b.released {
		return
	}
	b.released = true // even if the following panics
	if keep && b.r.cache != nil {
		b.r.cache.put(b.ctx, b.leader.stream, b.base)
	} else {
		b.base.close(b.ctx)
	}
}

// finish ends the turns, and tells their verdicts to the updates that do not know them yet.
func (b *batch[S]) finish() {
	var back []*turn
	for _, p := range b.parts {
		if p.verdict.again != nil && !p.verdict.stuck && !b.isAway(p.update) {
			back = append(back, p.update.turn)
		}
	}
	b.leader.turn.yield(back)
	for _, t := range back {
		select {
		case <-t.of.(*update[S]).gone: // it panicked and does not come back
			t.leave()
		default:
		}
	}
	close(b.again)
	for _, p := range b.parts {
		b.tell(p)
	}
}

// tell gives an update its verdict, unless it has left or knows it.
func (b *batch[S]) tell(p *part[S]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.away[p.update] && !b.told[p.update] {
		b.told[p.update] = true
		p.update.told <- p.verdict
	}
}

// settle makes the new state the base, and saves a snapshot of it if one is due.
func (b *batch[S]) settle() {
	for _, p := range b.parts {
		if len(p.outcome.events) == 0 {
			continue
		}
		if b.base.since.IsZero() {
			b.base.since = p.outcome.after.Appended[0].Metadata.Message.Created
		}
		b.base.Aggregate = p.outcome.after
		b.base.bytes += int64(p.outcome.bytes)
	}
	if b.r.saveSnapshot(b.ctx, b.session, b.base.loaded) {
		b.base.Snapshot, b.base.since = b.base.Version, time.Now()
	}
}

// isA reports whether err is an E or wraps one.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
