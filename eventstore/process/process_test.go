package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

func open(t *testing.T, state driver.State) (*eventstore.Provider, *feed.Feed, *aggregate.Repository[Account]) {
	t.Helper()
	registry, err := eventstore.NewRegistry(
		eventstore.Type[Received]("Received"), eventstore.Type[Sent]("Sent"), eventstore.Type[Closed]("Closed"),
		eventstore.Type[Started]("TransferStarted"), eventstore.Type[TakenBack]("TransferTakenBack"),
		eventstore.Type[asked]("asked"), eventstore.Type[reminded]("reminded"))
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
	accounts, err := aggregate.NewRepository(p, "Account", Account.Apply)
	if err != nil {
		t.Fatal(err)
	}
	return p, f, accounts
}

// Money is conserved, whatever is lost, repeated, cut off or closed.
func TestTransfersConserveMoney(t *testing.T) {
	seed := uint64(0)
	for range 2 { // the simulation tries many more
		memstate.Each(t, func(t *testing.T, store *memstate.Store) {
			seed++
			memstate.GoOn(t)
			p, f, accounts := open(t, store)
			stopIndex := memstate.Start(t, f.Index)
			random := rand.New(rand.NewPCG(seed, 1))
			var links []*memstate.Link
			var stops []func()
			var last *process.Process[Transfer]
			for n := range 3 {
				l := memstate.NewLink(store, 100*seed+uint64(n), 30)
				_, f, accounts := open(t, l)
				moves, err := transfers(f, accounts, subscription.WithLease(2*time.Second), subscription.WithPartitions(4), subscription.WithRetries(1000))
				if err != nil {
					t.Fatal(err)
				}
				links, stops, last = append(links, l), append(stops, memstate.Start(t, moves.Run)), moves
			}
			const number, each = 10, 1000
			update := func(id int, decide func(Account) ([]any, error)) {
				if _, err := accounts.Update(t.Context(), fmt.Sprint(id), decide); err != nil {
					t.Fatal(err)
				}
			}
			for id := range number {
				update(id, func(Account) ([]any, error) { return []any{Received{each}}, nil })
			}
			for i := range 120 {
				from, to, amount := random.IntN(number-2), random.IntN(number), 1+random.IntN(50)
				if i == 60 {
					update(number-1, func(Account) ([]any, error) { return []any{Closed{}}, nil })
				}
				update(from, func(a Account) ([]any, error) {
					if a.Balance < amount {
						return nil, nil
					}
					return []any{Sent{amount, fmt.Sprint(to), fmt.Sprint("t", i)}}, nil
				})
				if i%40 == 39 { // an instance is cut off for longer than its lease
					l := links[random.IntN(len(links))]
					l.Lose(1)
					<-time.After(time.Duration(random.IntN(5000)) * time.Millisecond)
					l.Lose(30)
				}
				<-time.After(time.Duration(random.IntN(30)) * time.Millisecond)
			}
			for _, l := range links {
				l.Lose(0)
			}
			for id := range number { // until all that was sent has arrived
				a, err := accounts.Load(t.Context(), fmt.Sprint(id))
				if err != nil {
					t.Fatal(err)
				}
				if err := last.WaitFor(t.Context(), p.Stream("Account", fmt.Sprint(id)), a.Version); err != nil {
					t.Fatal(err)
				}
			}
			for _, stop := range stops {
				stop()
			}
			stopIndex()
			total := 0
			for id := range number {
				a, err := accounts.Load(t.Context(), fmt.Sprint(id))
				if err != nil {
					t.Fatal(err)
				}
				total += a.State.Balance
			}
			if total != number*each {
				t.Errorf("the accounts have %d together, want %d", total, number*each)
			}
		})
	}
}

// A question is reminded of after a minute, and then once more.
type (
	asked struct {
		By   time.Time
		Name string
	}
	reminded struct{}
	question struct {
		Name  string
		Times int
	}
)

func (q question) apply(event eventstore.Event) (question, error) {
	switch data := event.Data.(type) {
	case asked:
		q.Name = data.Name
	case reminded:
		q.Times++
	}
	return q, nil
}

