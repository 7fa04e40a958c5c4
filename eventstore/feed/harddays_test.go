package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// other returns a provider of the store with a feed of another name.
func (l *lab) other() (*eventstore.Provider, *feed.Feed) {
	l.Helper()
	p, err := eventstore.NewProvider(l.store, eventstore.WithFeed("other"), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		l.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		l.Fatal(err)
	}
	return p, f
}

func TestAFeedOfAnotherNameIsNotAnEmptyFeed(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		_, other := l.other()
		all := func(options ...feed.ReadOption) (err error) {
			for _, err = range other.Read(l.Context(), options...) {
			}
			return err
		}
		for name, call := range map[string]func() error{
			"reading":           func() error { return all() },
			"reading live":      func() error { return all(feed.Live()) },
			"reading backwards": func() error { return all(feed.Backwards()) },
			"reading from now":  func() error { return all(feed.FromNow(), feed.Live()) },
			"reading on":        func() error { return all(feed.After(7)) },
			"reading since":     func() error { return all(feed.Since(time.Now())) },
			"the end":           func() error { _, err := other.End(l.Context()); return err },
			"indexing":          func() error { return other.Index(l.Context()) },
			"listing": func() (err error) {
				for _, err = range other.Streams(l.Context()) {
				}
				return err
			},
		} {
			if err := call(); !isA[*eventstore.ArgumentError](err) || !strings.Contains(err.Error(), `"all"`) {
				l.Errorf("%s: the error is %v", name, err)
			}
		}
		for key := range l.store.Values() {
			if strings.Contains(key, "other") && !strings.HasSuffix(key, ":lease") {
				l.Errorf("the store holds %s", key)
			}
		}
	})
}

// inAnotherVersion returns a record of a version of the library that has another format.
func inAnotherVersion(value []byte) []byte {
	return []byte(strings.Replace(string(value), "eventstore/1 ", "eventstore/2 ", 1))
}

func TestRecordsOfANewerVersionAreRefusedAndNeverOverwritten(t *testing.T) {
	for _, key := range []string{"{:feed}:journals", "{:feed:all}:head", "{:feed:all}:1", "{:feed:all}:names:0", "{:feed:all}:name:EventStores:account:a", "{:feed:all}:snapshot:", "{:feed:all}:page:0"} {
		t.Run(key, func(t *testing.T) {
			inLabOn(t, memstate.Transactional(), func(l *lab) {
				l.add("a", deposited{1})
				l.fill(10, 600)
				l.settle()
				for range 100 { // so that the log has a snapshot
					l.add("b", deposited{1})
					pass(50 * time.Millisecond)
				}
				l.stop()
				key := key
				for k := range l.store.Values() {
					if strings.HasPrefix(k, key) && strings.HasSuffix(key, ":snapshot:") {
						key = k
					}
				}
				before, _ := l.store.Value(key)
				if before == nil {
					t.Fatalf("there is no %s", key)
				}
				newer := inAnotherVersion(before)
				l.store.Set(key, newer)
				// The old indexer starts. It may work where it need not read the record.
				ctx, cancel := context.WithTimeout(l.Context(), 10*time.Minute)
				defer cancel()
				indexed := make(chan error, 1)
				go func() { indexed <- l.f.Index(ctx) }()
				pass(time.Second)
				_, appended := l.p.Append(l.Context(), l.p.Stream("account", "a"), eventstore.ExpectAny(), deposited{2})
				pass(2 * time.Minute)
				if _, err := l.p.Append(l.Context(), l.p.Stream("account", "a"), eventstore.ExpectAny(), deposited{3}); err != nil {
					appended = err
				}
				_, read := l.tryRead()
				var listed error
				for _, listed = range l.f.Streams(l.Context()) {
				}
				cancel()
				index := <-indexed
				refused := false
				for _, err := range []error{index, appended, read, listed} {
					if damaged, ok := errors.AsType[*eventstore.DamagedError](err); ok {
						refused = refused || damaged.Key == key && strings.Contains(err.Error(), "update the library")
					}
				}
				if now, _ := l.store.Value(key); string(now) != string(newer) {
					t.Errorf("it was overwritten by\n%s", now)
				}
				// The first batch is not read, and an unreadable snapshot is not needed.
				if !refused && !strings.Contains(key, ":snapshot:") && key != "{:feed:all}:1" {
					t.Errorf("nothing says so: index %v, append %v, read %v, list %v", index, appended, read, listed)
				}
			})
		})
	}
}

// inOrder reads the feed, and expects the events of each stream once and in order. It returns the
// items and the last version of each stream.
func (l *lab) inOrder() (items []feed.Item, last map[string]int64) {
	l.Helper()
	items, last = l.read(), map[string]int64{}
	for _, item := range items {
		if item.Version != last[item.Stream.ID]+1 || item.What != feed.Appended {
			l.Errorf("it read %s", shown(items))
		}
		last[item.Stream.ID] = item.Version
	}
	return items, last
}

