package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// tries is an observer that counts how often updates were decided.
type tries struct {
	mu           sync.Mutex
	updates, all int
	most         int // in one update
}

func (*tries) Begin(ctx context.Context, _ eventstore.Operation) context.Context { return ctx }

func (c *tries) End(_ context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	if operation.Name != eventstore.OpAggregateUpdate {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.updates, c.all, c.most = c.updates+1, c.all+result.Attempts, max(c.most, result.Attempts)
}

func TestWithTheDefaultsEachOfManyWritersGetsThrough(t *testing.T) {
	const updates = 5 // of each writer
	for _, test := range []struct {
		repositories, writers int // writers of each repository
		with                  string
		options               []aggregate.Option
		once                  bool // each update is decided once, because none is overtaken
	}{
		{repositories: 1, writers: 4, once: true},
		{repositories: 1, writers: 32, once: true},
		{repositories: 1, writers: 32, once: true, with: ", exclusive", options: []aggregate.Option{aggregate.Exclusive()}},
		{repositories: 1, writers: 32, once: true, with: ", no retries", options: []aggregate.Option{aggregate.WithRetries(0)}},
		{repositories: 4, writers: 2},
		{repositories: 4, writers: 8},
		{repositories: 32, writers: 1}, // these share no queue, like separate processes
	} {
		t.Run(fmt.Sprintf("%d repositories of %d writers%s", test.repositories, test.writers, test.with), func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
					pass(2 * time.Millisecond) // a round trip to a sidecar
					return next()
				}
				counts := &tries{}
				var all sync.WaitGroup
				for range test.repositories {
					p, err := eventstore.NewProvider(store, eventstore.WithRegistry(registry(t)), eventstore.WithObserver(counts),
						eventstore.WithLogger(slog.New(slog.DiscardHandler)))
					if err != nil {
						t.Fatal(err)
					}
					r, err := aggregate.NewRepository(p, "counter", count, test.options...)
					if err != nil {
						t.Fatal(err)
					}
					for range test.writers {
						all.Go(func() {
							for range updates {
								if _, err := r.Update(t.Context(), "1", add(1)); err != nil {
									t.Error(err)
								}
							}
						})
					}
				}
				all.Wait()
				store.Around = nil
				want := test.repositories * test.writers * updates
				if a := load(t, counters(t, store)); a.State.Sum != want || a.Version != int64(want) || counts.updates != want {
					t.Errorf("%d updates, the sum is %d at version %d, want %d", counts.updates, a.State.Sum, a.Version, want)
				}
				if test.once && counts.all != want {
					t.Errorf("%d updates were decided %d times, one of them %d times", want, counts.all, counts.most)
				}
				if !test.once && counts.all == want {
					t.Error("no update was overtaken: there was no race")
				}
				if counts.most > aggregate.DefaultRetries/5 {
					t.Errorf("an update was decided %d times, which is too near to the limit", counts.most)
				}
				t.Logf("%d updates were decided %d times, one of them %d times", want, counts.all, counts.most)
			})
		})
	}
}

func TestADecisionMayUpdateTheSameAggregate(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				first := true
				update(t, r, func(c counter) ([]any, error) {
					if first {
						first = false
						update(t, r, add(10))
					}
					return []any{added{1}}, nil
				})
			})
		}
		all.Wait()
		if a := load(t, r); a.State.Sum != 44 {
			t.Errorf("%+v", a)
		}
	})
}

func TestADecisionThatUpdatesTheSameAggregateExclusivelyGetsAnError(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.Exclusive())
		update(t, r, func(counter) ([]any, error) {
			if _, err := r.Update(t.Context(), "1", add(10)); !errors.As(err, new(*eventstore.OpenTimeoutError)) {
				t.Errorf("the update in the decision: %v", err)
			}
			return []any{added{1}}, nil
		}, aggregate.WithExpectedVersion(0))
		if a := load(t, r); a.State.Sum != 1 {
			t.Errorf("%+v", a)
		}
	})
}

func TestAnUpdateThatIsGivenUpSaysWhyAndWhatToDo(t *testing.T) {
	overtake := func(t *testing.T, store *memstate.Store, ctx context.Context, then func(), options ...aggregate.Option) (int, error) {
		decided, other := 0, counters(t, store, aggregate.WithSnapshotEvery(20))
		_, err := counters(t, store, options...).Update(ctx, "1", func(counter) ([]any, error) {
			decided++
			update(t, other, add(1))
			then()
			return []any{added{100}}, nil
		})
		return decided, err
	}
	t.Run("after its tries", func(t *testing.T) {
		onEach(t, func(t *testing.T, store *memstate.Store) {
			decided, err := overtake(t, store, t.Context(), func() {}, aggregate.WithRetries(4))
			if decided != 5 || !errors.As(err, new(*eventstore.VersionMismatchError)) {
				t.Fatalf("decided %d times, %v", decided, err)
			}
			for _, part := range []string{"counter:1", "5 tries", "nothing was stored", "WithRetries"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	})
	t.Run("with the defaults", func(t *testing.T) {
		onEach(t, func(t *testing.T, store *memstate.Store) {
			decided, err := overtake(t, store, t.Context(), func() {})
			if decided != aggregate.DefaultRetries+1 || !errors.As(err, new(*eventstore.VersionMismatchError)) {
				t.Errorf("decided %d times, %v", decided, err)
			}
		})
	})
	t.Run("when its context ends", func(t *testing.T) {
		onEach(t, func(t *testing.T, store *memstate.Store) {
			reason := errors.New("the user has gone")
			ctx, cancel := context.WithCancelCause(t.Context())
			n := 0
			decided, err := overtake(t, store, ctx, func() {
				if n++; n == 3 { // while the third try waits
					time.AfterFunc(0, func() { cancel(reason) })
				}
			})
			if decided < 3 || decided > 4 || !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
				t.Errorf("decided %d times, %v", decided, err)
			}
		})
	})
}

func TestWhoWaitsForATurnHonoursItsContext(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		deciding, decide := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			update(t, r, func(counter) ([]any, error) { close(deciding); <-decide; return []any{added{1}}, nil })
		})
		<-deciding
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		began := time.Now()
		_, err := r.Update(ctx, "1", func(counter) ([]any, error) { t.Error("it was decided"); return nil, nil })
		if !errors.Is(err, context.Canceled) || !errors.As(err, new(*eventstore.StorageError)) {
			t.Errorf("it returned %v", err)
		}
		if waited := time.Since(began); waited != time.Millisecond {
			t.Errorf("it waited %s for a context that ended after a millisecond", waited)
		}
		close(decide)
		all.Wait()
		if a := load(t, r); a.State.Sum != 1 {
			t.Errorf("%+v", a)
		}
	})
}
