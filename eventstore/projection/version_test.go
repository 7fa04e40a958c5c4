package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

func TestANewVersionTakesOverInOneSwitch(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		one := balances(t, f)
		stopOne := memstate.Start(t, one.Run)
		for i := range 50 {
			if _, err := p.Append(t.Context(), p.Stream("account", fmt.Sprint(i%7)), eventstore.ExpectAny(), moved{1}); err != nil {
				t.Fatal(err)
			}
		}
		two := balances(t, f, projection.WithVersion(2))
		view, err := projection.NewView(one, two)
		if err != nil {
			t.Fatal(err)
		}
		bank := func(want int) {
			t.Helper()
			a, _, err := view.Get(t.Context(), "bank")
			if err != nil || a.Moves != want {
				t.Errorf("the bank has %d moves, want %d: %v", a.Moves, want, err)
			}
		}
		if err := view.WaitFor(t.Context(), p.Stream("account", "0"), 8); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		bank(50)
		stopTwo := memstate.Start(t, two.Run)
		if err := two.Switch(t.Context()); err != nil {
			t.Fatal(err)
		}
		bank(50)
		if active, err := one.Active(t.Context()); active != 2 || err != nil {
			t.Error(active, err)
		}
		<-time.After(2 * time.Second)
		if now, err := view.Active(t.Context()); now != two || err != nil {
			t.Error(now, err)
		}
		bank(50)
		stopOne()
		if err := two.Drop(t.Context()); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Error("the active version is dropped:", err)
		}
		keys := len(documents(t, store, one))
		if err := one.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := documents(t, store, one); len(left) > 0 || keys != 8 {
			t.Errorf("%d documents, and then %v", keys, left)
		}
		bank(50)
		stopTwo()
		stopIndex()
	})
}

// A reader whose request hangs holds up no other one.
func TestReadersOfAViewDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memstate.GoOn(t)
		store := memstate.Transactional()
		_, f := open(t, store)
		view, err := projection.NewView(balances(t, f))
		if err != nil {
			t.Fatal(err)
		}
		store.Intervene(func(ctx context.Context, r *memstate.Request, next func() error) error {
			<-ctx.Done()
			return ctx.Err()
		})
		hanging, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go func() { _, _, _ = view.Get(hanging, "bank") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, _, err := view.Get(ctx, "bank"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("it took %s: %v", time.Since(began), err)
		}
	})
}

// documents returns the keys of the documents of a version.
func documents(t *testing.T, store *memstate.Store, p *projection.Projection[account]) (keys []string) {
	t.Helper()
	for key := range store.Values() {
		if strings.HasSuffix(key, ":document") && strings.Contains(key, fmt.Sprintf(".%d:", p.Version())) {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestDocumentsInAnotherStore(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		other := memstate.Careful()
		b := balances(t, f, projection.WithStore(other))
		stop := memstate.Start(t, b.Run)
		s := p.Stream("account", "1")
		version, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{5})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.WaitFor(t.Context(), s, version); err != nil {
			t.Fatal(err)
		}
		if a, exists, err := b.Get(t.Context(), "bank"); a.Balance != 5 || !exists || err != nil {
			t.Error(a, exists, err)
		}
		if here, there := len(documents(t, store, b)), len(documents(t, other, b)); here != 0 || there != 2 {
			t.Errorf("%d documents are in the store of the events, and %d in the other one", here, there)
		}
		stop()
		stopIndex()
	})
}

// An item may have had a part of its effects when an instance died. If it cannot be handled then,
// the projection stops, because what is parked is handled again in full later.
func TestAnItemThatWasHandledInPartIsNotParked(t *testing.T) {
	for name, ids := range map[string][]string{
		"of two documents":      {"a", "b"},
		"of more than it keeps": idsUntil(1500), // so that they are written before it is time to
	} {
		t.Run(name, func(t *testing.T) { handledInPart(t, ids) })
	}
}

func idsUntil(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(i))
	}
	return append(ids, "a", "b")
}

func handledInPart(t *testing.T, ids []string) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		s := p.Stream("account", "1")
		if _, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{5}, moved{6}); err != nil {
			t.Fatal(err)
		}
		errBad := errors.New("a new fault")
		run := func(state *dying, fails bool) error {
			_, f := open(t, state)
			b, err := projection.New(f, "balances", func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
				if fails {
					return errBad
				}
				for _, id := range ids {
					if err := docs.Update(id, func(a *account) error { a.Moves++; return nil }); err != nil {
						return err
					}
				}
				return nil
			}, projection.With(subscription.WithPartitions(1), subscription.WithParking(), subscription.WithLease(2*time.Second), subscription.WithRetries(1)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return b.Run(ctx)
		}
		_ = run(&dying{Store: store, after: ids[0] + "}:document"}, false)
		var failed *subscription.HandlerError
		if err := run(&dying{Store: store}, true); !errors.As(err, &failed) || !errors.Is(err, errBad) {
			t.Errorf("it ends with %v", err)
		}
		if err := run(&dying{Store: store}, false); err != nil {
			t.Error(err)
		}
		b := balances(t, f)
		for _, id := range ids {
			if a, _, err := b.Get(t.Context(), id); a.Moves != 2 || err != nil {
				t.Fatalf("document %s includes %d items, %v, want 2", id, a.Moves, err)
			}
		}
		stopIndex()
	})
}
