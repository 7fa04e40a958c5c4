package eventstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// withSnapshots returns a session on a stream of n events with snapshots at these versions.
func (l *lab) withSnapshots(n int, versions ...int64) *Session {
	l.t.Helper()
	l.fill(n - 1)
	s := l.open()
	for _, version := range versions {
		if err := s.SaveSnapshot(l.t.Context(), version, noted{fmt.Sprint("at ", version)}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.Trace()
	return s
}

func (l *lab) wantSnapshots(r *Reader, want ...int64) {
	l.t.Helper()
	if got, err := r.Snapshots(l.t.Context()); err != nil || !slices.Equal(got, want) {
		l.t.Errorf("there are snapshots at %v, %v, want %v", got, err, want)
	}
}

// uncarried replaces the list of snapshots with one that carries none, as older versions wrote it.
func (l *lab) uncarried() {
	l.t.Helper()
	value, _ := l.Value(l.keys.snapshots())
	list, err := decodeSnapshots(l.keys.partition, value)
	if err != nil {
		l.t.Fatal(err)
	}
	for i := range list.entries {
		list.entries[i].kind = snapshotKind{}
	}
	list.carried, list.record = 0, nil
	l.Set(l.keys.snapshots(), list.encode(l.keys.partition))
}

func TestSnapshotsAreListedInOrderHoweverTheyCame(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.withSnapshots(20, 10, 5, 20, 10, 7)
		l.wantSnapshots(s.Reader, 5, 7, 10, 20)
		if err := s.SaveSnapshot(t.Context(), 10, noted{"replaced"}); err != nil {
			t.Fatal(err)
		}
		if snapshot, err := l.reader().Snapshot(t.Context(), 10); err != nil || snapshot.Data != (noted{"replaced"}) || snapshot.Version != 10 || snapshot.Created.IsZero() {
			t.Errorf("%+v, %v", snapshot, err)
		}
		if snapshot, err := l.reader().Snapshot(t.Context(), 10, AsRaw()); err != nil || string(snapshot.Data.(Raw).Payload) != `{"Text":"replaced"}` {
			t.Errorf("%+v, %v", snapshot, err)
		}
	})
}

func TestASnapshotSparesReadingWhatItStandsFor(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(2000, 1000, 1999)
		snapshot, events, err := l.reader().Load(t.Context())
		if err != nil || snapshot.Version != 1999 || snapshot.Data != (noted{"at 1999"}) {
			t.Fatalf("%+v, %v", snapshot, err)
		}
		n := 0
		for event, err := range events {
			if n++; err != nil || event.Version != 2000 {
				t.Errorf("%+v, %v", event, err)
			}
		}
		if n != 1 {
			t.Errorf("%d events followed", n)
		}
		wants := []string{"getmany head snapshots"}
		if l.Caps.Atomic {
			wants = append(wants, "getmany 2000") // otherwise it is in the tail
		}
		l.traced(wants...)
	})
}

func TestASnapshotThatCannotBeUsedCostsTimeNotCorrectness(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(30, 10, 20, 25, 28)
		l.uncarried()
		l.Set(l.keys.snapshot(28), nil)
		l.Set(l.keys.snapshot(25), []byte("not ours"))
		l.Set(l.keys.snapshot(20), encodeSnapshot(l.keys.partition, Snapshot{Version: 20, Created: time.Now()}, Raw{Type: "unknown", ContentType: "application/json"}))
		load := func(want int64) {
			t.Helper()
			snapshot, events, err := l.reader().Load(t.Context())
			if err != nil || snapshot.Version != want {
				t.Errorf("Load: %+v, %v, want the snapshot at %d", snapshot, err, want)
			}
			next := want
			for event, err := range events {
				if next++; err != nil || event.Version != next {
					t.Fatalf("event %d, %v, want %d", event.Version, err, next)
				}
			}
			if next != 30 {
				t.Errorf("the events ended at %d", next)
			}
		}
		load(10)
		l.on(exactly("get snapshot:10"), 1, lost)
		load(0)
		l.Set(l.keys.snapshots(), []byte("not ours"))
		load(0)
	})
}

