package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// process is one service that uses the event store, until it ends or crashes.
type process struct {
	*world
	id       int
	rng      *rand.Rand
	life     func(*process) // what it does, and what the process does that takes its place
	requests int
	crashed  bool
	frozen   bool               // it stands still
	stop     context.CancelFunc // ends what it does without an end; nil if there is no such thing

	writes    bool // it appends to a feed
	lostSight bool // it has lived through a restart, so the root may not name its journal
	recovered bool // it has appended since it looked at the root again

	crashedAt time.Time
	current   *attempt // its present or last session

	appended int    // number of events that it has made, for their names
	seen     int64  // the version that it last heard of
	reached  int64  // the version that its session has brought the stream to
	last     string // the name of the event at that version
	since    int64  // when its session was opened, by world.tick
	unknown  []*unknownAppend
}

// unknownAppend is an append of unknown outcome that its process has not given up.
type unknownAppend struct {
	call *call
	err  *eventstore.OutcomeUnknownError
}

// call is one operation as its caller saw it.
type call struct {
	process  int
	caller   int    // which of the goroutines of the process, if it has several
	kind     string // "append", "update", "read", "outcome", "close" or "delete"
	expected int64  // by an append; -1 for any
	reached  int64  // the version that the session had brought the stream to before
	last     string // the name of the event at that version
	opened   int64  // when its session was opened; 0 without one
	tried    int64  // when it was called, or tried again in another session
	names    []string
	idem     string

	began, ended int64 // by world.tick; ended 0 if it never returned
	err          error
	version      int64 // returned by an append
	read         []string
	from         time.Time // a read may have seen the stream as it was then, or later
	whole        bool      // a read that saw the whole stream at one moment
	outcome      eventstore.Outcome
	commitID     string

	*updated // by an update
}

// state is the store as its process reaches it.
type state struct {
	*process
	caps driver.Capabilities
}

func (s state) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, senderKey{}, s.process)
}
func (s state) Capabilities() driver.Capabilities { return s.caps }
func (s state) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	return s.store.Get(s.with(ctx), partition, key)
}
func (s state) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	return s.store.GetMany(s.with(ctx), partition, keys)
}
func (s state) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return s.store.Swap(s.with(ctx), partition, swap)
}
func (s state) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return s.store.Write(s.with(ctx), partition, writes)
}
func (s state) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return s.store.Commit(s.with(ctx), partition, swap, writes)
}

// noLock lets every session in, like an expired lock.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}
func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}

func (p *process) provider() *eventstore.Provider {
	caps := p.store.Capabilities()
	if p.rng.IntN(3) == 0 {
		caps.Atomic = false // like a process that does not know the store, and assumes nothing
	}
	settings := eventstore.DefaultSettings()
	settings.SessionTimeout = sessionTimeout
	if settings.TailEvents = p.tail; p.tail == 0 {
		settings.TailEvents = []int{1, 8}[p.id%2]
	}
	settings.OpenTimeout = time.Duration(p.rng.IntN(15)) * time.Second
	settings.CommitTimeout = []time.Duration{20 * time.Millisecond, time.Second, 5 * time.Second}[p.rng.IntN(3)]
	options := []eventstore.Option{
		eventstore.WithSettings(settings),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)),
	}
	switch {
	case p.component:
		options = append(options, eventstore.WithLocker(locker{p}))
	case !p.locked:
		options = append(options, eventstore.WithLocker(noLock{}))
	}
	if p.updates {
		options = append(options, eventstore.WithRegistry(types))
	}
	provider, err := eventstore.NewProvider(state{process: p, caps: caps}, options...)
	if err != nil {
		panic(err)
	}
	return provider
}

const aggregateType, aggregateID = "account", "1"

// live runs the process: some sessions, some reads.
func (p *process) live() {
	pass(time.Duration(p.rng.Int64N(int64(time.Millisecond)))) // so that no two begin at the same moment
	provider := p.provider()
	if p.updates && p.rng.IntN(4) > 0 {
		p.serve(provider)
		return
	}
	for range 1 + p.rng.IntN(4) {
		if p.rng.IntN(4) == 0 {
			p.look(provider)
		} else {
			p.session(provider)
		}
		if p.rng.IntN(4) == 0 {
			pass(time.Duration(p.rng.IntN(20)) * time.Second)
		}
	}
}

