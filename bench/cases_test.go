package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// comparison is one case: what it measures, and what it compares that with.
type comparison struct {
	name    string // as in the rows
	against string // the other side: "floor", or one of rivals
	what    string // a description for docs/benchmarks.md
	floor   string // what the floor does, for docs/benchmarks.md
	only    func(*store) bool
	limit   func(*store) limit
	once    bool // one run is long enough for a turn
	brief   bool // half of the time is enough
	allocs  bool // count allocations too, on embedded/memory

	// sides returns the event store, the side that it is compared with, and further sides that are
	// reported for information.
	sides func(*lab) []side

	// delays returns the series of the sides instead, and how many appends a second were made.
	delays func(*lab) ([]series, float64)

	counts counting // for what requests are counted, if at all
}

var comparisons = []comparison{
	{
		name: "append1", against: "floor", sides: append1, limit: targets(1.5, 1.15, 1.2),
		what:  "the first append of 1 event in a session",
		floor: "one transaction of head and event. On Redis: one first-write of the head with the event in it",
	},
	{
		name: "appendloop", against: "floor", sides: appendLoop, limit: targets(1.25, 1.15, 1.2),
		what:  "each further append of 1 event in a session",
		floor: "a get of the head's ETag, and the transaction. On Redis: one first-write, because the ETag can be counted",
	},
	{
		name: "append1000", against: "floor", sides: append1000, limit: budget(1.15, 1.6), once: true, allocs: true,
		what:  "one append of 1,000 events",
		floor: "one transaction of head and events. On Redis: a bulk save of the events; `transaction` sends them in one transaction instead",
	},
	{
		name: "read10000", against: "floor", sides: read10000, limit: targets(1.15, 1.3, 1.3), once: true, allocs: true,
		what:  "a read of 10,000 events in a session, each of them decoded",
		floor: "bulk reads of the same keys in the same chunks, without decoding. `encoding/json` is the event store with the default codec",
	},
	{
		name: "snapshotload", against: "floor", sides: snapshotLoad, limit: targets(1.15, 1.25, 1.3),
		what:  "a load of 10,000 events from a snapshot at version 9,900, without a session",
		floor: "bulk reads of the same keys in the same chunks, without decoding. `fewest` reads them in two requests",
	},
	{
		name: "openclose", against: "floor", sides: openClose, limit: budget(1.15, 1.15),
		what:  "opening and closing a session",
		floor: "lock, one read of the head, unlock. Without a lock component the lock is a lease in the store: locking and unlocking take a get and a first-write each",
	},
	{
		name: "parallel16", against: "floor", sides: parallel16, limit: budget(1/0.85, 1/0.45), once: true,
		what:  "appends of 1 event, by 16 concurrent sessions on 16 streams. The time is the total time divided by the number of appends",
		floor: "16 loops of a get and the transaction. On Redis: 16 loops of first-writes",
	},
	{
		name: "growth", against: "floor", sides: growth, limit: budget(1.05, 1.05),
		what:  "the first append of 1 event in a session on a stream of 100,000 events",
		floor: "the same by the event store, on a stream that starts with 10 events",
	},
	{
		name: "writeread1000", against: "floor", sides: writeRead1000, once: true,
		what:  "one append of 1,000 events, and a read of them",
		floor: "one transaction and one bulk read. On Redis: a bulk save and one bulk read",
		limit: func(s *store) limit {
			if s.name != "sidecar/redis" {
				return limit{}
			}
			return limit{duration: 100 * time.Millisecond}
		},
	},
	{
		name: "encode1000", against: "floor", sides: encode1000, only: hasNoRequests, once: true, allocs: true,
		what:  "encoding 1,000 events without a request. The event store checks that each will come back unchanged",
		floor: "`json.Marshal` of the same events. `decoded` is the event store with a type that has a field of type `any`, so that it decodes and compares each value",
	},
	{
		name: "command", against: "floor", sides: command, limit: targets(1.3, 1.7, 1.5),
		what:  "an update of 1 event of an aggregate of 50 to 150 events, by a repository that has updated it before",
		floor: "one transaction of head and event. On Redis: one first-write of the head with the event in it",
	},
	{
		name: "commandcold", against: "floor", sides: commandCold, limit: targets(3.5, 3, 2),
		what:  "the same by a new repository, of an aggregate of 100 to 150 events with a snapshot every 20",
		floor: "as in `command`",
	},
	{
		name: "hot16", against: "floor", sides: hot16, limit: targets(0.25, 0.25, 0.25), once: true,
		what:  "updates of 1 event of one aggregate, by 16 goroutines through one repository. The time is the total time divided by the number of updates, so a ratio of 0.25 means four times as many a second",
		floor: "one loop of a get and the transaction. On Redis: one loop of first-writes",
	},
	{
		name: "hot4x4", against: "floor", sides: hot4x4, only: isReachable, limit: targets(1, 1, 1), once: true,
		what:  "updates of 1 event of one aggregate, by 4 processes of 4 goroutines, all through one sidecar or on one SQLite file. None may fail. The time is as in `hot16`",
		floor: "as in `hot16`",
	},
	{
		name: "age", against: "floor", sides: age, limit: targets(1.05, 1.05, 1.05),
		what:  "an update of 1 event of an aggregate that has had 10,000 such updates. The repository keeps it in memory and saves a snapshot every 10 events",
		floor: "the same by the event store, of an aggregate that has had 100 to 150 such updates",
	},
	{
		name: "feedappend1", against: "floor", sides: feedAppend1, limit: targets(1.1, 1.15, 1.15), once: true, counts: perAppend,
		what:  "the first append of 1 event in a session, by a provider with a feed, while no indexer runs. A run is 32 sessions",
		floor: "the same by a provider without a feed",
	},
	{
		name: "feedappendloop", against: "floor", sides: feedAppendLoop, limit: targets(1.1, 1.15, 1.15), once: true, counts: perAppend,
		what:  "each further append of 1 event in a session, by a provider with a feed, while no indexer runs. A run is 32 appends",
		floor: "the same by a provider without a feed",
	},
	{
		name: "feedcommand", against: "floor", sides: feedCommand, limit: targets(1.1, 1.15, 1.15), once: true, counts: perAppend,
		what:  "an update as in `command`, by a provider with a feed, while no indexer runs. A run is 32 updates",
		floor: "the same by a provider without a feed",
	},
	{
		name: "feedindexed", against: "floor", sides: feedIndexed, only: follows, once: true,
		what:  "appends as in `feedappendloop`, while an indexer in the same process takes them over. A run is 100 appends",
		floor: "the same without a feed and without an indexer",
	},
	{
		name: "latency1", against: "floor", delays: delayed(1, here, least), only: follows, limit: within20ms,
		what:  "the time from an append to the call of a subscription's handler, at 1 append a second. Writer, indexer and subscription are in one process",
		floor: "the requests that this takes at least, one after the other: a look into a journal, an append to the log, a read of the log's head, of its batch, and of the event",
	},
	{
		name: "latency100", against: "floor", delays: delayed(100, here, least), only: follows, limit: within20ms,
		what: "the same at 100 appends a second", floor: "as in `latency1`",
	},
	{
		name: "latency1000", against: "floor", delays: delayed(1000, here, least), only: follows, limit: within20ms,
		what: "the same at 1,000 appends a second, if the store takes so many", floor: "as in `latency1`",
	},
	{
		name: "across1", against: "floor", delays: delayed(1, there, least, apart), only: follows, limit: within100ms,
		what:  "as in `latency1`, but the subscription is in another process, and nothing rings there. In `indexeracross` the indexer is there too",
		floor: "as in `latency1`",
	},
	{
		name: "across100", against: "floor", delays: delayed(100, there, least, apart), only: follows, limit: within100ms,
		what: "the same at 100 appends a second", floor: "as in `latency1`",
	},
	{
		name: "across1000", against: "floor", delays: delayed(1000, there, least, apart), only: follows, limit: within100ms,
		what: "the same at 1,000 appends a second, if the store takes so many", floor: "as in `latency1`",
	},
	{
		name: "catchup", against: "floor", sides: catchUp, brief: true, limit: targets(1.5, 1.5, 1.5), once: true, counts: perRun,
		what:  "a read of a feed of 10,000 events of 1,000 streams from its beginning to its end, each event decoded. Each stream has two commits of 5 events",
		floor: "bulk reads of the same events in the same chunks, without decoding and without the log",
	},
	{
		name: "projectrebuild", against: "floor", sides: projectRebuild, brief: true, limit: targets(1.5, 1.5, 1.5), once: true, counts: perRun,
		what:  "a new version of a projection over 10,000 events of 1,000 streams, with a document for each stream, from its start until the documents include all events and views read it",
		floor: "as in `catchup`",
	},
	{
		name: "projectlive", against: "floor", sides: projectLive, brief: true, only: follows, once: true,
		what:  "appends of 1 event by 16 concurrent sessions on 16 streams, until the documents of a running projection include them. A run is 20 appends of each. The time is the total time divided by the number of appends",
		floor: "the same appends without a projection. An indexer takes them over on both sides",
	},
	{
		name: "list", against: "floor", sides: list, brief: true, only: follows, once: true, counts: perRun,
		what:  "a list of 100,000 streams",
		floor: "bulk reads of the same pages in the same chunks, without decoding",
	},
	{
		name: "listdetails", against: "floor", sides: listDetails, brief: true, only: follows, once: true, counts: perRun,
		what:  "a list of the last 10,000 of them, with the version, the time and the state of each stream",
		floor: "bulk reads of the same pages and heads in the same chunks, without decoding",
	},
	{
		name: "oldstart", against: "floor", sides: oldStart, brief: true, only: ages, limit: targets(1.05, 1.05, 1.05), counts: perRun,
		what:  "the start of a live reader at the end of a feed of 1,000,000 entries and 500 streams",
		floor: "the same by the event store, in a feed of 1,000 entries and as many streams",
	},
	{
		name: "oldresume", against: "floor", sides: oldResume, brief: true, only: ages, limit: targets(1.05, 1.05, 1.05), counts: perRun,
		what: "the start of a live reader at a position, which is the end of such a feed", floor: "as in `oldstart`",
	},
	{
		name: "oldindex", against: "floor", sides: oldIndex, brief: true, only: ages, limit: targets(1.05, 1.05, 1.05), once: true, counts: perRun,
		what: "the start of an indexer of such a feed, until it has taken over a commit", floor: "as in `oldstart`",
	},
	{
		name: "oldappend", against: "floor", sides: oldAppend, brief: true, only: ages, limit: targets(1.05, 1.05, 1.05), once: true, counts: perAppend,
		what: "an append as in `feedappendloop` to a stream in such a feed", floor: "as in `oldstart`",
	},
	{
		name: "append1", against: "hallgren", sides: rivalAppend(append1, one), only: hasRival, limit: rivalLimit("embedded/sqlite", limit{ratio: 2}),
		what: "the first append of 1 event in a session",
	},
	{
		name: "appendloop", against: "hallgren", sides: rivalAppend(appendLoop, one), only: hasRival,
		what: "each further append of 1 event in a session",
	},
	{
		name: "append1000", against: "hallgren", sides: rivalAppend(append1000, batch), only: hasRival, once: true, limit: rivalLimit("sidecar/postgresql", limit{ratio: 1, below: true}),
		what: "one append of 1,000 events",
	},
	{
		name: "read10000", against: "hallgren", sides: rivalRead, only: hasRival, once: true, limit: rivalLimit("embedded/sqlite", limit{ratio: 2}),
		what: "a read of 10,000 events, each of them decoded",
	},
	{
		name: "command", against: "hallgren", sides: rivalCommand, only: hasRival, limit: near,
		what: "an update of 1 event of an aggregate of 50 to 150 events",
	},
	{
		name: "hot16", against: "hallgren", sides: rivalHot16, only: hasRival, once: true, limit: ahead,
		what: "updates of 1 event of one aggregate, by 16 goroutines",
	},
	{
		name: "catchup", against: "hallgren", sides: rivalCatchUp, brief: true, only: hasRival, once: true,
		what: "a read of 10,000 events of 1,000 streams in the order of the store",
	},
	{
		name: "command", against: "eventhorizon", sides: eventHorizonCommand, only: hasEventHorizon, limit: near,
		what: "an update of 1 event of an aggregate of 50 to 150 events",
	},
	{
		name: "hot16", against: "eventhorizon", sides: eventHorizonHot16, only: hasEventHorizon, once: true, limit: ahead,
		what: "updates of 1 event of one aggregate, by 16 goroutines",
	},
	{
		name: "feedappendloop", against: "watermill", sides: millAppend, only: hasWatermill,
		what: "an append of 1 event that will be delivered",
	},
	{
		name: "latency1", against: "watermill", delays: delayed(1, here, mill), only: hasWatermill,
		what: "the time from an append to the call of a handler, at 1 append a second",
	},
	{
		name: "latency100", against: "watermill", delays: delayed(100, here, mill), only: hasWatermill,
		what: "the same at 100 appends a second",
	},
	{
		name: "latency1000", against: "watermill", delays: delayed(1000, here, mill), only: hasWatermill,
		what: "the same at 1,000 appends a second",
	},
	{
		name: "catchup", against: "watermill", sides: millCatchUp, brief: true, only: hasWatermill, once: true,
		what: "a read of 10,000 events of 1,000 streams from the beginning",
	},
}