func TestEntriesThatTheStoreLostAreDerived(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.add("b", deposited{1})
		l.settle()
		l.stop()
		l.add("a", deposited{2})
		l.add("a", withdrawn{1})
		l.add("b", deposited{3})
		l.stands("a", 2)
		l.stands("a", 3)
		l.stands("b", 2)
		lost := 0
		for key := range l.store.Values() {
			if strings.HasPrefix(key, "{:journal:") {
				l.store.Set(key, nil)
				lost++
			}
		}
		if lost == 0 {
			l.Fatal("no entries stood")
		}
		l.index()
		pass(10 * time.Second) // the walk comes by twice
		items, last := l.inOrder()
		if last["a"] != 3 || last["b"] != 2 {
			l.Errorf("it read %s", shown(items))
		}
	})
}

func TestALogThatTheStoreLostIsMadeAgain(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		before := l.store.Values()
		l.add("a", deposited{2})
		l.add("b", opened{"B"}) // a stream that only the lost part names
		l.add("a", withdrawn{1})
		l.settle()
		l.add("b", deposited{1})
		l.settle()
		l.stop()
		// All keys of the log and of the catalogue are as they were before. The streams are not.
		for _, key := range slices.Sorted(maps.Keys(l.store.Values())) {
			if strings.HasPrefix(key, "{:feed:all}:") {
				l.store.Set(key, before[key])
			}
		}
		l.index()
		pass(10 * time.Second)
		items, last := l.inOrder()
		if last["a"] != 3 {
			l.Errorf("it read %s", shown(items))
		}
		// The name of b is lost together with the log, so b comes with its next append.
		l.add("b", deposited{2})
		pass(10 * time.Second)
		if got := shown(l.read(feed.OfStream(l.p.Stream("account", "b")))); got != "b/1, b/2, b/3" {
			l.Errorf("of b it read %s", got)
		}
		names := ""
		for s, err := range l.f.Streams(l.Context()) {
			if err != nil {
				l.Fatal(err)
			}
			names += s.Stream.ID
		}
		if names != "ab" {
			l.Errorf("it listed %s", names)
		}
	})
}

func TestACatalogueThatIsAheadOfTheLogTakesNewNames(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		before := l.store.Values()
		for i := range 20 {
			l.add(fmt.Sprint(i), deposited{1})
		}
		l.settle()
		l.stop()
		for _, key := range slices.Sorted(maps.Keys(l.store.Values())) { // the log alone, and the streams
			if strings.HasPrefix(key, "{:feed:all}:") && !strings.Contains(key, ":name") || strings.HasPrefix(key, "{EventStores:account:") {
				l.store.Set(key, before[key])
			}
		}
		l.add("new", deposited{1})
		l.index()
		pass(10 * time.Second)
		found := false
		for s, err := range l.f.Streams(l.Context()) {
			if err != nil {
				l.Fatal(err)
			}
			found = found || s.Stream.ID == "new"
		}
		if !found {
			l.Error("the new stream is not in the catalogue")
		}
	})
}

func TestSinceMissesNothingAfterTheClockWasSetBack(t *testing.T) {
	store := memstate.Transactional()
	inLabOn(t, store, func(l *lab) {
		pass(10 * time.Hour)
		l.add("a", deposited{1})
		l.settle()
	})
	memstate.SetBack(10 * time.Hour) // the clock of the next processes is behind
	inLabOn(t, store, func(l *lab) {
		began := time.Now()
		pass(time.Hour)
		l.add("a", deposited{2})
		l.settle()
		pass(20 * time.Hour)
		l.add("a", deposited{3})
		l.settle()
		l.expect("a/3", feed.Since(began.Add(20*time.Hour)))
		for _, since := range []time.Duration{0, 30 * time.Minute, 5 * time.Hour} {
			got := shown(l.read(feed.Since(began.Add(since))))
			if !strings.HasSuffix(got, "a/2, a/3") {
				l.Errorf("since %s it read %s", since, got)
			}
		}
	})
}

func TestARoundThatTakesLongerThanTheLeaseIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memstate.GoOn(t)
		var log strings.Builder
		store := memstate.Redis()
		p, _ := open(t, store, eventstore.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		f, err := feed.Open(p, feed.WithLease(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		var slow atomic.Bool
		store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
			if r.Op == "swap" && slices.Contains(r.Keys, "{:feed:all}:head") && slow.Swap(false) {
				pass(1500 * time.Millisecond)
				return fmt.Errorf("too late: %w", driver.ErrRefused)
			}
			return next()
		})
		l := &lab{T: t, store: store, p: p, f: f}
		l.index()
		l.add("a", deposited{1})
		l.settle()
		slow.Store(true)
		l.add("a", deposited{2})
		pass(1700 * time.Millisecond)
		l.expect("a/1, a/2")
		l.stop()
		if strings.Contains(log.String(), "failed") {
			t.Error(log.String())
		}
	})
}
