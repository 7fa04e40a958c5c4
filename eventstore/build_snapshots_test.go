package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// built is the cost of building snapshots of a history, except for reading its events.
type built struct{ requests, bytes int64 }

// buildAll builds a snapshot at every version of a history of n events. The state has size bytes.
func buildAll(t *testing.T, store *memstate.Store, n, size int) built {
	t.Helper()
	registry, err := NewRegistry(Type[noted]("noted"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProvider(store, WithRegistry(registry), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(t.Context(), labStream)
	if err != nil {
		t.Fatal(err)
	}
	for range n / 1000 {
		if _, err := s.Append(t.Context(), ExpectAny(), slices.Repeat([]any{noted{"x"}}, 1000)...); err != nil {
			t.Fatal(err)
		}
	}
	var requests, bytes atomic.Int64
	store.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if reads(r) && !r.Has(":snapshots") {
			return err // a read of events
		}
		requests.Add(1)
		for _, item := range r.Items {
			bytes.Add(int64(len(item.Key) + len(item.Value)))
		}
		bytes.Add(int64(len(r.Swap.Key) + len(r.Swap.Value)))
		for _, w := range r.Writes {
			bytes.Add(int64(len(w.Key) + len(w.Value)))
		}
		return err
	}
	state := noted{strings.Repeat("s", size)}
	versions, err := BuildSnapshots(t.Context(), s, 1, state, func(n noted, _ Event) (noted, error) { return n, nil })
	if err != nil || len(versions) != n {
		t.Fatalf("%d snapshots, %v", len(versions), err)
	}
	store.Around = nil
	if all, err := s.Snapshots(t.Context()); err != nil || !slices.Equal(all, versions) {
		t.Errorf("%d snapshots are listed, %v, want %d", len(all), err, n)
	}
	return built{requests.Load(), bytes.Load()}
}

func TestBuildingSnapshotsOfTwiceTheHistoryCostsTwiceAndNoMore(t *testing.T) {
	t.Parallel()
	for kind, store := range map[string]func() *memstate.Store{"transactional": memstate.Transactional, "Redis": memstate.Redis} {
		for _, size := range []int{0, 200, 5000} {
			t.Run(fmt.Sprintf("%s, states of %d bytes", kind, size), func(t *testing.T) {
				t.Parallel()
				n := 8000
				if size > 1000 {
					n = 2000
				}
				once, twice := buildAll(t, store(), n, size), buildAll(t, store(), 2*n, size)
				t.Logf("%d snapshots: %+v, %d: %+v", n, once, 2*n, twice)
				if twice.requests > 2*once.requests {
					t.Errorf("%d snapshots took %d requests, twice as many took %d", n, once.requests, twice.requests)
				}
				if float64(twice.bytes) > 2.1*float64(once.bytes) {
					t.Errorf("%d snapshots took %d bytes, twice as many took %d", n, once.bytes, twice.bytes)
				}
			})
		}
	}
}

func TestBuildSnapshotsGoesThroughTheWholeHistory(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.withSnapshots(10, 5)
		join := func(n noted, e Event) (noted, error) { return noted{n.Text + e.Data.(noted).Text + " "}, nil }
		made, err := BuildSnapshots(t.Context(), s, 3, noted{">"}, join)
		if err != nil || !slices.Equal(made, []int64{3, 6, 9}) {
			t.Fatalf("%v, %v", made, err)
		}
		l.wantSnapshots(s.Reader, 3, 5, 6, 9)
		if last, err := s.LastSnapshot(t.Context()); err != nil || last.Data != (noted{">1 2 3 4 5 6 7 8 9 "}) {
			t.Errorf("%+v, %v", last, err)
		}
		// The caller gets the error of fold, and the snapshots before it.
		failure := errors.New("no more")
		made, err = BuildSnapshots(t.Context(), s, 2, noted{}, func(n noted, e Event) (noted, error) {
			if e.Version == 5 {
				return n, failure
			}
			return n, nil
		})
		if err != failure || !slices.Equal(made, []int64{2, 4}) {
			t.Errorf("got %v, %v", made, err)
		}
		l.wantSnapshots(s.Reader, 2, 3, 4, 5, 6, 9)
		_, err = BuildSnapshots(t.Context(), s, 0, noted{}, join)
		want[*ArgumentError](t, err)
		_, err = BuildSnapshots[noted](t.Context(), s, 1, noted{}, nil)
		want[*ArgumentError](t, err)
		made, err = BuildSnapshots(t.Context(), s, 1, 0, func(n int, e Event) (int, error) { return n, nil })
		if want[*TypeNotRegisteredError](t, err); len(made) != 0 {
			t.Errorf("snapshots were made at %v", made)
		}
	})
}

// large is a state so large that two of them fill a save.
var large = noted{strings.Repeat("x", buildBytes/2)}

func TestWhereverBuildingSnapshotsIsCutShortThoseSavedAreListedAndNoneIsOrphaned(t *testing.T) {
	keep := func(n noted, _ Event) (noted, error) { return n, nil }
	for name, fault := range map[string]around{"lost": lost, "unanswered": unanswered} {
		for after := range 12 { // requests of the build
			t.Run(fmt.Sprint(name, " after ", after), func(t *testing.T) {
				inLabs(t, func(t *testing.T, l *lab) {
					s := l.withSnapshots(10)
					seen := 0
					ofSnapshots := func(r *memstate.Request) bool {
						if !slices.ContainsFunc(r.Keys, func(key string) bool { return strings.Contains(key, "}:snapshot") }) {
							return false
						}
						seen++
						return seen > after
					}
					l.on(ofSnapshots, -1, fault)
					made, err := BuildSnapshots(t.Context(), s, 1, large, keep)
					l.heal()
					if seen > after && err == nil {
						t.Error("there is no error")
					}
					listed, err := l.reader().Snapshots(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for _, version := range made {
						if snapshot, err := l.reader().Snapshot(t.Context(), version); err != nil || snapshot.Data != any(large) {
							t.Errorf("snapshot %d that was saved: %v", version, err)
						}
					}
					missing := 0
					for version := range int64(11) {
						_, there := l.Values()[l.keys.snapshot(version)]
						switch {
						case there && !slices.Contains(listed, version):
							t.Errorf("snapshot %d is there and not listed", version)
						case !there && slices.Contains(listed, version):
							missing++
						}
					}
					if missing > 2 {
						t.Errorf("%d snapshots are listed and not there, more than one save has", missing)
					}
					// Another session builds the rest.
					if err := s.Close(); err != nil {
						t.Log(err)
					}
					again, err := BuildSnapshots(t.Context(), l.open(), 1, large, keep)
					if err != nil || len(again) != 10 {
						t.Errorf("again: %v, %v", again, err)
					}
				}, "with counted ETags", "in one transaction")
			})
		}
	}
}

func TestAStateThatIsTooLargeEndsABuildAndKeepsWhatCameBefore(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(10)
		l.Caps.MaxRequestBytes = 10_000
		grow := func(n noted, e Event) (noted, error) {
			if e.Version == 5 {
				return large, nil
			}
			return n, nil
		}
		made, err := BuildSnapshots(t.Context(), l.open(), 2, noted{"small"}, grow)
		want[*BatchTooLargeError](t, err)
		if !slices.Equal(made, []int64{2, 4}) {
			t.Errorf("saved were %v", made)
		}
	}, "the careful way")
}