// within20ms and within100ms are the limits of the time from an append to its handler.
func within20ms(*store) limit  { return limit{duration: 20 * time.Millisecond} }
func within100ms(*store) limit { return limit{duration: 100 * time.Millisecond} }

// appendTo opens a session on a stream, appends n events in one call, and closes the session. It
// times the append only.
func (l *lab) appendTo(ctx context.Context, id string, n int) (time.Duration, int, error) {
	s, err := l.events.Open(ctx, l.events.Stream(aggregate, id))
	if err != nil {
		return 0, 0, err
	}
	payload := events(n)
	took, err := timed(ctx, func() error {
		_, err := s.Append(ctx, eventstore.ExpectAny(), payload...)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return took, n, s.Close()
}

func append1(l *lab) []side {
	id, f := l.stream(short), l.newFloor()
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) { return l.appendTo(ctx, id, 1) }, l.version(id)},
		{"floor", f.inSession(1, func(writes []driver.Write) func(context.Context, string) error { return f.append(writes) }), f.stored},
	}
}

// inSession times the request of an append of n events. Before it, it locks and reads as an opened
// session does, so that sidecar and store are equally busy for both sides.
func (f *floor) inSession(n int, request func([]driver.Write) func(context.Context, string) error) func(context.Context) (time.Duration, int, error) {
	f.t.Helper()
	lock, unlock := f.locking(f.keys)
	read := f.raw.read(f.partition, f.opening())
	return func(ctx context.Context) (time.Duration, int, error) {
		if err := lock(ctx); err != nil {
			return 0, 0, err
		}
		if _, err := read(ctx); err != nil {
			return 0, 0, err
		}
		etag, err := f.etag(ctx)
		if err != nil {
			return 0, 0, err
		}
		do := request(f.next(n))
		took, err := timed(ctx, func() error { return do(ctx, etag) })
		if err != nil {
			return 0, 0, err
		}
		return took, n, unlock(ctx)
	}
}

