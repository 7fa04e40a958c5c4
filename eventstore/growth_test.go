package eventstore_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

type grown struct{ Text string }

// aged returns a provider of a stream of so many events, appended one at a time, with a snapshot
// every ten events.
func aged(t *testing.T, store *memstate.Store, age int, options ...eventstore.Option) (*eventstore.Provider, eventstore.Stream) {
	t.Helper()
	types, err := eventstore.NewRegistry(eventstore.Type[grown]("grown"))
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	p, err := eventstore.NewProvider(store, options...)
	if err != nil {
		t.Fatal(err)
	}
	stream := p.Stream("grown", "1")
	for n := 1; n <= age; n++ {
		event := eventstore.Event{Data: grown{strings.Repeat("x", 100)}}
		event.Metadata.Context.IdempotencyID = strconv.Itoa(100_000 + n) // as long at any age
		s, err := p.Open(t.Context(), stream, eventstore.Shared())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), eventstore.ExpectVersion(int64(n-1)), event); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for a flusher
		if n%10 == 0 {
			if err := s.SaveSnapshot(t.Context(), int64(n), grown{"a state"}, eventstore.WithKept(2)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p, stream
}

// cost is what an operation asked of the store.
type cost struct{ requests, bytes int }

// TestNothingGrowsWithTheAgeOfAStream compares the requests and bytes of each operation at two ages
// of a stream. It leaves out those that look at the whole stream: Read, Verify, BuildSnapshots,
// DeleteStream and RebuildHead.
func TestNothingGrowsWithTheAgeOfAStream(t *testing.T) {
	t.Parallel()
	one := func(p *eventstore.Provider, stream eventstore.Stream, options ...eventstore.OpenOption) func(func(context.Context, *eventstore.Session) error) func(context.Context) error {
		return func(do func(context.Context, *eventstore.Session) error) func(context.Context) error {
			return func(ctx context.Context) error {
				s, err := p.Open(ctx, stream, options...)
				if err != nil {
					return err
				}
				if err := do(ctx, s); err != nil {
					return err
				}
				return s.Close()
			}
		}
	}
	operations := func(p *eventstore.Provider, stream eventstore.Stream, age int64) map[string]func(context.Context) error {
		r := p.Reader(stream)
		fold := func(g grown, _ eventstore.Event) (grown, error) { return g, nil }
		repository, err := aggregate.NewRepository(p, "grown", fold, aggregate.WithSnapshotEvery(10))
		if err != nil {
			t.Fatal(err)
		}
		exclusive, shared := one(p, stream), one(p, stream, eventstore.Shared())
		add := func(ctx context.Context, s *eventstore.Session) error {
			event := eventstore.Event{Data: grown{"y"}}
			event.Metadata.Context.IdempotencyID = "another"
			_, err := s.Append(ctx, eventstore.ExpectAny(), event)
			return err
		}
		return map[string]func(context.Context) error{
			"Version":      func(ctx context.Context) error { _, err := r.Version(ctx); return err },
			"Closed":       func(ctx context.Context) error { _, err := r.Closed(ctx); return err },
			"VersionOf":    func(ctx context.Context) error { _, err := r.VersionOf(ctx, "100001"); return err },
			"Event":        func(ctx context.Context) error { _, err := r.Event(ctx, 5); return err },
			"Slice":        func(ctx context.Context) error { _, err := r.Slice(ctx, 50, 60); return err },
			"Outcome":      func(ctx context.Context) error { _, err := r.Outcome(ctx, 5, "other"); return err },
			"Snapshots":    func(ctx context.Context) error { _, err := r.Snapshots(ctx); return err },
			"Snapshot":     func(ctx context.Context) error { _, err := r.Snapshot(ctx, age); return err },
			"LastSnapshot": func(ctx context.Context) error { _, err := r.LastSnapshot(ctx); return err },
			"Load": func(ctx context.Context) error {
				_, events, err := r.Load(ctx)
				for range events {
				}
				return err
			},
			"Append, exclusive": exclusive(add),
			"Append, shared":    shared(add),
			"Provider.Append": func(ctx context.Context) error {
				_, err := p.Append(ctx, stream, eventstore.ExpectVersion(age), grown{"z"})
				return err
			},
			"SaveSnapshot": shared(func(ctx context.Context, s *eventstore.Session) error {
				return s.SaveSnapshot(ctx, age-1, grown{"a state"}, eventstore.WithKept(2))
			}),
			"ClearSnapshot":  shared(func(ctx context.Context, s *eventstore.Session) error { return s.ClearSnapshot(ctx, age) }),
			"ClearSnapshots": shared(func(ctx context.Context, s *eventstore.Session) error { return s.ClearSnapshots(ctx) }),
			"CloseStream": exclusive(func(ctx context.Context, s *eventstore.Session) error {
				return s.CloseStream(ctx, eventstore.ExpectAny())
			}),
			"aggregate Load": func(ctx context.Context) error { _, err := repository.Load(ctx, "1"); return err },
			"aggregate Update": func(ctx context.Context) error {
				_, err := repository.Update(ctx, "1", func(grown) ([]any, error) { return []any{grown{"w"}}, nil })
				return err
			},
		}
	}
	sql := func() *memstate.Store {
		store := memstate.Transactional()
		store.Caps.BulkMisses = true
		return store
	}
	for name, newStore := range map[string]func() *memstate.Store{
		"Redis": memstate.Redis, "transactional": memstate.Transactional, "Redis, with a feed": memstate.Redis, "transactional, with a feed": memstate.Transactional, "SQL": sql,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []eventstore.Option
			if strings.HasSuffix(name, "feed") {
				options = append(options, eventstore.WithFeed("all"))
			}
			// Fake time, because a writer trusts what it knows for a moment only.
			synctest.Test(t, func(t *testing.T) {
				costs := map[string][2]cost{}
				for i, age := range []int{1_000, 10_000} { // with versions of four and five digits
					store := newStore()
					p, stream := aged(t, store, age, options...)
					for name, operation := range operations(p, stream, int64(age)) {
						copied := store.Clone()
						counted, _ := eventstore.NewProvider(copied, append(options, eventstore.WithRegistry(p.Registry()), eventstore.WithLogger(p.Logger()))...)
						operation = operations(counted, stream, int64(age))[name]
						var (
							c  cost
							mu sync.Mutex // closing a session sends two requests at once
						)
						copied.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
							err := next()
							mu.Lock()
							defer mu.Unlock()
							if r.Op == "write" && strings.HasPrefix(r.Partition, ":journal:") {
								return err // of the flusher, in its own time
							}
							c.requests++
							for _, w := range r.Writes {
								c.bytes += len(w.Value)
							}
							for _, item := range r.Items {
								c.bytes += len(item.Value)
							}
							c.bytes += len(r.Swap.Value)
							return err
						}
						if err := operation(t.Context()); err != nil {
							t.Errorf("%s at age %d: %v", name, age, err)
						}
						both := costs[name]
						both[i] = c
						costs[name] = both
					}
				}
				for name, c := range costs {
					young, old := c[0], c[1]
					if old.requests != young.requests || old.bytes > young.bytes+young.bytes/20+20 {
						t.Errorf("%s costs %+v at 1,000 events and %+v at 10,000", name, young, old)
					}
				}
				<-time.After(time.Second) // for the flushers
			})
		})
	}
}
