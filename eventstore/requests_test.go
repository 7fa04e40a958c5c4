package eventstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// countingLocks counts requests for the lock.
type countingLocks struct {
	free
	requests atomic.Int64
}

func (l *countingLocks) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	l.requests.Add(1)
	return l.free.TryLock(ctx, resource, owner, expiry)
}

func (l *countingLocks) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	l.requests.Add(1)
	return l.free.Unlock(ctx, resource, owner)
}

// These are the costs of each operation, in requests to the store and the lock. Through a sidecar
// each is one request to it, as long as its bytes fit in one.
func TestEachOperationTakesThatManyRequests(t *testing.T) {
	const payload = 512
	event := noted{strings.Repeat("x", payload-len(`{"Text":""}`))}
	events := func(n int) []any {
		all := make([]any, n)
		for i := range all {
			all[i] = event
		}
		return all
	}
	appends := func(t *testing.T, s *Session, n int) {
		t.Helper()
		if _, err := s.Append(t.Context(), ExpectAny(), events(n)...); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(t *testing.T, r *Reader, n int) {
		t.Helper()
		for _, err := range r.Read(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n--
		}
		if n != 0 {
			t.Errorf("%d events were not read", n)
		}
	}
	inLabs(t, func(t *testing.T, l *lab) {
		l.Around = nil
		l.Caps.MaxRequestBytes = 4<<20 - 64<<10 // the limit of a sidecar
		locks := &countingLocks{}
		p := l.provider(WithLocker(locks), WithSettings(DefaultSettings()))
		counted := func(what string, operation func(), want map[string]int) {
			t.Helper()
			l.Trace()
			locks.requests.Store(0)
			operation()
			trace := l.Trace()
			kind := "in one transaction"
			switch {
			case l.Caps.CountedETags:
				kind = "with counted ETags"
			case !l.Caps.Atomic:
				kind = "the careful way"
			}
			expected, ok := want[kind]
			if !ok {
				expected = want[""]
			}
			if got := len(trace) + int(locks.requests.Load()); got != expected {
				t.Errorf("%s took %d requests, want %d: %.200q", what, got, expected, trace)
			}
		}
		all := func(n int) map[string]int { return map[string]int{"": n} }
		open := func(id string) *Session {
			t.Helper()
			s, err := p.Open(t.Context(), p.Stream(labStream.Type, id))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}

		var s *Session
		counted("opening a new stream", func() { s = open("1") }, all(3)) // it may only lack its head
		counted("the first append of 1", func() { appends(t, s, 1) },
			all(1))
		counted("a further append of 1", func() { appends(t, s, 1) },
			map[string]int{"in one transaction": 2, "with counted ETags": 1, "the careful way": 2})
		counted("an append of 100", func() { appends(t, s, 98) },
			// An append that finds more than 64 KiB of tail needs one more request to drop the tail
			// from the head.
			map[string]int{"in one transaction": 2, "with counted ETags": 3, "the careful way": 5})
		// Reads begin with 32 events. As long as their sizes are unknown, each request asks for up
		// to three times as many as the previous one.
		counted("a read of what the session appended", func() { reads(t, s.Reader, 100) }, all(2))
		counted("an event read in the session", func() {
			if _, err := s.Event(t.Context(), 50); err != nil {
				t.Fatal(err)
			}
		}, all(1))
		counted("closing", func() { s.Close() }, all(1))

		for n := range 9 {
			var err error
			if s, err = p.Open(t.Context(), p.Stream(labStream.Type, "one by one"), Shared()); err != nil {
				t.Fatal(err)
			}
			requests := all(1)
			switch n {
			case 0: // the first event of a stream is written under its own key at once
				requests = map[string]int{"in one transaction": 1, "with counted ETags": 2, "the careful way": 2}
			case 7: // the tail is full: its events are written, and then it is dropped
				requests = map[string]int{"in one transaction": 1, "with counted ETags": 3, "the careful way": 4}
			}
			counted("the only append of a shared session", func() { appends(t, s, 1) }, requests)
			s.Close()
		}
		s = open("exclusive")
		appends(t, s, 1)
		counted("closing a session whose event is in the head", func() { s.Close() },
			map[string]int{"in one transaction": 1, "with counted ETags": 2, "the careful way": 3})

		s = open("1000")
		counted("an append of 1,000", func() { appends(t, s, 1000) },
			map[string]int{"in one transaction": 1, "with counted ETags": 3, "the careful way": 4})
		counted("a read of 1,000 in the session", func() { reads(t, s.Reader, 1000) }, all(4))
		s.Close()

		s = open("1000 with ids")
		counted("an append of 1,000 with idempotency ids", func() {
			all := events(1000)
			for i := range all {
				e := Event{Data: all[i]}
				e.Metadata.Context.IdempotencyID = strconv.Itoa(i)
				all[i] = e
			}
			if _, err := s.Append(t.Context(), ExpectVersion(0), all...); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"in one transaction": 2, "with counted ETags": 4, "the careful way": 5})
		s.Close()

		s = open("10000")
		for range 10 {
			appends(t, s, 1000)
		}
		if err := s.SaveSnapshot(t.Context(), 9_900, event); err != nil {
			t.Fatal(err)
		}
		s.Close()
		reader := p.Reader(p.Stream(labStream.Type, "10000"))
		counted("a read of 10,000 without a session", func() { reads(t, reader, 10_000) }, all(1+13))
		counted("a load from a snapshot without a session", func() {
			snapshot, rest, err := reader.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, err := range rest {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if snapshot.Version != 9_900 || n != 100 {
				t.Errorf("loaded from version %d and %d events", snapshot.Version, n)
			}
		}, all(1+2))
		counted("the version without a session", func() {
			if _, err := reader.Version(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, all(1))
		counted("opening, appending 1 with an idempotency id and closing", func() {
			s := open("10000")
			e := Event{Data: event}
			e.Metadata.Context.IdempotencyID = "once"
			if _, err := s.Append(t.Context(), ExpectVersion(10_000), e); err != nil {
				t.Fatal(err)
			}
			s.Close()
		}, map[string]int{"in one transaction": 2 + 1 + 1 + 1, "with counted ETags": 2 + 1 + 1 + 2, "the careful way": 2 + 1 + 1 + 3})
	})
}

// These are the requests that a feed adds. No append waits for those of the flusher, of which there
// is at most one in 10 ms: one beside the first append, and one after the last.
func TestAFeedCostsThatManyRequests(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.MaxRequestBytes = 4<<20 - 64<<10 // the limit of a sidecar
		of := map[bool]*Provider{false: l.provider(WithSettings(DefaultSettings())), true: l.feeding(WithSettings(DefaultSettings()))}
		l.Around = nil
		cost := func(with bool, stream string, appends int) (requests []int) {
			t.Helper()
			s, err := of[with].Open(t.Context(), of[with].Stream("account", stream))
			if err != nil {
				t.Fatal(err)
			}
			for range appends {
				l.Trace()
				l.add(s, "x")
				synctest.Wait() // for the flusher, if it writes at once
				requests = append(requests, len(l.Trace()))
			}
			pass(2 * flushDelay)
			if flushed := len(l.Trace()); flushed > 1 || flushed == 1 && (!with || l.carriesEntries()) {
				t.Errorf("%d requests followed", flushed)
			}
			return requests
		}
		more := 2 // the name of the stream, and the flusher
		if l.carriesEntries() {
			more = 0
		}
		for n, first := range []int{2 + more, more, more} { // a process takes 2 at its first append
			without, with := cost(false, fmt.Sprint("without ", n), 30), cost(true, fmt.Sprint("with ", n), 30)
			without[0] += first
			if !slices.Equal(with, without) {
				t.Errorf("the appends in stream %d took %v requests, want %v", n, with, without)
			}
		}
		l.Trace()
		if err := of[true].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if trace := l.Trace(); len(trace) != 1 {
			t.Errorf("closing the provider took %q", trace)
		}
	})
}
