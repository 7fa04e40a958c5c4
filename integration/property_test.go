package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	propertySteps    = 10_000
	propertyAccounts = 12
	propertySavers   = 8
)

// The aggregate of this test is a purse whose balance is never negative.
type (
	purse    struct{ Balance, Spent int64 }
	received struct{ Amount int64 }
	spent    struct{ Amount int64 }
)

var errTooLittle = errors.New("too little in the purse")

func (p purse) apply(event eventstore.Event) (purse, error) {
	switch e := event.Data.(type) {
	case received:
		p.Balance += e.Amount
	case spent:
		p.Balance -= e.Amount
		p.Spent += e.Amount
	default:
		return p, fmt.Errorf("%T is unknown", e)
	}
	return p, nil
}

// seen is what a saver saw of one purse: its state at a version. It also has the events that the
// saver had appended to get there, or the amount that the purse refused.
type seen struct {
	version  int64
	state    purse
	appended []any
	refused  int64 // the amount that the purse refused to spend
}

// saver carries out random steps and notes what it sees.
type saver struct {
	random     *rand.Rand
	provider   *eventstore.Provider
	optimistic *aggregate.Repository[purse]
	exclusive  *aggregate.Repository[purse]
	steps      int
	seen       map[string][]seen
	once       map[string]int64 // by id of a command, the version that it stored
}

func (s *saver) run(ctx context.Context) error {
	for n := range s.steps {
		id := fmt.Sprintf("purse-%d", s.random.IntN(propertyAccounts))
		if err := s.step(ctx, id, n); err != nil {
			return fmt.Errorf("step %d on %s: %w", n, id, err)
		}
	}
	return nil
}

func (s *saver) step(ctx context.Context, id string, n int) error {
	repository := s.optimistic
	if s.random.IntN(8) == 0 {
		repository = s.exclusive
	}
	note := func(a aggregate.Aggregate[purse], refused int64) {
		next := seen{version: a.Version, state: a.State, refused: refused}
		for _, event := range a.Appended {
			next.appended = append(next.appended, event.Data)
		}
		s.seen[id] = append(s.seen[id], next)
	}
	amount := 1 + s.random.Int64N(100)
	switch kind := s.random.IntN(20); {
	case kind < 6: // receive, in several events
		a, err := repository.Update(ctx, id, func(purse) (events []any, err error) {
			for range 1 + amount%3 {
				events = append(events, received{amount})
			}
			return events, nil
		})
		if err != nil {
			return err
		}
		note(a, 0)
	case kind < 13: // spend, if there is enough
		a, err := repository.Update(ctx, id, func(p purse) ([]any, error) {
			if p.Balance < amount {
				return nil, errTooLittle
			}
			return []any{spent{amount}}, nil
		})
		switch {
		case err == nil:
			note(a, 0)
		case errors.Is(err, errTooLittle):
			note(a, amount)
		default:
			return err
		}
	case kind < 15: // send a command twice
		command := fmt.Sprintf("%p-%d", s, n)
		for range 2 {
			a, err := repository.Update(ctx, id, func(purse) ([]any, error) { return []any{received{1}}, nil }, aggregate.WithIdempotencyID(command))
			if err != nil {
				return err
			}
			note(a, 0)
			first, repeated := s.once[command]
			switch {
			case !repeated && a.RepeatOf != 0 || repeated && a.RepeatOf != first:
				return fmt.Errorf("command %s is a repeat of version %d, want %d", command, a.RepeatOf, first)
			case !repeated:
				s.once[command] = a.Version
			}
		}
	case kind < 18: // load the purse
		a, err := repository.Load(ctx, id)
		if err != nil {
			return err
		}
		note(a, 0)
		if a.Version > 1 {
			past, err := repository.Load(ctx, id, eventstore.ToVersion(1+s.random.Int64N(a.Version)))
			if err != nil {
				return err
			}
			note(past, 0)
		}
	default: // save a snapshot, or delete some
		session, err := s.provider.Open(ctx, s.provider.Stream("purse", id), eventstore.Shared())
		if err != nil {
			return err
		}
		defer session.Close()
		if kind == 18 {
			return session.ClearSnapshots(ctx)
		}
		a, err := repository.Load(ctx, id)
		if err != nil || a.Version == 0 {
			return err
		}
		if err = session.SaveSnapshot(ctx, a.Version, a.State); errors.As(err, new(*eventstore.VersionNotFoundError)) {
			return nil // another saver has appended since the session was opened
		}
		return err
	}
	return nil
}

