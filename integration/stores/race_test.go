package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/parts"
)

const (
	writers     = 8
	appends     = 1000 // acknowledged ones, of all writers
	perSession  = 25
	raceTimeout = 3 * time.Minute
)

// raceResult is how a race ended.
type raceResult struct {
	Acked   int // appends
	Refused int // because another writer was faster
	AtCrash int // appends that were acknowledged when the store was up again
	Lost    int // acknowledged events that are not there
}

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
	writer  string
	n       int
	events  int
	version int64 // of the last event
}

// race lets eight writers append to one stream, each with a provider of its own, half of them through another sidecar. Half
// take the lock, or the lease; the other half goes ahead without. In the middle the store crashes, if it is to. Then somebody who has
// seen nothing of it reads what there is.
func race(t *testing.T, r row, s server, first *parts.Daprd) (result raceResult) {
	second := first
	if !s.alone {
		second = r.sidecar(t, s, "second")
	}
	ctx, cancel := context.WithTimeout(t.Context(), raceTimeout)
	defer cancel()
	journal := &journal{half: make(chan struct{})}
	var all sync.WaitGroup
	for i := range writers {
		state, locker := connect(t, []*parts.Daprd{first, second}[i%2], r)
		if i/2%2 == 1 {
			locker = noLock{}
		}
		w := writer{name: fmt.Sprint("w", i), provider: provider(t, state, locker), journal: journal, patient: s.crash != nil}
		all.Go(func() {
			if err := w.run(ctx); err != nil {
				t.Errorf("writer %s: %v", w.name, err)
				cancel()
			}
		})
	}
	if s.crash != nil {
		select {
		case <-journal.half:
			s.crash(t)
			if result.AtCrash = journal.acknowledged(); result.AtCrash == appends {
				t.Error("all was acknowledged when the store was up again: it did not crash in the middle")
			}
		case <-ctx.Done():
			t.Errorf("half of the appends did not come: %v", ctx.Err())
		}
	}
	all.Wait()

	fresh := first
	if !s.alone {
		fresh = r.sidecar(t, s, "fresh")
	}
	state, _ := connect(t, fresh, r)
	reader, err := provider(t, state, noLock{}).Reader("race", "1")
	if err != nil {
		t.Fatal(err)
	}
	var events int64
	result.Acked, result.Refused = len(journal.acks), journal.refused
	result.Lost, events = compare(t, reader, journal.acks)
	if len(journal.acks) != appends {
		t.Errorf("%d appends were acknowledged, want %d", len(journal.acks), appends)
	}
	if journal.refused == 0 {
		t.Error("no append was refused, there was no race")
	}
	if s.after != nil {
		s.after(t, events)
	}
	return result
}

// provider opens streams for writers that get in each other's way: they wait for long.
func provider(t *testing.T, s driver.State, l driver.Locker) *eventstore.Provider {
	t.Helper()
	registry, err := eventstore.NewRegistry(eventstore.Type[written]("written"))
	if err != nil {
		t.Fatal(err)
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.CommitTimeout = 2*time.Minute, 20*time.Second
	options := []eventstore.Option{
		eventstore.WithRegistry(registry),
		eventstore.WithSettings(settings),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if l != nil {
		options = append(options, eventstore.WithLocker(l))
	}
	p, err := eventstore.NewProvider(s, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// journal is what all writers know.
type journal struct {
	mu      sync.Mutex
	acks    []acknowledged
	refused int
	half    chan struct{} // closed when half of the appends are acknowledged
}

func (j *journal) add(a acknowledged) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acks = append(j.acks, a)
	if len(j.acks) == appends/2 {
		close(j.half)
	}
}

func (j *journal) acknowledged() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.acks)
}

func (j *journal) refuse() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refused++
}

// writer appends to the stream as one of several.
type writer struct {
	name     string
	provider *eventstore.Provider
	journal  *journal
	patient  bool // the store may be away for a while
}

// run appends until all is acknowledged.
func (w writer) run(ctx context.Context) error {
	for n := 0; n < appends/writers; {
		done, err := w.session(ctx, n)
		n += done
		if err == nil {
			continue
		}
		if !w.patient || ctx.Err() != nil || !errors.Is(err, &eventstore.StorageError{}) {
			return err
		}
		wait(ctx, 50*time.Millisecond)
	}
	return nil
}

// session appends from the n-th on in one session, and returns how many took effect. An append that is refused because another writer was faster ends it.
func (w writer) session(ctx context.Context, n int) (done int, err error) {
	s, err := w.provider.Open(ctx, "race", "1")
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := s.Close(); err == nil && !w.patient && !errors.Is(closing, &eventstore.SessionLostError{}) {
			err = closing
		}
	}()
	for ; done < perSession && n+done < appends/writers; done++ {
		events := make([]any, 1+(n+done)%3)
		for part := range events {
			events[part] = written{Writer: w.name, N: n + done, Part: part}
		}
		version, err := s.Append(ctx, eventstore.ExpectAny(), events...)
		var unknown *eventstore.OutcomeUnknownError
		switch {
		case err == nil:
			w.journal.add(acknowledged{w.name, n + done, len(events), version})
		case errors.Is(err, &eventstore.VersionMismatchError{}):
			w.journal.refuse()
			return done, nil
		case w.patient && errors.As(err, &unknown):
			_ = s.Close() // it may have the lock that settling needs
			if version, err = w.settle(ctx, unknown); errors.Is(err, &eventstore.VersionMismatchError{}) {
				return done, nil
			} else if err != nil {
				return done, err
			}
			w.journal.add(acknowledged{w.name, n + done, len(events), version})
			return done + 1, nil
		default:
			return done, err
		}
	}
	return done, nil
}

// settle brings an append of unknown outcome to its end.
func (w writer) settle(ctx context.Context, unknown *eventstore.OutcomeUnknownError) (version int64, err error) {
	for {
		var s *eventstore.Session
		if s, err = w.provider.Open(ctx, "race", "1"); err == nil {
			version, err = s.Retry(ctx, unknown)
			_ = s.Close()
			if err == nil || errors.Is(err, &eventstore.VersionMismatchError{}) {
				return version, err
			}
		}
		if ctx.Err() != nil {
			return 0, err
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// wait passes time, until the race is over.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// compare checks that the stream holds what was acknowledged, each append once, whole and at its version, the ones of
// a writer in their order, and nothing else. It returns how many events were lost, and how many there are.
func compare(t *testing.T, stream *eventstore.Reader, acks []acknowledged) (lost int, length int64) {
	t.Helper()
	var events []any
	for event, err := range stream.Read(t.Context()) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		if event.Version != int64(len(events))+1 {
			t.Fatalf("version %d follows %d events", event.Version, len(events))
		}
		events = append(events, event.Data)
	}
	total := 0
	last := map[string]int64{}
	for _, a := range acks {
		total += a.events
		if a.version <= last[a.writer] {
			t.Errorf("append %d of writer %s is at version %d, the one before at %d", a.n, a.writer, a.version, last[a.writer])
		}
		last[a.writer] = a.version
		for part := range a.events {
			version := a.version - int64(a.events-1-part)
			want := written{Writer: a.writer, N: a.n, Part: part}
			if version < 1 || version > int64(len(events)) || events[version-1] != want {
				lost++
				t.Errorf("version %d is not the acknowledged %+v", version, want)
			}
		}
	}
	if len(events) != total {
		t.Errorf("the stream has %d events, acknowledged are %d", len(events), total)
	}
	return lost, int64(len(events))
}
