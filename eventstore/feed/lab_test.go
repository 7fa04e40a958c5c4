package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

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

// open returns a process. It logs nothing, unless its options say otherwise.
func open(t *testing.T, state driver.State, options ...eventstore.Option) (*eventstore.Provider, *feed.Feed) {
	t.Helper()
	options = append([]eventstore.Option{eventstore.WithFeed("all"), eventstore.WithRegistry(types(t)), eventstore.WithLogger(slog.New(slog.DiscardHandler))}, options...)
	p, err := eventstore.NewProvider(state, options...)
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

// pass lets fake time pass.
func pass(d time.Duration) { <-time.After(d) }

// inLab runs a test on a store of each kind.
func inLab(t *testing.T, test func(l *lab)) {
	t.Helper()
	memstate.Each(t, func(t *testing.T, store *memstate.Store) { inBubble(t, store, test) })
}

func inLabOn(t *testing.T, store *memstate.Store, test func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { inBubble(t, store, test) })
}

// inBubble runs a test in the bubble that it is called in.
func inBubble(t *testing.T, store *memstate.Store, test func(l *lab)) {
	t.Helper()
	memstate.GoOn(t)
	l := &lab{T: t, store: store}
	l.p, l.f = open(t, store)
	l.index()
	test(l)
	l.stop()
}

// index starts the indexer.
func (l *lab) index() {
	l.Helper()
	l.stop = memstate.Start(l.T, l.f.Index)
}

// waitFor lets fake time pass until a condition holds.
func (l *lab) waitFor(what string, holds func() bool) {
	l.Helper()
	for began := time.Now(); !holds(); pass(time.Millisecond) {
		if time.Since(began) > time.Minute {
			l.Fatalf("%s did not come within a minute", what)
		}
	}
}

// stands waits until the journal has the entry of a commit. The commit ended with this version of
// the stream of an account.
func (l *lab) stands(id string, version int) {
	l.Helper()
	entry := regexp.MustCompile(fmt.Sprintf(`\nof=\S+:account:%s\nticket=\S+ \d+ %d `, id, version))
	l.waitFor(entry.String(), func() bool {
		for key, value := range l.store.Values() {
			if strings.HasPrefix(key, "{:journal:") && entry.Match(value) {
				return true
			}
		}
		return false
	})
}

// add appends events to the stream of an account.
func (l *lab) add(id string, events ...any) {
	l.Helper()
	if _, err := l.p.Append(l.Context(), l.p.Stream("account", id), eventstore.ExpectAny(), events...); err != nil {
		l.Fatal(err)
	}
}

// settle waits until the log has all.
func (l *lab) settle() { pass(15 * time.Second) }

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
