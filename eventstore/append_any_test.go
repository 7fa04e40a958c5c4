package eventstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// shared opens a session that shares the stream.
func (l *lab) shared() *Session {
	l.t.Helper()
	s, err := l.provider().Open(l.t.Context(), labStream, Shared())
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func TestAppendsThatGoAnywhereAllGetThere(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		const writers, each = 16, 8
		p := l.provider()
		var all sync.WaitGroup
		for n := range writers {
			all.Go(func() {
				s, err := p.Open(t.Context(), labStream, Shared())
				if err != nil {
					t.Error(err)
					return
				}
				for i := range each {
					append := func() (int64, error) { return s.Append(t.Context(), ExpectAny(), noted{fmt.Sprint(n, i)}) }
					if i%2 == 1 {
						append = func() (int64, error) { return p.Append(t.Context(), labStream, ExpectAny(), noted{fmt.Sprint(n, i)}) }
					}
					if _, err := append(); err != nil {
						t.Errorf("writer %d, append %d: %v", n, i, err)
					}
				}
			})
		}
		all.Wait()
		var got []string
		for event, err := range l.reader().Read(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, event.Data.(noted).Text)
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != writers*each {
			t.Errorf("the stream holds %d events, want %d", len(got), writers*each)
		}
	})
}

func TestAnAppendThatGoesAnywhereIsPlacedAgainWhenAnotherCameBefore(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.shared()
		n := 0
		var before around
		before = func(_ *memstate.Request, next func() error) error {
			l.add(l.open(), fmt.Sprint("other ", n))
			if n++; n < 3 {
				l.on(commits, 1, before)
			}
			return next()
		}
		l.on(commits, 1, before)
		if v, err := tryAdd(s, "mine"); v != 4 || err != nil {
			t.Errorf("Append: %d, %v", v, err)
		}
		l.holds("other 0", "other 1", "other 2", "mine")
	})
}

// An event with a version expects that version.
func TestAnEventThatNamesItsNumberDoesNotGoAnywhere(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.shared()
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error { l.add(l.open(), "other"); return next() })
		_, err := s.Append(t.Context(), ExpectAny(), Event{Version: 1, Data: noted{"mine"}})
		if e := want[*VersionMismatchError](t, err); e.Expected != 0 || e.Actual != 1 {
			t.Errorf("%+v", e)
		}
		l.holds("other")
	})
}

func TestAnAppendThatGoesAnywhereEndsWithItsContext(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.shared()
		n := 0
		var others around
		others = func(_ *memstate.Request, next func() error) error {
			n++
			pass(10 * time.Millisecond)
			l.add(l.open(), fmt.Sprint("other ", n))
			l.on(commits, 1, others)
			return next()
		}
		l.on(commits, 1, others)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := s.Append(ctx, ExpectAny(), noted{"mine"})
		if err == nil {
			t.Fatal("it has been appended")
		}
		l.heal()
		for event, err := range l.reader().Read(t.Context()) {
			if err != nil || event.Data.(noted).Text == "mine" {
				t.Errorf("%v, %v", event, err)
			}
		}
	})
}

func TestASharedSessionGoesOnAfterAMismatch(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.shared()
		for n := range 3 {
			at, err := s.Version(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			l.add(l.open(), fmt.Sprint("other ", n))
			_, err = s.Append(t.Context(), ExpectVersion(at), noted{"mine"})
			e := want[*VersionMismatchError](t, err)
			if e.Actual != at+1 {
				t.Fatalf("%+v", e)
			}
			if v, err := s.Version(t.Context()); v != e.Actual || err != nil {
				t.Errorf("it stands at %d, %v", v, err)
			}
			if v, err := s.Append(t.Context(), ExpectVersion(e.Actual), noted{"decided again"}); v != e.Actual+1 || err != nil {
				t.Errorf("deciding again: %d, %v", v, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		l.holds("other 0", "decided again", "other 1", "decided again", "other 2", "decided again")
	})
}

func TestASharedSessionEndsTheStreamWhereverItIs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.shared()
		l.add(l.open(), "other")
		want[*VersionMismatchError](t, s.CloseStream(t.Context(), ExpectVersion(0)))
		l.add(l.open(), "another")
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Error(err)
		}
		if err := s.DeleteStream(t.Context(), ExpectVersion(2)); err != nil {
			t.Error(err)
		}
	})
}

func TestACommandThatIsDeliveredTwiceIsToldSoAndNotOfAMismatch(t *testing.T) {
	for name, repeat := range map[string]func(*testing.T, *lab) error{
		"in a session": func(t *testing.T, l *lab) error {
			_, err := l.open().Append(t.Context(), ExpectVersion(1), once("x", "b"))
			return err
		},
		"as the second of a batch": func(t *testing.T, l *lab) error {
			_, err := l.open().Append(t.Context(), ExpectVersion(1), noted{"more"}, once("x", "b"))
			return err
		},
		"without a session": func(t *testing.T, l *lab) error {
			_, err := l.provider().Append(t.Context(), labStream, ExpectVersion(1), once("x", "b"))
			return err
		},
		"with its own number": func(t *testing.T, l *lab) error {
			e := once("x", "b")
			e.Version = 2
			_, err := l.shared().Append(t.Context(), ExpectAny(), e)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.add(l.open(), "a")
				if _, err := l.open().Append(t.Context(), ExpectVersion(1), once("x", "b")); err != nil {
					t.Fatal(err)
				}
				l.add(l.open(), "c")
				if e := want[*IdempotencyIDUsedError](t, repeat(t, l)); e.Version != 2 || e.IdempotencyID != "x" || e.Stream != labStream {
					t.Errorf("%+v", e)
				}
				l.holds("a", "b", "c")
			})
		})
	}
}

// Both deliveries are in progress at the same time.
func TestOfACommandThatIsDeliveredTwiceAtOnceOneIsToldThatItIsTheRepeat(t *testing.T) {
	for name, open := range map[string]func(*lab) *Session{"exclusive": func(l *lab) *Session { return l.open() }, "shared": (*lab).shared} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.add(l.open(), "a")
				s := open(l)
				l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
					if _, err := l.open().Append(t.Context(), ExpectVersion(1), once("x", "b")); err != nil {
						t.Error(err)
					}
					return next()
				})
				_, err := s.Append(t.Context(), ExpectVersion(1), once("x", "b"))
				if e := want[*IdempotencyIDUsedError](t, err); e.Version != 2 {
					t.Errorf("%+v", e)
				}
				l.holds("a", "b")
			})
		})
	}
}
