package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

var (
	errRefused = errors.New("refused")
	streamOne  = eventstore.Stream{Database: "EventStores", Type: "counter", ID: "1"}
)

func refuse(counter) ([]any, error)  { return nil, errRefused }
func nothing(counter) ([]any, error) { return nil, nil }

func TestAnUpdateSendsNoMoreThanItMust(t *testing.T) {
	type requests = []string
	onEach(t, func(t *testing.T, store *memstate.Store) {
		is := func(what string, got, redis, transactional requests) {
			t.Helper()
			want := redis
			if store.Caps.Atomic {
				want = transactional
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s sends %q, want %q", what, got, want)
			}
		}
		current := requests{"get head"}
		r := counters(t, store)
		update(t, r, add(1))
		update(t, r, add(1))

		store.Trace()
		update(t, r, add(1))
		is("an update", store.Trace(), requests{"swap head"}, requests{"get head", "commit head 3"})

		pass(11 * time.Millisecond)
		update(t, r, add(1))
		is("a later update", store.Trace(), requests{"get head", "swap head"}, requests{"get head", "commit head 4"})

		_, _ = r.Update(t.Context(), "1", refuse)
		is("a refusal", store.Trace(), current, current)
		update(t, r, nothing)
		is("a decision for nothing", store.Trace(), current, current)

		update(t, r, add(1), aggregate.WithIdempotencyID("c"))
		is("an update with an id", store.Trace(), requests{"get idem:c", "swap head"}, requests{"get idem:c", "commit head 5 idem:c"})
		update(t, r, add(1), aggregate.WithIdempotencyID("c"))
		is("a repeat", store.Trace(), current, requests{"get idem:c", "get head"})

		pass(31 * time.Second)
		update(t, r, nothing)
		is("an update after half of the session's time", store.Trace(), requests{"getmany head snapshots", "getmany 1"},
			requests{"getmany head snapshots", "getmany 1 2 3 4 5"})

		r = counters(t, store, aggregate.WithoutCache())
		for range 2 {
			update(t, r, add(1))
		}
		store.Trace()
		update(t, r, add(1))
		is("an update without a cache", store.Trace(), requests{"getmany head snapshots", "getmany 1", "swap head"},
			requests{"getmany head snapshots", "getmany 1 2 3 4 5 6 7", "commit head 8"})
	})
}

func TestOnlySoManyAggregatesAreKept(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithCache(2))
		loads := func(id string) bool {
			t.Helper()
			store.Trace()
			if _, err := r.Update(t.Context(), id, add(1)); err != nil {
				t.Fatal(err)
			}
			return slices.Contains(store.Trace(), "getmany head snapshots")
		}
		for i, test := range []struct {
			id    string
			loads bool
		}{{"a", true}, {"b", true}, {"a", false}, {"c", true}, {"a", false}, {"b", true}, {"c", true}, {"b", false}} {
			if got := loads(test.id); got != test.loads {
				t.Errorf("update %d, of %s, loads: %t, want %t", i+1, test.id, got, test.loads)
			}
		}
	})
}

// tally is a state that is small, whatever its events.
type (
	tally struct{ Events int }
	line  struct{ Text string }
)

