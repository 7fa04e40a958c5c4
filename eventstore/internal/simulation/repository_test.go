package simulation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// An aggregate's state is the names of its events, separated by spaces. Both are stored as they
// are, so that repositories and sessions read what the others have written.
type (
	happened string // a name, and what its update knew
	names    string
)

var types = func() *eventstore.Registry {
	registry, err := eventstore.NewRegistry(
		eventstore.Type[happened]("e", eventstore.WithCodec(text{})),
		eventstore.Type[names]("s", eventstore.WithCodec(text{})),
	)
	if err != nil {
		panic(err)
	}
	return registry
}()

// text is the codec of strings.
type text struct{}

func (text) ContentType() string               { return "text/plain" }
func (text) Marshal(value any) ([]byte, error) { return []byte(reflect.ValueOf(value).String()), nil }
func (text) Unmarshal(data []byte, value any) error {
	reflect.ValueOf(value).Elem().SetString(string(data))
	return nil
}

func (n names) with(event eventstore.Event) (names, error) {
	name, _, _ := strings.Cut(string(event.Data.(happened)), " ")
	return names(strings.TrimPrefix(string(n)+" "+name, " ")), nil
}

// basis tells what an event was decided on: all names before it.
func basis(before []string) string {
	h := fnv.New32()
	_, _ = h.Write([]byte(strings.Join(before, " ")))
	return fmt.Sprintf("@%d:%08x", len(before), h.Sum32())
}

var errRefused = errors.New("simulation: the decision refuses")

// caller is a goroutine of a process. All callers of a process use one repository.
type caller struct {
	*process
	repository *aggregate.Repository[names]
	number     int
	rng        *rand.Rand // hides that of the process
	evicts     bool       // it also updates another aggregate
	version    int64      // that it last heard of
	updates    int
	made       int64               // when the repository was made, by world.tick
	shared     *eventstore.Session // that the callers append in; nil: with Provider.Append
	opened     int64               // when it was opened, by world.tick
}

// updated is what an update was to do, and how it ended for its caller.
type updated struct {
	number   int
	once     bool   // idem is the command's, not the event's
	refuses  int    // it refuses on states whose number of events is even (0) or odd (1)
	nothing  int    // the same, and stores nothing
	seen     string // by the last decision
	stored   []string
	state    string
	repeatOf int64
	retried  error // what Session.Retry returned of the append
	again    bool  // Session.Retry has returned
}

// serve runs callers that update one aggregate at the same time, and waits for them.
func (p *process) serve(provider *eventstore.Provider) {
	var options []aggregate.Option
	evicts := false
	switch p.rng.IntN(6) {
	case 0:
		options = append(options, aggregate.Exclusive())
	case 1:
		options = append(options, aggregate.WithoutCache())
	case 2, 3:
		evicts = true
		options = append(options, aggregate.WithCache(1))
	}
	if p.rng.IntN(3) == 0 {
		options = append(options, aggregate.WithSnapshotEvery(1+p.rng.Int64N(4)))
	}
	if p.rng.IntN(4) == 0 {
		options = append(options, aggregate.WithRetries(p.rng.IntN(3)))
	}
	repository, err := aggregate.NewRepository(provider, aggregateType, names.with, options...)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	made := p.tick()
	p.mu.Unlock()
	callers := 1 + p.rng.IntN(4)
	var shared *eventstore.Session
	if p.together {
		callers, shared = callers+2, p.openShared(provider)
	}
	var all sync.WaitGroup
	for n := range callers {
		c := &caller{process: p, repository: repository, number: n + 1, rng: rand.New(rand.NewPCG(p.rng.Uint64(), p.rng.Uint64())), evicts: evicts, made: made, shared: shared, opened: made}
		all.Go(func() { c.live(provider) })
	}
	all.Wait()
}

