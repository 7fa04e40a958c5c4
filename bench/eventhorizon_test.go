package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/looplab/eventhorizon"
	horizonevents "github.com/looplab/eventhorizon/aggregatestore/events"
	horizonmemory "github.com/looplab/eventhorizon/eventstore/memory"
	"github.com/looplab/eventhorizon/uuid"
)

// eventHorizon is a library that a Go user might pick instead: github.com/looplab/eventhorizon. The
// only one of its event stores that needs no server keeps copies of Go values in the memory of the
// process, and encodes nothing.
type eventHorizon struct {
	events     eventhorizon.EventStore
	aggregates *horizonevents.AggregateStore
}

const (
	horizonType    = eventhorizon.AggregateType(aggregate)
	horizonDeposit = eventhorizon.EventType("deposited")
)

// horizonAccount is the account as an aggregate of the library.
type horizonAccount struct {
	*horizonevents.AggregateBase
	account
}

// HandleCommand is required by the library. Commands only choose a method of the aggregate, so the
// benchmark leaves them out.
func (a *horizonAccount) HandleCommand(context.Context, eventhorizon.Command) error {
	return errors.New("there are no commands")
}

// ApplyEvent changes the state.
func (a *horizonAccount) ApplyEvent(_ context.Context, e eventhorizon.Event) error {
	d, ok := e.Data().(*deposited)
	if !ok {
		return fmt.Errorf("it is a %T", e.Data())
	}
	a.deposit(*d)
	return nil
}

// registerHorizon registers the types, which the library keeps in global variables.
var registerHorizon = sync.OnceFunc(func() {
	eventhorizon.RegisterEventData(horizonDeposit, func() eventhorizon.EventData { return &deposited{} })
	eventhorizon.RegisterAggregate(func(id uuid.UUID) eventhorizon.Aggregate {
		return &horizonAccount{AggregateBase: horizonevents.NewAggregateBase(horizonType, id)}
	})
})

func startEventHorizon(t testing.TB) *eventHorizon {
	t.Helper()
	registerHorizon()
	events := must(horizonmemory.NewEventStore())(t)
	return &eventHorizon{events, must(horizonevents.NewAggregateStore(events))(t)}
}

// hasEventHorizon selects the one store that keeps its events in the memory of the process, too.
func hasEventHorizon(s *store) bool { return s.name == "embedded/memory" }

// append loads an aggregate from all of its events, appends events, and saves it. It returns the
// version of the last event.
func (h *eventHorizon) append(ctx context.Context, id uuid.UUID, all ...any) (version int, err error) {
	loaded, err := h.aggregates.Load(ctx, horizonType, id)
	if err != nil {
		return 0, err
	}
	a := loaded.(*horizonAccount)
	for _, e := range all {
		d := e.(deposited)
		a.AppendEvent(horizonDeposit, &d, time.Now())
	}
	if err := h.aggregates.Save(ctx, a); err != nil {
		return 0, err
	}
	if version = a.AggregateVersion(); a.Deposits != version {
		err = fmt.Errorf("the state of version %d has %d events", version, a.Deposits)
	}
	return version, err
}

// update appends one event. It starts again if another update was saved first.
func (h *eventHorizon) update(ctx context.Context, id string, e any) (version int, err error) {
	for {
		version, err = h.append(ctx, uuid.MustParse(id), e)
		if !errors.Is(err, eventhorizon.ErrEventConflictFromOtherSave) {
			return version, err
		}
	}
}

// supply returns a supply of the library's aggregates.
func (h *eventHorizon) supply(from, until int) *supply {
	return &supply{
		from:  from,
		until: until,
		fill: func(ctx context.Context, id string) error {
			_, err := h.append(ctx, uuid.MustParse(id), events(from)...)
			return err
		},
		count: func(ctx context.Context, id string) (int, error) {
			all, err := h.events.Load(ctx, uuid.MustParse(id))
			return len(all), err
		},
	}
}

func eventHorizonCommand(l *lab) []side {
	h := startEventHorizon(l.t)
	return []side{command(l)[0], h.supply(middling, grown).updated(l.t, "eventhorizon", h.update)}
}

func eventHorizonHot16(l *lab) []side {
	h := startEventHorizon(l.t)
	return []side{hot16(l)[0], h.supply(middling, middling).updatedBy("eventhorizon", l.writers, h.update)}
}
