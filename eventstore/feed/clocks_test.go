package feed_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// TestAnIndexerThatCrashedWithAClockAhead lets the lease of the log last into the future, as other
// processes see it.
func TestAnIndexerThatCrashedWithAClockAhead(t *testing.T) {
	const ahead = 5 * time.Hour
	for _, deleted := range []bool{false, true} {
		store := memstate.Transactional()
		inLabOn(t, store, func(l *lab) {
			<-time.After(ahead)
			l.add("a", deposited{1})
			l.settle()
			store.Intervene(func(context.Context, *memstate.Request, func() error) error { return errors.New("the link is cut") })
			l.stop()
		})
		store.Around = nil
		memstate.SetBack(ahead) // the clocks of the other processes
		inLabOn(t, store, func(l *lab) {
			l.add("a", deposited{2}) // nothing else waits for the lease
			if <-time.After(time.Hour); shown(l.read()) != "a/1" {
				l.Errorf("it read %s", shown(l.read()))
			}
			if deleted {
				store.Set("{:feed:all}:lease", nil)
				<-time.After(5 * time.Second)
			} else {
				<-time.After(ahead - time.Hour + 20*time.Second)
			}
			l.expect("a/1, a/2")
		})
	}
}

// newer is a store as a newer version of the library uses it. Its records of the log and of the
// catalogue have a format of their own.
type newer struct{ *memstate.Store }

func (newer) about(key string) bool {
	return strings.HasPrefix(key, "{:feed:all}:") && !strings.HasSuffix(key, ":lease")
}

func (n newer) newest(key string, value []byte) []byte {
	if n.about(key) {
		return inAnotherVersion(value)
	}
	return value
}

func (n newer) known(items []driver.Item) []driver.Item {
	for i := range items {
		if n.about(items[i].Key) {
			items[i].Value = bytes.Replace(items[i].Value, []byte("eventstore/2 "), []byte("eventstore/1 "), 1)
		}
	}
	return items
}

func (n newer) written(writes []driver.Write) (as []driver.Write) {
	for _, w := range writes {
		w.Value = n.newest(w.Key, w.Value)
		as = append(as, w)
	}
	return as
}

func (n newer) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := n.Store.Get(ctx, partition, key)
	return n.known([]driver.Item{item})[0], err
}

func (n newer) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	items, err := n.Store.GetMany(ctx, partition, keys)
	return n.known(items), err
}

func (n newer) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	swap.Value = n.newest(swap.Key, swap.Value)
	return n.Store.Swap(ctx, partition, swap)
}

func (n newer) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return n.Store.Write(ctx, partition, n.written(writes))
}

func (n newer) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	swap.Value = n.newest(swap.Key, swap.Value)
	return n.Store.Commit(ctx, partition, swap, n.written(writes))
}

// TestAnOlderAndANewerIndexerTakeTurns: services are updated one instance after the other.
func TestAnOlderAndANewerIndexerTakeTurns(t *testing.T) {
	inLab(t, func(l *lab) {
		older := l.f
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		_, l.f = open(l.T, newer{l.store})
		l.index()
		l.add("a", deposited{2})
		l.settle()
		l.expect("a/1, a/2")
		// Both run, and the newer one works.
		done := make(chan error, 1)
		go func() { done <- older.Index(l.Context()) }()
		l.add("a", deposited{3})
		l.settle()
		l.stop()
		err := <-done
		damaged, ok := errors.AsType[*eventstore.DamagedError](err)
		if !ok || !strings.HasPrefix(damaged.Key, "{:feed:all}:") || !strings.Contains(err.Error(), "update the library") {
			l.Errorf("the older indexer stopped with %v", err)
		}
		// The older process goes on appending, and the newer one goes on indexing.
		l.add("a", withdrawn{4})
		l.index()
		l.settle()
		l.expect("a/1, a/2, a/3, a/4")
	})
}

// TestAPositionOfAnotherFeedIsNotNoticed holds what docs/following.md warns of.
func TestAPositionOfAnotherFeedIsNotNoticed(t *testing.T) {
	var position feed.Position
	for _, store := range []*memstate.Store{memstate.Transactional(), memstate.Redis()} {
		inLabOn(t, store, func(l *lab) {
			l.add("a", deposited{1})
			l.add("a", deposited{2})
			l.add("a", deposited{3})
			l.settle()
			if position == 0 {
				position = l.read()[1].Position
			} else if got := shown(l.read(feed.After(position))); got == "" || !strings.HasSuffix("a/1, a/2, a/3", got) {
				l.Errorf("it read %q", got)
			}
		})
	}
}

func TestAFeedOfAnotherNameWritesNothing(t *testing.T) {
	inLabOn(t, memstate.Redis(), func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		before := l.store.Values()
		p, other := l.other()
		if err := other.Index(l.Context()); !isA[*eventstore.ArgumentError](err) {
			l.Errorf("indexing: %v", err)
		}
		if _, err := p.Append(l.Context(), p.Stream("account", "a"), eventstore.ExpectAny(), raw("x")); !isA[*eventstore.ArgumentError](err) {
			l.Errorf("appending: %v", err)
		}
		if !maps.EqualFunc(before, l.store.Values(), bytes.Equal) {
			l.Error("something was written")
		}
	})
}