// openShared opens the session that the callers of a process share, or none.
func (p *process) openShared(provider *eventstore.Provider) *eventstore.Session {
	if p.rng.IntN(2) == 0 {
		return nil
	}
	ctx := jitter.WithSource(context.Background(), rand.New(rand.NewPCG(p.rng.Uint64(), p.rng.Uint64())))
	s, err := provider.Open(ctx, provider.Stream(aggregateType, aggregateID), eventstore.Shared())
	p.damaged("open", err)
	if err != nil {
		return nil
	}
	return s
}

// live makes some updates and appends.
func (c *caller) live(provider *eventstore.Provider) {
	for range 1 + c.rng.IntN(5) {
		// No two callers begin at the same moment, but most begin while others are under way.
		pass(time.Duration(1 + c.rng.Int64N(int64(100*time.Microsecond))))
		if c.rng.IntN(6) == 0 {
			pass(time.Duration(c.rng.Int64N(int64(8 * time.Second)))) // a cached aggregate gets too old
		}
		switch {
		case c.rng.IntN(8) == 0:
			c.load()
		case c.evicts && c.rng.IntN(4) == 0:
			c.updateOther()
		case c.together && c.rng.IntN(4) > 0:
			c.append(provider)
		default:
			c.update(provider, "")
		}
	}
}

// context returns a context that often ends early. Each has its own source of randomness, because
// an append may still run in the context of a call that has returned.
func (c *caller) context() (context.Context, context.CancelFunc) {
	ctx := jitter.WithSource(context.Background(), rand.New(rand.NewPCG(c.rng.Uint64(), c.rng.Uint64())))
	ctx = context.WithValue(ctx, callerKey{}, c.number)
	if c.rng.IntN(6) == 0 {
		return context.WithTimeout(ctx, time.Duration(1+c.rng.Int64N(int64(100*time.Millisecond))))
	}
	return context.WithCancel(ctx)
}

// updateOther updates an aggregate that is not checked, so that the other one leaves the cache.
func (c *caller) updateOther() {
	ctx, cancel := c.context()
	defer cancel()
	_, _ = c.repository.Update(ctx, "2", func(names) ([]any, error) { return []any{happened("other")}, nil })
}

func (c *caller) load() {
	ctx, cancel := c.context()
	defer cancel()
	read, load := &call{kind: "read", whole: !c.stale}, c.repository.Load
	if !c.forgets && c.rng.IntN(2) == 0 {
		age := time.Duration(c.rng.Int64N(int64(time.Second)))
		read.whole, read.from = false, time.Now().Add(-age)
		load = func(ctx context.Context, id string, _ ...eventstore.ReadOption) (aggregate.Aggregate[names], error) {
			return c.repository.LoadWithin(ctx, id, age)
		}
	}
	r := c.began(read)
	a, err := load(ctx, aggregateID)
	r.read = strings.Fields(string(a.State))
	if err == nil && a.Version != int64(len(r.read)) {
		err = fmt.Errorf("the aggregate of version %d holds %d events", a.Version, len(r.read))
		c.violate("load", err)
	}
	c.damaged("load", err)
	c.ended(r, err)
}

// append appends at whatever version the stream has. Appends of several callers that wait for each
// other are stored by one commit.
func (c *caller) append(provider *eventstore.Provider) {
	call := &call{kind: "append", expected: -1, caller: c.number}
	store := func(ctx context.Context, events ...any) (int64, error) {
		return provider.Append(ctx, provider.Stream(aggregateType, aggregateID), eventstore.ExpectAny(), events...)
	}
	if c.shared != nil && c.rng.IntN(3) > 0 {
		call.opened = c.opened
		store = func(ctx context.Context, events ...any) (int64, error) {
			return c.shared.Append(ctx, eventstore.ExpectAny(), events...)
		}
	}
	c.updates++
	if !c.stale && c.rng.IntN(2) == 0 {
		call.idem = fmt.Sprintf("i%d", c.rng.IntN(6))
	}
	size := c.rng.IntN(c.payload)
	var events []any
	for i := range 1 + c.rng.IntN(2) {
		name := fmt.Sprintf("a%d.%d.%d.%d", c.id, c.number, c.updates, i)
		call.names = append(call.names, name)
		e := eventstore.Event{Data: happened(name + " " + strings.Repeat("x", size))}
		if i == 0 {
			e.Metadata.Context.IdempotencyID = call.idem
		}
		events = append(events, e)
	}
	ctx, cancel := c.context()
	defer cancel()
	c.began(call)
	version, err := store(ctx, events...)
	pass(time.Duration(1 + c.rng.Int64N(int64(100*time.Microsecond)))) // no two callers end at the same moment
	c.damaged("append", err)
	call.version = version
	if err == nil {
		c.version = version
	}
	var unknown *eventstore.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		c.ended(call, err)
		return
	}
	if c.rng.IntN(2) == 0 {
		c.retryAppend(provider, call, unknown)
	}
}

