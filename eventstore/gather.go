package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Appends that take any version need not race. Those that wait for each other, in one session or in
// [Provider.Append] for one stream, are stored by one commit, in the order of their calls. Each of
// them succeeds or fails on its own.

// These limit what one commit of several appends stores.
const (
	gatherEvents = 100
	gatherBytes  = 256 << 10 // of payloads
)

// gathering lines up appends. Its zero value is ready for use.
type gathering struct {
	mu   sync.Mutex
	busy bool
	line []*joined // in the order of their calls
}

// joined is an append that takes part.
type joined struct {
	ctx    context.Context
	drafts []draft
	turn   chan *gathered // gets the batch that this append is the first of
	told   chan struct{}  // closed when the following are set

	version int64 // of its last event
	counts  commitCounts
	err     error

	returned bool // because its context ended; guarded by gathered.mu
}

// gathered is a batch of appends that one commit stores. If they do not fit into one request, each
// has a commit of its own.
type gathered struct {
	first *joined
	size  int // how many members it had at first

	mu      sync.Mutex
	members []*joined // whose outcome is not known
	aboard  []*joined // those whose events are in the present try
	flying  *commit   // holds the events of those aboard, and may take effect
	singly  bool      // each member has a commit of its own
	waiting int       // how many members have not returned
	cancel  context.CancelFunc
}

// join makes drafts part of a commit, and returns when the outcome is known or ctx has ended. If no
// other append waits, it calls alone. Otherwise the first of those that wait calls together, in a
// goroutine of its own, because no append may hold up the others when its context ends. together
// calls store for the batch, or tells it why it could not.
func (g *gathering) join(ctx context.Context, drafts []draft, alone func() (int64, commitCounts, error), together func(context.Context, *gathered)) (version int64, counts commitCounts, err error) {
	j := &joined{ctx: ctx, drafts: drafts, turn: make(chan *gathered, 1), told: make(chan struct{})}
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		defer g.pass()
		return alone()
	}
	g.line = append(g.line, j)
	g.mu.Unlock()
	var b *gathered
	select {
	case b = <-j.turn:
	case <-ctx.Done():
		if g.leave(j) {
			return 0, commitCounts{}, &notStored{contextErr(ctx)}
		}
		b = <-j.turn
	}
	switch first := b.first == j; {
	case first && b.size == 1:
		defer g.pass()
		return alone()
	case first:
		within, cancel := context.WithCancel(context.WithoutCancel(ctx))
		b.cancel = cancel
		go func() {
			defer g.pass()
			defer cancel()
			defer b.crashed()
			together(within, b)
		}()
	}
	return b.wait(j)
}

// notStored says that an append left before anything was sent.
type notStored struct{ cause error }

func (e *notStored) Error() string { return e.cause.Error() }

// leftError returns the error to report for an append that may have left its batch.
func (h *streamHandle) leftError(err error) error {
	if left := (*notStored)(nil); errors.As(err, &left) {
		return h.failed("append", fmt.Errorf("%w: another append did not end: %w", driver.ErrRefused, left.cause))
	}
	return err
}

// leave takes an append out of the line. It returns false if its batch has begun.
func (g *gathering) leave(j *joined) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.line, j)
	if i >= 0 {
		g.line = slices.Delete(g.line, i, i+1)
	}
	return i >= 0
}

// pass makes a batch of those that wait, and lets its first member go on.
func (g *gathering) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy = len(g.line) > 0; !g.busy {
		return
	}
	n, events, bytes := 0, 0, 0
	ids := map[string]bool{}
	for _, j := range g.line {
		twice := false
		for _, d := range j.drafts {
			events, bytes = events+1, bytes+len(d.raw.Payload)
			id := d.metadata.Context.IdempotencyID
			twice = twice || id != "" && ids[id]
			ids[id] = true
		}
		if n > 0 && (twice || events > gatherEvents || bytes > gatherBytes) {
			break
		}
		n++
	}
	next := slices.Clone(g.line[:n])
	g.line = slices.Delete(g.line, 0, n)
	b := &gathered{first: next[0], size: n, members: slices.Clone(next), waiting: n}
	for _, j := range next {
		j.turn <- b
	}
}

// wait returns when the outcome of an append is known, or when its context has ended.
func (b *gathered) wait(j *joined) (int64, commitCounts, error) {
	select {
	case <-j.told:
	case <-j.ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		select {
		case <-j.told:
			return j.version, j.counts, j.err
		default:
		}
		j.returned = true
		b.gone()
		if b.flying == nil || !slices.Contains(b.aboard, j) || !b.flying.number.keep(*b.flying) {
			return 0, j.counts, &notStored{contextErr(j.ctx)}
		}
		return 0, j.counts, b.unknown(j, contextErr(j.ctx))
	}
	return j.version, j.counts, j.err
}

// begin returns the drafts of the members that take part in the next try. They may leave until
// send. A member that has returned takes no part, even if it was in a try before, because it was
// told of that commit alone.
func (b *gathered) begin() (drafts []draft) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members = slices.DeleteFunc(b.members, func(j *joined) bool { return j.returned })
	b.aboard = slices.Clone(b.members)
	if b.singly && len(b.aboard) > 1 {
		b.aboard = b.aboard[:1]
	}
	for _, j := range b.aboard {
		drafts = append(drafts, j.drafts...)
	}
	return drafts
}

// send notes that a commit with the drafts of begin is sent now. It returns false if one of the
// members has left since. From then on a member that leaves may send the commit too. So it must not
// be called before all that can fail without a look at what became of the commit.
func (b *gathered) send(c *commit) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.aboard, func(j *joined) bool { return j.returned }) {
		return false
	}
	b.flying = c
	return true
}

