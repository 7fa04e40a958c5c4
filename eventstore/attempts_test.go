package eventstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

var (
	errDenied   = fmt.Errorf("READONLY: %w", driver.ErrDenied)
	errAnswered = fmt.Errorf("failed to set key: %w", driver.ErrAnswered)
)

func TestAnAppendThatTheStoreAnswersWithANoEndsSoon(t *testing.T) {
	const (
		stored  = "StorageError"
		unknown = "OutcomeUnknownError"
	)
	always := func(err error) []error { return []error{err, err, err, err, err, err, err, err, err, err, err, err} }
	for _, test := range []struct {
		name    string
		commits []error // how each attempt fails; none takes effect
		looks   []error // how each lookup fails; nil and further ones succeed
		want    string  // kind of the error; empty if it succeeds in the end
		commit  int     // attempts
		look    int     // lookups
	}{
		{"turned down for certain", always(errDenied), nil, stored, 1, 1},
		{"never sent", []error{driver.ErrRefused}, nil, stored, 1, 0},
		{"no answer, then turned down: the first may arrive yet", []error{errLost, errDenied}, nil, unknown, 2, 2},
		{"answered twice alike", always(errAnswered), nil, unknown, 2, 2},
		{"answered differently, which may go by", []error{fmt.Errorf("1: %w", driver.ErrAnswered), fmt.Errorf("2: %w", driver.ErrAnswered), fmt.Errorf("3: %w", driver.ErrAnswered)}, nil, "", 4, 3},
		{"no answer at all, which may go by", []error{errLost, errLost, errLost, errLost}, nil, "", 5, 4},
		{"an answer between two that did not come", []error{errAnswered, errLost, errAnswered, errLost}, nil, "", 5, 4},
		{"turned down, and the store is away for a while", []error{errDenied}, []error{errLost, errLost}, stored, 1, 3},
		{"turned down, and looking is turned down", []error{errDenied}, always(errDenied), unknown, 1, 2},
		{"no answer, and looking is turned down", []error{errLost}, always(errDenied), unknown, 1, 2},
		{"no answer, and one look is turned down", []error{errLost}, []error{errDenied}, "", 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				s := l.open()
				l.add(s, "a")
				if _, err := s.Append(t.Context(), ExpectVersion(1), noted{"b"}); err != nil {
					t.Fatal(err)
				}
				if _, err := s.writer.refresh(t.Context(), "test"); err != nil {
					t.Fatal(err)
				}
				sent, looked := 0, 0
				l.on(func(r *memstate.Request) bool { return commits(r) && sent < len(test.commits) }, -1, func(*memstate.Request, func() error) error {
					sent++
					return test.commits[sent-1]
				})
				l.on(commits, -1, func(_ *memstate.Request, next func() error) error { sent++; return next() })
				l.on(func(r *memstate.Request) bool { return r.Op == "get" && r.Has(":head") }, -1, func(_ *memstate.Request, next func() error) error {
					looked++
					if looked <= len(test.looks) && test.looks[looked-1] != nil {
						return test.looks[looked-1]
					}
					return next()
				})
				_, err := s.Append(t.Context(), ExpectVersion(2), noted{"c"})
				switch test.want {
				case stored:
					want[*StorageError](t, err)
				case unknown:
					want[*OutcomeUnknownError](t, err)
				default:
					if err != nil {
						t.Error(err)
					}
				}
				if err != nil {
					for _, of := range test.commits[:sent] {
						if !errors.Is(err, of) && !strings.Contains(err.Error(), of.Error()) && test.want == stored {
							t.Errorf("the store's words are missing: %v", err)
						}
					}
				}
				if sent != test.commit || looked != test.look {
					t.Errorf("it took %d attempts and %d look-ups, want %d and %d: %v", sent, looked, test.commit, test.look, err)
				}
				l.heal()
				if test.want == "" {
					l.holds("a", "b", "c")
					return
				}
				l.holds("a", "b")
				l.add(s, "d") // the session goes on
				l.holds("a", "b", "d")
			})
		})
	}
}

func TestAnAppendThatIsTurnedDownButWasSentBeforeIsFound(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		// Something below the event store repeats the request. The first one took effect, and the
		// answer is to the second.
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error { _ = next(); return errDenied })
		if version, err := s.Append(t.Context(), ExpectVersion(1), noted{"b"}); version != 2 || err != nil {
			t.Errorf("version %d, %v", version, err)
		}
		l.holds("a", "b")
	})
}

func TestAnAppendThatWasTurnedDownAndArrivesAllTheSameIsTheSessionsOwn(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		var arrive func() error
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error { arrive = next; return errDenied })
		_, err := s.Append(t.Context(), ExpectVersion(1), noted{"b"})
		want[*StorageError](t, err)
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		if version, err := s.Version(t.Context()); version != 2 || err != nil {
			t.Errorf("version %d, %v", version, err)
		}
	})
}

func TestAMoveOfTheHeadBetweenTwoAnswersAlikeIsNoRefusal(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		attempts := 0
		l.on(commits, 3, func(*memstate.Request, func() error) error {
			attempts++
			l.Set(l.keys.head(), l.Values()[l.keys.head()]) // for example, another session trims it
			return errAnswered
		})
		if version, err := s.Append(t.Context(), ExpectVersion(1), noted{"b"}); version != 2 || err != nil {
			t.Errorf("version %d, %v", version, err)
		}
		if attempts != 3 {
			t.Errorf("%d attempts were answered", attempts)
		}
	})
}

func TestWhatEndsAStreamOrChangesSnapshotsDoesNotInsistAfterANo(t *testing.T) {
	for name, operation := range map[string]func(*testing.T, *Session) error{
		"close":    func(t *testing.T, s *Session) error { return s.CloseStream(t.Context(), ExpectAny()) },
		"delete":   func(t *testing.T, s *Session) error { return s.DeleteStream(t.Context(), ExpectAny()) },
		"snapshot": func(t *testing.T, s *Session) error { return s.SaveSnapshot(t.Context(), 1, noted{"s"}) },
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				s := l.open()
				l.add(s, "a")
				swaps := 0
				l.on(func(r *memstate.Request) bool { return r.Op == "swap" }, -1, func(*memstate.Request, func() error) error {
					swaps++
					return errDenied
				})
				want[*StorageError](t, operation(t, s))
				if swaps != 1 {
					t.Errorf("it was tried %d times", swaps)
				}
			})
		})
	}
}