// retryAppend completes an append, whose commit may hold the events of others.
func (c *caller) retryAppend(provider *eventstore.Provider, call *call, unknown *eventstore.OutcomeUnknownError) {
	ctx, cancel := c.context()
	defer cancel()
	c.mu.Lock()
	call.tried = c.tick()
	c.mu.Unlock()
	s, err := provider.Open(ctx, provider.Stream(aggregateType, aggregateID), eventstore.Shared())
	if err != nil {
		return
	}
	version, err := s.Retry(ctx, unknown)
	pass(time.Duration(1 + c.rng.Int64N(int64(100*time.Microsecond))))
	c.damaged("retry", err)
	_ = s.Close()
	if errors.As(err, new(*eventstore.VersionMismatchError)) || errors.As(err, new(*eventstore.IdempotencyIDUsedError)) || err == nil {
		call.version = version
		c.ended(call, err)
	}
}

// update makes one update. It repeats the command with that idempotency id, if there is one.
func (c *caller) update(provider *eventstore.Provider, repeat string) {
	u := &updated{number: c.number, refuses: -1, nothing: -1}
	call := &call{kind: "update", expected: -1, opened: c.made, updated: u}
	c.updates++
	for i := range 1 + c.rng.IntN(2) {
		call.names = append(call.names, fmt.Sprintf("p%d.%d.%d.%d", c.id, c.number, c.updates, i))
	}
	switch c.rng.IntN(4) {
	case 0:
		u.refuses = c.rng.IntN(2)
	case 1:
		u.nothing = c.rng.IntN(2)
	}
	var options []aggregate.UpdateOption
	if c.rng.IntN(6) == 0 {
		call.expected = c.version
		options = append(options, aggregate.WithExpectedVersion(c.version))
	}
	if !c.stale && c.rng.IntN(3) == 0 {
		call.idem, u.once = fmt.Sprintf("i%d", c.rng.IntN(6)), c.rng.IntN(4) > 0
	}
	if repeat != "" {
		call.idem, u.once = repeat, true
	}
	if u.once {
		options = append(options, aggregate.WithIdempotencyID(call.idem))
	}
	slow, size := time.Duration(0), c.rng.IntN(c.payload)
	switch c.rng.IntN(20) {
	case 0:
		slow = 600 * time.Millisecond // the updates behind it go on without it
	case 1, 2, 3: // contexts of others end meanwhile
		slow = time.Duration(c.rng.Int64N(int64(100 * time.Millisecond)))
	}
	decide := func(state names) ([]any, error) {
		seen := strings.Fields(string(state))
		u.seen = string(state)
		if slow > 0 {
			pass(slow)
		}
		var events []any
		for i, name := range call.names {
			e := eventstore.Event{Data: happened(name + " " + basis(append(seen, call.names[:i]...)) + " " + strings.Repeat("x", size))}
			if i == 0 && !u.once {
				e.Metadata.Context.IdempotencyID = call.idem
			}
			events = append(events, e)
		}
		switch len(seen) % 2 {
		case u.refuses:
			return events, errRefused
		case u.nothing:
			return nil, nil
		}
		return events, nil
	}
	ctx, cancel := c.context()
	defer cancel()
	c.began(call)
	a, err := c.repository.Update(ctx, aggregateID, decide, options...)
	pass(time.Duration(1 + c.rng.Int64N(int64(100*time.Microsecond)))) // no two callers end at the same moment
	call.version, u.state, u.repeatOf = a.Version, string(a.State), a.RepeatOf
	for _, event := range a.Appended {
		name, _, _ := strings.Cut(string(event.Data.(happened)), " ")
		u.stored = append(u.stored, name)
	}
	c.damaged("update", err)
	if err == nil {
		c.version = a.Version
	}
	var unknown *eventstore.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		c.ended(call, err)
		return
	}
	switch c.rng.IntN(3) {
	case 0:
		if repeat == "" && u.once {
			c.update(provider, call.idem)
		}
	case 1:
		if unknown.CommitID != "" {
			c.retry(provider, call, unknown)
		}
	}
}