// append returns the one request of an append of 1 event.
func (f *floor) append(writes []driver.Write) func(context.Context, string) error {
	if f.counted() {
		return f.raw.swap(f.partition, f.head)
	}
	return f.raw.transaction(f.partition, &f.head, writes)
}

func appendLoop(l *lab) []side {
	id, f := l.stream(short), l.newFloor()
	ours := l.appending(id)
	floor := f.appending()
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) {
			e := event()
			took, err := timed(ctx, func() error { return ours(ctx, e) })
			return took, 1, err
		}, l.version(id)},
		{"floor", func(ctx context.Context) (time.Duration, int, error) {
			writes := f.next(1)
			took, err := timed(ctx, func() error { return floor(ctx, writes) })
			return took, 1, err
		}, f.stored},
	}
}

// appending returns a function that appends one event in an open session. The session has appended
// once before.
func (l *lab) appending(id string) func(context.Context, any) error {
	l.t.Helper()
	s := l.open(id)
	must(s.Append(l.t.Context(), eventstore.ExpectAny(), event()))(l.t)
	return func(ctx context.Context, e any) error {
		_, err := s.Append(ctx, eventstore.ExpectAny(), e)
		return err
	}
}

// appending returns a function that appends one event with the fewest requests: on Redis it counts
// the ETag, elsewhere it gets it first.
func (f *floor) appending() func(context.Context, []driver.Write) error {
	f.t.Helper()
	etag := must(f.etag(f.t.Context()))(f.t)
	f.check(f.append(f.next(1))(f.t.Context(), etag))
	if !f.counted() {
		return func(ctx context.Context, writes []driver.Write) error {
			etag, err := f.etag(ctx)
			if err != nil {
				return err
			}
			return f.append(writes)(ctx, etag)
		}
	}
	count := must(f.etag(f.t.Context()))(f.t)
	var n int
	if _, err := fmt.Sscan(count, &n); err != nil {
		f.t.Fatalf("the ETag %q is not a number", count)
	}
	return func(ctx context.Context, writes []driver.Write) error {
		err := f.append(writes)(ctx, fmt.Sprint(n))
		n++
		return err
	}
}

