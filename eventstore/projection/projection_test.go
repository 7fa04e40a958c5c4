package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

type moved struct{ Amount int }

type account struct {
	Balance int
	Moves   int
}

func open(t *testing.T, state driver.State) (*eventstore.Provider, *feed.Feed) {
	t.Helper()
	registry, err := eventstore.NewRegistry(eventstore.Type[moved]("moved"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(registry))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, f
}

// balances keeps the balance of each account, of each owner of accounts, and of the bank.
func balances(t *testing.T, f *feed.Feed, options ...projection.Option) *projection.Projection[account] {
	t.Helper()
	return copied(t, f, false, options...)
}

// copied also keeps a copy of the balance of each account, which it changes by Get and Put.
func copied(t *testing.T, f *feed.Feed, copies bool, options ...projection.Option) *projection.Projection[account] {
	t.Helper()
	p, err := projection.New(f, "balances", func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
		e, ok := item.Event.Data.(moved)
		if !ok {
			return nil
		}
		owner, _, _ := strings.Cut(item.Stream.ID, ".")
		for _, id := range []string{item.Stream.ID, owner, "bank"} {
			err := docs.Update(id, func(a *account) error { a.Balance += e.Amount; a.Moves++; return nil })
			if err != nil {
				return err
			}
		}
		if !copies {
			return nil
		}
		a, _, err := docs.Get("copy of " + item.Stream.ID)
		if err != nil {
			return err
		}
		a.Balance, a.Moves = a.Balance+e.Amount, a.Moves+1
		return docs.Put("copy of "+item.Stream.ID, a)
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDocumentsEqualTheFoldOfTheStreams(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			memstate.Each(t, func(t *testing.T, store *memstate.Store) { project(t, store, seed) })
		})
	}
}

func project(t *testing.T, store *memstate.Store, seed uint64) {
	memstate.GoOn(t)
	random := rand.New(rand.NewPCG(seed, 1))
	p, f := open(t, store)
	stopIndex := memstate.Start(t, f.Index)
	want := map[string]account{}
	var links []*memstate.Link
	var stops []func()
	start := func() {
		l := memstate.NewLink(store, 100*seed+uint64(len(links)), 15)
		links = append(links, l)
		_, f := open(t, l)
		stops = append(stops, memstate.Start(t, copied(t, f, true, projection.With(subscription.WithLease(2*time.Second), subscription.WithPartitions(4), subscription.WithSaving(7, 100*time.Millisecond))).Run))
	}
	start()
	for i := range 400 {
		if i%90 == 20 {
			start()
		}
		if i%150 == 149 { // an instance is cut off for longer than its lease
			l := links[random.IntN(len(links))]
			l.Lose(1)
			<-time.After(time.Duration(random.IntN(4000)) * time.Millisecond)
			l.Lose(15)
		}
		id, amount := fmt.Sprintf("%d.%d", random.IntN(3), random.IntN(8)), random.IntN(100)
		if _, err := p.Append(t.Context(), p.Stream("account", id), eventstore.ExpectAny(), moved{amount}); err != nil {
			t.Fatal(err)
		}
		owner, _, _ := strings.Cut(id, ".")
		for _, of := range []string{id, owner, "bank", "copy of " + id} {
			a := want[of]
			a.Balance, a.Moves = a.Balance+amount, a.Moves+1
			want[of] = a
		}
		<-time.After(time.Duration(random.IntN(30)) * time.Millisecond)
	}
	<-time.After(time.Minute)
	for _, stop := range stops {
		stop()
	}
	stopIndex()
	read := balances(t, f)
	got := map[string]account{}
	for doc, err := range read.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[doc.ID]; twice {
			t.Errorf("document %s is listed twice", doc.ID)
		}
		got[doc.ID] = doc.Value
	}
	for id, a := range want {
		if got[id] != a {
			t.Errorf("document %s is %+v, want %+v", id, got[id], a)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d documents are listed, want %d", len(got), len(want))
	}
}

func TestWaitForShowsWhatWasJustDone(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stop := memstate.Start(t, f.Index)
		_, elsewhere := open(t, store)
		stopRun := memstate.Start(t, balances(t, elsewhere).Run)
		here := balances(t, f)
		stopHere := memstate.Start(t, here.Run)
		for i := range 40 {
			s := p.Stream("account", fmt.Sprint(i%5))
			version, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{i})
			if err != nil {
				t.Fatal(err)
			}
			if err := here.WaitFor(t.Context(), s, version); err != nil {
				t.Fatal(err)
			}
			a, exists, err := here.Get(t.Context(), s.ID)
			if err != nil || !exists || a.Moves != int(version)*2 { // the account is its own owner
				t.Fatalf("after version %d the document is %+v, %v, %v", version, a, exists, err)
			}
		}
		stopHere()
		stopRun()
		stop()
	})
}