// Savers compete for the same purses, with and without the lock, while snapshots come and go. What
// they see agrees with a plain model.
func TestAggregatesAgreeWithAPlainModel(t *testing.T) {
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		state := memory.New()
		defer state.Close()
		agree(t, state, nil)
	})
	t.Run("over the sidecar on Redis", func(t *testing.T) {
		t.Parallel()
		r := servers.StartRedis(t)
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
		agree(t, state(t, d), locker(t, d))
	})
}

func agree(t *testing.T, state driver.State, locker driver.Locker) {
	types, err := eventstore.NewRegistry(eventstore.Type[received]("received"), eventstore.Type[spent]("spent"), eventstore.Type[purse]("purse"))
	if err != nil {
		t.Fatal(err)
	}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = time.Minute
	options := []eventstore.Option{eventstore.WithRegistry(types), eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler))}
	if locker != nil {
		options = append(options, eventstore.WithLocker(locker))
	}
	p, err := eventstore.NewProvider(state, options...)
	if err != nil {
		t.Fatal(err)
	}
	repository := func(options ...aggregate.Option) *aggregate.Repository[purse] {
		r, err := aggregate.NewRepository(p, "purse", purse.apply, append(options, aggregate.WithSnapshotEvery(25))...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	optimistic, exclusive := repository(), repository(aggregate.Exclusive())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	savers := make([]*saver, propertySavers)
	var all sync.WaitGroup
	for i := range savers {
		s := &saver{random: rand.New(rand.NewPCG(seed, uint64(i))), provider: p, optimistic: optimistic, exclusive: exclusive,
			steps: propertySteps / propertySavers, seen: map[string][]seen{}, once: map[string]int64{}}
		savers[i] = s
		all.Go(func() {
			if err := s.run(t.Context()); err != nil {
				t.Errorf("saver %d: %v", i, err)
			}
		})
	}
	all.Wait()
	looks, events := 0, int64(0)
	for n := range propertyAccounts {
		id := fmt.Sprintf("purse-%d", n)
		var of []seen
		for _, s := range savers {
			of = append(of, s.seen[id]...)
		}
		final, err := optimistic.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		looks, events = looks+len(of), events+final.Version
		compareWithModel(t, id, of, final)
	}
	fmt.Printf("model store=%s steps=%d looks=%d events=%d disagreements=%v\n", state.Capabilities().Store, propertySteps, looks, events, t.Failed())
}

// compareWithModel replays the appended events in the order of their versions. It compares each
// state that a saver saw with the result.
func compareWithModel(t *testing.T, id string, of []seen, final aggregate.Aggregate[purse]) {
	t.Helper()
	appended := map[int64]any{}
	for _, s := range of {
		for i, event := range s.appended {
			version := s.version - int64(len(s.appended)-1-i)
			if other, ok := appended[version]; ok {
				t.Errorf("%s: version %d is both %v and %v", id, version, other, event)
			}
			appended[version] = event
		}
	}
	model := make([]purse, 1, len(appended)+1) // by version
	for version := int64(1); version <= int64(len(appended)); version++ {
		now := model[version-1]
		switch e := appended[version].(type) {
		case received:
			now.Balance += e.Amount
		case spent:
			now.Balance, now.Spent = now.Balance-e.Amount, now.Spent+e.Amount
		default:
			t.Fatalf("%s: no saver has appended version %d", id, version)
		}
		if now.Balance < 0 {
			t.Errorf("%s: at version %d the balance is %d", id, version, now.Balance)
		}
		model = append(model, now)
	}
	if final.Version != int64(len(appended)) || final.State != model[len(model)-1] {
		t.Errorf("%s: the purse ends as %+v at version %d, the model as %+v at version %d", id, final.State, final.Version, model[len(model)-1], len(appended))
	}
	for _, s := range of {
		if s.version >= int64(len(model)) || s.state != model[s.version] {
			t.Errorf("%s: at version %d a saver saw %+v", id, s.version, s.state)
		} else if s.refused > 0 && model[s.version].Balance >= s.refused {
			t.Errorf("%s: at version %d the purse refused to spend %d of %d", id, s.version, s.refused, model[s.version].Balance)
		}
	}
}