// context returns a context that sometimes ends early, like an impatient caller's.
func (p *process) context() (context.Context, context.CancelFunc) {
	ctx := jitter.WithSource(context.Background(), p.rng)
	if p.rng.IntN(8) == 0 {
		return context.WithTimeout(ctx, time.Duration(1+p.rng.IntN(200))*time.Millisecond)
	}
	return context.WithCancel(ctx)
}

func (p *process) session(provider *eventstore.Provider) {
	ctx, cancel := p.context()
	defer cancel()
	p.mu.Lock()
	p.since = p.tick()
	p.mu.Unlock()
	s, err := p.open(ctx, provider)
	if p.failed("open", err) || err != nil {
		return
	}
	p.reached, p.last = 0, ""
	for _, u := range p.unknown { // from an earlier session
		p.retry(s, u)
	}
	p.unknown = nil
	operations := 1 + p.rng.IntN(4)
	if p.forgets { // so that some come before the restart and some after
		operations += p.rng.IntN(6)
	}
	for range operations {
		switch p.rng.IntN(8) {
		case 0:
			p.readIn(s)
		case 1:
			p.snapshot(s)
		default:
			p.append(s)
		}
		if p.ends && p.rng.IntN(12) == 0 {
			p.end(s)
		}
	}
	if p.rng.IntN(4) > 0 {
		p.closed(p.current, s.Close())
	}
}

// attempt records that the process wants a session.
func (p *process) attempt() *attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = &attempt{process: p, began: time.Now()}
	p.attempts = append(p.attempts, p.current)
	return p.current
}

func (p *process) opened(a *attempt, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.opened, a.openError = time.Now(), err
	if !p.crashed {
		p.log("p%d open: %s", p.id, short(err))
	}
}

func (p *process) closed(a *attempt, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.closed, a.closeErr = time.Now(), err
	if !p.crashed {
		p.log("p%d close: %s", p.id, short(err))
	}
}

// open opens a session that takes its turn with the lease, or a shared session.
func (p *process) open(ctx context.Context, provider *eventstore.Provider) (*eventstore.Session, error) {
	if p.rng.IntN(3) == 0 {
		p.current = &attempt{process: p} // a shared session wants no lock
		return provider.Open(ctx, provider.Stream(aggregateType, aggregateID), eventstore.Shared())
	}
	a := p.attempt()
	s, err := provider.Open(ctx, provider.Stream(aggregateType, aggregateID))
	p.opened(a, err)
	return s, err
}

// began records the start of a call.
func (p *process) began(c *call) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.process, c.began = p.id, p.tick()
	c.tried = c.began
	p.history = append(p.history, c)
	return c
}

// ended records the end of a call. A crashed process gets no answers.
func (p *process) ended(c *call, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crashed {
		return
	}
	c.ended, c.err = p.tick(), err
	p.log("p%d %s %s", p.id, c, short(err))
}

// failed records an error that must not occur. Nothing here damages a store, but a store with stale
// reads may seem damaged.
func (p *process) failed(operation string, err error) bool {
	if errors.As(err, new(*eventstore.SessionLostError)) || errors.As(err, new(*eventstore.VersionMismatchError)) {
		p.current.told = true
	}
	return p.damaged(operation, err)
}

// damaged records an error that says that the store is damaged.
func (p *process) damaged(operation string, err error) bool {
	if p.stale {
		return false
	}
	if errors.As(err, new(*eventstore.DamagedError)) || errors.As(err, new(*eventstore.TypeNotRegisteredError)) {
		p.violate(operation, err)
		return true
	}
	return false
}

