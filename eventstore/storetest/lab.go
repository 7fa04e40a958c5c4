package storetest

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// The types of the events that the suite appends.
type (
	opened    struct{ Owner string }
	deposited struct {
		Amount int64
		Note   string
	}
	closed  struct{}
	account struct {
		Balance int64
		Events  int
	}
	unregistered struct{}
)

func registry(t *testing.T) *eventstore.Registry {
	t.Helper()
	r, err := eventstore.NewRegistry(
		eventstore.Type[opened]("opened"),
		eventstore.Type[deposited]("deposited"),
		eventstore.Type[closed]("closed"),
		eventstore.Type[account]("account"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (target Target) provider(t *testing.T, options ...eventstore.Option) *eventstore.Provider {
	t.Helper()
	all := []eventstore.Option{eventstore.WithRegistry(registry(t)), eventstore.WithLogger(slog.New(slog.DiscardHandler))}
	if target.Locker != nil {
		all = append(all, eventstore.WithLocker(target.Locker))
	}
	p, err := eventstore.NewProvider(target.State, append(all, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func withTimeouts(open, session time.Duration) eventstore.Option {
	s := eventstore.DefaultSettings()
	s.OpenTimeout, s.SessionTimeout = open, session
	return eventstore.WithSettings(s)
}

func open(t *testing.T, p *eventstore.Provider, id string) *eventstore.Session {
	t.Helper()
	s, err := p.Open(contextOf(t), p.Stream("account", id))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func reader(t *testing.T, p *eventstore.Provider, id string) *eventstore.Reader {
	t.Helper()
	r := p.Reader(p.Stream("account", id))
	return r
}

func appendOne(t *testing.T, s *eventstore.Session, events ...any) int64 {
	t.Helper()
	v, err := s.Append(contextOf(t), eventstore.ExpectAny(), events...)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return v
}

func collect(t *testing.T, events iter.Seq2[eventstore.Event, error]) []eventstore.Event {
	t.Helper()
	var all []eventstore.Event
	for event, err := range events {
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		all = append(all, event)
	}
	return all
}

func versions(events []eventstore.Event) []int64 {
	v := make([]int64, len(events))
	for i, e := range events {
		v[i] = e.Version
	}
	return v
}

func upTo(n int64) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i) + 1
	}
	return v
}

func wantVersions(t *testing.T, got []eventstore.Event, want []int64) {
	t.Helper()
	if !slices.Equal(versions(got), want) {
		t.Errorf("read versions %v, want %v", versions(got), want)
	}
}

// want checks that an error is of type E and that its message is fit to act on.
func want[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("got the error %v (%T), want %T", err, err, e)
	}
	if len(err.Error()) < 20 || !strings.HasPrefix(err.Error(), "eventstore: ") {
		t.Errorf("the message does not say enough: %s", err)
	}
	return e
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// noLock is a locker that lets every owner in, as if all locks had expired.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}
