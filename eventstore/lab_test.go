package eventstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// lab is one stream in a store in memory. After every request that took effect it checks the rules
// that hold at every instant. A test can intervene in requests.
type lab struct {
	*memstate.Store
	t    *testing.T
	keys keys

	mu     sync.Mutex
	faults []*fault
	bytes  map[int64][]byte // of each version when it was committed
	heads  [][]byte         // all heads so far; the first is nil

	entries map[string][]byte // of journals, by key, also those that were deleted since
}

// around replaces a request in a test. The function next carries the request out.
type around = func(r *memstate.Request, next func() error) error

// fault replaces some requests.
type fault struct {
	match func(*memstate.Request) bool
	do    around
	times int // how many more times; always if negative
}

var labStream = Stream{Database: "EventStores", Type: "account", ID: "1"}

var labKinds = memstate.Kinds

// inLabs runs a test in fake time, in a store of each of the kinds, or of all kinds if none is
// given.
func inLabs(t *testing.T, test func(t *testing.T, l *lab), kinds ...string) {
	t.Parallel()
	if len(kinds) == 0 {
		kinds = slices.Sorted(maps.Keys(labKinds))
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, newLab(t, labKinds[kind]())) })
		})
	}
}

var carefully = []string{"with counted ETags", "the careful way"}

func newLab(t *testing.T, s *memstate.Store) *lab {
	l := &lab{Store: s, t: t, keys: keysOf(labStream), bytes: map[int64][]byte{}, heads: [][]byte{nil}, entries: map[string][]byte{}}
	s.Around = l.around
	return l
}

func (l *lab) around(_ context.Context, r *memstate.Request, next func() error) error {
	l.checkRequest(r)
	checked := func() error {
		err := next()
		if !reads(r) {
			l.checkStore(r)
		}
		return err
	}
	l.mu.Lock()
	i := slices.IndexFunc(l.faults, func(f *fault) bool { return f.times != 0 && f.match(r) })
	if i < 0 {
		l.mu.Unlock()
		return checked()
	}
	f := l.faults[i]
	f.times--
	l.mu.Unlock()
	return f.do(r, checked)
}

// checkRequest checks that a request stays within the stream and its feed, names the partition of
// each key, and writes each key in its only mode.
func (l *lab) checkRequest(r *memstate.Request) {
	partitions := map[string]string{} // of keys that are not in the partition of the request
	for _, w := range r.Writes {
		if w.Partition != "" && w.Partition != r.Partition {
			partitions[w.Key] = w.Partition
		}
	}
	for _, key := range r.Keys {
		if !strings.HasPrefix(key, l.keys.prefix) && !strings.HasPrefix(key, "{:") {
			l.t.Errorf("%s is about %s, a key of another stream", r, key)
		}
		partition := cmp.Or(partitions[key], r.Partition)
		if anywhere := r.Op == "getmany" && l.Caps.AnyPartition; partition != partitionOf(key) && !anywhere {
			l.t.Errorf("%s carries partition %q for %s", r, partition, key)
		}
	}
	if len(partitions) > 0 && !l.Caps.AnyPartition {
		l.t.Errorf("%s mixes partitions", r)
	}
	log := Stream{Type: "feed", ID: "all"}
	swapped := func(key string) bool {
		for _, k := range []keys{l.keys, keysOf(log)} {
			if key == k.head() || key == k.snapshots() || key == k.lease() {
				return true
			}
		}
		return key == journal.RootKey
	}
	if r.Swap.Key != "" && !swapped(r.Swap.Key) {
		l.t.Errorf("%s swaps a key that is only ever written", r)
	}
	for _, w := range r.Writes {
		if swapped(w.Key) {
			l.t.Errorf("%s writes %s, a key that is only ever swapped", r, w.Key)
		}
	}
}

// checkStore checks the rules that hold at every instant. No event is above the head (rule 2).
// Every committed event is in the tail or under its key (rule 3). The bytes of an event never
// change (rule 4).
func (l *lab) checkStore(r *memstate.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	values := l.Values()
	hd := emptyHead()
	if data := values[l.keys.head()]; data != nil {
		if !bytes.Equal(data, l.heads[len(l.heads)-1]) {
			l.heads = append(l.heads, data)
		}
		var err error
		if hd, err = decodeHead(labStream, l.keys.partition, data); err != nil {
			l.t.Errorf("after %s: the head: %v", r, err)
		}
	}
	for version := range hd.first { // deleted events, which may not all be removed yet
		delete(values, l.keys.event(version))
	}
	for version := hd.first; version <= hd.version; version++ {
		data := values[l.keys.event(version)]
		if tail, ok := hd.inTail(version); ok {
			if data != nil && !bytes.Equal(data, tail.data) {
				l.t.Errorf("after %s: version %d differs between tail and key", r, version)
			}
			data = tail.data
		}
		switch {
		case data == nil:
			l.t.Errorf("after %s: version %d is committed and nowhere", r, version)
		case l.bytes[version] == nil:
			l.bytes[version] = data
		case !bytes.Equal(l.bytes[version], data):
			l.t.Errorf("after %s: version %d is not what it was", r, version)
		}
		delete(values, l.keys.event(version))
	}
	l.checkJournals(r, values, hd)
	for key := range values {
		if suffix, ok := strings.CutPrefix(key, l.keys.prefix); ok && suffix[0] >= '0' && suffix[0] <= '9' {
			l.t.Errorf("after %s: version %s stands above the head, which is at %d", r, suffix, hd.version)
		}
	}
}

