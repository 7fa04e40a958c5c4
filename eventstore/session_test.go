package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// pass lets fake time pass.
func pass(d time.Duration) { <-time.After(d) }

// leased opens a session with the lease of the state store.
func (l *lab) leased(options ...Option) (*Session, error) {
	l.t.Helper()
	p := l.provider(append([]Option{WithLocker(lease{l.Store})}, options...)...)
	return p.Open(l.t.Context(), labStream)
}

func (l *lab) mustLease(options ...Option) *Session {
	l.t.Helper()
	s, err := l.leased(options...)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// timeouts returns settings with which no request ends before its session does.
func timeouts(open, session time.Duration) Option {
	s := DefaultSettings()
	s.OpenTimeout, s.SessionTimeout = open, session
	s.RequestTimeout = max(s.RequestTimeout, 2*session)
	return WithSettings(s)
}

// operations lists everything that a session offers.
var operations = map[string]func(context.Context, *Session) error{
	"Append": func(ctx context.Context, s *Session) error {
		_, err := s.Append(ctx, ExpectAny(), noted{"x"})
		return err
	},
	"Retry": func(ctx context.Context, s *Session) error {
		_, err := s.Retry(ctx, &OutcomeUnknownError{Stream: labStream, commit: commit{events: make([]record, 1)}})
		return err
	},
	"SaveSnapshot":   func(ctx context.Context, s *Session) error { return s.SaveSnapshot(ctx, 1, noted{}) },
	"ClearSnapshot":  func(ctx context.Context, s *Session) error { return s.ClearSnapshot(ctx, 1) },
	"ClearSnapshots": func(ctx context.Context, s *Session) error { return s.ClearSnapshots(ctx) },
	"BuildSnapshots": func(ctx context.Context, s *Session) error {
		_, err := BuildSnapshots(ctx, s, 1, noted{}, func(n noted, _ Event) (noted, error) { return n, nil })
		return err
	},
	"Read": func(ctx context.Context, s *Session) (err error) {
		for _, err = range s.Read(ctx) {
		}
		return err
	},
	"Slice":        func(ctx context.Context, s *Session) error { _, err := s.Slice(ctx, 1, 1); return err },
	"Event":        func(ctx context.Context, s *Session) error { _, err := s.Event(ctx, 1); return err },
	"Version":      func(ctx context.Context, s *Session) error { _, err := s.Version(ctx); return err },
	"VersionOf":    func(ctx context.Context, s *Session) error { _, err := s.VersionOf(ctx, "x"); return err },
	"VersionsOf":   func(ctx context.Context, s *Session) error { _, err := s.VersionsOf(ctx, "x"); return err },
	"Refresh":      func(ctx context.Context, s *Session) error { _, err := s.Refresh(ctx); return err },
	"Outcome":      func(ctx context.Context, s *Session) error { _, err := s.Outcome(ctx, 0, "x"); return err },
	"Snapshots":    func(ctx context.Context, s *Session) error { _, err := s.Snapshots(ctx); return err },
	"Snapshot":     func(ctx context.Context, s *Session) error { _, err := s.Snapshot(ctx, 1); return err },
	"LastSnapshot": func(ctx context.Context, s *Session) error { _, err := s.LastSnapshot(ctx); return err },
	"Load":         func(ctx context.Context, s *Session) error { _, _, err := s.Load(ctx); return err },
}

func TestASessionThatExpiredRefusesEverything(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease(timeouts(0, time.Minute))
		if want := time.Now().Add(time.Minute); !s.ExpiresAt().Equal(want) {
			t.Errorf("it expires at %s, want %s", s.ExpiresAt(), want)
		}
		pass(time.Minute - time.Nanosecond)
		l.add(s, "in time")
		pass(time.Nanosecond)
		l.Trace()
		for name, operation := range operations {
			if e := want[*SessionExpiredError](t, operation(t.Context(), s)); e.Stream != labStream || e.Session != s.ID() || !e.ExpiredAt.Equal(s.ExpiresAt()) {
				t.Errorf("%s: %+v", name, e)
			}
		}
		l.traced() // without a request
		want[*SessionExpiredError](t, s.Close())
		l.holds("in time")
	})
}

func TestASessionThatIsClosedOrWasNeverOpenedRefusesEverything(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		l.Trace()
		for name, operation := range operations {
			if e := want[*NotOpenError](t, operation(t.Context(), s)); e.Stream != labStream || e.Session != s.ID() {
				t.Errorf("%s when closed: %+v", name, e)
			}
			if e := want[*NotOpenError](t, operation(t.Context(), &Session{})); e.Session != "" {
				t.Errorf("%s when never opened: %+v", name, e)
			}
		}
		want[*NotOpenError](t, (&Session{}).Close())
		want[*NotOpenError](t, (*Session)(nil).Close())
		l.traced()
	}, "the careful way")
}

