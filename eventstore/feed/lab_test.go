package feed_test

import (
	"context"
	"fmt"
	"log/slog"
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

func careful() *memstate.Store {
	s := memstate.Transactional()
	s.Caps = driver.Capabilities{}
	return s
}

var kinds = map[string]func() *memstate.Store{
	"in one transaction": memstate.Transactional, "with counted ETags": memstate.Redis, "the careful way": careful,
}

type (
	opened    struct{ Owner string }
	deposited struct{ Amount int }
	withdrawn struct{ Amount int }
	moved     interface{ moves() int }
)

func (d deposited) moves() int { return d.Amount }
func (w withdrawn) moves() int { return -w.Amount }

func types(t *testing.T) *eventstore.Registry {
	t.Helper()
	r, err := eventstore.NewRegistry(eventstore.Type[opened]("opened"), eventstore.Type[deposited]("deposited", eventstore.WithAliases("paid-in")), eventstore.Type[withdrawn]("withdrawn"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, state driver.State) (*eventstore.Provider, *feed.Feed) {
	t.Helper()
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(types(t)), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, f
}

func raw(text string) eventstore.Raw {
	return eventstore.Raw{Type: "e", ContentType: "text/plain", Payload: []byte(text)}
}

// lab is a store with one process, in fake time.
type lab struct {
	*testing.T
	store *memstate.Store
	p     *eventstore.Provider
	f     *feed.Feed
	stop  func() // the indexer
}

var newest atomic.Int64 // the time at which the last test ended, in nanoseconds since 1970

// goOn makes the fake time of a test begin where that of the tests before ended. The ids of commits
// tell the time, and never go back within this process.
func goOn(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(time.Unix(0, newest.Load())))
	t.Cleanup(func() { newest.Store(max(newest.Load(), time.Now().UnixNano())) })
}

// inLab runs a test on a store of each kind.
func inLab(t *testing.T, test func(l *lab)) {
	for kind, store := range kinds {
		t.Run(kind, func(t *testing.T) { inLabOn(t, store(), test) })
	}
}

func inLabOn(t *testing.T, store *memstate.Store, test func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		goOn(t)
		l := &lab{T: t, store: store}
		l.p, l.f = open(t, store)
		l.index()
		test(l)
		l.stop()
	})
}

// index starts the indexer.
func (l *lab) index() {
	ctx, cancel := context.WithCancel(l.Context())
	done := make(chan error, 1)
	go func() { done <- l.f.Index(ctx) }()
	l.stop = func() {
		l.Helper()
		cancel()
		if err := <-done; err != nil {
			l.Error("indexing: ", err)
		}
		l.stop = func() {}
	}
}

// add appends events to the stream of an account.
func (l *lab) add(id string, events ...any) {
	l.Helper()
	if _, err := l.p.Append(l.Context(), l.p.Stream("account", id), eventstore.ExpectAny(), events...); err != nil {
		l.Fatal(err)
	}
}

// settle waits until the log has all.
func (l *lab) settle() { time.Sleep(15 * time.Second) }

// show returns an item in short form.
func show(i feed.Item) string {
	s := fmt.Sprintf("%s/%d", i.Stream.ID, i.Version)
	switch {
	case i.What == feed.Progress:
		return "progress"
	case i.What != feed.Appended:
		s += " " + i.What.String()
	case i.Err != nil:
		s += " error"
	}
	return s
}

// read returns what a read returns.
func (l *lab) read(options ...feed.ReadOption) []feed.Item {
	l.Helper()
	items, err := l.tryRead(options...)
	if err != nil {
		l.Fatal(err)
	}
	return items
}

func (l *lab) tryRead(options ...feed.ReadOption) (items []feed.Item, err error) {
	for item, err := range l.f.Read(l.Context(), options...) {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

func shown(items []feed.Item) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = show(item)
	}
	return strings.Join(words, ", ")
}

func (l *lab) expect(want string, options ...feed.ReadOption) {
	l.Helper()
	if got := shown(l.read(options...)); got != want {
		l.Errorf("it read\n%s\nnot\n%s", got, want)
	}
}

// refusing refuses requests of an operation for a key.
func refusing(op, key string) func(context.Context, *memstate.Request, func() error) error {
	return func(_ context.Context, r *memstate.Request, next func() error) error {
		if r.Op == op && slices.Contains(r.Keys, key) {
			return fmt.Errorf("out of order: %w", driver.ErrRefused)
		}
		return next()
	}
}