func tallies(t *testing.T, store *memstate.Store, options ...aggregate.Option) *aggregate.Repository[tally] {
	t.Helper()
	types, err := eventstore.NewRegistry(eventstore.Type[line]("line"), eventstore.Type[tally]("tally"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(store, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := aggregate.NewRepository(p, "tally", func(c tally, _ eventstore.Event) (tally, error) { return tally{c.Events + 1}, nil }, options...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOnlySoManyBytesOfAggregatesAreKept(t *testing.T) {
	const size = 100
	type step struct {
		id    string
		bytes int
		loads bool
	}
	for name, test := range map[string]struct {
		options []aggregate.Option
		steps   []step
	}{
		"two of them": {steps: []step{{"a", size, true}, {"b", size, true}, {"a", 12, false}, {"b", 12, false},
			{"c", size, true}, {"b", 12, false}, {"a", 12, true}, {"c", 12, true}}},
		"one that grows": {steps: []step{{"a", size, true}, {"b", size, true}, {"a", size, false}, {"b", 12, true}, {"a", 12, true},
			{"a", size, false}, {"a", 12, true}}},
		"one that is too large": {steps: []step{{"a", size, true}, {"b", 3 * size, true}, {"a", 12, false}, {"b", 12, true}}},
		"loaded from a snapshot": {options: []aggregate.Option{aggregate.WithSnapshotEvery(1)},
			steps: []step{{"b", 3 * size, true}, {"b", 12, true}, {"b", 12, false}}},
		"loaded without one": {steps: []step{{"b", 3 * size, true}, {"b", 12, true}, {"b", 12, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				r := tallies(t, store, append(test.options, aggregate.WithCacheBytes(2*size+50))...)
				for i, s := range test.steps {
					store.Trace()
					if _, err := r.Update(t.Context(), s.id, func(tally) ([]any, error) {
						return []any{line{strings.Repeat("x", s.bytes-len(`{"Text":""}`))}}, nil
					}); err != nil {
						t.Fatal(err)
					}
					if loads := slices.Contains(store.Trace(), "getmany head snapshots"); loads != s.loads {
						t.Errorf("update %d, of %s, loads: %t, want %t", i+1, s.id, loads, s.loads)
					}
				}
			})
		})
	}
}

// What others have stored counts as well when the repository catches up.
func TestTheBytesOfOtherWritersCount(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, others := tallies(t, store, aggregate.WithCacheBytes(250)), tallies(t, store)
		loads := func(r *aggregate.Repository[tally], bytes int) bool {
			t.Helper()
			store.Trace()
			_, err := r.Update(t.Context(), "1", func(tally) ([]any, error) {
				return []any{line{strings.Repeat("x", bytes-len(`{"Text":""}`))}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return slices.Contains(store.Trace(), "getmany head snapshots")
		}
		for i, want := range []bool{true, false, false, true} {
			if got := loads(r, 50); got != want {
				t.Errorf("update %d loads: %t, want %t", i+1, got, want)
			}
			pass(time.Second)
			loads(others, 100)
			pass(time.Second)
		}
	})
}

// Each of these is decided by a repository that has an old state.
func TestNothingIsDecidedOnAnOldState(t *testing.T) {
	for name, test := range map[string]struct {
		decide  aggregate.Decide[counter]
		options []aggregate.UpdateOption
		want    string // of the version, the sum and the error
	}{
		"events":               {decide: func(c counter) ([]any, error) { return []any{added{c.Sum}}, nil }, want: "3 22 <nil>"},
		"a refusal":            {decide: func(c counter) ([]any, error) { return nil, fmt.Errorf("refused at %d", c.Sum) }, want: "2 11 refused at 11"},
		"a refusal of the old": {decide: func(c counter) ([]any, error) { return []any{added{1}}, when(c.Sum == 1, errRefused) }, want: "3 12 <nil>"},
		"nothing":              {decide: nothing, want: "2 11 <nil>"},
		"its expected version": {decide: add(100), options: []aggregate.UpdateOption{aggregate.WithExpectedVersion(2)}, want: "3 111 <nil>"},
		"an old expected version": {decide: add(100), options: []aggregate.UpdateOption{aggregate.WithExpectedVersion(1)},
			want: "2 11 eventstore: stream EventStores:counter:1 is at version 2"},
		"a repeat": {decide: add(100), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID("theirs")}, want: "2 11 <nil>"},
		"a repeat of an older version": {decide: add(100), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID("first")},
			want: "2 11 <nil>"},
		"an event that can't be folded": {decide: func(counter) ([]any, error) { return []any{other{}}, nil }, want: "2 11 aggregate: folding version 3"},
	} {
		for _, late := range []time.Duration{0, time.Second, time.Hour} {
			t.Run(fmt.Sprint(name, " after ", late), func(t *testing.T) {
				onEach(t, func(t *testing.T, store *memstate.Store) {
					r, others := counters(t, store, aggregate.WithRetries(0)), counters(t, store)
					update(t, r, add(1), aggregate.WithIdempotencyID("first"))
					update(t, others, add(10), aggregate.WithIdempotencyID("theirs"))
					pass(late)
					a, err := r.Update(t.Context(), "1", test.decide, test.options...)
					got := fmt.Sprint(a.Version, a.State.Sum, err)
					if len(got) > len(test.want) {
						got = got[:len(test.want)]
					}
					if got != test.want {
						t.Errorf("got %d %d %v, want %s", a.Version, a.State.Sum, err, test.want)
					}
					if final := load(t, r); err == nil && (final.Version != a.Version || final.State != a.State) {
						t.Errorf("it returned %+v, loaded is %+v", a, final)
					}
				})
			})
		}
	}
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// A decision changes the state, although it must not, and does not return. Such a state is not used
// again.
func TestAStateIsNotKeptIfADecisionDoesNotReturn(t *testing.T) {
	type board = map[string]int
	fold := func(b board, event eventstore.Event) (board, error) {
		after := board{"sum": b["sum"] + event.Data.(added).N}
		return after, nil
	}
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				r, err := aggregate.NewRepository(provider(t, store), "counter", fold)
				if err != nil {
					t.Fatal(err)
				}
				one := func(board) ([]any, error) { return []any{added{1}}, nil }
				if _, err := r.Update(t.Context(), "1", one); err != nil {
					t.Fatal(err)
				}
				ended := make(chan any)
				go func() {
					defer func() { ended <- recover() }()
					_, err := r.Update(t.Context(), "1", func(b board) ([]any, error) { b["sum"] = 100; end(); return nil, nil })
					t.Errorf("it returned %v", err)
				}()
				if p := <-ended; p != nil && p != "no" {
					t.Errorf("it panicked with %v", p)
				}
				a, err := r.Update(t.Context(), "1", one)
				if err != nil || a.State["sum"] != 2 || a.Version != 2 {
					t.Errorf("%+v, %v", a, err)
				}
			})
		})
	}
}

func TestACachedAggregateThatWasClosedOrDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		session := func() *eventstore.Session {
			s, err := provider(t, store).Open(t.Context(), streamOne)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		update(t, r, add(1))
		s := session()
		if err := s.CloseStream(t.Context(), eventstore.ExpectVersion(1)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := r.Update(t.Context(), "1", add(1)); !errors.As(err, new(*eventstore.StreamClosedError)) {
			t.Errorf("closed: %v", err)
		}
		if a, err := r.Update(t.Context(), "1", refuse); err != errRefused || a.State.Sum != 1 {
			t.Errorf("closed, a refusal: %+v, %v", a, err)
		}
		s = session()
		if err := s.DeleteStream(t.Context(), eventstore.ExpectVersion(1)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		for name, decide := range map[string]aggregate.Decide[counter]{"events": add(1), "a refusal": refuse, "nothing": nothing} {
			if _, err := r.Update(t.Context(), "1", decide); !errors.As(err, new(*eventstore.StreamDeletedError)) {
				t.Errorf("deleted, %s: %v", name, err)
			}
		}
	})
}

func TestACachedAggregateWhoseEventsTheStoreHasLost(t *testing.T) {
	for _, theirs := range []int{0, 1, 2, 3} { // events that another writer has stored since
		t.Run(fmt.Sprint(theirs), func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				store.Remembers = true
				r, others := counters(t, store, aggregate.WithRetries(1)), counters(t, store)
				update(t, r, add(1))
				update(t, r, add(2))
				update(t, r, add(4))
				pass(time.Second)
				store.Forget(2)
				for range theirs {
					update(t, others, add(100))
				}
				a := update(t, r, func(c counter) ([]any, error) { return []any{added{1000 * c.Events}}, nil })
				if want := 1 + 100*theirs + 1000*(1+theirs); a.State.Sum != want || load(t, r).State != a.State {
					t.Errorf("%+v, want the sum %d, loaded is %+v", a, want, load(t, r))
				}
			})
		})
	}
}

// Another writer has stored other events since, up to the version of the state in memory.
func TestNothingIsRefusedBecauseOfEventsThatTheStoreHasLost(t *testing.T) {
	for _, theirs := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprint(theirs), func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				store.Remembers = true
				r, others := counters(t, store, aggregate.WithRetries(0)), counters(t, store)
				update(t, r, add(1))
				update(t, r, add(2))
				update(t, r, add(4))
				pass(time.Second)
				store.Forget(2)
				for range theirs {
					update(t, others, add(100))
				}
				a, err := r.Update(t.Context(), "1", func(c counter) ([]any, error) { return nil, fmt.Errorf("refused at %d", c.Sum) })
				want := fmt.Sprintf("refused at %d", 1+100*theirs)
				if err == nil || err.Error() != want || a.State != load(t, r).State {
					t.Errorf("%+v, %v, want %s", a, err, want)
				}
			})
		})
	}
}

func TestADecisionMayTakeLongerThanIsLeftOfACachedSession(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		settings := eventstore.DefaultSettings()
		settings.SessionTimeout = time.Second
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(registry(t)), eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := aggregate.NewRepository(p, "counter", count, aggregate.WithRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			update(t, r, add(1))
			pass(300 * time.Millisecond)
			update(t, r, func(counter) ([]any, error) { pass(900 * time.Millisecond); return []any{added{1}}, nil })
		}
		if a := load(t, r); a.State.Sum != 10 {
			t.Errorf("%+v", a)
		}
	})
}

