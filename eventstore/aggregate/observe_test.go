package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

type insideKey struct{}

// witness is an observer that records each operation when it ends, the operations around it, and
// its error.
type witness struct {
	ended   []string
	results map[string]eventstore.OperationResult
}

func (w *witness) Begin(ctx context.Context, operation eventstore.Operation) context.Context {
	path, _ := ctx.Value(insideKey{}).(string)
	return context.WithValue(ctx, insideKey{}, path+"/"+operation.Name)
}

func (w *witness) End(ctx context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	path := ctx.Value(insideKey{}).(string)
	if result.Err != nil {
		path += fmt.Sprintf(" %T", result.Err)
	}
	w.ended = append(w.ended, path)
	if w.results == nil {
		w.results = map[string]eventstore.OperationResult{}
	}
	w.results[operation.Name] = result
}

func (w *witness) saw(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.ended, want) {
		t.Errorf("observed were %q, want %q", w.ended, want)
	}
	w.ended = nil
}

func TestUpdatesAndLoadsAreObservedWithTheOperationsOfTheStreamInside(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		w := &witness{}
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(registry(t)), eventstore.WithObserver(w),
			eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := aggregate.NewRepository(p, "counter", count)
		if err != nil {
			t.Fatal(err)
		}
		update(t, r, add(1))
		inside := func(last ...string) []string {
			of := []string{"/aggregate_update/open_shared", "/aggregate_update/load", "/aggregate_update/read"}
			return append(of, last...)
		}
		w.saw(t, inside("/aggregate_update/append", "/aggregate_update")...)
		if of := w.results[eventstore.OpAggregateUpdate]; of.Version != 1 || of.Events != 1 || of.Attempts != 1 {
			t.Errorf("the result was %+v", of)
		}

		load(t, r)
		w.saw(t, "/aggregate_load/load", "/aggregate_load/read", "/aggregate_load")

		others := counters(t, store)
		tries := 0
		update(t, r, func(counter) ([]any, error) {
			if tries++; tries == 1 {
				update(t, others, add(2))
			}
			return []any{added{3}}, nil
		})
		w.saw(t, "/aggregate_update/append *eventstore.VersionMismatchError", "/aggregate_update/read", "/aggregate_update/append", "/aggregate_update")
		if of := w.results[eventstore.OpAggregateUpdate]; of.Version != 3 || of.Attempts != 2 {
			t.Errorf("the result was %+v", of)
		}

		_, err = r.Update(t.Context(), "1", func(counter) ([]any, error) { return nil, errors.New("no") })
		w.saw(t, "/aggregate_update/refresh", "/aggregate_update *errors.errorString")
		if of := w.results[eventstore.OpAggregateUpdate]; of.Err != err || err == nil {
			t.Errorf("the error was %v, observed was %v", err, of.Err)
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = r.Update(t.Context(), "1", func(counter) ([]any, error) { panic("decide") })
		}()
		if of := w.results[eventstore.OpAggregateUpdate]; of.Err == nil || of.Err == err {
			t.Errorf("of an update that panicked was observed %v", of.Err)
		}
		w.saw(t, "/aggregate_update/close", "/aggregate_update *errors.errorString")

		update(t, r, add(1))
		pass(time.Minute)
		w.ended = nil
		update(t, r, add(1)) // closes the session of the earlier update, within itself
		w.saw(t, slices.Concat([]string{"/aggregate_update/close *eventstore.SessionExpiredError"}, inside("/aggregate_update/append", "/aggregate_update"))...)
	})
}