// checkJournals checks the rules of the feed that hold at every instant. The bytes of an entry
// never change, so a number has one commit (rules F3 and F4). No entry stands before its commit
// (rule F4). A stream that carries a ticket can be found, because its name or an entry stood before
// (rule F2). What only a head told stands once the head is written over (rule F10).
func (l *lab) checkJournals(r *memstate.Request, values map[string][]byte, hd head) {
	var stood []string
	if hd.ticket.IsZero() && !slices.ContainsFunc(slices.Collect(maps.Keys(values)), func(key string) bool { return strings.HasPrefix(key, "{:journal:") }) {
		return
	}
	for key, data := range values {
		if !strings.HasPrefix(key, "{:journal:") {
			continue
		}
		if before := l.entries[key]; before == nil {
			l.entries[key] = data
		} else if !bytes.Equal(before, data) {
			l.t.Errorf("after %s: %s holds\n%s\nand held\n%s", r, key, data, before)
		}
	}
	for key, data := range l.entries {
		e := entryAt(l.t, key, data)
		if e.Stream != labStream.String() {
			continue
		}
		stood = append(stood, e.Slot.String())
		if e.What != journal.Named && e.To > hd.version {
			l.t.Errorf("after %s: the entry %s stands, but the head is at %d", r, e.Slot, hd.version)
		}
	}
	if !hd.ticket.IsZero() && len(stood) == 0 {
		l.t.Errorf("after %s: nothing tells of the stream", r)
	}
	if len(l.heads) < 2 {
		return
	}
	for _, data := range l.heads[1 : len(l.heads)-1] {
		old, err := decodeHead(labStream, l.keys.partition, data)
		if over := hd.commit != old.commit && hd.ticket != old.ticket; err == nil && over && old.ticket.Alone != "" && !slices.Contains(stood, old.ticket.Slot.String()) {
			l.t.Errorf("after %s: the entry %s of an earlier head does not stand", r, old.ticket.Slot)
		}
	}
}

// entryAt decodes an entry.
func entryAt(t *testing.T, key string, data []byte) journal.Entry {
	t.Helper()
	id, number, _ := strings.Cut(strings.TrimPrefix(key, "{:journal:all."), "}:")
	slot, err := journal.ParseSlot(id + "/" + number)
	if err != nil {
		t.Fatal(err)
	}
	e, err := journal.DecodeEntry("all", slot, data)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return e
}

// on calls do instead of the next requests that match: for as many as times says, or for all of
// them if times is negative.
func (l *lab) on(match func(*memstate.Request) bool, times int, do around) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, &fault{match: match, times: times, do: do})
}

// heal ends all faults.
func (l *lab) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = nil
}

// hold loses the next request that matches, and returns a function that delivers it later.
func (l *lab) hold(match func(*memstate.Request) bool) (arrive func() error) {
	var held func() error
	l.on(match, 1, func(_ *memstate.Request, next func() error) error { held = next; return errLost })
	return func() error { return held() }
}

// unknown makes an append whose outcome stays unknown: it holds the commit, and loses every request
// after it.
func (l *lab) unknown(s *Session, texts ...string) (unknown *OutcomeUnknownError, arrive func() error) {
	l.t.Helper()
	l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
		arrive = next
		l.on(everything, -1, lost)
		return errLost
	})
	_, err := tryAdd(s, texts...)
	l.heal()
	return want[*OutcomeUnknownError](l.t, err), arrive
}

// stale answers the next reads of the head with the previous head, as a lagging replica does.
func (l *lab) stale(times int) {
	l.mu.Lock()
	before := l.heads[len(l.heads)-2]
	l.mu.Unlock()
	l.replay(before, times)
}

// replay answers the next reads that include the head with the given value.
func (l *lab) replay(value []byte, times int) {
	l.on(func(r *memstate.Request) bool { return reads(r) && r.Has(":head") }, times, func(r *memstate.Request, next func() error) error {
		err := next()
		if err == nil {
			r.Items[0].Value, r.Items[0].ETag = value, "stale"
			if value == nil {
				r.Items[0].ETag = ""
			}
		}
		return err
	})
}

