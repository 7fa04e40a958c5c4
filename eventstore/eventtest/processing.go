package eventtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
	"github.com/hexalith/eventstores-go/eventstore/process"
)

// Processed is a process in a test. See [Processing].
type Processed[S any] struct {
	t         testing.TB
	rules     process.Rules[S]
	given     []Happening
	begun     bool
	history   history
	options   []gocmp.Option
	answers   []answers
	instances map[string]*instance[S]
	due       []due
	err       error // of the item or the time that could not be handled
	ended     bool
}

// Sends is a command in [Processed.Then]: the value of [process.Command.As]. Its target has done or
// refused it.
type Sends struct{ Command any }

// WakesAt is a command of [process.At] in [Processed.Then].
type WakesAt struct{ Time time.Time }

// answers are what the target of a command answers, one call after the other.
type answers struct {
	command any
	errs    []error
}

// due is a time for which an instance waits.
type due struct {
	at    time.Time
	id    string
	cause eventstore.Event
}

// instance is an instance of a process.
type instance[S any] struct {
	folding[S]
	states  []S                           // after each event
	decided map[string][]eventstore.Event // by what they were decided on
	called  map[string]bool               // commands that were done, and times that were kept
	did     []any                         // since the last Then
}

// tries is how often an item is handled: once, and again as often as a subscription does it by
// default.
const tries = 6

// Processing tests the rules of a process without a store. It gives them what happened before, and
// then what [Processed.When] says. The test fails if it ends before Then or ThenError, or if an
// instance has done something that no Then has looked at.
//
//	eventtest.Processing(t, rules, eventtest.On("Account", "ada", Deposited{100})).
//		Answering(Give{To: "eve", Amount: 20}, errClosed).
//		When(eventtest.On("Account", "ada", Sent{Amount: 20, To: "eve", Transfer: "t2"})).
//		Then("t2",
//			Started{From: "ada", To: "eve", Amount: 20},
//			eventtest.Sends{Give{To: "eve", Amount: 20}},
//			TakenBack{Why: "the account is closed"},
//			eventtest.Sends{Give{To: "ada", Amount: 20}})
//
// No command is called. A command is known by the value of [process.Command.As]. It is done, unless
// [Processed.Answering] says something else. What it changes elsewhere comes back by another When.
//
// Events and states go through a codec, and fold must not change the state that it is given, as in
// [Given]. Route and Act are called twice, and the test ends if they return different things.
func Processing[S any](t testing.TB, rules process.Rules[S], given ...Happening) *Processed[S] {
	t.Helper()
	if rules.Fold == nil || rules.Route == nil || rules.Decide == nil || rules.Act == nil {
		t.Fatalf("eventtest: Processing needs rules with Fold, Route, Decide and Act")
	}
	p := &Processed[S]{t: t, rules: rules, given: given, history: newHistory(), options: everyField(), instances: map[string]*instance[S]{}}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if !p.ended {
			t.Errorf("eventtest: the process tests nothing: end it with When and Then or ThenError")
		}
		for _, id := range slices.Sorted(maps.Keys(p.instances)) {
			if did := p.instances[id].did; len(did) > 0 {
				t.Errorf("eventtest: instance %q did what no Then has looked at:\n%s", id, list(did...))
			}
		}
	})
	return p
}

// Using sets the registry that is used to store events and states, as [Scenario.Using] does.
func (p *Processed[S]) Using(registry *eventstore.Registry) *Processed[S] {
	p.t.Helper()
	p.history.carrier.registry = needRegistry(p.t, registry)
	return p
}

// Comparing sets options for comparing events and commands, as [Scenario.Comparing] does.
func (p *Processed[S]) Comparing(options ...gocmp.Option) *Processed[S] {
	p.options = append(p.options, options...)
	return p
}

// Answering sets the answers to the next calls of a command: an error, or nil if it is done. An
// error that the command takes for a refusal ends its calls. After any other error, the item is
// handled again, up to 5 times. After the last answer, the command is done.
func (p *Processed[S]) Answering(command any, answer ...error) *Processed[S] {
	p.answers = append(p.answers, answers{command, answer})
	return p
}

// When lets something happen. While time passes, instances wake up that wait for a time. Nothing
// more happens after something could not be handled.
func (p *Processed[S]) When(happened ...Happening) *Processed[S] {
	p.t.Helper()
	p.begin()
	p.happen(happened)
	return p
}

// begin lets what was given happen.
func (p *Processed[S]) begin() {
	p.t.Helper()
	if p.begun {
		return
	}
	p.begun = true
	p.happen(p.given)
	if p.err != nil {
		p.t.Fatalf("eventtest: Processing: what was given can't be handled: %v", p.err)
	}
	for _, in := range p.instances {
		in.did = nil
	}
}