// lost notes that the commit will not take effect.
func (b *gathered) lost() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying = nil
}

// gone notes that a member returns. When the last one does, the commit may stop. The caller holds
// b.mu.
func (b *gathered) gone() {
	if b.waiting--; b.waiting == 0 && b.cancel != nil {
		b.cancel()
	}
}

// tell sets the outcome of a member. The caller holds b.mu.
func (b *gathered) tell(j *joined, version int64, counts commitCounts, err error) {
	b.members = slices.DeleteFunc(b.members, func(other *joined) bool { return other == j })
	j.version, j.counts, j.err = version, counts, err
	close(j.told)
	if !j.returned {
		b.gone()
	}
}

// settle tells members how the try has ended. It returns false if it has told all of them. If the
// try has not begun, err is the error of each.
func (b *gathered) settle(err error, counts commitCounts) (more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	concerned := b.aboard
	if len(concerned) == 0 {
		concerned = slices.Clone(b.members)
	}
	var used *IdempotencyIDUsedError
	var unknown *OutcomeUnknownError
	switch {
	case err != nil && b.flying != nil && !errors.As(err, &unknown) && slices.ContainsFunc(concerned, func(j *joined) bool { return j.returned }):
		unknown = &OutcomeUnknownError{Cause: err} // one that has left may send the commit again
		err = unknown
	case (isA[*BatchTooLargeError](err) || isA[*InlineError](err)) && len(concerned) > 1:
		b.singly, concerned = true, nil
	case errors.As(err, &used):
		concerned = slices.DeleteFunc(concerned, func(j *joined) bool {
			return !slices.Contains(idempotencyIDs(j.drafts), used.IdempotencyID)
		})
	}
	for _, j := range concerned {
		switch {
		case err == nil:
			own := b.own(j)
			b.tell(j, own[len(own)-1].version, counts, nil)
		case errors.As(err, &unknown) && b.flying != nil:
			b.tell(j, 0, counts, b.unknown(j, unknown.Cause))
		default:
			b.tell(j, 0, counts, err)
		}
	}
	b.flying, b.aboard = nil, nil
	return len(b.members) > 0
}

// own returns the events of a member in the commit. The caller holds b.mu.
func (b *gathered) own(j *joined) []record {
	from := 0
	for _, before := range b.aboard[:slices.Index(b.aboard, j)] {
		from += len(before.drafts)
	}
	return b.flying.events[from : from+len(j.drafts)]
}

// unknown returns the error of a member whose events may be stored. The caller holds b.mu.
func (b *gathered) unknown(j *joined, cause error) error {
	c := *b.flying
	c.leaves = nil
	return &OutcomeUnknownError{Stream: c.stream, CommitID: c.id, Base: c.base, Cause: cause, commit: c, own: b.own(j)}
}

// crashed ends a batch whose goroutine panicked or ended. The members do not panic, because the
// fault is none of theirs.
func (b *gathered) crashed() {
	value := recover()
	err := fmt.Errorf("the append did not return: %v", value)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range slices.Clone(b.members) {
		if b.flying != nil && slices.Contains(b.aboard, j) {
			b.tell(j, 0, commitCounts{}, b.unknown(j, err))
		} else {
			b.tell(j, 0, commitCounts{}, &notStored{err})
		}
	}
}

// storeGathered stores the events of a batch at whatever version the stream has, and tells each
// member its outcome. When the last one is told, nothing of the batch uses the session any more.
func (s *Session) storeGathered(ctx context.Context, b *gathered) {
	for more := true; more; {
		var counts commitCounts
		err := s.exclusively(ctx, "append", func(ctx context.Context) error {
			s.writer.counts = commitCounts{}
			defer func() { counts = s.writer.counts }()
			return s.tryGathered(ctx, b)
		})
		more = b.settle(err, counts)
	}
}

// tryGathered makes one commit of a batch, again and again as long as other appends come first.
func (s *Session) tryGathered(ctx context.Context, b *gathered) error {
	for n := 0; ; n++ {
		drafts := b.begin()
		if len(drafts) == 0 {
			return nil
		}
		if err := s.tooLarge(drafts); err != nil {
			return err
		}
		c, err := s.planCommit(ctx, ExpectAny(), drafts)
		if err == nil {
			c.leaves = func() bool { return b.send(&c) }
			err = s.writer.commit(ctx, c)
		}
		if err == errLeft {
			continue
		}
		if err != errAdopted && !isA[*VersionMismatchError](err) {
			return err
		}
		b.lost()
		if err := s.overtaken(ctx, n, drafts, err); err != nil {
			return err
		}
	}
}

// gatherings are the appends of a provider that take any version, by stream.
type gatherings struct {
	mu sync.Mutex
	of map[Stream]*counted
}

// counted is a gathering with the number of calls that use it.
type counted struct {
	gathering
	calls int
}

// use returns the gathering of a stream. Call done afterwards.
func (gs *gatherings) use(stream Stream) (g *gathering, done func()) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	c := gs.of[stream]
	if c == nil {
		if gs.of == nil {
			gs.of = map[Stream]*counted{}
		}
		c = &counted{}
		gs.of[stream] = c
	}
	c.calls++
	return &c.gathering, func() {
		gs.mu.Lock()
		defer gs.mu.Unlock()
		if c.calls--; c.calls == 0 {
			delete(gs.of, stream)
		}
	}
}