func append1000(l *lab) []side {
	id, f := l.stream(short), l.newFloor()
	sides := []side{{"ours", func(ctx context.Context) (time.Duration, int, error) { return l.appendTo(ctx, id, l.batch) }, l.version(id)}}
	redis, ok := f.raw.(viaSidecar)
	if !f.counted() || !ok {
		return append(sides, side{"floor", f.inSession(l.batch, func(writes []driver.Write) func(context.Context, string) error {
			return f.raw.transaction(f.partition, &f.head, writes)
		}), f.stored})
	}
	other := l.newFloor()
	return append(sides,
		side{"floor", f.inSession(l.batch, func(writes []driver.Write) func(context.Context, string) error {
			save := redis.save(f.partition, writes)
			return func(ctx context.Context, _ string) error { return save(ctx) }
		}), f.stored},
		side{"transaction", other.inSession(l.batch, func(writes []driver.Write) func(context.Context, string) error {
			return redis.transaction(other.partition, nil, writes)
		}), other.stored},
	)
}

// hasNoRequests selects the one store on which cases without requests are measured.
func hasNoRequests(s *store) bool { return s.name == "embedded/memory" }

// imported is an event whose fields are not known in advance.
type imported struct{ Fields map[string]any }

func encode1000(l *lab) []side {
	types := must(eventstore.NewRegistry(eventstore.Type[deposited]("deposited"), eventstore.Type[imported]("imported")))(l.t)
	each := func(encode func(any) error, made func() any) func(context.Context) (time.Duration, int, error) {
		return func(ctx context.Context) (time.Duration, int, error) {
			value := made()
			took, err := timed(ctx, func() error {
				for range l.batch {
					if err := encode(value); err != nil {
						return err
					}
				}
				return nil
			})
			return took, l.batch, err
		}
	}
	ours := func(value any) error { _, err := types.Encode(value); return err }
	marshal := func(value any) error { _, err := json.Marshal(value); return err }
	typed := func() any { return event() }
	loose := func() any { return imported{map[string]any{"note": fmt.Sprint(event()), "amount": 5}} }
	return []side{
		{"ours", each(ours, typed), nil},
		{"floor", each(marshal, typed), nil},
		{"decoded", each(ours, loose), nil},
	}
}