// Then checks what an instance did since the last Then: its events, [Sends] and [WakesAt], in that
// order. Events are compared by type and fields, without metadata.
func (p *Processed[S]) Then(id string, did ...any) *Processed[S] {
	p.t.Helper()
	p.begin()
	p.ended = true
	if p.err != nil {
		p.t.Errorf("eventtest: %v", p.err)
		return p
	}
	want, got := append([]any{}, did...), []any{}
	for i, value := range want {
		if event, ok := asEvent(value); ok {
			want[i] = event.Data
		}
	}
	if in := p.instances[id]; in != nil {
		got, in.did = append(got, in.did...), nil
	}
	if diff := gocmp.Diff(want, got, p.options...); diff != "" {
		p.t.Errorf("eventtest: instance %q did something else (-want +got):\n%s", id, diff)
	}
	return p
}

// ThenError checks that something could not be handled, and its error, as [Decision.ThenError]
// does. Nothing happens after that. A running process stops there, or parks the stream.
func (p *Processed[S]) ThenError(target any) {
	p.t.Helper()
	p.begin()
	p.ended = true
	var all []any
	for _, in := range p.instances {
		all, in.did = append(all, in.did...), nil
	}
	wantError(p.t, p.err, target, fmt.Sprintf("%d events and commands", len(all)), ":\n"+list(all...))
}

// happen lets things happen one after the other.
func (p *Processed[S]) happen(all []Happening) {
	p.t.Helper()
	for _, h := range all {
		if h.later > 0 {
			p.wait(p.history.now.Add(h.later))
		}
		for _, value := range h.events {
			item, err := p.history.item(h.stream, value)
			if err != nil {
				p.t.Fatalf("eventtest: %s %q can't have this event: %v\n%s", h.stream.Type, h.stream.ID, err, list(value))
			}
			p.attempt("the item "+describe(item), func() error { return p.handle(item) })
			p.wait(p.history.now)
		}
	}
}

// attempt does something until it succeeds, as often as a subscription does by default.
func (p *Processed[S]) attempt(what string, do func() error) {
	if p.err != nil {
		return
	}
	for range tries {
		if p.err = do(); p.err == nil {
			return
		}
	}
	p.err = fmt.Errorf("%s can't be handled: %w", what, p.err)
}

// wait lets time pass, and wakes instances up in the order of their times.
func (p *Processed[S]) wait(until time.Time) {
	p.t.Helper()
	for n := 0; len(p.due) > 0 && !p.due[0].at.After(until); n++ {
		if n == 10_000 {
			p.t.Fatalf("eventtest: instance %q wakes up again and again: 10,000 times until %s", p.due[0].id, until)
		}
		d := p.due[0]
		p.due = p.due[1:]
		if d.at.After(p.history.now) {
			p.history.now = d.at
		}
		p.attempt(fmt.Sprintf("the time of instance %q", d.id), func() error { return p.wake(d) })
	}
	p.history.now = until
}

// handle decides on an item and does what follows, as a running process does.
func (p *Processed[S]) handle(item feed.Item) error {
	id := p.rules.Route(item)
	if again := p.rules.Route(item); again != id {
		p.t.Fatalf("eventtest: Route returns %q and then %q for the item %s", id, again, describe(item))
	}
	if id == "" {
		return nil
	}
	return p.step(id, item.ID(), causedBy(item.Event), func(state S) ([]any, error) { return p.rules.Decide(state, item) })
}

// wake tells an instance that its time has come.
func (p *Processed[S]) wake(d due) error {
	if p.rules.Wake == nil {
		return errors.New("the rules have no Wake")
	}
	once := fmt.Sprintf("wake/%d/%d", d.cause.Version, d.at.UnixMilli())
	return p.step(d.id, once, causedBy(d.cause), func(state S) ([]any, error) { return p.rules.Wake(state, d.cause) })
}

// step stores what an instance decides, once, and does what follows from it.
func (p *Processed[S]) step(id, once string, cause eventstore.ContextMetadata, decide func(S) ([]any, error)) error {
	in := p.instances[id]
	if in == nil {
		in = &instance[S]{folding: folding[S]{fold: p.rules.Fold, carrier: &p.history.carrier}, decided: map[string][]eventstore.Event{}, called: map[string]bool{}}
		p.instances[id] = in
	}
	events, repeat := in.decided[once]
	if !repeat {
		before := dump(in.state)
		values, err := decide(in.state)
		if after := dump(in.state); after != before {
			p.t.Fatalf("eventtest: a decision changes the state of instance %q; return events instead (-before +after):\n%s", id, gocmp.Diff(before, after))
		}
		if err != nil {
			return err
		}
		for i, value := range values {
			events = append(events, p.store(in, id, once, i == 0, cause, value))
		}
		if len(events) > 0 {
			in.decided[once] = events
		}
	}
	for _, event := range events {
		if err := p.act(in, id, event, repeat); err != nil {
			return err
		}
	}
	return nil
}

