package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
)

// writerVariable turns this executable into a writer. It holds the writerConfig.
const writerVariable = "EVENTSTORES_CHAOS_WRITER"

// sessions is how a writer keeps its sessions apart from those of others.
type sessions string

const (
	byLock  sessions = "lock component"
	byLease sessions = "lease"
	byNone  sessions = "nothing" // others may write to its streams at any time
)

const (
	slots           = 24  // streams in use at a time
	hot             = 4   // of them, which many clients use
	streamEvents    = 300 // after about this many the next stream is begun, unless a run is about other lengths
	clientsOfWriter = 8   // which work at the same time in a process
	sessionTimeout  = 2 * time.Second
	patience        = 3 * time.Second // of a client, for one operation
)

// writerConfig is the configuration of a writer.
type writerConfig struct {
	Name        string // another one after each restart
	Sidecar     string // address
	Sessions    sessions
	Seed        uint64
	Generations []int // of the streams in use, by slot

	StreamEvents int64  // after about this many events the next stream is begun
	Feed         string // the feed that it writes to, if any; then it closes and deletes streams as well
	Mixed        bool   // some of its sessions write without the feed
}

// writerProcess is a service that uses the event store.
type writerProcess struct {
	writerConfig
	journal  *journal
	provider *eventstore.Provider
	apart    *eventstore.Provider // without the feed

	mu          sync.Mutex
	generations []int
}

// write is the main function of a writer process. It appends and reads until its standard input
// ends or it is killed.
func write() {
	w := &writerProcess{journal: &journal{out: os.NewFile(resultsFD, "journal")}}
	configOf(writerVariable, &w.writerConfig)
	w.generations = w.Generations
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-untilStdinEnds(); cancel() }()

	for w.provider == nil && ctx.Err() == nil { // the sidecar may be down
		if err := w.connect(ctx); err != nil {
			wait(ctx, 100*time.Millisecond)
		}
	}
	var all sync.WaitGroup
	for i := range clientsOfWriter {
		c := &client{
			writerProcess: w,
			name:          fmt.Sprintf("%s.%d", w.Name, i),
			rng:           rand.New(rand.NewPCG(w.Seed, uint64(i))),
			known:         map[string]int64{},
			owed:          map[string][]*owed{},
			again:         map[string][]string{},
		}
		all.Go(func() { c.live(ctx) })
	}
	all.Wait()
	if w.provider != nil {
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = w.provider.Close(closing) // what it did not tell the feed is found without it
	}
}