// drain reads all events, counts them, and checks that each was decoded.
func drain(all iter.Seq2[eventstore.Event, error]) (n int, err error) {
	for e, err := range all {
		if err != nil {
			return n, err
		}
		if _, ok := e.Data.(deposited); !ok {
			return n, fmt.Errorf("version %d is a %T", e.Version, e.Data)
		}
		n++
	}
	return n, nil
}

func read10000(l *lab) []side {
	id := l.stream(l.many)
	floor := l.bulkReads(l.raws(id, l.many), l.chunks(id))
	standard := must(l.providerWith(l.state, eventstore.JSON))(l.t)
	return []side{l.reading("ours", l.events, id), {"floor", floor, nil}, l.reading("encoding/json", standard, id)}
}

// reading returns the side that reads a whole stream in a session.
func (l *lab) reading(name string, provider *eventstore.Provider, id string) side {
	s := must(provider.Open(l.t.Context(), provider.Stream(aggregate, id), eventstore.Shared()))(l.t)
	l.t.Cleanup(func() { _ = s.Close() })
	return side{name, func(ctx context.Context) (time.Duration, int, error) {
		var n int
		took, err := timed(ctx, func() (err error) {
			n, err = drain(s.Read(ctx))
			return err
		})
		return took, n, err
	}, nil}
}