// A request of an update fails, before or after it took effect, or is not answered. It is each
// request in turn.
func TestAfterAFailureAnUpdateStartsFromWhatIsStored(t *testing.T) {
	for name, fail := range map[string]func(next func() error) error{
		"refused":      func(func() error) error { return fmt.Errorf("no: %w", driver.ErrRefused) },
		"lost":         func(func() error) error { return errors.New("no answer") },
		"answer lost":  func(next func() error) error { _ = next(); return errors.New("no answer") },
		"another's":    nil,
		"all are lost": nil,
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				r, others := counters(t, store), counters(t, store)
				sum := 0
				for round := range 40 {
					at, seen := round%5+1, 0
					if round%2 == 0 {
						pass(20 * time.Millisecond)
					}
					lost := false
					store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
						seen++
						switch {
						case seen == at && name == "another's":
							around := store.Around
							store.Around = nil
							update(t, others, add(1000))
							sum += 1000
							store.Around = around
						case seen == at && fail != nil:
							return fail(next)
						case seen >= at && name == "all are lost":
							lost = true
							return errors.New("no answer")
						}
						return next()
					}
					decide := add(1)
					if round%3 == 0 {
						decide = refuse
					}
					a, err := r.Update(t.Context(), "1", decide)
					store.Around = nil
					switch {
					case err == nil:
						sum++
					case errors.As(err, new(*eventstore.OutcomeUnknownError)) && lost:
					case err == errRefused, errors.As(err, new(*eventstore.StorageError)):
					default:
						t.Errorf("round %d: %v", round, err)
					}
					final := load(t, others)
					if final.State.Sum != sum {
						t.Fatalf("round %d: the sum is %d, want %d, after %v", round, final.State.Sum, sum, err)
					}
					if (err == nil || err == errRefused) && name != "another's" && a.State != final.State {
						t.Errorf("round %d: it returned %+v, loaded is %+v", round, a, final)
					}
				}
			})
		})
	}
}

func TestASnapshotIsSavedAsOftenWithACache(t *testing.T) {
	for name, test := range map[string]struct {
		option aggregate.Option
		want   int // of 22 updates in 26.25 s
	}{"every 5 events": {aggregate.WithSnapshotEvery(5), 4}, "each 5 seconds": {aggregate.WithSnapshotAfter(5 * time.Second), 5}} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				saves := 0
				store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
					if request.Op == "write" && strings.Contains(request.String(), "snapshot:") {
						saves++
					}
					return next()
				}
				r := counters(t, store, test.option)
				for range 22 {
					update(t, r, add(1))
					pass(1250 * time.Millisecond)
				}
				if saves != test.want {
					t.Errorf("%d snapshots were saved, want %d", saves, test.want)
				}
			})
		})
	}
}

func TestASnapshotThatWasNotSavedIsTriedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithSnapshotEvery(2))
		update(t, r, add(1))
		store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
			if strings.Contains(request.String(), "snapshot") {
				return errors.New("no")
			}
			return next()
		}
		update(t, r, add(1))
		store.Around = nil
		if a := update(t, r, add(1)); a.Snapshot != 0 || load(t, r).Snapshot != 3 {
			t.Errorf("it returned %+v, loaded is %+v", a, load(t, r))
		}
		if a := update(t, r, add(1)); a.Snapshot != 3 || load(t, r).Snapshot != 3 {
			t.Errorf("it returned %+v, loaded is %+v", a, load(t, r))
		}
	})
}

func TestLoadWithinReturnsNothingThatIsOlder(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, others := counters(t, store), counters(t, store)
		within := func(age time.Duration, sum, requests int) {
			t.Helper()
			store.Trace()
			a, err := r.LoadWithin(t.Context(), "1", age)
			if sent := store.Trace(); err != nil || a.State.Sum != sum || (len(sent) > 0) != (requests > 0) {
				t.Errorf("it returned %+v, %v and sent %q, want the sum %d", a, err, sent, sum)
			}
		}
		within(time.Hour, 0, 1)
		update(t, r, add(1))
		within(0, 1, 0) // the clock stands still
		pass(time.Second)
		update(t, others, add(10))
		within(time.Second, 1, 0)
		within(time.Second-1, 11, 1)
		within(time.Second, 1, 0) // a load puts nothing into memory
		_, _ = r.Update(t.Context(), "1", refuse)
		within(0, 11, 0)
		pass(time.Second)
		_, _ = r.Update(t.Context(), "1", refuse)
		within(time.Second-1, 11, 0)

		// An append proves what was there when it began.
		store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
			pass(time.Second)
			return next()
		}
		update(t, r, add(100))
		store.Around = nil
		within(time.Second-1, 111, 1)
		within(2*time.Second, 111, 0)
		if _, err := r.LoadWithin(t.Context(), "1", -1); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Error(err)
		}

		r = counters(t, store, aggregate.WithoutCache())
		update(t, r, add(1))
		within(time.Hour, 112, 1)
	})
}
