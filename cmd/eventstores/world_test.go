package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// lent are stores of tests, by the names that commands know them by: "lent:name".
var lent sync.Map

func init() {
	kinds["lent"] = func(name string, _ use) (store, error) {
		state, ok := lent.Load(name)
		if !ok {
			return store{}, errors.New("no such store")
		}
		secret := ""
		if s, ok := state.(interface{ password() string }); ok {
			secret = s.password()
		}
		flaws := func(ctx context.Context) ([]string, error) {
			_, err := state.(driver.State).Get(ctx, "x", "x")
			return []string{evil}, err
		}
		return store{name: "lent:" + name, same: "lent " + name, secret: secret, lists: true, flaws: flaws, open: func(ctx context.Context, _ *slog.Logger) (opened, error) {
			return opened{state: state.(driver.State), close: func() {}}, ctx.Err()
		}}, nil
	}
}

var lentBefore atomic.Int64

// lend gives a store a name for commands, until the test ends.
func lend(t *testing.T, state driver.State) (spec string) {
	t.Helper()
	name := fmt.Sprint(lentBefore.Add(1))
	lent.Store(name, state)
	t.Cleanup(func() { lent.Delete(name) })
	return "lent:" + name
}

// stopping is a store that calls stop at a request. The requests are counted from 1.
type stopping struct {
	*memory.State
	requests *atomic.Int64 // which stores can share
	at       int64
	stop     func()
}

func (s *stopping) request(ctx context.Context) error {
	if s.requests.Add(1) == s.at {
		s.stop()
	}
	return ctx.Err()
}

func (s *stopping) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	if err := s.request(ctx); err != nil {
		return driver.Item{}, err
	}
	return s.State.Get(ctx, partition, key)
}

func (s *stopping) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	if err := s.request(ctx); err != nil {
		return nil, err
	}
	return s.State.GetMany(ctx, partition, keys)
}

func (s *stopping) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	if err := s.request(ctx); err != nil {
		return err
	}
	return s.State.Swap(ctx, partition, swap)
}

func (s *stopping) Write(ctx context.Context, partition string, writes []driver.Write) error {
	if err := s.request(ctx); err != nil {
		return err
	}
	return s.State.Write(ctx, partition, writes)
}

func (s *stopping) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if err := s.request(ctx); err != nil {
		return err
	}
	return s.State.Commit(ctx, partition, swap, writes)
}

func (s *stopping) ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.request(ctx); err != nil {
			yield("", err)
			return
		}
		for key, err := range s.State.ListKeys(ctx, suffix) {
			if !yield(key, err) {
				return
			}
		}
	}
}

// clone returns a store with the same content.
func clone(t *testing.T, from *memory.State) *memory.State {
	t.Helper()
	to := memory.New()
	for key, err := range from.ListKeys(t.Context(), "") {
		var item driver.Item
		if err == nil {
			item, err = from.Get(t.Context(), "x", key)
		}
		if err == nil {
			err = to.Write(t.Context(), "x", []driver.Write{{Key: key, Value: item.Value}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// What is in a world.
const (
	evil       = "\x1b[2J\u009b\n::error::\u202e##[error]"
	evilName   = "\x1b[2J\n::error::\u202e##"
	evilStream = "account:%1B%5B2J%0A%3A%3Aerror%3A%3A%E2%80%AE%23%23"
)

// untilIndexed waits until the log has all entries.
func untilIndexed(ctx context.Context, f *feed.Feed) error {
	for {
		if now, err := f.Status(ctx); err != nil || now.Waiting == 0 {
			return err
		}
		time.Sleep(time.Second)
	}
}

// world makes a store with a bit of everything, most of it hostile. It has streams inside and
// outside the feed, one that is closed and one that is deleted, snapshots, and a projection in two
// versions, which have parked streams. The head of one stream is lost, and an event of another.
func world(t *testing.T, payloads ...[]byte) *memory.State {
	t.Helper()
	state := memory.New()
	append1 := func(ctx context.Context, p *eventstore.Provider, id string, events ...any) error {
		_, err := p.Append(ctx, p.Stream("account", id), eventstore.ExpectAny(), events...)
		return err
	}
	p, err := eventstore.NewProvider(state)
	if err == nil {
		err = append1(t.Context(), p, "before the feed", eventstore.Raw{Type: evil})
	}
	if err == nil {
		err = append1(t.Context(), p, "lost", eventstore.Raw{Type: "t"}, eventstore.Raw{Type: "t"})
	}
	if err == nil {
		err = state.Write(t.Context(), "x", []driver.Write{{Key: "{EventStores:account:lost}:head", Value: []byte(evil)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	inFeedOf(t, state, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for n, payload := range payloads {
			e := eventstore.Event{Data: eventstore.Raw{Type: evil, ContentType: evil, Payload: payload}, Metadata: eventstore.Metadata{
				Message: eventstore.MessageMetadata{ID: fmt.Sprint("id", n, evil)},
				Context: eventstore.ContextMetadata{UserID: evil, CorrelationID: evil, CausationID: "id0" + evil, SessionID: evil, IdempotencyID: fmt.Sprint(n, evil), Scopes: []string{evil}},
				Custom:  map[string]string{evil: evil},
			}}
			if err := append1(ctx, p, evilName, e); err != nil {
				return err
			}
		}
		for _, id := range []string{"bad one", "2", "closed", "deleted"} {
			if err := append1(ctx, p, id, counted{}, counted{}); err != nil {
				return err
			}
		}
		for id, do := range map[string]func(*eventstore.Session) error{
			evilName: func(s *eventstore.Session) error {
				return s.SaveSnapshot(ctx, 1, eventstore.Raw{Type: evil, Payload: payloads[0]})
			},
			"closed":  func(s *eventstore.Session) error { return s.CloseStream(ctx, eventstore.ExpectAny()) },
			"deleted": func(s *eventstore.Session) error { return s.DeleteStream(ctx, eventstore.ExpectAny()) },
		} {
			s, err := p.Open(ctx, p.Stream("account", id))
			if err == nil {
				err = do(s)
			}
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
		if err := untilIndexed(ctx, f); err != nil {
			return err
		}
		for version, broken := range []bool{true, false} {
			counting, err := counts(f, version+1, broken)
			if err != nil {
				return err
			}
			if err := whileRunning(ctx, counting, func(ctx context.Context) error {
				for {
					parked, err := counting.Subscription().Parked(ctx)
					if _, no := errors.AsType[*subscription.NotFoundError](err); err != nil && !no {
						return err
					}
					if err == nil && len(parked) == 2-version {
						return counting.WaitFor(ctx, p.Stream("account", "closed"), 2)
					}
					time.Sleep(time.Second)
				}
			}); err != nil {
				return err
			}
		}
		return nil
	}, countedType)
	if err := state.Write(t.Context(), "x", []driver.Write{{Key: "{EventStores:account:2}:1", Value: []byte(evil)}}); err != nil {
		t.Fatal(err)
	}
	return state
}