func TestInstancesWakeUpInTime(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f, _ := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		start := func() (*process.Process[question], func()) {
			_, f, _ := open(t, store)
			questions, err := process.New(f, "Question", process.Rules[question]{
				Fold:   question.apply,
				Route:  func(item feed.Item) string { return item.Stream.ID },
				Decide: func(_ question, item feed.Item) ([]any, error) { return []any{item.Event.Data}, nil },
				Act: func(q question, event eventstore.Event) []process.Command {
					if by, ok := event.Data.(asked); ok {
						return []process.Command{process.At(by.By)}
					}
					if q.Times < 2 {
						return []process.Command{process.At(event.Metadata.Message.Created.Add(time.Minute))}
					}
					return nil
				},
				Wake: func(question, eventstore.Event) ([]any, error) { return []any{reminded{}}, nil },
			}, subscription.OfType("Mail"))
			if err != nil {
				t.Fatal(err)
			}
			return questions, memstate.Start(t, questions.Run)
		}
		questions, stop := start()
		_, stopOther := start()
		for i := range 20 {
			if _, err := p.Append(t.Context(), p.Stream("Mail", fmt.Sprint(i)), eventstore.ExpectVersion(0), asked{By: time.Now().Add(time.Duration(i) * 20 * time.Second)}); err != nil {
				t.Fatal(err)
			}
		}
		times := func(id int) int {
			q, err := questions.Load(t.Context(), fmt.Sprint(id))
			if err != nil {
				t.Fatal(err)
			}
			return q.State.Times
		}
		<-time.After(70 * time.Second)
		for i := range 20 {
			want := 0
			if i*20 < 70 {
				want = 1
			}
			if i*20 < 10 {
				want = 2
			}
			if got := times(i); got != want {
				t.Errorf("question %d was reminded of %d times after 70 s, want %d", i, got, want)
			}
		}
		stop()
		stopOther()
		stopIndex()
		<-time.After(24 * time.Hour)
		stopIndex = memstate.Start(t, f.Index)
		questions, stop = start()
		<-time.After(5 * time.Minute)
		stop()
		stopIndex()
		for i := range 20 {
			if got := times(i); got != 2 {
				t.Errorf("question %d was reminded of %d times in the end, want 2", i, got)
			}
		}
	})
}

// A command that can do nothing is an error that names it, not one that counts as done.
func TestACommandThatDoesNothingIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		command process.Command
		says    string
	}{
		"Do":      {process.Do(nil, nil).As(reminded{}), "command 2 (process_test.reminded) of Question \"1\" after version 1: eventstore: bad argument Do: it got no function to call"},
		"At":      {process.At(time.Time{}), "command 2 of Question \"1\" after version 1: eventstore: bad argument At: it got the zero time"},
		"Command": {process.Command{}, "command 2 of Question \"1\" after version 1: eventstore: bad argument Do: it got no function to call"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memstate.GoOn(t)
				p, f, _ := open(t, memstate.Transactional())
				stopIndex := memstate.Start(t, f.Index)
				questions, err := process.New(f, "Question", process.Rules[question]{
					Fold:   question.apply,
					Route:  func(item feed.Item) string { return item.Stream.ID },
					Decide: func(_ question, item feed.Item) ([]any, error) { return []any{item.Event.Data}, nil },
					Act: func(question, eventstore.Event) []process.Command {
						return []process.Command{process.At(time.Now().Add(time.Hour)), c.command}
					},
				}, subscription.OfType("Mail"), subscription.WithParking(), subscription.WithRetries(0))
				if err != nil {
					t.Fatal(err)
				}
				stop := memstate.Start(t, questions.Run)
				if _, err := p.Append(t.Context(), p.Stream("Mail", "1"), eventstore.ExpectVersion(0), asked{}); err != nil {
					t.Fatal(err)
				}
				<-time.After(10 * time.Second)
				parked, err := questions.Parked(t.Context())
				if err != nil || len(parked) != 1 || !strings.Contains(parked[0].Reason, c.says) {
					t.Errorf("parked: %+v, %v, want %q", parked, err, c.says)
				}
				stop()
				stopIndex()
			})
		})
	}
}

// A store that does not answer is no fault of an item. A command that is too slow is.
func TestAStoreThatIsAwayStopsNothing(t *testing.T) {
	away := &eventstore.StorageError{Operation: "append", Cause: memstate.ErrLost}
	for name, c := range map[string]struct {
		do     func(ctx context.Context, tries int) error
		parked int
	}{
		"away for ten minutes": {func(_ context.Context, tries int) error {
			if tries < 60 {
				return away
			}
			return nil
		}, 0},
		"another error": {func(context.Context, int) error { return memstate.ErrLost }, 1},
		"too slow":      {func(ctx context.Context, _ int) error { <-ctx.Done(); return away }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memstate.GoOn(t)
				p, f, _ := open(t, memstate.Transactional())
				stopIndex := memstate.Start(t, f.Index)
				tries, done := 0, false
				questions, err := process.New(f, "Question", process.Rules[question]{
					Fold:   question.apply,
					Route:  func(item feed.Item) string { return item.Stream.ID },
					Decide: func(_ question, item feed.Item) ([]any, error) { return []any{item.Event.Data}, nil },
					Act: func(question, eventstore.Event) []process.Command {
						return []process.Command{process.Do(func(ctx context.Context, _ process.Call) error {
							tries++
							err := c.do(ctx, tries)
							done = err == nil
							return err
						}, nil)}
					},
				}, subscription.OfType("Mail"), subscription.WithParking(), subscription.WithRetries(1))
				if err != nil {
					t.Fatal(err)
				}
				stop := memstate.Start(t, questions.Run)
				if _, err := p.Append(t.Context(), p.Stream("Mail", "1"), eventstore.ExpectVersion(0), asked{}); err != nil {
					t.Fatal(err)
				}
				<-time.After(15 * time.Minute)
				stop()
				stopIndex()
				parked, err := questions.Parked(t.Context())
				if err != nil || len(parked) != c.parked || done != (c.parked == 0) {
					t.Errorf("after %d tries: done %v, parked %+v, %v", tries, done, parked, err)
				}
			})
		})
	}
}
