package eventstore

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func TestAClosedStreamTakesNoAppendsAndIsReadAsBefore(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		s := l.open()
		if closed, err := s.Closed(t.Context()); closed || err != nil {
			t.Errorf("before: %v, %v", closed, err)
		}
		if err := s.CloseStream(t.Context(), ExpectVersion(6)); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Errorf("again: %v", err)
		}
		for name, s := range map[string]*Session{"its session": s, "another session": l.open()} {
			for _, expected := range []Expected{ExpectAny(), ExpectVersion(6), ExpectVersion(3)} {
				_, err := s.Append(t.Context(), expected, noted{"g"})
				if e := want[*StreamClosedError](t, err); e.Version != 6 || e.Stream != labStream {
					t.Errorf("%s: %v", name, e)
				}
			}
			if err := s.SaveSnapshot(t.Context(), 6, noted{}); err != nil {
				t.Errorf("%s: a snapshot: %v", name, err)
			}
			if closed, err := s.Closed(t.Context()); !closed || err != nil {
				t.Errorf("%s: closed %v, %v", name, closed, err)
			}
		}
		l.holds("a", "b", "c", "d", "e", "f")
		if found := l.verify(); !found.Sound() || !found.Closed || found.Deleted {
			t.Errorf("verified as %+v", found)
		}
	})
}

func TestWhatCanNotBeClosed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		want[*ArgumentError](t, s.CloseStream(t.Context(), ExpectAny()))
		want[*ArgumentError](t, s.CloseStream(t.Context(), ExpectVersion(-1)))
		want[*VersionMismatchError](t, s.DeleteStream(t.Context(), ExpectVersion(1)))
		l.add(s, "a")
		e := want[*VersionMismatchError](t, s.CloseStream(t.Context(), ExpectVersion(2)))
		if e.Actual != 1 || e.Expected != 2 {
			t.Errorf("%v", e)
		}
		l.add(l.open(), "b") // by another session
		e = want[*VersionMismatchError](t, s.CloseStream(t.Context(), ExpectVersion(1)))
		if e.Actual != 2 {
			t.Errorf("%v", e)
		}
		want[*SessionLostError](t, s.CloseStream(t.Context(), ExpectAny()))
		l.holds("a", "b")
	})
}

func TestAStreamThatNeverHadAnEventCanNotBeDeleted(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for name, s := range map[string]*Session{"a session": l.open(), "another": l.open()} {
			for _, expected := range []Expected{ExpectAny(), ExpectVersion(0)} {
				err := s.DeleteStream(t.Context(), expected)
				if e := want[*ArgumentError](t, err); e.Argument != "stream" || !strings.Contains(e.Reason, labStream.String()) || !strings.Contains(e.Reason, "never had an event") {
					t.Errorf("%s: %v", name, err)
				}
			}
			want[*VersionMismatchError](t, s.DeleteStream(t.Context(), ExpectVersion(1)))
		}
		if n := len(l.Values()); n != 0 {
			t.Errorf("%d keys were written", n)
		}
		s := l.open()
		l.add(s, "a") // the name is still free
		if err := s.DeleteStream(t.Context(), ExpectVersion(1)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a deleted stream can be deleted again
			if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAStreamThatWasDeletedElsewhereIsMarkedHere(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for range 2 {
			if err := l.open().DeleteRecorded(t.Context(), ExpectVersion(0)); err != nil {
				t.Fatal(err)
			}
		}
		if hd := l.head(); hd.version != 1 || hd.first != 2 || !hd.deleted {
			t.Errorf("the head is %+v", hd)
		}
		_, err := l.open().Append(t.Context(), ExpectAny(), noted{"a"})
		want[*StreamDeletedError](t, err)
		l.Set(l.keys.head(), nil)
		l.add(l.open(), "a")
		if e := want[*VersionMismatchError](t, l.open().DeleteRecorded(t.Context(), ExpectVersion(0))); e.Actual != 1 || e.Expected != 0 {
			t.Errorf("%v", e)
		}
		l.holds("a")
	})
}

func TestADeletedStreamLeavesNothingButAMark(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		s := l.open()
		if err := s.DeleteStream(t.Context(), ExpectVersion(6)); err != nil {
			t.Fatal(err)
		}
		var left []string
		for key := range l.Values() {
			left = append(left, strings.TrimPrefix(key, l.keys.prefix))
		}
		slices.Sort(left)
		if !slices.Equal(left, []string{"head", "snapshots"}) {
			t.Errorf("left are %q", left)
		}
		if hd := l.head(); hd.version != 7 || hd.first != 8 || !hd.deleted || len(hd.tail) != 0 {
			t.Errorf("the head is %+v", hd)
		}
		if found := l.verify(); !found.Sound() || !found.Deleted || found.Events != 0 {
			t.Errorf("verified as %+v", found)
		}
	})
}

