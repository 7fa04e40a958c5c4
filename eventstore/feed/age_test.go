package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
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
		keys := 0
		l.store.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			keys += len(r.Keys)
			time.Sleep(time.Millisecond + time.Duration(len(r.Keys))*100*time.Microsecond)
			return next()
		}
		l.index()
		l.add("1", deposited{1})
		time.Sleep(2 * time.Second)
		if got := shown(l.read()); got != "1/1" {
			l.stop()
			l.Fatalf("it read %q", got)
		}
		time.Sleep(3 * time.Minute)
		l.add("1", deposited{2}) // it has been idle, and says that it is back
		time.Sleep(2 * time.Second)
		l.expect("1/1, 1/2")
		keys = 0
		time.Sleep(time.Minute)
		if perSecond := keys / 60; perSecond > 1200 {
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
		time.Sleep(time.Minute)
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
		time.Sleep(time.Minute)
		if n := len(l.read(feed.OfStream(l.p.Stream("account", "9")))); n != 2 {
			l.Errorf("%d items of a stream that the walk looks at were read, want 2", n)
		}
	})
}
