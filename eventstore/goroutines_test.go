package eventstore

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

var inBubble = regexp.MustCompile(`(?m)^goroutine (\d+) .*(synctest bubble \d+)\]:$`)

// running returns the goroutines that run at this moment of fake time, except the test's own.
func running(t *testing.T) (stacks []string) {
	t.Helper()
	synctest.Wait()
	buf := make([]byte, 1<<20)
	own := inBubble.FindSubmatch(buf[:runtime.Stack(buf, false)])
	if own == nil {
		t.Fatal("time is not faked")
	}
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		found := inBubble.FindStringSubmatch(stack)
		if found == nil || found[1] == string(own[1]) || found[2] != string(own[2]) || strings.Contains(stack, "\ntesting/synctest.Test(") || strings.Contains(stack, "\ntesting/synctest.testingSynctestTest(") {
			continue
		}
		stacks = append(stacks, stack)
	}
	return stacks
}

// many appends n events to the lab's stream.
func (l *lab) many(n int) {
	l.t.Helper()
	l.add(l.open(), make([]string, n)...)
}

// uses are ways to use a session, correct and incorrect. When one returns, its session is closed or
// was never opened.
var uses = map[string]func(t *testing.T, l *lab){
	"append, read, close": func(t *testing.T, l *lab) {
		s := l.mustLease()
		l.add(s, "a", "b")
		if err := s.SaveSnapshot(t.Context(), 1, noted{"s"}); err != nil {
			t.Error(err)
		}
		l.reads(s.Reader, "a", "b")
		if _, err := s.Verify(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"close after the session has expired": func(t *testing.T, l *lab) {
		s := l.mustLease()
		l.add(s, "a")
		pass(time.Minute)
		want[*SessionExpiredError](t, s.Close())
	},
	"close when the store does not answer": func(t *testing.T, l *lab) {
		s := l.mustLease()
		l.add(s, "a")
		stuck(l, everything)
		began := time.Now()
		want[*StorageError](t, s.Close())
		if took := time.Since(began); took != unlockTimeout {
			t.Errorf("it took %s", took)
		}
	},
	"a read that is broken off": func(t *testing.T, l *lab) {
		l.many(2 * chunkEvents)
		s := l.mustLease()
		for range s.Read(t.Context()) {
			break
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"a read that is broken off while the next events are asked for": func(t *testing.T, l *lab) {
		l.many(2 * chunkEvents)
		s := l.mustLease()
		stuck(l, func(r *memstate.Request) bool { return r.Has(":33") })
		began := time.Now()
		for range s.Read(t.Context()) {
			break
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"a read whose reader panics": func(t *testing.T, l *lab) {
		l.many(2 * chunkEvents)
		s := l.mustLease()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("there was no panic")
				}
			}()
			for range s.Read(t.Context()) {
				panic("of the reader")
			}
		}()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"a read that is pulled and stopped": func(t *testing.T, l *lab) {
		l.many(2 * chunkEvents)
		s := l.mustLease()
		next, stop := iter.Pull2(s.Read(t.Context(), Backwards()))
		if event, err, ok := next(); !ok || err != nil || event.Version != 2*chunkEvents {
			t.Errorf("%+v, %v", event, err)
		}
		stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"a read that is never begun": func(t *testing.T, l *lab) {
		l.many(2 * chunkEvents)
		s := l.mustLease()
		s.Read(t.Context())
		if _, _, err := s.Load(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"an append that is cancelled on its way": func(t *testing.T, l *lab) {
		s := l.mustLease()
		around := l.Around
		stuck(l, commits)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.Append(ctx, ExpectAny(), noted{"a"})
		if want[*OutcomeUnknownError](t, err); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		l.Around = around
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"an append that waits for its turn": func(t *testing.T, l *lab) {
		s := l.mustLease(timeouts(0, time.Minute))
		around := l.Around
		stuck(l, commits)
		first, second := make(chan error), make(chan error)
		go func() { _, err := tryAdd(s, "a"); first <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { _, err := s.Append(ctx, ExpectAny(), noted{"b"}); second <- err }()
		want[*StorageError](t, <-second)
		want[*OutcomeUnknownError](t, <-first)
		l.Around = around
		want[*SessionExpiredError](t, s.Close())
	},
	"opening that gave up": func(t *testing.T, l *lab) {
		holder := l.mustLease()
		_, err := l.leased(timeouts(time.Second, time.Minute))
		want[*OpenTimeoutError](t, err)
		if err := holder.Close(); err != nil {
			t.Error(err)
		}
	},
	"opening that is cancelled": func(t *testing.T, l *lab) {
		for _, request := range []string{"get lease", "swap lease", "get head"} {
			l.Set(l.keys.lease(), nil)
			around := l.Around
			stuck(l, exactly(request))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := l.provider(WithLocker(lease{l.Store})).Open(ctx, labStream)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", request, err)
			}
			l.Around = around
		}
	},
}

func TestNoGoroutineOutlivesItsSession(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				use(t, l)
				for _, stack := range running(t) {
					t.Errorf("it runs still:\n%s", stack)
				}
				// The same check finds a goroutine that does run.
				done := make(chan struct{})
				go func() { <-done }()
				if n := len(running(t)); n != 1 {
					t.Errorf("%d goroutines are seen, one runs", n)
				}
				close(done)
			})
		})
	}
}