func TestEveryOperationOnADeletedStreamSaysSo(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		before := l.open()
		if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		for name, s := range map[string]*Session{"a new session": l.open(), "one that was open": before} {
			reader := s.Reader
			if name == "one that was open" {
				reader = l.reader() // it first reads an older head, and then finds the stream deleted
			}
			for operation, err := range map[string]error{
				"append":          second(s.Append(ctx, ExpectAny(), noted{})),
				"append expected": second(s.Append(ctx, ExpectVersion(6), noted{})),
				"close":           s.CloseStream(ctx, ExpectAny()),
				"save a snapshot": s.SaveSnapshot(ctx, 2, noted{}),
				"clear snapshots": s.ClearSnapshots(ctx),
				"clear one":       s.ClearSnapshot(ctx, 2),
				"version":         second(reader.Version(ctx)),
				"closed":          second(reader.Closed(ctx)),
				"slice":           second(reader.Slice(ctx, 1, 6)),
				"event":           second(reader.Event(ctx, 1)),
				"snapshot":        second(reader.Snapshot(ctx, 2)),
				"last snapshot":   second(reader.LastSnapshot(ctx)),
				"snapshots":       second(reader.Snapshots(ctx)),
				"load":            func() error { _, _, err := reader.Load(ctx); return err }(),
				"version of":      second(reader.VersionOf(ctx, "i")),
				"outcome":         second(reader.Outcome(ctx, 1, "some commit")),
				"read": func() error {
					for _, err := range reader.Read(ctx) {
						return err
					}
					return nil
				}(),
			} {
				if !isA[*StreamDeletedError](err) {
					t.Errorf("%s, %s: %v", name, operation, err)
				}
			}
		}
		for _, err := range before.Read(ctx) {
			if e := want[*StreamDeletedError](t, err); e.Version != 7 || e.Stream != labStream || e.DeletedAt.IsZero() {
				t.Errorf("%+v", e)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestADeletionThatWasCutShortIsFinishedByTheNext(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		l.on(func(r *memstate.Request) bool { return r.Op == "write" && r.Has(":1") }, 1, lost)
		err := l.open().DeleteStream(t.Context(), ExpectVersion(6))
		if want[*StorageError](t, err); !errors.Is(err, errLost) {
			t.Errorf("%v", err)
		}
		if l.Values()[l.keys.event(1)] == nil {
			t.Fatal("nothing was left to be deleted")
		}
		_, err = l.reader().Event(t.Context(), 1)
		want[*StreamDeletedError](t, err)
		if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		if n := len(l.Values()); n != 2 {
			t.Errorf("%d keys are left", n)
		}
		if hd := l.head(); hd.version != 7 {
			t.Errorf("deleting again has moved the head to %d", hd.version)
		}
	})
}

func TestWhatArrivesLateAtADeletedStreamDoesNotCount(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		arrive := l.hold(writes)
		l.add(s, "a", "b") // the keys of these events are written late
		if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		_, err := l.reader().Event(t.Context(), 1)
		want[*StreamDeletedError](t, err)
		if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		if l.Values()[l.keys.event(1)] != nil {
			t.Error("what came late was not swept away")
		}
	}, carefully...)
}

func TestAnEndWhoseAnswerWasLostIsLookedUp(t *testing.T) {
	for name, end := range map[string]func(*Session, *testing.T) error{
		"closing":  func(s *Session, t *testing.T) error { return s.CloseStream(t.Context(), ExpectVersion(2)) },
		"deleting": func(s *Session, t *testing.T) error { return s.DeleteStream(t.Context(), ExpectVersion(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				for what, do := range map[string]around{"lost": lost, "unanswered": unanswered} {
					l.Set(l.keys.head(), nil)
					l.Set(l.keys.event(1), nil)
					l.Set(l.keys.event(2), nil)
					l.bytes, l.heads = map[int64][]byte{}, [][]byte{nil}
					s := l.open()
					l.add(s, "a", "b")
					l.on(commits, 1, do)
					if err := end(s, t); err != nil {
						t.Errorf("%s: %v", what, err)
					}
					if hd := l.head(); !hd.closed {
						t.Errorf("%s: the head is %+v", what, hd)
					}
				}
				l.on(everything, -1, lost)
				want[*StorageError](t, end(l.openAnyway(), t))
			})
		})
	}
}

