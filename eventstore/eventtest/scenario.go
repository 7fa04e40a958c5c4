package eventtest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hexalith/eventstores-go/eventstore"
)

// Scenario is the history before a decision. See [Given].
type Scenario[S any] struct {
	t     testing.TB
	given []any
	folding[S]
	options []cmp.Option
	ended   bool // by a Then
}

// Given begins a scenario with the events that have happened, oldest first. Each is a value, or an
// [eventstore.Event] with metadata. fold makes a state of them, like the fold of
// [eventstore.BuildSnapshots], and begins with the zero value of S. The events get the versions 1,
// 2, 3, …. The test ends if an event cannot be folded. It fails if it ends before the scenario has
// reached a Then.
//
//	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100}).
//		When(func(a Account) ([]any, error) { return a.Withdraw(30) }).
//		Then(FundsWithdrawn{Amount: 30})
//
// Each event, and the state after it, is encoded and decoded as if it had been stored and read. The
// codec is [eventstore.JSON], unless [Scenario.Using] sets a registry. The test ends if that
// changes a value. It also ends if fold changes the state that it was given, for example by writing
// to a map or slice in it, because others may still hold that state.
func Given[S any](t testing.TB, fold func(S, eventstore.Event) (S, error), events ...any) *Scenario[S] {
	t.Helper()
	if fold == nil {
		t.Fatalf("eventtest: Given needs a fold: the function that makes a state of events")
	}
	s := &Scenario[S]{t: t, folding: folding[S]{fold: fold, carrier: &carrier{}}, given: events, options: everyField()}
	t.Cleanup(func() {
		if !s.ended && !t.Failed() {
			t.Errorf("eventtest: the scenario with %d given events tests nothing: end it with When and Then, ThenError or ThenNothing", len(events))
		}
	})
	return s
}

// Using sets the registry that is used to store events and states: pass the service's own. Events
// of other types then end the test. A state whose type is not registered is never in a snapshot,
// and is not encoded. Without a registry each value is encoded as JSON, except protobuf messages,
// which are left unchanged.
func (s *Scenario[S]) Using(registry *eventstore.Registry) *Scenario[S] {
	s.t.Helper()
	s.carrier.registry = needRegistry(s.t, registry)
	return s
}

func needRegistry(t testing.TB, registry *eventstore.Registry) *eventstore.Registry {
	t.Helper()
	if registry == nil {
		t.Fatalf("eventtest: Using needs a registry: make one with eventstore.NewRegistry")
	}
	return registry
}

// Comparing sets options for comparing events, such as protocmp.Transform() for protobuf messages.
// Unexported fields are compared without any option.
func (s *Scenario[S]) Comparing(options ...cmp.Option) *Scenario[S] {
	s.options = append(s.options, options...)
	return s
}

// everyField makes cmp compare unexported fields too.
func everyField() []cmp.Option {
	return []cmp.Option{cmp.Exporter(func(reflect.Type) bool { return true })}
}

// folding is the state of an aggregate that is folded in a test.
type folding[S any] struct {
	fold    func(S, eventstore.Event) (S, error)
	state   S
	version int64
	carrier *carrier
}

// apply folds the next event.
func (s *folding[S]) apply(value any) error {
	_, err := s.next(value)
	return err
}

// next folds the next event, and returns it as it is read.
func (s *folding[S]) next(value any) (eventstore.Event, error) {
	s.version++
	event, ok := asEvent(value)
	if !ok {
		event = eventstore.Event{Data: value}
	}
	switch {
	case event.Data == nil:
		return event, errors.New("it is nil")
	case event.Version != 0 && event.Version != s.version:
		return event, fmt.Errorf("its version is %d, but it is event number %d", event.Version, s.version)
	}
	event.Version = s.version
	event.Metadata.Context.SequenceNumber = s.version
	data, err := s.carrier.event(event.Data)
	if err != nil {
		return event, fmt.Errorf("it can't be stored: %w", err)
	}
	event.Data = data
	before := dump(s.state)
	state, err := s.fold(s.state, event)
	if err != nil {
		return event, err
	}
	if after := dump(s.state); after != before {
		return event, fmt.Errorf("the fold changes the state that it was given: copy what it writes to, for example with maps.Clone or slices.Clone (-before +after):\n%s", cmp.Diff(before, after))
	}
	carried, err := s.carrier.state(state)
	if err != nil {
		return event, fmt.Errorf("the state after it can't be stored in a snapshot (if it never is, pass Using a registry without its type): %w", err)
	}
	s.state, _ = carried.(S) // nil if S is an interface
	return event, nil
}