func TestASessionThatLostItsStreamRefusesEverything(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(l.open(), "other")
		_, err := s.Append(t.Context(), ExpectVersion(0), noted{"x"})
		want[*VersionMismatchError](t, err)
		want[*SessionLostError](t, err)
		l.Trace()
		for name, operation := range operations {
			if e := want[*SessionLostError](t, operation(t.Context(), s)); e.Stream != labStream || e.Session != s.ID() {
				t.Errorf("%s: %+v", name, e)
			}
		}
		l.traced()
		want[*SessionLostError](t, s.Close())
		if err := s.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	})
}

// A caller may know a version from a reader that its session does not know.
func TestASessionThatWasOvertakenIsLostAlsoWhereTheCallerExpectsTheNewVersion(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(l.open(), "other")
		_, err := s.Append(t.Context(), ExpectVersion(1), noted{"x"})
		want[*SessionLostError](t, err)
		l.holds("other")
	})
}

func TestASessionFollowsWhenTheOneBeforeIsClosed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		first := l.mustLease()
		began := time.Now()
		go func() {
			pass(2 * time.Second)
			if err := first.Close(); err != nil {
				t.Error(err)
			}
		}()
		second := l.mustLease()
		if waited := time.Since(began); waited < 2*time.Second || waited > 2250*time.Millisecond {
			t.Errorf("it waited %s for a session that was closed after 2s", waited)
		}
		l.add(second, "second")
	})
}

func TestOpeningGivesUpAfterOpenTimeout(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		first := l.mustLease(timeouts(0, time.Hour))
		for _, timeout := range []time.Duration{0, time.Nanosecond, 1234 * time.Millisecond, time.Minute} {
			began := time.Now()
			_, err := l.leased(timeouts(timeout, time.Minute))
			if e := want[*OpenTimeoutError](t, err); e.Stream != labStream || e.Waited != timeout || e.Holder != first.ID() || e.Cause != nil {
				t.Errorf("%+v", e)
			}
			if took := time.Since(began); took != timeout {
				t.Errorf("it took %s, want %s", took, timeout)
			}
		}
	})
}

func TestOpeningGivesUpWhenItsContextEnds(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		first := l.mustLease()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.provider(WithLocker(lease{l.Store})).Open(ctx, labStream)
		if e := want[*OpenTimeoutError](t, err); e.Waited != time.Second || e.Holder != first.ID() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v", e)
		}
		// If the session had ended before, the error names no holder, because the store was not
		// asked.
		l.Trace()
		_, err = l.provider(WithLocker(lease{l.Store})).Open(ctx, labStream)
		if want[*StorageError](t, err); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "holds") {
			t.Errorf("%v", err)
		}
		l.traced()
	})
}

func TestTheStreamOfAProcessThatDiedIsFreeWithinFiveSecondsOfItsSession(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		died := l.mustLease(timeouts(0, time.Minute))
		l.add(died, "a")
		began := time.Now()
		next := l.mustLease(timeouts(time.Hour, time.Minute))
		if waited := time.Since(began); waited < time.Minute || waited > time.Minute+5*time.Second {
			t.Errorf("it waited %s for a session of 1m", waited)
		}
		l.add(next, "b")
		// If that process were still alive, it would not disturb the next session.
		want[*SessionExpiredError](t, died.Close())
		_, err := l.leased(timeouts(0, time.Minute))
		if e := want[*OpenTimeoutError](t, err); e.Holder != next.ID() {
			t.Errorf("%+v", e)
		}
		l.add(next, "c")
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		l.holds("a", "b", "c")
	})
}

func TestClosingTwiceUnlocksOnce(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease()
		l.Trace()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		l.traced("get lease", "swap lease")
		l.mustLease(timeouts(0, time.Minute))
	})
}

func TestASessionWhoseLockHasGoneSaysSoWhenItCloses(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease()
		l.Set(l.keys.lease(), nil)
		if e := want[*SessionLostError](t, s.Close()); e.Session != s.ID() || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
		s = l.mustLease()
		l.Set(l.keys.lease(), leaseRecord{"other", time.Now().Add(time.Minute)}.encode(l.keys.partition))
		want[*SessionLostError](t, s.Close())
		if err := s.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	})
}

func TestALockThatCannotBeGivenBackRunsOutByItself(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease(timeouts(0, time.Minute))
		l.on(everything, -1, lost)
		want[*StorageError](t, s.Close())
		if err := s.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		l.heal()
		l.mustLease(timeouts(time.Hour, time.Minute))
	})
}

