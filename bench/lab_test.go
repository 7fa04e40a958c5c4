package bench

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// sizes says how large the streams and appends of a run are.
type sizes struct {
	batch      int // events of one large append
	many       int // events of a stream that is read
	snapshotAt int // version of its snapshot
	long       int // events of a long stream
	streams    int // that are appended to concurrently
	writers    int // that update one aggregate concurrently
	old        int // events of an old aggregate

	listed    int           // streams of a large catalogue
	detailed  int           // of them that are listed with details
	entries   int           // of the log of an old feed
	fewer     int           // of the log of a young one
	delayed   time.Duration // for how long delays are measured at each rate
	slow      int           // appends at one a second
	idle      time.Duration // after how long a feed is idle, at least
	idleCount time.Duration // how long its requests are counted then
}

var (
	full = sizes{batch: 1000, many: 10_000, snapshotAt: 9_900, long: 100_000, streams: 16, writers: 16, old: 10_000,
		listed: 100_000, detailed: 10_000, entries: 1_000_000, fewer: 1_000, delayed: 1500 * time.Millisecond, slow: 10, idle: 40 * time.Second, idleCount: time.Minute}
	small = sizes{batch: 100, many: 1_100, snapshotAt: 1_000, long: 1_500, streams: 4, writers: 4, old: 300,
		listed: 1_200, detailed: 700, entries: 3_000, fewer: 600, delayed: 50 * time.Millisecond, slow: 1, idle: 0, idleCount: 5 * time.Second}
)

// short is the number of events of a short stream.
const short = 10

// side is one of the programs that a case compares.
type side struct {
	name string

	// run does the work of the case once. It returns how long that took, without the preparation,
	// and the number of events.
	run func(ctx context.Context) (took time.Duration, events int, err error)

	// stored counts the events that the side has left in the store. It is nil if it leaves none.
	stored func(ctx context.Context) (int, error)
}

// lab holds what the sides of one comparison need.
type lab struct {
	*store
	sizes
	t      testing.TB
	events *eventstore.Provider

	// sent returns what each side has sent to its store so far, if a case counts that.
	sent []func() traffic
}

func newLab(t testing.TB, s *store, z sizes) *lab {
	t.Helper()
	l := &lab{store: s, sizes: z, t: t}
	l.events = must(s.provider(s.state))(t)
	return l
}

// must returns value, or fails the test if there is an error.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// allocations counts the allocations of what is timed. A context that carries one asks for it.
type allocations struct{ objects, bytes uint64 }

type allocationsKey struct{}

// timed runs f and returns how long it took. It counts allocations if ctx asks for it.
func timed(ctx context.Context, f func() error) (time.Duration, error) {
	if count, ok := ctx.Value(allocationsKey{}).(*allocations); ok {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		defer func() {
			runtime.ReadMemStats(&after)
			count.objects += after.Mallocs - before.Mallocs
			count.bytes += after.TotalAlloc - before.TotalAlloc
		}()
	}
	began := time.Now()
	err := f()
	return time.Since(began), err
}

// open opens a session that is closed when the test ends.
func (l *lab) open(id string) *eventstore.Session {
	l.t.Helper()
	s := must(l.events.Open(l.t.Context(), l.events.Stream(aggregate, id)))(l.t)
	l.t.Cleanup(func() { _ = s.Close() })
	return s
}

// stream makes a stream of n events and returns its id.
func (l *lab) stream(n int) string {
	l.t.Helper()
	id := newName()
	l.check(l.fill(l.t.Context(), id, n))
	return id
}

func (l *lab) fill(ctx context.Context, id string, n int) error {
	s, err := l.events.Open(ctx, l.events.Stream(aggregate, id))
	if err != nil {
		return err
	}
	for n > 0 {
		now := min(n, 1000)
		if _, err := s.Append(ctx, eventstore.ExpectAny(), events(now)...); err != nil {
			return err
		}
		n -= now
	}
	return s.Close()
}

// longStream returns the id of a stream of l.long events. All comparisons on one store share it.
func (l *lab) longStream() string {
	l.t.Helper()
	if l.longID == "" {
		l.longID = l.stream(l.long)
	}
	return l.longID
}

// version returns a function that counts the events of a stream.
func (l *lab) version(id string) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		r := l.events.Reader(l.events.Stream(aggregate, id))
		version, err := r.Version(ctx)
		return int(version), err
	}
}

// value returns what the event store has written under a key.
func (l *lab) value(k keys, key string) []byte {
	l.t.Helper()
	item := must(l.state.Get(l.t.Context(), k.partition, key))(l.t)
	if !item.Found() {
		l.t.Fatalf("%s is missing", key)
	}
	return item.Value
}