// When takes the decision, once: the events to append, or an error. The decided events must fold
// too, because otherwise the aggregate could not be loaded again.
func (s *Scenario[S]) When(decide func(S) ([]any, error)) *Decision {
	s.t.Helper()
	if decide == nil {
		s.t.Fatalf("eventtest: When needs a decision: the function that makes events from a state")
	}
	for _, value := range s.given {
		if err := s.apply(value); err != nil {
			s.t.Fatalf("eventtest: Given: event %d can't be folded: %v\n%s", s.version, err, list(value))
		}
	}
	s.given = nil
	d := &Decision{t: s.t, options: s.options, ended: &s.ended}
	before := dump(s.state)
	d.events, d.err = decide(s.state)
	if after := dump(s.state); after != before {
		s.t.Errorf("eventtest: When: the decision changes the state that it was given; return events instead (-before +after):\n%s", cmp.Diff(before, after))
	}
	if d.err != nil {
		return d
	}
	for i, value := range d.events {
		if err := s.apply(value); err != nil {
			s.t.Errorf("eventtest: When: decided event %d can't be folded, so the aggregate could not be loaded again: %v\n%s", i+1, err, list(value))
			break
		}
	}
	return d
}

// Decision is the result of a decision. See [Scenario.When].
type Decision struct {
	t       testing.TB
	options []cmp.Option
	events  []any
	err     error
	ended   *bool
}

// Then checks that exactly these events were decided, in this order. If an event is given as an
// [eventstore.Event], its version and metadata are compared too. Other events are compared by type
// and fields alone.
func (d *Decision) Then(events ...any) {
	d.t.Helper()
	*d.ended = true
	if d.err != nil {
		d.t.Errorf("eventtest: got the error %v, want %d events:\n%s", d.err, len(events), list(events...))
		return
	}
	want, got := append([]any{}, events...), append([]any{}, d.events...)
	for i, value := range got {
		event, isEvent := asEvent(value)
		if i < len(want) {
			if wanted, ok := asEvent(want[i]); ok { // as a value, even if it is given as a pointer
				if !isEvent {
					event = eventstore.Event{Data: value}
				}
				want[i], got[i] = wanted, event
				continue
			}
		}
		if isEvent {
			got[i] = event.Data
		}
	}
	if diff := cmp.Diff(want, got, d.options...); diff != "" {
		d.t.Errorf("eventtest: the decided events differ (-want +got):\n%s", diff)
	}
}

// ThenNothing checks that the decision returned neither an event nor an error.
func (d *Decision) ThenNothing() {
	d.t.Helper()
	d.Then()
}

// ThenError checks that the decision returned that error. target is an error that errors.Is finds,
// or a pointer that errors.As sets, for further checks. For an error type of the event store, pass
// such a pointer: new(*eventstore.ArgumentError).
func (d *Decision) ThenError(target any) {
	d.t.Helper()
	*d.ended = true
	wantError(d.t, d.err, target, fmt.Sprintf("%d events", len(d.events)), ":\n"+list(d.events...))
}

// wantError checks an error. If there is none, the failure says what there is instead.
func wantError(t testing.TB, err error, target any, instead, details string) {
	t.Helper()
	wanted, isError := target.(error)
	kind, isPointer := reflect.TypeOf(target), false
	if kind != nil && kind.Kind() == reflect.Pointer && !reflect.ValueOf(target).IsNil() {
		kind = kind.Elem()
		isPointer = kind.Kind() == reflect.Interface || kind.Implements(reflect.TypeFor[error]())
	}
	want := ""
	switch {
	case isError && !isPointer:
		want = fmt.Sprintf("%v (%T)", wanted, wanted)
	case isPointer:
		want = fmt.Sprintf("one of type %s", kind)
	default:
		t.Fatalf("eventtest: ThenError takes an error or a pointer to an error type, not %T", target)
	}
	switch {
	case err == nil:
		t.Errorf("eventtest: got %s and no error, want the error %s%s", instead, want, details)
	case isError && errors.Is(err, wanted), isPointer && errors.As(err, target):
	default:
		t.Errorf("eventtest: got the error %v (%T), want %s", err, err, want)
	}
}

func asEvent(value any) (eventstore.Event, bool) {
	if p, ok := value.(*eventstore.Event); ok && p != nil {
		return *p, true
	}
	event, ok := value.(eventstore.Event)
	return event, ok
}

// list returns events as text, one per line.
func list(events ...any) string {
	var b strings.Builder
	for _, value := range events {
		if event, ok := asEvent(value); ok {
			value = event.Data
		}
		fmt.Fprintf(&b, "\t%T %+v\n", value, value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