func TestOpeningThatFailsGivesTheLockBack(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(exactly("get head"), 1, lost)
		_, err := l.leased(timeouts(0, time.Minute))
		want[*StorageError](t, err)
		l.on(exactly("swap lease"), 1, unanswered)
		l.on(exactly("get lease"), 1, func(_ *memstate.Request, next func() error) error {
			l.on(exactly("get lease"), 1, lost) // so the holder of the lease is unknown
			return next()
		})
		_, err = l.leased(timeouts(0, time.Minute))
		want[*StorageError](t, err)
		l.replay([]byte("not ours"), 1)
		_, err = l.leased(timeouts(0, time.Minute))
		want[*DamagedError](t, err)
		l.mustLease(timeouts(0, time.Minute))
	})
}

func TestALeaseThatIsNotOursIsDamage(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease()
		l.Set(l.keys.lease(), []byte("not ours"))
		want[*DamagedError](t, s.Close())
		_, err := l.leased()
		if e := want[*DamagedError](t, err); e.Key != l.keys.lease() || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
	})
}

// stuck is a request that gets no answer while its context lives.
func stuck(l *lab, match func(*memstate.Request) bool) {
	around := l.Around
	l.Around = func(ctx context.Context, r *memstate.Request, next func() error) error {
		if match(r) {
			<-ctx.Done()
			return ctx.Err()
		}
		return around(ctx, r, next)
	}
}

func TestAnAppendUnderWayWhenTheSessionExpiresIsOfUnknownOutcome(t *testing.T) {
	t.Run("while it is sent", func(t *testing.T) { expireUnder(t, false) })
	t.Run("while it is looked up", func(t *testing.T) { expireUnder(t, true) })
}

func expireUnder(t *testing.T, lookup bool) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease(timeouts(0, time.Minute))
		if lookup {
			var sent atomic.Bool
			l.on(commits, 1, func(*memstate.Request, func() error) error { sent.Store(true); return errLost })
			stuck(l, func(r *memstate.Request) bool { return sent.Load() && exactly("get head")(r) })
		} else {
			stuck(l, commits)
		}
		pass(59 * time.Second)
		began := time.Now()
		_, err := tryAdd(s, "a")
		e := want[*OutcomeUnknownError](t, err)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s, want the second that the session had left", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), "expired at") != 1 || !isA[*SessionExpiredError](err) {
			t.Errorf("the error does not say, once, that the session has expired: %v", err)
		}
		l.Around = l.around
		next := l.mustLease(timeouts(0, time.Minute))
		if v, err := next.Retry(t.Context(), e); v != 1 || err != nil {
			t.Errorf("Retry: %d, %v", v, err)
		}
		l.holds("a")
	})
}

func TestAnOperationUnderWayWhenTheSessionExpiresSaysSo(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a")
		for _, name := range []string{"SaveSnapshot", "ClearSnapshots"} {
			s := l.mustLease(timeouts(0, time.Minute))
			stuck(l, everything)
			err := operations[name](t.Context(), s)
			want[*StorageError](t, err)
			if !isA[*SessionExpiredError](err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s does not say that the session has expired: %v", name, err)
			}
			l.Around = l.around
		}
	}, "the careful way")
}

func TestAnOperationThatWaitsForItsTurnGivesUp(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease(timeouts(0, time.Minute))
		stuck(l, commits)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := tryAdd(s, "a")
			want[*OutcomeUnknownError](t, err)
		})
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := s.Append(ctx, ExpectAny(), noted{"b"})
		if want[*StorageError](t, err); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "another append did not end") {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s, want 1s", took)
		}
		_, err = s.Version(context.Background()) // it ends with the session
		want[*SessionExpiredError](t, err)
		if now := time.Now(); !now.Equal(s.ExpiresAt()) {
			t.Errorf("it ended at %s, the session at %s", now, s.ExpiresAt())
		}
		wg.Wait()
	})
}

func TestClosingDoesNotWaitForAnOperationUnderWay(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease()
		arrived, answer := make(chan struct{}), make(chan struct{})
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			close(arrived)
			<-answer
			return next()
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if v, err := tryAdd(s, "a"); v != 1 || err != nil {
				t.Errorf("the append under way: %d, %v", v, err)
			}
		})
		<-arrived
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		close(answer)
		wg.Wait()
		l.holds("a")
	})
}

func TestAppendsOfOneSessionTakeTurns(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		var mu sync.Mutex
		var versions []int64
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				v, err := tryAdd(s, fmt.Sprint(i), fmt.Sprint(i))
				if err != nil {
					t.Error(err)
				}
				l.readsAll(s)
				mu.Lock()
				defer mu.Unlock()
				versions = append(versions, v)
			})
		}
		wg.Wait()
		slices.Sort(versions)
		for i, v := range versions {
			if v != int64(2*i+2) {
				t.Fatalf("the appends gave versions %v", versions)
			}
		}
	})
}

// readsAll reads a session without looking at the events.
func (l *lab) readsAll(s *Session) {
	for _, err := range s.Read(l.t.Context()) {
		if err != nil {
			l.t.Error(err)
		}
	}
}
