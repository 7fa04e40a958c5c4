package storetest

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// indexerRules holds what keeps a feed going.
var indexerRules = []rule[Target]{
	{"indexers: of two one works, and the other takes over at once when it ends", "services are restarted one after the other", testIndexersTakeTurns},
	{"indexers: one takes over within the lease of one that died", "the feed must go on when a process dies", testIndexerTakesOver},
	{"indexers: two that both believe to have the lease do no harm", "a lease can be lost unnoticed, and what was read must stay as it was", inEachWay(testIndexersWithoutLease)},
}

// watchLog counts what a process writes to the log of the feed.
func (p *process) watchLog() *atomic.Int64 {
	writes := new(atomic.Int64)
	p.link.set(func(op, key string) error {
		if writesLog(op, key) {
			writes.Add(1)
		}
		return nil
	}, nil)
	return writes
}

// writesLog reports whether a request appends to the log of a feed.
func writesLog(op, key string) bool {
	return strings.HasPrefix(key, "{:feed:") && strings.HasSuffix(key, "}:head") && (op == "swap" || op == "commit")
}

// testIndexersTakeTurns ends an indexer while another one waits. Their leases are longer than the
// case waits.
func testIndexersTakeTurns(t *testing.T, target Target) {
	w := newWorld(t, target)
	long := feed.WithLease(2 * patience)
	a, b, writer := w.process(long), w.process(long), w.process()
	byA, byB := a.watchLog(), b.watchLog()
	stopA := a.index()
	writer.add("x", opened{})
	a.take(1)
	b.index()
	writer.add("x", deposited{}, deposited{})
	b.take(3)
	if byA.Load() == 0 || byB.Load() != 0 {
		t.Errorf("the first indexer wrote %d times and the second %d times, want only the first", byA.Load(), byB.Load())
	}
	stopA()
	before := byA.Load()
	writer.add("x", closed{})
	b.take(4)
	if byA.Load() != before || byB.Load() == 0 {
		t.Errorf("when the first indexer had ended, it wrote %d times and the second %d times, want only the second", byA.Load()-before, byB.Load())
	}
	b.expect("x/1, x/2, x/3, x/4")
}

// testIndexerTakesOver lets an indexer die while another one waits.
func testIndexerTakesOver(t *testing.T, target Target) {
	const lease = time.Second
	w := newWorld(t, target)
	a, b, writer := w.process(feed.WithLease(lease)), w.process(feed.WithLease(lease)), w.process()
	stopA := a.index()
	writer.add("x", opened{})
	a.take(1)
	a.die()
	died := time.Now()
	b.index()
	writer.add("x", deposited{})
	b.take(2)
	if waited := time.Since(died); waited > lease+5*time.Second {
		t.Errorf("the second indexer took over after %s, want it after the lease of %s", waited, lease)
	}
	stopA()
	b.expect("x/1, x/2")
}

// testIndexersWithoutLease stops an indexer just before it appends to the log, and again just after
// that. Meanwhile another one indexes.
func testIndexersWithoutLease(t *testing.T, target Target) {
	w := newWorld(t, target)
	w.Locker = noLock{}
	late, quick, writer := w.process(), w.process(), w.process()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	var stops atomic.Int32
	late.link.set(func(op, key string) error {
		if !(writesLog(op, key) && stops.CompareAndSwap(0, 1)) && !stops.CompareAndSwap(1, 2) {
			return nil
		}
		for _, c := range []chan struct{}{arrived, goOn} {
			select {
			case c <- struct{}{}:
			case <-t.Context().Done():
			}
		}
		return nil
	}, nil)
	wait := func(c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(patience):
			t.Fatalf("after %s the first indexer has got no further", patience)
		}
	}
	writer.add("x", deposited{}, deposited{})
	late.index()
	wait(arrived)
	writer.add("y", deposited{})
	writer.add("x", deposited{})
	quick.index()
	quick.takeUpTo(map[string]int64{"x": 3, "y": 1})
	before := quick.toEnd()
	wait(goOn)
	wait(arrived)
	writer.add("y", closed{})
	quick.takeUpTo(map[string]int64{"x": 3, "y": 2})
	wait(goOn)
	writer.add("x", closed{})
	late.takeUpTo(map[string]int64{"x": 4, "y": 2})
	items := late.toEnd()
	if len(items) != 6 {
		t.Errorf("of 6 events came %d: %s", len(items), shown(items))
	}
	for i, item := range before {
		if item.ID() != items[i].ID() || item.Position != items[i].Position {
			t.Errorf("the feed has changed from %s to %s", shown(before), shown(items))
			break
		}
	}
}
