package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// TestJournalsOfDeadProcessesDoNotHoldUpTheIndexer lets the root name many journals of processes
// that were killed. A bulk read takes time for each key.
func TestJournalsOfDeadProcessesDoNotHoldUpTheIndexer(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.stop()
		var root journal.Root
		for i := range 1500 {
			root = append(root, journal.Listed{ID: fmt.Sprintf("dead%06d", i)})
		}
		if err := l.store.Swap(l.Context(), journal.RootPartition, driver.Swap{Key: journal.RootKey, Value: root.Encode("all")}); err != nil {
			l.Fatal(err)
		}
		var keys atomic.Int64
		l.store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
			keys.Add(int64(len(r.Keys)))
			pass(time.Millisecond + time.Duration(len(r.Keys))*100*time.Microsecond)
			return next()
		})
		l.index()
		l.add("1", deposited{1})
		pass(2 * time.Second)
		if got := shown(l.read()); got != "1/1" {
			l.stop()
			l.Fatalf("it read %q", got)
		}
		pass(3 * time.Minute)
		l.add("1", deposited{2}) // it has been idle, and says that it is back
		pass(2 * time.Second)
		l.expect("1/1, 1/2")
		keys.Store(0)
		pass(time.Minute)
		if perSecond := keys.Load() / 60; perSecond > 1200 {
			l.Errorf("looking at journals of dead processes takes %d keys a second", perSecond)
		}
	})
}

// TestAHeadThatTheStoreDoesNotReturnHoldsUpItsStreamOnly: a store may fail on one key for ever.
func TestAHeadThatTheStoreDoesNotReturnHoldsUpItsStreamOnly(t *testing.T) {
	inLab(t, func(l *lab) {
		l.stop()
		for i := range 20 {
			l.add(fmt.Sprint(i), deposited{i})
		}
		bad := "{" + l.p.Stream("account", "7").String() + "}:head"
		broken := l.store.Clone()
		broken.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			if slices.Contains(r.Keys, bad) && r.Op != "commit" && r.Op != "swap" {
				return errors.New("the value is too large for this client")
			}
			return next()
		}
		l.store = broken
		l.p, l.f = open(l.T, broken)
		l.index()
		pass(time.Minute)
		l.add("8", deposited{1})
		l.settle()
		if n := len(l.read(feed.OfStream(l.p.Stream("account", "8")))); n != 2 {
			l.Errorf("%d items of a stream were read, want 2", n)
		}
		plain, err := eventstore.NewProvider(broken, eventstore.WithRegistry(types(l.T)), eventstore.WithLogger(slog.New(slog.DiscardHandler))) // its commits enter by the walk only
		if err != nil {
			l.Fatal(err)
		}
		if _, err := plain.Append(l.Context(), l.p.Stream("account", "9"), eventstore.ExpectAny(), deposited{2}); err != nil {
			l.Fatal(err)
		}
		pass(time.Minute)
		if n := len(l.read(feed.OfStream(l.p.Stream("account", "9")))); n != 2 {
			l.Errorf("%d items of a stream that the walk looks at were read, want 2", n)
		}
	})
}

// gated is a state that holds up the lease of the log.
type gated struct {
	driver.State
	closed atomic.Int64  // counts down: it holds up that swap of the lease
	held   chan struct{} // an indexer waits
	open   chan struct{}
}

func (g *gated) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	if strings.HasSuffix(swap.Key, ":lease") && g.closed.Add(-1) == 0 {
		g.held <- struct{}{}
		<-g.open
	}
	return g.State.Swap(ctx, partition, swap)
}

// TestAnotherLogOfTheSameVersionIsReadAgain lets an indexer stand still between two sessions.
// Meanwhile the store loses the last batch, and another indexer writes another one in its place.
func TestAnotherLogOfTheSameVersionIsReadAgain(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		store.Remembers = true
		gate := &gated{State: store, held: make(chan struct{}), open: make(chan struct{})}
		l := &lab{T: t, store: store}
		l.p, l.f = open(t, gate)
		writer, other := open(t, store)
		l.index()
		l.add("1", deposited{1})
		l.settle()
		version := func() int64 {
			v, err := l.p.Inside(permit.Permit{}).LogReader().Version(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		l.add("1", deposited{2})
		l.settle()
		gate.closed.Store(2) // the first one gives the lease back
		<-gate.held
		known := version()
		for version() == known {
			store.Forget(1)
		}
		if _, err := writer.Append(t.Context(), writer.Stream("account", "0"), eventstore.ExpectAny(), deposited{1}); err != nil {
			t.Fatal(err)
		}
		l.stands("0", 1)
		stop := memstate.Start(t, other.Index)
		l.waitFor("another batch", func() bool { return version() >= known })
		stop()
		if version() != known {
			t.Fatalf("version %d, want %d", version(), known)
		}
		close(gate.open)
		pass(time.Minute)
		l.add("1", deposited{3})
		pass(time.Minute)
		if items, err := l.tryRead(feed.OfStream(l.p.Stream("account", "0"))); err != nil || len(items) != 1 {
			t.Errorf("%s, %v", shown(items), err)
		}
		if items, err := l.tryRead(feed.OfStream(l.p.Stream("account", "1"))); err != nil || shown(items) != "1/1, 1/2, 1/3" {
			t.Errorf("%s, %v", shown(items), err)
		}
		l.stop()
	})
}

// TestAnIdleIndexerSendsLittle counts requests once nothing has happened for a while.
func TestAnIdleIndexerSendsLittle(t *testing.T) {
	store := memstate.Transactional()
	inLabOn(t, store, func(l *lab) {
		for i := range 10 {
			l.add(fmt.Sprint(i), deposited{i})
		}
		pass(5 * time.Minute)
		store.Trace()
		pass(time.Minute)
		if n := len(store.Trace()); n > 60*4 {
			l.Errorf("it sent %d requests in a minute", n)
		}
	})
}

// TestBusyProcessesAllHaveTheirTurn: more processes append all the time than one round looks at.
func TestBusyProcessesAllHaveTheirTurn(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		const processes = 150
		var providers []*eventstore.Provider
		for range processes {
			p, _ := open(l.T, l.store)
			providers = append(providers, p)
		}
		for n := range 20 {
			for i, p := range providers {
				if _, err := p.Append(l.Context(), p.Stream("account", fmt.Sprint(i)), eventstore.ExpectAny(), deposited{n}); err != nil {
					l.Fatal(err)
				}
			}
			pass(100 * time.Millisecond)
		}
		reached := map[string]bool{} // before the appends end
		for item, err := range l.f.Read(l.Context()) {
			if err != nil {
				l.Fatal(err)
			}
			reached[item.Stream.ID] = true
		}
		if len(reached) != processes {
			l.Errorf("the log has streams of %d processes, want %d", len(reached), processes)
		}
	})
}