// raws makes a stream of n events available to the floor, under the same keys, and returns the
// keys.
func (l *lab) raws(id string, n int) keys {
	l.t.Helper()
	if l.apart {
		l.copy(keysOf(id), keysOf(id), n)
	}
	return keysOf(id)
}

// copy copies the records of a stream of n events from the event store's store to the floor's.
func (l *lab) copy(from, to keys, n int) {
	l.t.Helper()
	ctx := l.t.Context()
	for first := 1; first <= n; first += 1000 {
		var names []string
		for version := first; version <= min(n, first+999); version++ {
			names = append(names, from.event(version))
		}
		items := must(l.state.GetMany(ctx, from.partition, names))(l.t)
		writes := make([]driver.Write, len(items))
		for i, item := range items {
			if !item.Found() {
				l.t.Fatalf("cannot read %s: %v", item.Key, item.Err)
			}
			writes[i] = driver.Write{Key: to.event(first + i), Value: item.Value}
		}
		l.check(l.raw.transaction(to.partition, nil, writes)(ctx, ""))
	}
	head := driver.Write{Key: to.named("head"), Value: l.value(from, from.named("head"))}
	l.check(l.raw.swap(to.partition, head)(ctx, ""))
}

// floor appends to its own stream by raw requests. It writes the bytes that the event store writes
// for an append of 1 event.
type floor struct {
	*lab
	keys
	version int
	head    driver.Write // as after an append of 1 event: on Redis with the event in it
	event   []byte       // one event's record
}

// newFloor returns a floor whose stream has short events.
func (l *lab) newFloor() *floor {
	l.t.Helper()
	id := l.stream(short)
	s := l.open(id)
	must(s.Append(l.t.Context(), eventstore.ExpectAny(), event()))(l.t)
	f := &floor{lab: l, keys: keysOf(newName()), version: short}
	l.copy(keysOf(id), f.keys, short)
	f.head = driver.Write{Key: f.keys.named("head"), Value: l.value(keysOf(id), keysOf(id).named("head"))}
	l.check(s.Close()) // stores the event under its own key, if it was only in the head
	f.event = l.value(keysOf(id), keysOf(id).event(short+1))
	return f
}

// next returns the writes of the next n events.
func (f *floor) next(n int) []driver.Write {
	writes := make([]driver.Write, n)
	for i := range writes {
		f.version++
		writes[i] = driver.Write{Key: f.keys.event(f.version), Value: f.event}
	}
	return writes
}

// etag reads the ETag of the head.
func (f *floor) etag(ctx context.Context) (string, error) {
	return f.raw.get(ctx, f.partition, f.head.Key)
}

// stored counts the events of the stream.
func (f *floor) stored(ctx context.Context) (int, error) {
	if f.counted() { // each event was only in a head, which the next append replaced
		return f.version, nil
	}
	names := make([]string, f.version)
	for i := range names {
		names[i] = f.keys.event(i + 1)
	}
	return f.raw.read(f.partition, names)(ctx)
}

// recorder records the keys of each bulk read.
type recorder struct {
	driver.State
	read chan []string
}

func (r recorder) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	r.read <- keys
	return r.State.GetMany(ctx, partition, keys)
}

// recording returns an event store like the lab's. It also returns a function that returns the keys
// of each bulk read since its last call.
func (l *lab) recording() (events *eventstore.Provider, sent func() [][]string) {
	l.t.Helper()
	r := recorder{l.state, make(chan []string, 1000)}
	return must(l.provider(r))(l.t), func() (all [][]string) {
		for len(r.read) > 0 {
			all = append(all, <-r.read)
		}
		return all
	}
}

// chunks returns the keys of each bulk read that reading a whole stream in a session sends.
func (l *lab) chunks(id string) [][]string {
	l.t.Helper()
	events, sent := l.recording()
	s := must(events.Open(l.t.Context(), events.Stream(aggregate, id)))(l.t)
	sent() // by Open
	must(drain(s.Read(l.t.Context())))(l.t)
	chunks := sent()
	l.check(s.Close())
	if len(chunks) == 0 {
		l.t.Fatalf("reading stream %s sent no bulk read", id)
	}
	return chunks
}

// loadChunks returns the keys of each bulk read that loading a stream from its snapshot sends. The
// first one also reads the head.
func (l *lab) loadChunks(id string) [][]string {
	l.t.Helper()
	events, sent := l.recording()
	_, rest, err := events.Reader(events.Stream(aggregate, id)).Load(l.t.Context())
	l.check(err)
	must(drain(rest))(l.t)
	chunks := sent()
	if len(chunks) < 2 {
		l.t.Fatalf("loading stream %s sent %d bulk reads, want one for the snapshot and at least one for events", id, len(chunks))
	}
	return chunks
}
