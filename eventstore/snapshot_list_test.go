package eventstore

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func TestALoadTakesTheSnapshotFromTheRequestThatReadsTheHead(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(10, 5, 10)
		snapshot, events, err := l.reader().Load(t.Context())
		if err != nil || snapshot.Version != 10 || snapshot.Data != (noted{"at 10"}) {
			t.Errorf("%+v, %v", snapshot, err)
		}
		for range events {
			t.Error("events followed")
		}
		l.traced("getmany head snapshots")
		if snapshot, _, err := l.reader().Load(t.Context(), ToVersion(7)); err != nil || snapshot.Version != 5 {
			t.Errorf("%+v, %v", snapshot, err)
		}
		l.traced("getmany head snapshots", "get snapshot:5")
	})
}

func TestALargeSnapshotIsReadFromItsOwnKey(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a", "b")
		for version, size := range map[int64]int{1: carriedBytes + 1, 2: carriedBytes - 1000} {
			if err := s.SaveSnapshot(t.Context(), version, noted{strings.Repeat("x", size)}); err != nil {
				t.Fatal(err)
			}
			l.Trace()
			snapshot, _, err := l.reader().Load(t.Context(), ToVersion(version))
			if err != nil || snapshot.Version != version || len(snapshot.Data.(noted).Text) != size {
				t.Errorf("%+v, %v", snapshot.Version, err)
			}
			if got, want := len(l.Trace()), map[int64]int{1: 2, 2: 1}[version]; got != want {
				t.Errorf("the load of the snapshot at %d took %d requests, want %d", version, got, want)
			}
		}
	})
}

// After its schema version was raised, a load tries none of a state's old snapshots.
func TestSnapshotsOfAnotherSchemaVersionCostNothing(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		at := func(schema int) *Session {
			t.Helper()
			registry, err := NewRegistry(Type[noted]("noted", WithSchemaVersion(schema)), Type[struct{ N int }]("state", WithSchemaVersion(schema)))
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.provider(WithRegistry(registry)).Open(t.Context(), labStream, WithSnapshots())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		l.Around = nil
		s := l.open()
		texts := make([]string, 100)
		l.add(s, texts...)
		old := at(1)
		for version := range int64(100) {
			if err := old.SaveSnapshot(t.Context(), version+1, struct{ N int }{1}); err != nil {
				t.Fatal(err)
			}
		}
		l.Trace()
		s = at(2)
		snapshot, _, err := s.Load(t.Context())
		if err != nil || snapshot.Version != 0 {
			t.Errorf("%+v, %v", snapshot, err)
		}
		if trace := l.Trace(); len(trace) != 1 {
			t.Errorf("the load took %d requests: %.200q", len(trace), trace)
		}
		if err := s.SaveSnapshot(t.Context(), 100, struct{ N int }{2}, WithKept(2)); err != nil {
			t.Fatal(err)
		}
		if snapshot, _, err := at(2).Load(t.Context()); err != nil || snapshot.Version != 100 {
			t.Errorf("%+v, %v", snapshot, err)
		}
		// The older version still has its own, but for the one that was replaced.
		if snapshot, _, err := at(1).Load(t.Context()); err != nil || snapshot.Version != 99 {
			t.Errorf("%+v, %v", snapshot, err)
		}
		// The older version does not remove those of the newer one either.
		for _, version := range []int64{98, 97, 99} {
			if err := at(1).SaveSnapshot(t.Context(), version, struct{ N int }{1}, WithKept(1)); err != nil {
				t.Fatal(err)
			}
		}
		l.wantSnapshots(s.Reader, 99, 100)
		if snapshot, _, err := at(2).Load(t.Context()); err != nil || snapshot.Version != 100 {
			t.Errorf("%+v, %v", snapshot, err)
		}
	})
}

func TestOnlyTheNewestSnapshotsOfATypeAreKept(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, make([]string, 30)...)
		save := func(version int64, state any, options ...SnapshotOption) {
			t.Helper()
			if err := s.SaveSnapshot(t.Context(), version, state, options...); err != nil {
				t.Fatal(err)
			}
		}
		raw := Raw{Type: "other", ContentType: "text/plain", Payload: []byte("x")}
		for version := int64(1); version <= 20; version++ {
			save(version, noted{fmt.Sprint(version)})
		}
		save(5, raw)
		save(6, raw)
		l.uncarried() // as a list of an older version of this library
		save(21, noted{"21"})
		save(22, noted{"22"}, WithKept(3))
		l.wantSnapshots(s.Reader, 18, 19, 20, 21, 22)
		for version := range int64(30) {
			_, kept := l.Values()[l.keys.snapshot(version)]
			if kept != slices.Contains([]int64{18, 19, 20, 21, 22}, version) {
				t.Errorf("the snapshot at %d is stored: %t", version, kept)
			}
		}
		save(7, raw)
		save(8, raw, WithKept(1))
		l.wantSnapshots(s.Reader, 8, 20, 21, 22)
		save(3, noted{"3"}, WithKept(1)) // which is stored, although a newer one is there
		l.wantSnapshots(s.Reader, 3, 8, 20, 22)
		want[*ArgumentError](t, s.SaveSnapshot(t.Context(), 9, raw, WithKept(0)))
	})
}

// Between the reading of the list and of the snapshot another writer removes the snapshot.
func TestASnapshotThatIsJustRemovedIsNoWarning(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(10, 5, 8)
		l.uncarried()
		l.on(exactly("get snapshot:8"), 1, func(_ *memstate.Request, next func() error) error {
			l.Set(l.keys.snapshot(8), nil)
			return next()
		})
		var logs strings.Builder
		logger := slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelWarn}))
		snapshot, _, err := l.provider(WithLogger(logger)).Reader(labStream).Load(t.Context())
		if err != nil || snapshot.Version != 5 {
			t.Errorf("%+v, %v", snapshot, err)
		}
		if logs.Len() > 0 {
			t.Errorf("logged was %s", logs.String())
		}
	})
}