func (p *process) append(s *eventstore.Session) {
	c := &call{kind: "append", expected: -1, reached: p.reached, last: p.last, opened: p.since}
	expected := eventstore.ExpectAny()
	switch p.rng.IntN(4) {
	case 0:
		c.expected = p.seen
		expected = eventstore.ExpectVersion(p.seen)
	case 1:
		c.expected = int64(p.rng.IntN(6))
		expected = eventstore.ExpectVersion(c.expected)
	}
	var events []any
	for range 1 + p.rng.IntN(3) {
		p.appended++
		name := fmt.Sprintf("p%d.%d", p.id, p.appended)
		c.names = append(c.names, name)
		payload := name + " " + strings.Repeat("x", p.rng.IntN(p.payload))
		events = append(events, eventstore.Event{Data: eventstore.Raw{Type: "e", ContentType: "text/plain", Payload: []byte(payload)}})
	}
	if !p.stale && p.rng.IntN(4) == 0 {
		c.idem = fmt.Sprintf("i%d", p.rng.IntN(4))
		e := events[0].(eventstore.Event)
		e.Metadata.Context.IdempotencyID = c.idem
		events[0] = e
		if len(events) > 1 { // several ids are looked up in another way than one
			e := events[1].(eventstore.Event)
			e.Metadata.Context.IdempotencyID = c.names[1]
			events[1] = e
		}
	}
	ctx, cancel := p.context()
	defer cancel()
	p.began(c)
	version, err := s.Append(ctx, expected, events...)
	p.answered(c, version, err)
	var unknown *eventstore.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return
	}
	c.commitID = unknown.CommitID
	u := &unknownAppend{call: c, err: unknown}
	switch p.rng.IntN(4) {
	case 0:
		p.retry(s, u)
	case 1:
		p.unknown = append(p.unknown, u)
	case 2:
		p.outcome(s.Reader, u)
	}
}

// end closes the stream, or deletes it.
func (p *process) end(s *eventstore.Session) {
	c, end := &call{kind: "close", opened: p.since}, s.CloseStream
	if p.rng.IntN(2) == 0 {
		c, end = &call{kind: "delete", opened: p.since}, s.DeleteStream
	}
	expected := eventstore.ExpectAny()
	if p.rng.IntN(2) == 0 {
		expected = eventstore.ExpectVersion(p.seen)
	}
	ctx, cancel := p.context()
	defer cancel()
	p.began(c)
	err := end(ctx, expected)
	p.failed(c.kind, err)
	if c.kind == "delete" && err == nil {
		p.swept()
	}
	p.ended(c, err)
}

// swept checks that a deletion has left no event that was stored before it.
func (p *process) swept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crashed || p.stale || p.violation != nil {
		return
	}
	for key := range p.store.Values() {
		_, name, _ := strings.Cut(key, "}:")
		if name[0] >= '1' && name[0] <= '9' && p.audit.written[key] < p.audit.deleted {
			p.violation = fmt.Errorf("p%d deleted the stream, and event %s is still stored", p.id, name)
		}
	}
}

// answered records the result of an append. An append of unknown outcome has not ended.
func (p *process) answered(c *call, version int64, err error) {
	p.failed("append", err)
	c.version = version
	var mismatch *eventstore.VersionMismatchError
	switch {
	case err == nil:
		p.seen = version
		if version > p.reached {
			p.reached, p.last = version, c.names[len(c.names)-1]
		}
	case errors.As(err, &mismatch):
		p.seen = mismatch.Actual
	}
	if errors.As(err, new(*eventstore.OutcomeUnknownError)) || errors.As(err, new(*eventstore.StreamDeletedError)) {
		return // the second append may have been unknown before the stream was deleted
	}
	p.ended(c, err)
}

func (p *process) retry(s *eventstore.Session, u *unknownAppend) {
	p.mu.Lock()
	u.call.tried = p.tick()
	p.mu.Unlock()
	version, err := s.Retry(context.Background(), u.err)
	if errors.As(err, new(*eventstore.VersionMismatchError)) || errors.As(err, new(*eventstore.StreamClosedError)) ||
		errors.As(err, new(*eventstore.IdempotencyIDUsedError)) || err == nil {
		p.answered(u.call, version, err)
		return
	}
	p.failed("retry", err)
}