// bulkReads returns a function that reads the chunks one after the other.
func (l *lab) bulkReads(k keys, chunks [][]string) func(context.Context) (time.Duration, int, error) {
	requests := make([]func(context.Context) (int, error), len(chunks))
	for i, chunk := range chunks {
		requests[i] = l.raw.read(k.partition, chunk)
	}
	return func(ctx context.Context) (time.Duration, int, error) {
		n := 0
		took, err := timed(ctx, func() error {
			for _, request := range requests {
				found, err := request(ctx)
				if err != nil {
					return err
				}
				n += found
			}
			return nil
		})
		return took, n, err
	}
}

func snapshotLoad(l *lab) []side {
	id := l.stream(l.many)
	s := l.open(id)
	l.check(s.SaveSnapshot(l.t.Context(), int64(l.snapshotAt), event()))
	l.check(s.Close())
	k := l.raws(id, l.many)
	r := l.events.Reader(l.events.Stream(aggregate, id))
	if l.apart {
		list := k.named("snapshots") // it carries the snapshot
		l.check(l.raw.swap(k.partition, driver.Write{Key: list, Value: l.value(k, list)})(l.t.Context(), ""))
	}
	chunks := l.loadChunks(id)
	first, after := chunks[0], slices.Concat(chunks[1:]...)
	// requests returns a function that sends the chunks, and counts the events up to the last one.
	requests := func(chunks [][]string) func(context.Context) (time.Duration, int, error) {
		send := l.bulkReads(k, chunks)
		return func(ctx context.Context) (time.Duration, int, error) {
			took, found, err := send(ctx)
			return took, l.snapshotAt + found - len(first), err
		}
	}
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) {
			var reached int
			took, err := timed(ctx, func() error {
				snapshot, rest, err := r.Load(ctx)
				if err != nil {
					return err
				}
				n, err := drain(rest)
				reached = int(snapshot.Version) + n
				if snapshot.Version != int64(l.snapshotAt) && err == nil {
					err = fmt.Errorf("loaded from a snapshot at version %d, want %d", snapshot.Version, l.snapshotAt)
				}
				return err
			})
			return took, reached, err
		}, nil},
		{"floor", requests(chunks), nil},
		{"fewest", requests([][]string{first, after}), nil},
	}
}

// opening returns the key that opening a stream reads.
func (k keys) opening() []string { return []string{k.named("head")} }

func openClose(l *lab) []side {
	id := l.stream(short)
	raws := l.raws(id, short)
	read := l.raw.read(raws.partition, raws.opening())
	lock, unlock := l.locking(keysOf(newName()))
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) {
			took, err := timed(ctx, func() error {
				s, err := l.events.Open(ctx, l.events.Stream(aggregate, id))
				if err != nil {
					return err
				}
				return s.Close()
			})
			return took, short, err
		}, nil},
		{"floor", func(ctx context.Context) (time.Duration, int, error) {
			took, err := timed(ctx, func() error {
				if err := lock(ctx); err != nil {
					return err
				}
				if found, err := read(ctx); err != nil || found != len(raws.opening()) {
					return fmt.Errorf("read %d keys, want the head: %w", found, err)
				}
				return unlock(ctx)
			})
			return took, short, err
		}, nil},
	}
}