// These functions select requests.
func commits(r *memstate.Request) bool  { return (r.Op == "swap" || r.Op == "commit") && r.Has(":head") }
func writes(r *memstate.Request) bool   { return r.Op == "write" }
func reads(r *memstate.Request) bool    { return r.Op == "get" || r.Op == "getmany" }
func everything(*memstate.Request) bool { return true }

func exactly(request string) func(*memstate.Request) bool {
	return func(r *memstate.Request) bool { return r.String() == request }
}

// These functions replace requests.
var errLost = errors.New("lost on the way")

func lost(*memstate.Request, func() error) error              { return errLost }
func unanswered(_ *memstate.Request, next func() error) error { _ = next(); return errLost }

// absent removes the first item from an answer.
func absent(r *memstate.Request, next func() error) error {
	err := next()
	r.Items[0].Value, r.Items[0].ETag = nil, ""
	return err
}

// unreadable makes the first item of an answer unreadable.
func unreadable(r *memstate.Request, next func() error) error {
	err := absent(r, next)
	r.Items[0].Err = errLost
	return err
}

// free is a locker that grants every lock, as if all locks had expired.
type free struct{}

func (free) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (free) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}

// noted is the event of these tests.
type noted struct{ Text string }

func (l *lab) provider(options ...Option) *Provider {
	l.t.Helper()
	registry, err := NewRegistry(Type[noted]("noted"))
	if err != nil {
		l.t.Fatal(err)
	}
	settings := DefaultSettings()
	settings.TailEvents = 1 // what a head carries of several appends is the subject of tail_test.go
	options = append([]Option{WithRegistry(registry), WithLocker(free{}), WithLogger(slog.New(slog.DiscardHandler)), WithSettings(settings)}, options...)
	p, err := NewProvider(l.Store, options...)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (l *lab) open(options ...Option) *Session {
	l.t.Helper()
	s, err := l.provider(options...).Open(l.t.Context(), labStream)
	if err != nil {
		l.t.Fatalf("Open: %v", err)
	}
	return s
}

// add appends events with these texts, which must succeed.
func (l *lab) add(s *Session, texts ...string) {
	l.t.Helper()
	if _, err := tryAdd(s, texts...); err != nil {
		l.t.Fatalf("Append(%q): %v", texts, err)
	}
}

func tryAdd(s *Session, texts ...string) (int64, error) {
	events := make([]any, len(texts))
	for i, text := range texts {
		events[i] = noted{text}
	}
	return s.Append(context.Background(), ExpectAny(), events...)
}

// once returns an event with an idempotency id.
func once(id, text string) Event {
	e := Event{Data: noted{text}}
	e.Metadata.Context.IdempotencyID = id
	return e
}

// holds checks the events of the stream with a new reader.
func (l *lab) holds(texts ...string) {
	l.t.Helper()
	r := l.provider().Reader(labStream)
	l.reads(r, texts...)
}

// reads checks what a reader or session reads.
func (l *lab) reads(r *Reader, texts ...string) {
	l.t.Helper()
	var got []string
	for event, err := range r.Read(l.t.Context()) {
		if err != nil {
			l.t.Fatalf("reading: %v", err)
		}
		if event.Version != int64(len(got))+1 {
			l.t.Errorf("version %d came after version %d", event.Version, len(got))
		}
		got = append(got, event.Data.(noted).Text)
	}
	if !slices.Equal(got, texts) {
		l.t.Errorf("the stream holds %q, want %q", got, texts)
	}
}

// traced checks the requests since the last call.
func (l *lab) traced(want ...string) {
	l.t.Helper()
	if got := l.Trace(); !slices.Equal(got, want) {
		l.t.Errorf("requests:\n got %q\nwant %q", got, want)
	}
}

// appending returns the requests of an append of these versions, from the swap on.
func (l *lab) appending(versions ...int64) []string {
	list := strings.Trim(fmt.Sprint(versions), "[]")
	if l.Caps.Atomic {
		return []string{"commit head " + list}
	}
	return []string{"swap head", "write " + list}
}

// head reads the head without a request.
func (l *lab) head() head {
	l.t.Helper()
	hd, err := decodeHead(labStream, l.keys.partition, l.Values()[l.keys.head()])
	if err != nil {
		l.t.Fatal(err)
	}
	return hd
}

// tail returns the versions in the head's tail.
func (l *lab) tail() []int64 {
	l.t.Helper()
	var versions []int64
	for _, r := range l.head().tail {
		versions = append(versions, r.version)
	}
	return versions
}

// want checks that an error is of the type of E and returns it.
func want[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("got the error %v (%T), want %T", err, err, e)
	}
	return e
}