// A stage assumes that documents do not exist while it has made none. A handler must not see that
// where another partition has made the document.
func TestADocumentOfAnotherPartitionIsSeen(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		errPoor := errors.New("there is not enough")
		b, err := projection.New(f, "balances", func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
			e, ok := item.Event.Data.(moved)
			if !ok {
				return nil
			}
			err := docs.Update("bank", func(a *account) error {
				if a.Balance+e.Amount < 0 {
					return errPoor
				}
				a.Balance, a.Moves = a.Balance+e.Amount, a.Moves+1
				return nil
			})
			if err != nil {
				return err
			}
			bank, _, err := docs.Get("bank")
			if err != nil {
				return err
			}
			return docs.Put("after "+item.Stream.ID, bank)
		}, projection.With(subscription.WithRetries(0), subscription.WithPartitions(64)))
		if err != nil {
			t.Fatal(err)
		}
		stop := memstate.Start(t, b.Run)
		want := 0
		for i := range 4 { // streams of different partitions
			amount := 10
			if i%2 == 1 {
				amount = -7
			}
			want += amount
			s := p.Stream("account", fmt.Sprint(i))
			if _, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{amount}); err != nil {
				t.Fatal(err)
			}
			if err := b.WaitFor(t.Context(), s, 1); err != nil {
				t.Fatal(err)
			}
			if a, _, err := b.Get(t.Context(), "after "+s.ID); a != (account{want, i + 1}) || err != nil {
				t.Errorf("after item %d its handler saw %+v, want %+v, %v", i, a, account{want, i + 1}, err)
			}
		}
		stop()
		stopIndex()
	})
}

// A store that does not answer is no fault of an item, so nothing is parked, left out or stopped.
func TestAStoreThatIsAwayStopsNothing(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		elsewhere := memstate.NewLink(memstate.Transactional(), 1, 1)
		b := balances(t, f, projection.WithStore(elsewhere))
		stop := memstate.Start(t, b.Run)
		s := p.Stream("account", "ada")
		if _, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{5}); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Minute)
		elsewhere.Lose(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.WaitFor(ctx, s, 1); err != nil {
			t.Error(err)
		}
		if a, _, err := b.Get(t.Context(), "bank"); a.Moves != 1 || err != nil {
			t.Error(a, err)
		}
		stop()
		stopIndex()
	})
}

func TestIDsThatTheStoreCannotTakeAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memstate.GoOn(t)
		store := memstate.Transactional()
		store.Caps.MaxKeyBytes = 250
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		s := p.Stream("account", "ada")
		for _, id := range []string{"", strings.Repeat("x", 240), strings.Repeat(" ", 80), "\xff"} {
			ran := false
			b, err := projection.New(f, fmt.Sprintf("b %x", id[:min(len(id), 1)]), func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
				var arg *eventstore.ArgumentError
				if err := docs.Put(id, account{}); !errors.As(err, &arg) {
					t.Errorf("id %q: %v", id, err)
				}
				ran = true
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			stop := memstate.Start(t, b.Run)
			version, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{5})
			if err == nil {
				err = b.WaitFor(t.Context(), s, version)
			}
			if err != nil || !ran {
				t.Error(ran, err)
			}
			var arg *eventstore.ArgumentError
			if _, _, err := b.Get(t.Context(), id); !errors.As(err, &arg) {
				t.Errorf("Get of id %q: %v", id, err)
			}
			stop()
		}
		stopIndex()
	})
}

// dying is a store that answers nothing any more after a key was written.
type dying struct {
	*memstate.Store
	after string // the end of the key; "" for none
	dead  atomic.Bool
}

var errDead = errors.New("the process is dead")

func (d *dying) Swap(ctx context.Context, part string, swap driver.Swap) error {
	if d.dead.Load() {
		return errDead
	}
	err := d.Store.Swap(ctx, part, swap)
	if d.after != "" && strings.HasSuffix(swap.Key, d.after) {
		d.dead.Store(true)
	}
	return err
}

func (d *dying) SwapMany(ctx context.Context, part string, swaps []driver.Swap) error {
	for _, swap := range swaps {
		if err := d.Swap(ctx, part, swap); err != nil {
			return err
		}
	}
	return nil
}

func (d *dying) Get(ctx context.Context, part, key string) (driver.Item, error) {
	if d.dead.Load() {
		return driver.Item{}, errDead
	}
	return d.Store.Get(ctx, part, key)
}

func (d *dying) GetMany(ctx context.Context, part string, keys []string) ([]driver.Item, error) {
	if d.dead.Load() {
		return nil, errDead
	}
	return d.Store.GetMany(ctx, part, keys)
}
