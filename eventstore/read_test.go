package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func (l *lab) reader() *Reader {
	l.t.Helper()
	r := l.provider().Reader(labStream)
	return r
}

// fill appends n events, and one more to make the head's tail short.
func (l *lab) fill(n int) {
	l.t.Helper()
	s := l.open()
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint(i + 1)
	}
	l.add(s, texts...)
	l.add(s, fmt.Sprint(n+1))
	l.Trace()
}

// ops returns the requests since the last call without their keys.
func (l *lab) ops() []string {
	var ops []string
	for _, request := range l.Trace() {
		words := strings.Fields(request)
		ops = append(ops, fmt.Sprint(words[0], " of ", len(words)-1))
	}
	return ops
}

func TestReadingTakesAsFewRequestsAsChunks(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2499)
		read := func(options ...ReadOption) {
			for _, err := range l.reader().Read(t.Context(), options...) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		tail := 0
		if !l.Caps.Atomic {
			tail = 1 // the last event is in the tail
		}
		read()
		want := []string{"get of 1", "getmany of 32", "getmany of 96", "getmany of 288", "getmany of 864", "getmany of 1000", fmt.Sprint("getmany of ", 220-tail)}
		if got := l.ops(); !slices.Equal(got, want) {
			t.Errorf("requests: %q", got)
		}
		read(Backwards(), FromVersion(1200))
		want = []string{"get of 1", fmt.Sprint("getmany of ", 32-tail), "getmany of 96", "getmany of 288", "getmany of 864", "getmany of 21"}
		if got := l.ops(); !slices.Equal(got, want) {
			t.Errorf("requests: %q", got)
		}
		read(FromVersion(7), ToVersion(9))
		if got := l.ops(); !slices.Equal(got, []string{"get of 1", "getmany of 3"}) {
			t.Errorf("requests: %q", got)
		}
		read(FromVersion(2499), ToVersion(9999))
		if got := l.ops(); len(got) != 2 {
			t.Errorf("requests: %q", got)
		}
		read(FromVersion(2501))
		if got := l.ops(); !slices.Equal(got, []string{"get of 1"}) {
			t.Errorf("requests: %q", got)
		}
	})
}

func TestLargeEventsAreReadInSmallerChunks(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		for range 13 {
			texts := slices.Repeat([]string{strings.Repeat("x", 10_000)}, 100)
			l.add(s, texts...)
		}
		l.add(s, "last")
		l.Trace()
		l.readsAll(s)
		for i, request := range l.ops() {
			var keys int
			if _, err := fmt.Sscanf(request, "getmany of %d", &keys); err != nil {
				t.Fatal(request)
			}
			if i > 0 && keys > chunkBytes/10_000+1 {
				t.Errorf("request %d is for %d events of 10 kB", i, keys)
			}
		}
	}, "in one transaction")
}

func TestTheNextChunkIsUnderWayWhileOneIsLookedAt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(3000)
		l.on(func(r *memstate.Request) bool { return r.Op == "getmany" && !r.Has(":head") }, -1,
			func(_ *memstate.Request, next func() error) error { pass(time.Second); return next() })
		began := time.Now()
		for event, err := range l.reader().Read(t.Context(), ToVersion(640)) {
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains([]int64{16, 64, 208, 640}, event.Version) { // the last event of a chunk
				pass(time.Second) // the duration of the next request
			}
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("4 chunks of 1s, each looked at for 1s, took %s, want 5s", took)
		}
	}, "the careful way")
}

