package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	saga "github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// processRules holds what a process over several streams promises.
var processRules = []rule[Target]{
	{"processes: a command takes effect once, also after a crash", "money that is sent must arrive, and once", testProcessCompletes},
	{"processes: a command that is refused is made up for, once", "money that nobody takes must come back", testProcessMakesUp},
	{"processes: an instance wakes up when its time has come, and once", "a reminder that is lost is a promise that is broken", testProcessWakes},
}

var errClosed = errors.New("the account is closed")

func (a account) apply(event eventstore.Event) (account, error) {
	switch data := event.Data.(type) {
	case deposited:
		a.Balance += data.Amount
	case closed:
		a.Events = -1 << 30 // so that it is known as closed
	}
	a.Events++
	return a, nil
}

// give runs a process that gives to "other" what an account says when it is opened, or gives it
// back, and reminds the account of it 100 ms later. between is called after each command.
func (p *process) give(between func()) (accounts *aggregate.Repository[account], stop func() error) {
	p.t.Helper()
	accounts, err := aggregate.NewRepository(p.Provider, "account", account.apply)
	if err != nil {
		p.t.Fatal(err)
	}
	deposit := func(id string, amount int64, refused func(error) []any) saga.Command {
		return saga.Do(func(ctx context.Context, call saga.Call) error {
			_, err := accounts.Update(ctx, id, func(a account) ([]any, error) {
				if a.Events < 0 {
					return nil, errClosed
				}
				return []any{deposited{Amount: amount}}, nil
			}, call.Options()...)
			if between != nil {
				between()
			}
			return err
		}, refused)
	}
	gifts, err := saga.New(p.feed, "g.i|f {}: %ä", saga.Rules[account]{
		Fold: account.apply,
		Route: func(item feed.Item) string {
			if _, ok := item.Event.Data.(opened); ok {
				return item.Stream.ID
			}
			return ""
		},
		Decide: func(_ account, item feed.Item) ([]any, error) { return []any{item.Event.Data}, nil },
		Act: func(_ account, event eventstore.Event) []saga.Command {
			id := event.Metadata.Message.AggregateID
			switch event.Data.(type) {
			case opened:
				return []saga.Command{
					saga.At(event.Metadata.Message.Created.Add(100 * time.Millisecond)),
					deposit("other", 10, func(err error) []any {
						if errors.Is(err, errClosed) {
							return []any{closed{}}
						}
						return nil
					}),
				}
			case closed:
				return []saga.Command{deposit(id, 10, nil)}
			case deposited:
				return []saga.Command{deposit(id, 1000, nil)}
			}
			return nil
		},
		Wake: func(account, eventstore.Event) ([]any, error) { return []any{deposited{}}, nil },
	}, subscription.OfType("account"), subscription.WithPartitions(2), subscription.WithLease(2*time.Second), subscription.WithRetries(100))
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- gifts.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	p.t.Cleanup(func() { _ = stop() })
	return accounts, stop
}

// balance returns the balance of an account.
func balance(t *testing.T, accounts *aggregate.Repository[account], id string) int64 {
	t.Helper()
	a, err := accounts.Load(contextOf(t), id)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return a.State.Balance
}

// testProcessCompletes cuts off an instance after its command, before it has noted anything.
func testProcessCompletes(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, dying := w.indexer(), w.process()
	_, stop := dying.give(dying.die)
	p.add("a", opened{})
	accounts, err := aggregate.NewRepository(p.Provider, "account", account.apply)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gift has arrived", func() bool { return balance(t, accounts, "other") == 10 })
	_ = stop()
	_, _ = w.process().give(nil)
	p.add("b", opened{})
	eventually(t, "the second gift has arrived", func() bool {
		return balance(t, accounts, "other") >= 20 && balance(t, accounts, "a") >= 1000 && balance(t, accounts, "b") >= 1000
	})
	if got := balance(t, accounts, "other"); got != 20 {
		t.Errorf("two gifts of 10 are %d", got)
	}
}

func testProcessMakesUp(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, dying := w.indexer(), w.process()
	p.add("other", closed{})
	accounts, err := aggregate.NewRepository(p.Provider, "account", account.apply)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, stop := dying.give(func() {
		if n++; n == 2 { // after it was given back
			dying.die()
		}
	})
	p.add("a", opened{})
	eventually(t, "the gift is back", func() bool { return balance(t, accounts, "a")%1000 == 10 })
	_ = stop()
	_, _ = w.process().give(nil)
	p.add("b", opened{})
	for _, id := range []string{"a", "b"} {
		eventually(t, fmt.Sprintf("the gift of %s is back, and it was reminded", id), func() bool { return balance(t, accounts, id) >= 1010 })
		if got := balance(t, accounts, id); got != 1010 {
			t.Errorf("account %s has %d, want 1010", id, got)
		}
	}
}

func testProcessWakes(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, other := w.indexer(), w.process()
	accounts, _ := p.give(nil)
	_, _ = other.give(nil)
	ids := []string{"a", "b c", "d\ne"}
	for _, id := range ids {
		p.add(id, opened{})
	}
	for _, id := range ids {
		eventually(t, fmt.Sprintf("%q was reminded", id), func() bool { return balance(t, accounts, id) > 0 })
	}
	_, _ = w.process().give(nil)
	time.Sleep(2 * time.Second) // the new one looks within a second
	for _, id := range ids {
		if got := balance(t, accounts, id); got != 1000 {
			t.Errorf("%q has %d, want 1000", id, got)
		}
	}
}