func TestAStoreThatIsAwayIsToldFromAStreamWithoutSnapshots(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(10, 5)
		l.uncarried()
		l.on(exactly("get snapshot:5"), 1, lost)
		_, err := l.reader().LastSnapshot(t.Context())
		if want[*StorageError](t, err); !errors.Is(err, errLost) {
			t.Error(err)
		}
		if last, err := l.reader().LastSnapshot(t.Context()); err != nil || last.Version != 5 {
			t.Errorf("%+v, %v", last, err)
		}
		_, err = l.reader().LastSnapshot(t.Context(), ToVersion(4))
		if e := want[*SnapshotNotFoundError](t, err); e.Version != 0 || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
	})
}

func TestSnapshotsOfTwoSessionsAreBothListed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.withSnapshots(10)
		b := l.open()
		l.on(exactly("swap snapshots"), 1, func(_ *memstate.Request, next func() error) error {
			if err := b.SaveSnapshot(t.Context(), 2, noted{"b"}); err != nil {
				t.Error(err)
			}
			return next()
		})
		if err := a.SaveSnapshot(t.Context(), 1, noted{"a"}); err != nil {
			t.Error(err)
		}
		l.on(exactly("swap snapshots"), 1, unanswered)
		if err := a.SaveSnapshot(t.Context(), 3, noted{"a"}); err != nil {
			t.Error(err)
		}
		l.wantSnapshots(a.Reader, 1, 2, 3)
		l.on(exactly("swap snapshots"), 1, func(_ *memstate.Request, next func() error) error {
			if err := b.SaveSnapshot(t.Context(), 4, noted{"b"}); err != nil {
				t.Error(err)
			}
			return next()
		})
		if err := a.ClearSnapshots(t.Context()); err != nil {
			t.Error(err)
		}
		l.wantSnapshots(a.Reader, 4)
		l.on(exactly("swap snapshots"), -1, lost)
		if want[*StorageError](t, a.ClearSnapshots(t.Context())); !errors.Is(a.ClearSnapshots(t.Context()), errLost) {
			t.Error("the cause is gone")
		}
	})
}

func TestClearedSnapshotsAreGone(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.withSnapshots(10, 1, 2, 3)
		if e := want[*SnapshotNotFoundError](t, s.ClearSnapshot(t.Context(), 4)); e.Version != 4 || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
		if err := s.ClearSnapshot(t.Context(), 2); err != nil {
			t.Error(err)
		}
		l.wantSnapshots(s.Reader, 1, 3)
		if err := s.ClearSnapshots(t.Context()); err != nil {
			t.Error(err)
		}
		l.wantSnapshots(s.Reader)
		for key := range l.Values() {
			if strings.Contains(key, ":snapshot:") {
				t.Errorf("%s still stands", key)
			}
		}
		l.Trace()
		if err := s.ClearSnapshots(t.Context()); err != nil {
			t.Error(err)
		}
		l.traced("get snapshots")
	})
}

func TestADamagedListOfSnapshotsIsDamageUntilItIsCleared(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.withSnapshots(10, 1)
		l.Set(l.keys.snapshots(), []byte("not ours"))
		for name, err := range map[string]error{
			"Snapshots":     errorOf(s.Snapshots(t.Context())),
			"SaveSnapshot":  s.SaveSnapshot(t.Context(), 1, noted{}),
			"ClearSnapshot": s.ClearSnapshot(t.Context(), 1),
		} {
			if e := want[*DamagedError](t, err); e.Key != l.keys.snapshots() {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if err := s.ClearSnapshots(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.SaveSnapshot(t.Context(), 2, noted{}); err != nil {
			t.Error(err)
		}
		l.wantSnapshots(l.reader(), 2)
	})
}

func TestASnapshotThatCannotFitIsRefused(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(2)
		l.Caps.MaxRequestBytes = 10_000
		s := l.open()
		l.Trace()
		err := s.SaveSnapshot(t.Context(), 1, noted{strings.Repeat("x", 10_000)})
		if e := want[*BatchTooLargeError](t, err); e.Limit != 10_000 || e.Size <= 10_000 {
			t.Errorf("%+v", e)
		}
		l.traced()
	}, "the careful way")
}