func TestBreakingOffAReadEndsTheRequestUnderWay(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(3000)
		stuck(l, func(r *memstate.Request) bool { return r.Has("}:33") })
		began := time.Now()
		for event, err := range l.reader().Read(context.Background()) {
			if event.Version == 10 || err != nil {
				break
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAReadEndsWithItsError(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(3000)
		count := func(r *Reader, ctx context.Context) (n int, failure error) {
			for _, err := range r.Read(ctx) {
				if failure != nil {
					t.Error("something comes after the error")
				}
				if failure = err; err == nil {
					n++
				}
			}
			return n, failure
		}
		l.on(func(r *memstate.Request) bool { return r.Has("}:417") }, 1, lost)
		n, err := count(l.reader(), t.Context())
		if want[*StorageError](t, err); n != 416 || !errors.Is(err, errLost) {
			t.Errorf("%d events, then %v", n, err)
		}
		// It also stops when the context has ended.
		ctx, cancel := context.WithCancel(t.Context())
		l.on(func(r *memstate.Request) bool { return r.Has("}:641") }, 1, func(_ *memstate.Request, next func() error) error {
			cancel()
			return next()
		})
		n, err = count(l.reader(), ctx)
		if want[*StorageError](t, err); n > 1640 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d events, then %v", n, err)
		}
	})
}

func TestAReadInASessionEndsWithTheSession(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(3000)
		s := l.mustLease(timeouts(0, time.Minute))
		var failure error
		for event, err := range s.Read(t.Context()) {
			if event.Version == 500 {
				pass(time.Minute)
			}
			failure = err
		}
		want[*SessionExpiredError](t, failure)
	}, "the careful way")
}

func TestAReadSeesTheStreamAsItWasWhenItBegan(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a", "b")
		for _, r := range []*Reader{s.Reader, l.reader()} {
			before, err := r.Version(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n := int64(0)
			for _, err := range r.Read(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				l.add(s, "more")
				n++
			}
			if n != before {
				t.Errorf("it gave %d events of a stream that was at %d", n, before)
			}
		}
	})
}

func TestAStoreThatAnswersWithLessThanItWasAskedForHasFailed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(3)
		l.on(exactly("getmany head snapshots"), 1, func(r *memstate.Request, next func() error) error {
			err := next()
			r.Items = r.Items[:1]
			return err
		})
		_, err := l.reader().Snapshots(t.Context())
		if want[*StorageError](t, err); !strings.Contains(err.Error(), "1 items for 2 keys") {
			t.Error(err)
		}
	}, "the careful way")
}

// An option must not silently override an argument.
func TestAnOptionThatContradictsAnArgumentIsRefused(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a", "b", "c")
		ctx := t.Context()
		for name, err := range map[string]error{
			"Event from":        errorOf(s.Event(ctx, 2, FromVersion(1))),
			"Event to":          errorOf(s.Event(ctx, 2, ToVersion(3))),
			"Slice from":        errorOf(s.Slice(ctx, 2, 3, FromVersion(1))),
			"Slice to":          errorOf(s.Slice(ctx, 1, 2, ToVersion(3))),
			"Snapshot to":       errorOf(s.Snapshot(ctx, 1, ToVersion(2))),
			"Snapshot back":     errorOf(s.Snapshot(ctx, 1, Backwards())),
			"LastSnapshot from": errorOf(s.LastSnapshot(ctx, FromVersion(2))),
			"LastSnapshot back": errorOf(s.LastSnapshot(ctx, Backwards())),
		} {
			if !isA[*ArgumentError](err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, _, err := s.Load(ctx, FromVersion(2))
		want[*ArgumentError](t, err)
		_, _, err = s.Load(ctx, Backwards())
		want[*ArgumentError](t, err)
		events, err := s.Slice(ctx, 1, 2, Backwards(), AsRaw())
		if err != nil || len(events) != 2 || events[0].Version != 2 {
			t.Errorf("Slice backwards: %v, %v", events, err)
		}
	}, "the careful way")
}

func errorOf[T any](_ T, err error) error { return err }

func TestAnOperationWhoseContextHasEndedSendsNothing(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.Trace()
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the cause")
		cancel(cause)
		for name, operation := range operations {
			if err := operation(ctx, s); !isA[*StorageError](err) || !errors.Is(err, cause) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
		}
		l.traced()
		l.holds("a")
	})
}