// openAnyway opens a session even though the store answers nothing from then on.
func (l *lab) openAnyway() *Session {
	l.mu.Lock()
	faults := l.faults
	l.faults = nil
	l.mu.Unlock()
	s := l.open()
	s.writer.fresh = false
	l.mu.Lock()
	l.faults = faults
	l.mu.Unlock()
	return s
}

func TestAnAppendThatMeetsTheEndOfItsStreamIsRefused(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		// The append is on its way while another session closes the stream.
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if err := l.open().CloseStream(t.Context(), ExpectVersion(1)); err != nil {
				t.Error(err)
			}
			return next()
		})
		_, err := tryAdd(s, "b")
		want[*StreamClosedError](t, err)
		l.holds("a")
	})
	inLabsNamed(t, "deleted", func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if err := l.open().DeleteStream(t.Context(), ExpectVersion(1)); err != nil {
				t.Error(err)
			}
			return next()
		})
		_, err := tryAdd(s, "b")
		want[*StreamDeletedError](t, err)
	})
}

// inLabsNamed is inLabs as a subtest.
func inLabsNamed(t *testing.T, name string, test func(t *testing.T, l *lab)) {
	t.Run(name, func(t *testing.T) { inLabs(t, test) })
}

func TestAnUnknownAppendIsRefusedOnceItsStreamIsClosed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		unknown, arrive := l.unknown(s, "b")
		other := l.open()
		if err := other.CloseStream(t.Context(), ExpectVersion(1)); err != nil {
			t.Fatal(err)
		}
		if err := arrive(); err == nil {
			t.Error("the append took effect on a closed stream")
		}
		if outcome, err := l.reader().Outcome(t.Context(), unknown.Base, unknown.CommitID); err != nil || outcome != OutcomeRejected {
			t.Errorf("its outcome is %v, %v", outcome, err)
		}
		_, err := l.open().Retry(t.Context(), unknown)
		want[*StreamClosedError](t, err)
		if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		_, err = l.open().Retry(t.Context(), unknown)
		want[*StreamDeletedError](t, err)
	})
}

func TestSharedSessionsDoNotWaitForEachOther(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.provider(WithLocker(lease{state: l.Store}))
		first, err := p.Open(t.Context(), labStream, Shared())
		if err != nil {
			t.Fatal(err)
		}
		second, err := p.Open(t.Context(), p.Stream(labStream.Type, labStream.ID), Shared())
		if err != nil {
			t.Fatal(err)
		}
		l.add(first, "a")
		_, err = second.Append(t.Context(), ExpectVersion(0), noted{"b"})
		if e := want[*VersionMismatchError](t, err); e.Actual != 1 {
			t.Errorf("%v", e)
		}
		l.reads(second.Reader, "a")
		if v, err := second.Append(t.Context(), ExpectVersion(1), noted{"b"}); v != 2 || err != nil {
			t.Errorf("deciding again: %d, %v", v, err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		l.holds("a", "b")
		_, err = p.Open(t.Context(), Stream{}, Shared())
		want[*ArgumentError](t, err)
	})
}

// A shared session continues after another writer was faster. An exclusive session has lost the
// stream.
func TestOnlyASessionThatHadItsStreamToItselfWarnsThatItLostIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for says, open := range map[string]func(*Provider) (*Session, error){
			`level=WARN msg="the session lost its stream to another session"`:     func(p *Provider) (*Session, error) { return p.Open(t.Context(), labStream) },
			`level=DEBUG msg="another writer appended before the shared session"`: func(p *Provider) (*Session, error) { return p.Open(t.Context(), labStream, Shared()) },
		} {
			var log bytes.Buffer
			overtaken, err := open(l.provider(WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))))
			if err != nil {
				t.Fatal(err)
			}
			at := overtaken.writer.head.version
			l.add(l.open(), "a")
			_, err = overtaken.Append(t.Context(), ExpectVersion(at), noted{"b"})
			want[*VersionMismatchError](t, err)
			if strings.Count(log.String(), says) != 1 || strings.Contains(log.String(), "WARN") != strings.Contains(says, "WARN") {
				t.Errorf("the log does not say %s once:\n%s", says, &log)
			}
		}
	})
}
