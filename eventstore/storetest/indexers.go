package storetest

import (
	"slices"
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
	{"indexers: two that both believe to have the lease do no harm", "a lease can be lost without its owner noticing", inEachWay(testIndexersWithoutLease)},
}

// watchLog counts what a process writes to the log of the feed.
func (p *process) watchLog() *atomic.Int64 {
	writes := new(atomic.Int64)
	p.link.set(func(op, key string) error {
		if strings.HasPrefix(key, "{:feed:") && strings.HasSuffix(key, "}:head") && (op == "swap" || op == "commit") {
			writes.Add(1)
		}
		return nil
	}, nil)
	return writes
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

// testIndexersWithoutLease lets two indexers work at the same time.
func testIndexersWithoutLease(t *testing.T, target Target) {
	w := newWorld(t, target)
	w.Locker = noLock{}
	a, b, writer := w.indexer(), w.indexer(), w.process()
	for range 5 {
		writer.add("x", deposited{}, deposited{})
		writer.add("y", deposited{})
	}
	a.takeUpTo(map[string]int64{"x": 10, "y": 5})
	writer.add("y", closed{})
	items := b.take(16)
	slices.SortStableFunc(items, func(a, b feed.Item) int { return strings.Compare(a.Stream.ID, b.Stream.ID) })
	if got := shown(items); got != "x/1, x/2, x/3, x/4, x/5, x/6, x/7, x/8, x/9, x/10, y/1, y/2, y/3, y/4, y/5, y/6" {
		t.Errorf("two indexers made %s", got)
	}
}