// retry completes an append, which may hold the events of several updates.
func (c *caller) retry(provider *eventstore.Provider, call *call, unknown *eventstore.OutcomeUnknownError) {
	ctx, cancel := c.context()
	defer cancel()
	s, err := provider.Open(ctx, provider.Stream(aggregateType, aggregateID), eventstore.Shared())
	if err != nil {
		return
	}
	_, err = s.Retry(ctx, unknown)
	c.damaged("retry", err)
	_ = s.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.crashed {
		call.again, call.retried = true, err
	}
}

// violate records what must not happen.
func (p *process) violate(operation string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.violation == nil && !p.crashed {
		p.violation = fmt.Errorf("p%d %s: %w", p.id, operation, err)
	}
}

// describeUpdate returns an update as one line of a history.
func (c *call) describeUpdate() string {
	s := fmt.Sprintf("caller %d: update %s", c.number, strings.Join(c.names, " "))
	if c.expected >= 0 {
		s += fmt.Sprintf(" expecting %d", c.expected)
	}
	if c.idem != "" {
		s += fmt.Sprintf(" idempotent %s (once %v)", c.idem, c.once)
	}
	return s + fmt.Sprintf(" -> version %d, repeat of %d, appended %v, state [%s], decided on [%s]", c.version, c.repeatOf, c.stored, c.state, c.seen)
}

// judgeUpdate checks one update.
func (c *call) judgeUpdate(final []string) error {
	at := slices.Index(final, c.names[0])
	if err := c.untorn(at, final); err != nil {
		return err
	}
	if c.again && c.retried == nil && at < 0 && c.idem == "" { // with an id, it may be a repeat of another one in the append
		return errors.New("was completed by Retry and is lost")
	}
	if c.again && errors.As(c.retried, new(*eventstore.VersionMismatchError)) && at >= 0 {
		return fmt.Errorf("was refused by Retry and is there: %w", c.retried)
	}
	if c.ended == 0 { // it may or may not have taken effect
		return nil
	}
	before := func(names string) bool { // was it the state at some version?
		seen := strings.Fields(names)
		return len(seen) <= len(final) && slices.Equal(seen, final[:len(seen)])
	}
	stored := c.err == nil && c.stored != nil
	switch {
	case !stored && at >= 0:
		return fmt.Errorf("was told that nothing was stored, and is there: %w", c.err)
	case errors.Is(c.err, errRefused) && !before(c.seen):
		return errors.New("refused on a state that never was")
	case c.err != nil:
		return nil
	case !before(c.state) || int64(len(strings.Fields(c.state))) != c.version:
		return errors.New("returned a state that never was at its version")
	case stored && at < 0:
		return errors.New("was acknowledged and is lost")
	case stored && !slices.Equal(c.stored, c.names):
		return errors.New("was told of other events than its own")
	case stored && int64(at+len(c.names)) != c.version:
		return fmt.Errorf("was acknowledged at version %d but is at %d", c.version, at+len(c.names))
	case stored && c.expected >= 0 && int64(at) != c.expected:
		return fmt.Errorf("expected version %d and was put after %d", c.expected, at)
	case stored && c.repeatOf > 0:
		return errors.New("is said to be a repeat, and was stored")
	case !stored && c.repeatOf == 0 && c.nothing != len(strings.Fields(c.seen))%2:
		return errors.New("decided on events, and stored none")
	}
	return nil
}

