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

// Scenario is a history on which a decision is to be taken: see [Given].
type Scenario[S any] struct {
	t       testing.TB
	fold    func(S, eventstore.Event) (S, error)
	given   []any
	state   S
	version int64
	carrier carrier
	options []cmp.Option
	ended   bool // by a Then
}

// Given begins a scenario: the events that have happened, oldest first, as values or as an [eventstore.Event] with
// metadata. Fold, as of [eventstore.BuildSnapshots], makes a state of them that begins as the zero value of S; they get the versions 1, 2, 3, …. An event
// that can't be folded ends the test, and so does a scenario without a Then when the test ends.
//
//	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100}).
//		When(func(a Account) ([]any, error) { return a.Withdraw(30) }).
//		Then(FundsWithdrawn{Amount: 30})
//
// Events, and the state after each of them, go through the codec and back, as if they had been stored and read: by [eventstore.JSON], or as
// [Scenario.Using] says. What would not come back as it was ends the test. So does a fold that changes the state it was given, as by writing into
// a map or slice of it: others may still hold that state.
func Given[S any](t testing.TB, fold func(S, eventstore.Event) (S, error), events ...any) *Scenario[S] {
	t.Helper()
	if fold == nil {
		t.Fatalf("eventtest: Given has no fold: it is the function that makes a state of events")
	}
	s := &Scenario[S]{t: t, fold: fold, given: events, options: []cmp.Option{cmp.Exporter(func(reflect.Type) bool { return true })}}
	t.Cleanup(func() {
		if !s.ended && !t.Failed() {
			t.Errorf("eventtest: a scenario was given %d events and tests nothing: end it by When and Then, ThenError or ThenNothing", len(events))
		}
	})
	return s
}

// Using sets the types by which events and states are stored: those of the service. Events of other types then end the test; a state whose type is not
// registered is never in a snapshot, and does not go through a codec. Without a registry each is taken to be
// registered for JSON, but for protobuf messages, which are left as they are.
func (s *Scenario[S]) Using(registry *eventstore.Registry) *Scenario[S] {
	s.t.Helper()
	if registry == nil {
		s.t.Fatalf("eventtest: Using has no registry: make it with eventstore.NewRegistry")
	}
	s.carrier.registry = registry
	return s
}

// Comparing sets options for how events are compared, as protocmp.Transform() for protobuf messages. Fields that are not exported are compared without one.
func (s *Scenario[S]) Comparing(options ...cmp.Option) *Scenario[S] {
	s.options = append(s.options, options...)
	return s
}

// apply folds the next event.
func (s *Scenario[S]) apply(value any) error {
	s.version++
	event, ok := asEvent(value)
	if !ok {
		event = eventstore.Event{Data: value}
	}
	switch {
	case event.Data == nil:
		return errors.New("it is nil")
	case event.Version != 0 && event.Version != s.version:
		return fmt.Errorf("its version is %d, its place is %d", event.Version, s.version)
	}
	event.Version = s.version
	event.Metadata.Context.SequenceNumber = s.version
	data, err := s.carrier.event(event.Data)
	if err != nil {
		return fmt.Errorf("it can't be stored: %w", err)
	}
	event.Data = data
	before := dump(s.state)
	state, err := s.fold(s.state, event)
	if err != nil {
		return err
	}
	if after := dump(s.state); after != before {
		return fmt.Errorf("the fold changes the state that it was given, which others may hold: copy what it writes into, as with maps.Clone or slices.Clone (-before +after):\n%s", cmp.Diff(before, after))
	}
	carried, err := s.carrier.state(state)
	if err != nil {
		return fmt.Errorf("the state after it can't be in a snapshot (if it never is, give the registry, which does not have it, by Using): %w", err)
	}
	s.state, _ = carried.(S) // nil where S is an interface
	return nil
}

// When takes the decision, once: the events that are to be appended, or an error. What is decided must fold too, or nobody could load
// the aggregate again.
func (s *Scenario[S]) When(decide func(S) ([]any, error)) *Decision {
	s.t.Helper()
	if decide == nil {
		s.t.Fatalf("eventtest: When has no decision: it is the function that makes events of a state")
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
		s.t.Errorf("eventtest: When: the decision changes the state that it was given, which only the fold of its events may do (-before +after):\n%s", cmp.Diff(before, after))
	}
	if d.err != nil {
		return d
	}
	for i, value := range d.events {
		if err := s.apply(value); err != nil {
			s.t.Errorf("eventtest: When: event %d of those decided can't be folded, the aggregate could not be loaded again: %v\n%s", i+1, err, list(value))
			break
		}
	}
	return d
}

// Decision is what was decided: see [Scenario.When].
type Decision struct {
	t       testing.TB
	options []cmp.Option
	events  []any
	err     error
	ended   *bool
}

// Then holds that these events were decided, in this order. An event that is given as an [eventstore.Event] is compared with its version and metadata, others
// by their type and fields alone.
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
			if wanted, ok := asEvent(want[i]); ok { // as a value, whether it is given by a pointer or not
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
		d.t.Errorf("eventtest: other events were decided (-want +got):\n%s", diff)
	}
}

// ThenNothing holds that no event was decided, and no error.
func (d *Decision) ThenNothing() {
	d.t.Helper()
	d.Then()
}

// ThenError holds that the decision was refused with that error: an error that errors.Is finds in
// what was returned, or a pointer that errors.As sets, to look at afterwards. For an error type of
// the event store, pass such a pointer: new(*eventstore.ArgumentError).
func (d *Decision) ThenError(target any) {
	d.t.Helper()
	*d.ended = true
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
		d.t.Fatalf("eventtest: ThenError takes an error, or a pointer to a type of errors, not %T", target)
	}
	switch {
	case d.err == nil:
		d.t.Errorf("eventtest: there is no error but %d events, want the error %s:\n%s", len(d.events), want, list(d.events...))
	case isError && errors.Is(d.err, wanted), isPointer && errors.As(d.err, target):
	default:
		d.t.Errorf("eventtest: got the error %v (%T), want %s", d.err, d.err, want)
	}
}

func asEvent(value any) (eventstore.Event, bool) {
	if p, ok := value.(*eventstore.Event); ok && p != nil {
		return *p, true
	}
	event, ok := value.(eventstore.Event)
	return event, ok
}

// list is events, a line each.
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