func (w *writerProcess) connect(ctx context.Context) error {
	state, locker, err := dial(ctx, w.Sidecar, w.Sessions)
	if err != nil {
		return err
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.SessionTimeout, settings.CommitTimeout = time.Second, sessionTimeout, time.Second
	if w.apart, err = newProvider(state, locker, settings); err != nil {
		fatal(err)
	}
	w.provider = w.apart
	if w.Feed != "" {
		if w.provider, err = newProvider(state, locker, settings, eventstore.WithFeed(w.Feed)); err != nil {
			fatal(err)
		}
	}
	return nil
}

// dial connects to a sidecar, which may be down.
func dial(ctx context.Context, address string, by sessions) (driver.State, driver.Locker, error) {
	conn, err := clientOf(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state, err := sidecar.NewState(ctx, conn, "statestore")
	var locker driver.Locker
	if err == nil {
		switch by {
		case byLock:
			locker, err = sidecar.NewLocker(ctx, conn, "lockstore")
		case byNone:
			locker = racing.NoLock{}
		}
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return state, locker, nil
}

// clientOf returns a client of a sidecar, which may be down.
func clientOf(ctx context.Context, address string) (dapr.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return dapr.NewClientWithAddressContext(ctx, address, grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
		MinConnectTimeout: time.Second,
	}))
}

// wait waits for d, or until the writer has to stop.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// stream returns the current stream of a slot.
func (w *writerProcess) stream(slot int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return streamID(slot, w.generations[slot])
}

// reached notes how long a stream has become.
func (w *writerProcess) reached(stream string, version int64) {
	slot, generation := parseStreamID(stream)
	w.mu.Lock()
	defer w.mu.Unlock()
	if version >= w.StreamEvents && w.generations[slot] == generation {
		w.generations[slot]++
	}
}

// client is one of the clients in a writer process.
type client struct {
	*writerProcess
	name    string
	rng     *rand.Rand
	appends int // so far, for their names

	known map[string]int64    // by stream: the newest known version
	owed  map[string][]*owed  // by stream: appends of unknown outcome that the client still has to settle
	again map[string][]string // by stream: idempotency ids of commands that the client will send again
}

// owed is an append of unknown outcome that the client has to settle.
type owed struct {
	name    string
	events  int
	unknown *eventstore.OutcomeUnknownError
}

// live is the life of a client: it opens sessions and reads, on one stream after the other.
func (c *client) live(ctx context.Context) {
	for ctx.Err() == nil {
		stream := c.stream(c.rng.IntN([]int{hot, slots, slots, slots}[c.rng.IntN(4)]))
		if len(c.owed) > 0 && c.rng.IntN(2) == 0 {
			stream = slices.Min(slices.Collect(maps.Keys(c.owed)))
		}
		var err error
		switch n := c.rng.IntN(10); {
		case n < 2:
			err = c.look(stream)
		case n < 4 && c.Feed != "":
			err = c.append(nil, stream, false)
		default:
			err = c.session(ctx, stream)
		}
		if err != nil {
			wait(ctx, time.Duration(5+c.rng.IntN(50))*time.Millisecond)
		}
	}
}

// operation returns the context for one operation. Most have the usual patience, some have little.
func (c *client) operation() (context.Context, context.CancelFunc) {
	if c.rng.IntN(20) == 0 {
		return context.WithTimeout(context.Background(), time.Duration(1+c.rng.IntN(100))*time.Millisecond)
	}
	return context.WithTimeout(context.Background(), patience)
}

// check notes errors that must never occur. Whatever happens to the programs, no data may be
// damaged, and the requests of a client are valid.
func (c *client) check(stream, operation string, err error) error {
	for _, never := range []any{
		new(*eventstore.DamagedError), new(*eventstore.TypeNotRegisteredError), new(*eventstore.BatchTooLargeError), new(*eventstore.ArgumentError),
	} {
		if errors.As(err, never) {
			c.journal.write(entry{Kind: broken, Client: c.name, Stream: stream, Error: operation + ": " + err.Error()})
		}
	}
	if errors.As(err, new(*eventstore.StreamClosedError)) || errors.As(err, new(*eventstore.StreamDeletedError)) {
		c.reached(stream, c.StreamEvents)
	}
	return err
}

func (c *client) session(ctx context.Context, stream string) error {
	opening, cancel := c.operation()
	defer cancel()
	provider := c.provider
	if c.Mixed && c.rng.IntN(12) == 0 {
		provider = c.apart
		c.journal.write(entry{Kind: mixed, Client: c.name, Stream: stream})
	}
	s, err := provider.Open(opening, provider.Stream(aggregateType, stream))
	if c.check(stream, "open", err) != nil {
		return err
	}
	c.settle(s, stream)
	for n := 1 + c.rng.IntN(20); n > 0 && ctx.Err() == nil; n-- {
		switch n := c.rng.IntN(40); {
		case n == 0:
			err = c.readIn(s, stream)
		case n == 1:
			err = c.snapshot(s, stream)
		case c.Feed != "" && c.known[stream] > 0 && (n == 2 && c.rng.IntN(4) == 0 || c.known[stream] >= c.StreamEvents && n < 20):
			err = c.endStream(s, stream, provider == c.provider)
		default:
			err = c.append(s, stream, provider != c.provider)
		}
		if err != nil {
			break
		}
	}
	if c.rng.IntN(20) > 0 { // otherwise it expires, like the session of a process that has died
		_ = c.check(stream, "close", s.Close())
	}
	return err
}

// endStream closes or deletes a stream. Only a provider with the feed can delete.
func (c *client) endStream(s *eventstore.Session, stream string, withFeed bool) error {
	ctx, cancel := c.operation()
	defer cancel()
	e := entry{Kind: endBegan, Client: c.name, Stream: stream, What: closed}
	end := s.CloseStream
	if withFeed && c.rng.IntN(5) == 0 {
		e.What, end = deleted, s.DeleteStream
	}
	c.journal.write(e)
	err := c.check(stream, "make "+string(e.What), end(ctx, eventstore.ExpectAny()))
	if err == nil {
		e.Kind = endAcknowledged
		c.journal.write(e)
		c.reached(stream, c.StreamEvents)
	}
	return err
}

// append appends one to five events, sometimes many more. Without a session, the events may be
// stored together with those of other clients. The session may be one without the feed.
func (c *client) append(s *eventstore.Session, stream string, apart bool) error {
	c.appends++
	e := entry{
		Kind: appendBegan, Client: c.name, Stream: stream,
		Append: fmt.Sprintf("%s-%d", c.name, c.appends), Events: 1 + c.rng.IntN(5), Expected: -1, Apart: apart,
	}
	size := c.rng.IntN(300)
	if c.rng.IntN(50) == 0 {
		e.Events, size = 10+c.rng.IntN(40), c.rng.IntN(2500) // together more than a head keeps for long
	}
	expected := eventstore.ExpectAny()
	if c.rng.IntN(3) == 0 {
		e.Expected = c.known[stream]
		expected = eventstore.ExpectVersion(e.Expected)
	}
	switch n := c.rng.IntN(3); {
	case len(c.again[stream]) > 0:
		e.Idem = c.again[stream][0]
		c.again[stream] = c.again[stream][1:]
	case n == 0:
		e.Idem = e.Append
	}
	events := make([]any, e.Events)
	for part := range events {
		events[part] = written{Append: e.Append, Part: part, Of: e.Events, Pad: strings.Repeat("x", size)}
	}
	if e.Idem != "" {
		event := eventstore.Event{Data: events[0]}
		event.Metadata.Context.IdempotencyID = e.Idem
		events[0] = event
	}
	ctx, cancel := c.operation()
	defer cancel()
	c.journal.write(e)
	var version int64
	var err error
	if s != nil {
		version, err = s.Append(ctx, expected, events...)
	} else {
		version, err = c.provider.Append(ctx, c.provider.Stream(aggregateType, stream), expected, events...)
	}
	_ = c.check(stream, "append", err)
	var lost *eventstore.OutcomeUnknownError
	if errors.As(err, &lost) {
		return c.unknown(s, stream, e, lost)
	}
	c.ended(stream, e.Append, version, err)
	return err
}

// ended notes how an append ended, unless its outcome is unknown.
func (c *client) ended(stream, name string, version int64, err error) {
	e := entry{Kind: appendEnded, Client: c.name, Stream: stream, Append: name, Outcome: acknowledged, Version: version}
	var (
		mismatch *eventstore.VersionMismatchError
		used     *eventstore.IdempotencyIDUsedError
	)
	if err != nil {
		e.Outcome, e.Error = refused, err.Error()
		if errors.As(err, &mismatch) {
			version = mismatch.Actual
		}
		if errors.As(err, &used) {
			version, e.Used = used.Version, used.Version
		}
	}
	c.journal.write(e)
	c.known[stream] = max(c.known[stream], version)
	c.reached(stream, version)
}

// unknown handles an append of unknown outcome in one of the possible ways. An append without a
// session can be a part of a commit, so only Retry tells at which version it is.
func (c *client) unknown(s *eventstore.Session, stream string, e entry, lost *eventstore.OutcomeUnknownError) error {
	o := &owed{name: e.Append, events: e.Events, unknown: lost}
	switch n := c.rng.IntN(10); {
	case n < 3 && s != nil && c.retry(s, stream, o):
		return nil
	case n < 6:
		c.owed[stream] = append(c.owed[stream], o)
	case n < 8 && s != nil && c.outcome(s.Reader, stream, o):
	default: // give up
		c.journal.write(entry{Kind: appendEnded, Client: c.name, Stream: stream, Append: o.name, Error: lost.Error()})
		if e.Idem != "" && c.rng.IntN(2) == 0 {
			c.again[stream] = append(c.again[stream], e.Idem) // the client sends the command again later
		}
	}
	return lost
}

// settle finds out how the appends ended that the client owes to a stream.
func (c *client) settle(s *eventstore.Session, stream string) {
	for _, o := range c.owed[stream] {
		if !c.retry(s, stream, o) {
			return // try again in a later session
		}
		c.owed[stream] = slices.DeleteFunc(slices.Clone(c.owed[stream]), func(other *owed) bool { return other == o })
	}
	delete(c.owed, stream)
}

// retry reports whether the append is settled. An error other than a mismatch leaves that open.
func (c *client) retry(s *eventstore.Session, stream string, o *owed) bool {
	ctx, cancel := c.operation()
	defer cancel()
	version, err := s.Retry(ctx, o.unknown)
	if c.check(stream, "retry", err) != nil && !errors.As(err, new(*eventstore.VersionMismatchError)) && !errors.As(err, new(*eventstore.StreamClosedError)) {
		if errors.As(err, new(*eventstore.StreamDeletedError)) { // it may have been stored before that
			c.journal.write(entry{Kind: appendEnded, Client: c.name, Stream: stream, Append: o.name, Error: err.Error()})
			return true
		}
		return false
	}
	c.ended(stream, o.name, version, err)
	return true
}

// outcome asks the store what became of an append, and reports whether that is known now.
func (c *client) outcome(r *eventstore.Reader, stream string, o *owed) bool {
	ctx, cancel := c.operation()
	defer cancel()
	became, err := r.Outcome(ctx, o.unknown.Base, o.unknown.CommitID)
	switch {
	case c.check(stream, "outcome", err) != nil || became == eventstore.OutcomePending:
		return false
	case became == eventstore.OutcomeRejected:
		err = fmt.Errorf("Reader.Outcome says %s", became)
	}
	c.ended(stream, o.name, o.unknown.Base+int64(o.events), err)
	return true
}

// look reads a stream without a session.
func (c *client) look(stream string) error {
	reader := c.provider.Reader(c.provider.Stream(aggregateType, stream))
	ctx, cancel := c.operation()
	defer cancel()
	switch c.rng.IntN(5) {
	case 0:
		return c.version(ctx, reader, stream)
	case 1:
		return c.load(ctx, reader, stream)
	case 2:
		return c.read(ctx, reader, stream, true, eventstore.Backwards())
	case 3:
		return c.read(ctx, reader, stream, true, eventstore.FromVersion(max(1, c.known[stream]-10)))
	}
	return c.read(ctx, reader, stream, true)
}

// saw notes a read. The caller leaves out a read that saw nothing and does not say where the stream
// ends.
func (c *client) saw(stream string, r read) {
	r.Ended = monotonic()
	c.journal.write(entry{Kind: readEnded, Client: c.name, Stream: stream, Read: &r})
	c.known[stream] = max(c.known[stream], r.To)
	c.reached(stream, r.To)
}

func (c *client) version(ctx context.Context, reader *eventstore.Reader, stream string) error {
	r := read{Began: monotonic(), From: 1, Current: true, Complete: true}
	var err error
	if r.To, err = reader.Version(ctx); err == nil {
		c.saw(stream, r)
	}
	return c.check(stream, "version", err)
}

// read reads events, from the first one unless options say otherwise. The read is current if it is
// outside a session.
func (c *client) read(ctx context.Context, reader *eventstore.Reader, stream string, current bool, options ...eventstore.ReadOption) error {
	r := read{Began: monotonic()}
	var events []stored
	var err error
	for event, readErr := range reader.Read(ctx, append(options, eventstore.AsRaw())...) {
		if err = readErr; err != nil {
			break
		}
		s, storedErr := storedOf(event)
		if storedErr != nil {
			c.journal.write(entry{Kind: broken, Client: c.name, Stream: stream, Error: "read: " + storedErr.Error()})
			return storedErr
		}
		events = append(events, s)
	}
	c.sawEvents(stream, r, current, events, err, len(options) == 0)
	return c.check(stream, "read", err)
}

// sawEvents notes a read that began as r. A read without events is only noted if it read the whole
// stream without an error.
func (c *client) sawEvents(stream string, r read, current bool, events []stored, err error, all bool) {
	if len(events) == 0 && (err != nil || !all) {
		return
	}
	if len(events) > 1 && events[0].Version > events[1].Version {
		slices.Reverse(events)
	}
	r.From = 1
	for i, event := range events {
		if i == 0 {
			r.From = event.Version
		} else if event.Version != r.From+int64(i) {
			c.journal.write(entry{Kind: broken, Client: c.name, Stream: stream, Error: fmt.Sprintf("a read gave version %d after %d", event.Version, events[i-1].Version)})
		}
		r.To = event.Version
	}
	r.Digest, r.Complete, r.Current = digestOf(events), err == nil, err == nil && current
	c.saw(stream, r)
}

// readIn reads in a session. The read counts as not current, because it sees the stream as the
// session knows it.
func (c *client) readIn(s *eventstore.Session, stream string) error {
	ctx, cancel := c.operation()
	defer cancel()
	return c.read(ctx, s.Reader, stream, false)
}

// snapshot reads a stream and saves the result as a snapshot.
func (c *client) snapshot(s *eventstore.Session, stream string) error {
	ctx, cancel := c.operation()
	defer cancel()
	r := read{Began: monotonic()}
	var events []stored
	for event, err := range s.Read(ctx, eventstore.AsRaw()) {
		if c.check(stream, "read", err) != nil {
			return err
		}
		saw, err := storedOf(event)
		if err != nil {
			return err
		}
		events = append(events, saw)
	}
	c.sawEvents(stream, r, false, events, nil, true)
	if len(events) == 0 {
		return nil
	}
	return c.check(stream, "save a snapshot", s.SaveSnapshot(ctx, int64(len(events)), prefix{Digest: digestOf(events)}))
}

// load reads the newest snapshot and the events after it.
func (c *client) load(ctx context.Context, reader *eventstore.Reader, stream string) error {
	r := read{Began: monotonic()}
	snapshot, after, err := reader.Load(ctx, eventstore.AsRaw())
	if c.check(stream, "load", err) != nil {
		return err
	}
	if raw, ok := snapshot.Data.(eventstore.Raw); ok {
		var saved prefix
		if err := json.Unmarshal(raw.Payload, &saved); err != nil {
			c.journal.write(entry{Kind: broken, Client: c.name, Stream: stream, Error: "load: " + err.Error()})
			return err
		}
		c.saw(stream, read{Began: r.Began, From: 1, To: snapshot.Version, Digest: saved.Digest, Complete: true})
	}
	var events []stored
	for event, readErr := range after {
		if err = readErr; err != nil {
			break
		}
		s, storedErr := storedOf(event)
		if storedErr != nil {
			return storedErr
		}
		events = append(events, s)
	}
	c.sawEvents(stream, r, true, events, err, snapshot.Version == 0)
	return c.check(stream, "load", err)
}