// locking returns raw requests that lock a stream and unlock it. They go to the lock component or,
// without one, write the same lease records as the event store.
func (l *lab) locking(k keys) (lock, unlock func(context.Context) error) {
	l.t.Helper()
	if l.locks != nil {
		owner := uuid.NewString()
		return func(ctx context.Context) error { return l.locks.lock(ctx, k.partition, owner) },
			func(ctx context.Context) error { return l.locks.unlock(ctx, k.partition, owner) }
	}
	key := k.named("lease")
	change := func(value []byte) func(context.Context) error {
		request := l.raw.swap(k.partition, driver.Write{Key: key, Value: value})
		return func(ctx context.Context) error {
			etag, err := l.raw.get(ctx, k.partition, key)
			if err != nil {
				return err
			}
			return request(ctx, etag)
		}
	}
	id := l.stream(short)
	s := l.open(id)
	held := l.value(keysOf(id), keysOf(id).named("lease"))
	l.check(s.Close())
	free := l.value(keysOf(id), keysOf(id).named("lease"))
	return change(held), change(free)
}

// perSession is how many appends each session of parallel16 makes in one run.
const perSession = 10

func parallel16(l *lab) []side {
	ours := make([]func(context.Context) error, l.streams)
	floors := make([]func(context.Context) error, l.streams)
	var ids []string
	var all []*floor
	for i := range l.streams {
		id, f := l.stream(short), l.newFloor()
		ids, all = append(ids, id), append(all, f)
		appendOurs, appendFloor := l.appending(id), f.appending()
		ours[i] = func(ctx context.Context) error { return appendOurs(ctx, event()) }
		floors[i] = func(ctx context.Context) error { return appendFloor(ctx, f.next(1)) }
	}
	atOnce := func(appends []func(context.Context) error) func(context.Context) (time.Duration, int, error) {
		return func(ctx context.Context) (time.Duration, int, error) {
			errs := make([]error, len(appends))
			took, err := timed(ctx, func() error {
				var running sync.WaitGroup
				for i, do := range appends {
					running.Go(func() {
						for range perSession {
							if errs[i] = do(ctx); errs[i] != nil {
								return
							}
						}
					})
				}
				running.Wait()
				for _, err := range errs {
					if err != nil {
						return err
					}
				}
				return nil
			})
			n := len(appends) * perSession
			return took / time.Duration(n), n, err
		}
	}
	return []side{
		{"ours", atOnce(ours), sum(len(ids), func(ctx context.Context, i int) (int, error) { return l.version(ids[i])(ctx) })},
		{"floor", atOnce(floors), sum(len(all), func(ctx context.Context, i int) (int, error) { return all[i].stored(ctx) })},
	}
}

func sum(n int, count func(context.Context, int) (int, error)) func(context.Context) (int, error) {
	return func(ctx context.Context) (total int, err error) {
		for i := range n {
			each, err := count(ctx, i)
			if err != nil {
				return 0, err
			}
			total += each
		}
		return total, nil
	}
}

func growth(l *lab) []side {
	long, brief := l.longStream(), l.stream(short)
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) { return l.appendTo(ctx, long, 1) }, nil},
		{"floor", func(ctx context.Context) (time.Duration, int, error) { return l.appendTo(ctx, brief, 1) }, nil},
	}
}

func writeRead1000(l *lab) []side {
	f := l.newFloor()
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) {
			s, err := l.events.Open(ctx, l.events.Stream(aggregate, newName()))
			if err != nil {
				return 0, 0, err
			}
			payload := events(l.batch)
			n := 0
			took, err := timed(ctx, func() error {
				if _, err := s.Append(ctx, eventstore.ExpectAny(), payload...); err != nil {
					return err
				}
				n, err = drain(s.Read(ctx))
				return err
			})
			if err != nil {
				return 0, 0, err
			}
			return took, n, s.Close()
		}, nil},
		{"floor", func(ctx context.Context) (time.Duration, int, error) {
			writes := f.next(l.batch)
			names := make([]string, len(writes))
			for i, w := range writes {
				names[i] = w.Key
			}
			write := f.raw.transaction(f.partition, nil, writes)
			if redis, ok := f.raw.(viaSidecar); ok && f.counted() {
				save := redis.save(f.partition, writes)
				write = func(ctx context.Context, _ string) error { return save(ctx) }
			}
			read := f.raw.read(f.partition, names)
			n := 0
			took, err := timed(ctx, func() (err error) {
				if err = write(ctx, ""); err != nil {
					return err
				}
				n, err = read(ctx)
				return err
			})
			return took, n, err
		}, f.stored},
	}
}
