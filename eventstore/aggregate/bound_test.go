package aggregate_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// bound returns a provider whose registry binds types to the aggregate type counter.
func bound(t *testing.T, store *memstate.Store) *eventstore.Provider {
	t.Helper()
	registry, err := eventstore.NewRegistry(
		eventstore.Type[added]("added", eventstore.ForAggregates("counter")),
		eventstore.Type[other]("other", eventstore.ForAggregates("other")),
		eventstore.Type[counter]("sum", eventstore.ForAggregates("counter")))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(store, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnUpdateByAnEventOfAnotherAggregateIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, err := aggregate.NewRepository(bound(t, store), "counter", count, aggregate.WithSnapshotEvery(1))
		if err != nil {
			t.Fatal(err)
		}
		if a := update(t, r, add(1)); a.Version != 1 || load(t, r).Snapshot != 1 {
			t.Errorf("its own event: %+v, %+v", a, load(t, r))
		}
		tries := 0
		_, err = r.Update(t.Context(), "1", func(counter) ([]any, error) { tries++; return []any{added{1}, other{}}, nil })
		if !errors.As(err, new(*eventstore.ArgumentError)) || !strings.Contains(err.Error(), `"other"`) || !strings.Contains(err.Error(), "EventStores:counter:1") {
			t.Errorf("another's event: %v", err)
		}
		if a := load(t, r); tries != 1 || a.Version != 1 {
			t.Errorf("it was decided %d times, and then: %+v", tries, a)
		}
	})
}

func TestASnapshotTypeOfAnotherAggregateIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	p := bound(t, memstate.Transactional())
	_, err := aggregate.NewRepository(p, "tally", count, aggregate.WithSnapshotEvery(1))
	if !errors.As(err, new(*eventstore.ArgumentError)) || !strings.Contains(err.Error(), `"sum"`) || !strings.Contains(err.Error(), `"counter"`) {
		t.Error(err)
	}
	if _, err := aggregate.NewRepository(p, "tally", count); err != nil {
		t.Errorf("without snapshots: %v", err)
	}
}
