package bench

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// sizes of what is measured: those of a full run, or small ones to see that everything works.
type sizes struct {
	batch      int // events of one large append
	many       int // events of a stream that is read
	snapshotAt int // version of its snapshot
	long       int // events of a long stream
	streams    int // that are appended to at once
}

var (
	full  = sizes{batch: 1000, many: 10_000, snapshotAt: 9_900, long: 100_000, streams: 16}
	small = sizes{batch: 100, many: 1_100, snapshotAt: 1_000, long: 1_500, streams: 4}
)

// short is how many events a short stream has.
const short = 10

// side is one of those that are compared.
type side struct {
	name string

	// run does the thing once: how long that took, without what only prepares it, and how many events it was for.
	run func(ctx context.Context) (took time.Duration, events int, err error)

	// stored counts the events that it has left in the store; nil for what leaves none.
	stored func(ctx context.Context) (int, error)
}

// lab is where one comparison is set up.
type lab struct {
	*store
	sizes
	t      testing.TB
	events *eventstore.Provider
}

func newLab(t testing.TB, s *store, z sizes) *lab {
	t.Helper()
	l := &lab{store: s, sizes: z, t: t}
	l.events = must(s.provider(s.state))(t)
	return l
}

// must ends the test on an error.
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

// allocations are counted in what is timed, where the context asks for it.
type allocations struct{ objects, bytes uint64 }

type allocationsKey struct{}

// timed times f, or counts its allocations.
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

// open opens a session until the test ends.
func (l *lab) open(id string) *eventstore.Session {
	l.t.Helper()
	s := must(l.events.Open(l.t.Context(), l.events.Stream(aggregate, id)))(l.t)
	l.t.Cleanup(func() { _ = s.Close() })
	return s
}

// stream makes a stream of n events.
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

// longStream is a stream of l.long events, the same for all comparisons on one store.
func (l *lab) longStream() string {
	l.t.Helper()
	if l.longID == "" {
		l.longID = l.stream(l.long)
	}
	return l.longID
}

// version is how many events a stream of the event store has.
func (l *lab) version(id string) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		r := l.events.Reader(l.events.Stream(aggregate, id))
		version, err := r.Version(ctx)
		return int(version), err
	}
}

// value is what the event store has written under a key.
func (l *lab) value(k keys, key string) []byte {
	l.t.Helper()
	item := must(l.state.Get(l.t.Context(), k.partition, key))(l.t)
	if !item.Found() {
		l.t.Fatalf("there is no %s", key)
	}
	return item.Value
}

// raws makes what the event store has written of a stream of n events there for the floor, under the same keys.
func (l *lab) raws(id string, n int) keys {
	l.t.Helper()
	if l.apart {
		l.copy(keysOf(id), keysOf(id), n)
	}
	return keysOf(id)
}

// copy writes for the floor what the event store has written of a stream of n events.
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
				l.t.Fatalf("%s can't be read: %v", item.Key, item.Err)
			}
			writes[i] = driver.Write{Key: to.event(first + i), Value: item.Value}
		}
		l.check(l.raw.transaction(to.partition, nil, writes)(ctx, ""))
	}
	head := driver.Write{Key: to.named("head"), Value: l.value(from, from.named("head"))}
	l.check(l.raw.swap(to.partition, head)(ctx, ""))
}

// floor appends by raw requests to a stream of its own, with the bytes that the event store writes for an append of 1.
type floor struct {
	*lab
	keys
	version int
	head    driver.Write // as it is after an append of 1: on Redis with the event in it
	event   []byte       // one event's record
}

// newFloor begins with a stream of short events.
func (l *lab) newFloor() *floor {
	l.t.Helper()
	id := l.stream(short)
	s := l.open(id)
	must(s.Append(l.t.Context(), eventstore.ExpectAny(), event()))(l.t)
	f := &floor{lab: l, keys: keysOf(newName()), version: short}
	l.copy(keysOf(id), f.keys, short)
	f.event = l.value(keysOf(id), keysOf(id).event(short+1))
	f.head = driver.Write{Key: f.keys.named("head"), Value: l.value(keysOf(id), keysOf(id).named("head"))}
	return f
}

// next are the writes of the next n events.
func (f *floor) next(n int) []driver.Write {
	writes := make([]driver.Write, n)
	for i := range writes {
		f.version++
		writes[i] = driver.Write{Key: f.keys.event(f.version), Value: f.event}
	}
	return writes
}

// etag reads the head's.
func (f *floor) etag(ctx context.Context) (string, error) {
	return f.raw.get(ctx, f.partition, f.head.Key)
}

// stored counts the events that stand.
func (f *floor) stored(ctx context.Context) (int, error) {
	if f.counted() { // each is in the head that the next one replaced
		return f.version, nil
	}
	names := make([]string, f.version)
	for i := range names {
		names[i] = f.keys.event(i + 1)
	}
	return f.raw.read(f.partition, names)(ctx)
}

// recorder notes the bulk reads.
type recorder struct {
	driver.State
	read chan []string
}

func (r recorder) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	r.read <- keys
	return r.State.GetMany(ctx, partition, keys)
}

// chunks are the bulk reads of a whole stream in a session.
func (l *lab) chunks(id string) [][]string {
	l.t.Helper()
	r := recorder{l.state, make(chan []string, 1000)}
	s := must(must(l.provider(r))(l.t).Open(l.t.Context(), eventstore.Stream{Database: "EventStores", Type: aggregate, ID: id}))(l.t)
	<-r.read // that of opening
	for _, err := range s.Read(l.t.Context()) {
		l.check(err)
	}
	l.check(s.Close())
	close(r.read)
	var chunks [][]string
	for c := range r.read {
		chunks = append(chunks, c)
	}
	if len(chunks) == 0 {
		l.t.Fatal(fmt.Errorf("reading stream %s took no bulk read", id))
	}
	return chunks
}
