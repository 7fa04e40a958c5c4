package integration

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// noLock lets any number of sessions have a stream at the same time. What keeps their appends apart is the
// swap of the head alone.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}

// written is an event that says which it is: the part-th of the n-th append of a writer.
type written struct {
	Writer string
	N      int
	Part   int
}

// acknowledged is an append that ended well.
type acknowledged struct {
	Writer  string
	N       int
	Events  int
	Version int64 // of the last event
}

// provider opens streams for writers that get in each other's way: unless options say otherwise, they wait for long.
func provider(t *testing.T, s driver.State, l driver.Locker, options ...eventstore.Option) *eventstore.Provider {
	t.Helper()
	p, err := newProvider(s, l, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newProvider is provider outside of a test. Without a locker there is the lease.
func newProvider(s driver.State, l driver.Locker, options ...eventstore.Option) (*eventstore.Provider, error) {
	registry, err := eventstore.NewRegistry(eventstore.Type[written]("written"))
	if err != nil {
		return nil, err
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.CommitTimeout = 2*time.Minute, time.Minute
	all := []eventstore.Option{
		eventstore.WithRegistry(registry),
		eventstore.WithSettings(settings),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if l != nil {
		all = append(all, eventstore.WithLocker(l))
	}
	return eventstore.NewProvider(s, append(all, options...)...)
}

// writer appends to a stream as one of several.
type writer struct {
	name       string
	provider   *eventstore.Provider
	stream     string
	appends    int // that are to be acknowledged
	events     int // of one append, at most
	perSession int // appends in one session, at most
}

// run appends until all is acknowledged. An append that is refused because another was faster is tried again in a new session;
// refused says how often.
func (w writer) run(ctx context.Context) (acks []acknowledged, refused int, err error) {
	for len(acks) < w.appends {
		s, err := w.provider.Open(ctx, "race", w.stream)
		if err != nil {
			return acks, refused, err
		}
		for n := 0; n < w.perSession && len(acks) < w.appends; n++ {
			events := make([]any, 1+len(acks)%w.events)
			for part := range events {
				events[part] = written{Writer: w.name, N: len(acks), Part: part}
			}
			version, err := s.Append(ctx, eventstore.ExpectAny(), events...)
			if errors.Is(err, &eventstore.VersionMismatchError{}) {
				refused++
				break
			}
			if err != nil {
				return acks, refused, err
			}
			acks = append(acks, acknowledged{w.name, len(acks), len(events), version})
		}
		if err := s.Close(); err != nil && !errors.Is(err, &eventstore.SessionLostError{}) {
			return acks, refused, err
		}
	}
	return acks, refused, nil
}

// compare checks that a stream holds what was acknowledged, each append once, whole and at its version, the ones of
// a writer in their order, and nothing else. It returns how many events were lost.
func compare(t *testing.T, stream *eventstore.Reader, acks []acknowledged) (lost int) {
	t.Helper()
	var events []eventstore.Event
	for event, err := range stream.Read(t.Context()) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		if event.Version != int64(len(events))+1 {
			t.Fatalf("version %d follows %d events", event.Version, len(events))
		}
		events = append(events, event)
	}
	total := 0
	last := map[string]int64{}
	for _, a := range acks {
		total += a.Events
		if a.Version <= last[a.Writer] {
			t.Errorf("append %d of writer %s is at version %d, the one before at %d", a.N, a.Writer, a.Version, last[a.Writer])
		}
		last[a.Writer] = a.Version
		for part := range a.Events {
			version := a.Version - int64(a.Events-1-part)
			want := written{Writer: a.Writer, N: a.N, Part: part}
			if version < 1 || version > int64(len(events)) || events[version-1].Data != want {
				lost++
				t.Errorf("version %d is not the acknowledged %+v", version, want)
			}
		}
	}
	if len(events) != total {
		t.Errorf("the stream has %d events, acknowledged are %d", len(events), total)
	}
	return lost
}