func (p *process) outcome(r *eventstore.Reader, u *unknownAppend) {
	c := p.began(&call{kind: "outcome", names: u.call.names})
	outcome, err := r.Outcome(context.Background(), u.err.Base, u.err.CommitID)
	c.outcome = outcome
	p.failed("outcome", err)
	p.ended(c, err)
}

// look reads without a session.
func (p *process) look(provider *eventstore.Provider) {
	r := provider.Reader(provider.Stream(aggregateType, aggregateID))
	ctx, cancel := p.context()
	defer cancel()
	if p.rng.IntN(3) == 0 {
		p.load(ctx, r)
		return
	}
	options := []eventstore.ReadOption{eventstore.AsRaw()}
	backwards := p.rng.IntN(4) == 0
	if backwards {
		options = append(options, eventstore.Backwards())
	}
	c := p.began(&call{kind: "read", whole: !p.stale})
	var err error
	for event, readErr := range r.Read(ctx, options...) {
		if err = readErr; err == nil {
			c.read = append(c.read, nameOf(event))
		}
	}
	if backwards {
		slices.Reverse(c.read)
	}
	p.failed("read", err)
	p.seen = int64(len(c.read))
	p.ended(c, err)
}

// readIn reads in a session. The result is the stream as the session knows it.
func (p *process) readIn(s *eventstore.Session) {
	c := p.began(&call{kind: "read", opened: p.since})
	var err error
	for event, readErr := range s.Read(context.Background(), eventstore.AsRaw()) {
		if err = readErr; err == nil {
			c.read = append(c.read, nameOf(event))
		}
	}
	p.failed("read", err)
	p.ended(c, err)
}

// snapshot saves what the process has read as a snapshot, or tries to save one of a version that is
// not committed.
func (p *process) snapshot(s *eventstore.Session) {
	var names []string
	for event, err := range s.Read(context.Background(), eventstore.AsRaw()) {
		if p.failed("read", err) || err != nil {
			return
		}
		names = append(names, nameOf(event))
	}
	version := int64(len(names))
	switch {
	case p.rng.IntN(4) == 0:
		version++
	case version == 0:
		return
	}
	raw := eventstore.Raw{Type: "s", ContentType: "text/plain", Payload: []byte(strings.Join(names, " "))}
	err := s.SaveSnapshot(context.Background(), version, raw)
	p.failed("snapshot", err)
	if err == nil && p.rng.IntN(6) == 0 {
		p.failed("snapshot", s.ClearSnapshot(context.Background(), version))
	}
}

// load reads the newest snapshot and the events after it.
func (p *process) load(ctx context.Context, r *eventstore.Reader) {
	c := p.began(&call{kind: "read", whole: !p.stale})
	snapshot, events, err := r.Load(ctx, eventstore.AsRaw())
	if err == nil {
		if raw, ok := snapshot.Data.(eventstore.Raw); ok {
			c.read = strings.Fields(string(raw.Payload))
		}
		if int64(len(c.read)) != snapshot.Version {
			err = fmt.Errorf("the snapshot of version %d holds %d events", snapshot.Version, len(c.read))
		}
		for event, readErr := range events {
			if err = readErr; err == nil {
				c.read = append(c.read, nameOf(event))
			}
		}
	}
	p.failed("load", err)
	p.ended(c, err)
}

func nameOf(event eventstore.Event) string {
	name, _, _ := strings.Cut(string(event.Data.(eventstore.Raw).Payload), " ")
	return name
}

// String returns the call as one line of a history.
func (c *call) String() string {
	switch c.kind {
	case "append":
		s := "append " + strings.Join(c.names, " ")
		if c.caller > 0 {
			s = fmt.Sprintf("caller %d: ", c.caller) + s
		}
		if c.expected >= 0 {
			s += fmt.Sprintf(" expecting %d", c.expected)
		}
		if c.idem != "" {
			s += " idempotent " + c.idem
		}
		return s + fmt.Sprintf(" -> %d", c.version)
	case "update":
		return c.describeUpdate()
	case "outcome":
		return fmt.Sprintf("outcome of %s -> %d", strings.Join(c.names, " "), c.outcome)
	case "close", "delete":
		return c.kind
	}
	return "read -> " + strings.Join(c.read, " ")
}
