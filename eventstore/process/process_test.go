package process_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// link loses requests and answers by chance.
type link struct {
	driver.State
	mu     sync.Mutex
	chance *rand.Rand
	in     int // one in so many is lost; 0: none
}

var errLost = errors.New("no answer")

func (l *link) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.in > 0 && l.chance.IntN(l.in) == 0
}

func (l *link) set(in int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in = in
}

func (l *link) Swap(ctx context.Context, part string, swap driver.Swap) error {
	<-time.After(time.Millisecond)
	if l.lost() {
		return errLost
	}
	err := l.State.Swap(ctx, part, swap)
	if l.lost() {
		return errLost
	}
	return err
}

func (l *link) Get(ctx context.Context, part, key string) (driver.Item, error) {
	<-time.After(time.Millisecond)
	if l.lost() {
		return driver.Item{}, errLost
	}
	return l.State.Get(ctx, part, key)
}

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
	for seed := range uint64(5) {
		memstate.Each(t, func(t *testing.T, store *memstate.Store) {
			memstate.GoOn(t)
			_, f, accounts := open(t, store)
			stopIndex := memstate.Start(t, f.Index)
			random := rand.New(rand.NewPCG(seed, 1))
			var links []*link
			var stops []func()
			for n := range 3 {
				l := &link{State: store, chance: rand.New(rand.NewPCG(seed, uint64(n))), in: 30}
				_, f, accounts := open(t, l)
				moves, err := transfers(f, accounts, subscription.WithLease(2*time.Second), subscription.WithPartitions(4), subscription.WithRetries(1000))
				if err != nil {
					t.Fatal(err)
				}
				links, stops = append(links, l), append(stops, memstate.Start(t, moves.Run))
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
			for i := range 200 {
				from, to, amount := random.IntN(number-2), random.IntN(number), 1+random.IntN(50)
				if i == 100 {
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
					l.set(1)
					<-time.After(time.Duration(random.IntN(5000)) * time.Millisecond)
					l.set(30)
				}
				<-time.After(time.Duration(random.IntN(30)) * time.Millisecond)
			}
			for _, l := range links {
				l.set(0)
			}
			<-time.After(time.Minute)
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
	asked    struct{ By time.Time }
	reminded struct{}
	question struct{ Times int }
)

func (q question) apply(event eventstore.Event) (question, error) {
	if _, ok := event.Data.(reminded); ok {
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
			if _, err := p.Append(t.Context(), p.Stream("Mail", fmt.Sprint(i)), eventstore.ExpectVersion(0), asked{time.Now().Add(time.Duration(i) * 20 * time.Second)}); err != nil {
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
		<-time.After(24 * time.Hour)
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