// store adds an event to an instance.
func (p *Processed[S]) store(in *instance[S], id, once string, first bool, cause eventstore.ContextMetadata, value any) eventstore.Event {
	event, ok := asEvent(value)
	if !ok {
		event = eventstore.Event{Data: value}
	}
	c := &event.Metadata.Context
	c.CorrelationID, c.CausationID, c.UserID = cmp.Or(c.CorrelationID, cause.CorrelationID), cmp.Or(c.CausationID, cause.CausationID), cmp.Or(c.UserID, cause.UserID)
	if first {
		c.IdempotencyID = once
	}
	version := in.version + 1
	p.history.complete(&event.Metadata, eventstore.Stream{ID: id}, fmt.Sprintf("%s/%d", id, version), version)
	event, err := in.next(event)
	if err != nil {
		p.t.Fatalf("eventtest: an event of instance %q can't be folded, so the instance could not be loaded again: %v\n%s", id, err, list(value))
	}
	in.states, in.did = append(in.states, in.state), append(in.did, event.Data)
	return event
}

// act does what follows from an event of an instance.
func (p *Processed[S]) act(in *instance[S], id string, event eventstore.Event, repeat bool) error {
	state := in.states[event.Version-1]
	commands := p.commands(p.rules.Act(state, event))
	if diff := gocmp.Diff(commands, p.commands(p.rules.Act(state, event)), p.options...); diff != "" {
		p.t.Fatalf("eventtest: Act returns different commands when it is called again for event %d of instance %q (-first +second):\n%s", event.Version, id, diff)
	}
	for n, command := range p.rules.Act(state, event) {
		if err := command.Check(permit.Permit{}); err != nil {
			return fmt.Errorf("command %d of instance %q after version %d: %w", n+1, id, event.Version, err)
		}
		_, refused, at, _ := command.Parts(permit.Permit{})
		call, refusal := fmt.Sprintf("%d/%d", event.Version, n), fmt.Sprintf("refused/%d/%d", event.Version, n)
		sends, isSends := commands[n].(Sends)
		if !isSends {
			if call = fmt.Sprintf("wake/%d/%d", event.Version, at.UnixMilli()); !in.called[call] {
				in.called[call], in.did = true, append(in.did, WakesAt{at})
				p.due = append(p.due, due{at, id, event})
				slices.SortStableFunc(p.due, func(a, b due) int { return a.at.Compare(b.at) })
			}
			continue
		}
		if repeat && in.decided[refusal] != nil {
			return p.step(id, refusal, causedBy(event), nil)
		}
		if in.called[call] { // it takes effect once
			continue
		}
		err := p.answer(sends.Command)
		if err == nil {
			in.called[call], in.did = true, append(in.did, sends)
			continue
		}
		var events []any
		if refused != nil {
			events = refused(err)
		}
		if len(events) == 0 {
			return fmt.Errorf("the command %+v of instance %q: %w", sends.Command, id, err)
		}
		in.did = append(in.did, sends)
		return p.step(id, refusal, causedBy(event), func(S) ([]any, error) { return events, nil })
	}
	return nil
}

// commands returns commands in the form that Then compares.
func (p *Processed[S]) commands(all []process.Command) []any {
	values := make([]any, len(all))
	for i, command := range all {
		what, _, at, isTime := command.Parts(permit.Permit{})
		if values[i] = (Sends{what}); isTime {
			values[i] = WakesAt{at}
		}
	}
	return values
}

// answer returns the answer to a call of a command.
func (p *Processed[S]) answer(command any) error {
	for i := range p.answers {
		if a := &p.answers[i]; len(a.errs) > 0 && gocmp.Equal(a.command, command, p.options...) {
			err := a.errs[0]
			a.errs = a.errs[1:]
			return err
		}
	}
	return nil
}

// causedBy returns the context of what follows from an event.
func causedBy(event eventstore.Event) eventstore.ContextMetadata {
	return eventstore.ContextMetadata{
		CorrelationID: event.Metadata.Context.CorrelationID, UserID: event.Metadata.Context.UserID,
		CausationID: event.Metadata.Message.ID,
	}
}