// overtaken checks that an update whose tries came too late was overtaken at all.
func (w *world) overtaken(c *call) error {
	if !errors.As(c.err, new(*eventstore.VersionMismatchError)) || c.expected >= 0 && !c.gaveUp() || errors.Is(c.err, context.DeadlineExceeded) {
		return nil
	}
	for _, commit := range w.commits {
		if c.began < commit.tick && commit.tick < c.ended {
			return nil
		}
	}
	return fmt.Errorf("gave up, but nothing was stored meanwhile: %w", c.err)
}

// young checks that a read saw everything that was there at the time that it may be from.
func (w *world) young(c *call) error {
	for _, commit := range w.commits {
		if commit.at.Before(c.from) && commit.version > int64(len(c.read)) {
			return fmt.Errorf("should have seen at least version %d, which was there in time", commit.version)
		}
	}
	return nil
}

// answers reports whether an update belongs into a linearizable history of which the first events
// existed before.
func (w *world) answers(c *call, final []string, first int64) bool {
	place := slices.Index(final, c.names[0])
	if c.ended == 0 || c.err == nil && c.stored != nil {
		return place >= 0 && int64(place) >= first
	}
	var mismatch *eventstore.VersionMismatchError
	switch {
	case w.stale: // what was read may be old
		return false
	case errors.As(c.err, &mismatch): // unless it is one of an append
		return mismatch.Expected == c.expected && !c.gaveUp()
	}
	return c.err == nil || errors.Is(c.err, errRefused) || errors.As(c.err, new(*eventstore.IdempotencyIDUsedError))
}

// gaveUp reports whether an update ended because others were stored first.
func (c *call) gaveUp() bool {
	return errors.As(c.err, new(*eventstore.VersionMismatchError)) && strings.Contains(c.err.Error(), "gave up")
}

// follows reports whether an update that stored nothing answers as it must at that version.
func (c *call) follows(version int, idempotencyOf func(int64) string) bool {
	n := int64(version)
	repeats := false
	for v := int64(1); c.once && v <= n; v++ {
		repeats = repeats || idempotencyOf(v) == c.idem
	}
	var used *eventstore.IdempotencyIDUsedError
	var mismatch *eventstore.VersionMismatchError
	switch {
	case errors.As(c.err, &used):
		return used.Version <= n && idempotencyOf(used.Version) == c.idem
	case c.err == nil && c.repeatOf > 0:
		return c.version == n && c.repeatOf <= n && idempotencyOf(c.repeatOf) == c.idem
	case repeats:
		return false
	case errors.As(c.err, &mismatch):
		return mismatch.Actual == n
	}
	return len(strings.Fields(c.seen)) == version
}

// decided checks that each event of an update was decided on exactly the events before it.
func (w *world) decided() error {
	all := namesIn(w.audit.committed)
	for i, name := range all {
		_, payload, _ := strings.Cut(string(w.audit.committed[int64(i+1)]), "\n\n")
		if parts := strings.Fields(payload); len(parts) > 1 && parts[1][0] == '@' && parts[1] != basis(all[:i]) {
			return fmt.Errorf("%s was decided on %s and is after %s; committed is %v", name, parts[1], basis(all[:i]), all)
		}
	}
	return nil
}

// batched returns the number of calls that were stored by one commit with others: updates, whose
// events begin with p, or appends, whose events begin with a.
func (w *world) batched(prefix string) (n int64) {
	of := map[string]map[string]bool{} // by commit
	for version, name := range namesIn(w.audit.committed) {
		if !strings.HasPrefix(name, prefix) || strings.Count(name, ".") != 3 {
			continue
		}
		commit := field(w.audit.committed[int64(version+1)], "commit")
		if of[commit] == nil {
			of[commit] = map[string]bool{}
		}
		of[commit][name[:strings.LastIndexByte(name, '.')]] = true
	}
	for _, updates := range of {
		if len(updates) > 1 {
			n += int64(len(updates))
		}
	}
	return n
}
