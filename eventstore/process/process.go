package process

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Rules say how a process works. Its instances are aggregates with a state S.
type Rules[S any] struct {
	// Fold returns the state after one more event of the process, as for an aggregate.
	Fold func(state S, event eventstore.Event) (S, error)

	// Route returns the id of the instance that an item of the feed concerns, or "" for none. It
	// must return the same at each call.
	Route func(item feed.Item) (id string)

	// Decide returns the events of the process that follow from an item. They are stored before
	// anything else happens. It may be called several times, so it has no side effects.
	Decide func(state S, item feed.Item) (events []any, err error)

	// Act returns what is to be done after an event of the process was stored. state includes that
	// event and none after it. Act must return the same at each call.
	Act func(state S, event eventstore.Event) []Command

	// Wake returns the events of the process that follow when the time of a command of [At] has
	// come. cause is the event for which Act returned it. Wake is needed only for such commands. It
	// and the commands that follow have 30 s. If they fail, they are tried again, at first after a
	// second and then every ten seconds, until they succeed. That is logged, and other times do not
	// wait for it. Several instances of the service may send the commands at the same moment, with
	// the same ids.
	Wake func(state S, cause eventstore.Event) (events []any, err error)
}

// Command is something that a process does: a request to another aggregate, or a time to wait for.
// Make one with [Do] or [At].
type Command struct {
	what    any
	do      func(ctx context.Context, call Call) error
	refused func(err error) []any
	at      time.Time
	isTime  bool
}

// Do returns a command that calls do. It is repeated until do returns nil, also after do has
// returned nil and the process died. So do passes on the id of the call as an idempotency id, for
// example by [Call.Options].
//
// refused returns the events of the process that follow if an error of do is the last word of the
// target, such as that an account is closed. The event's later commands are then not sent. refused
// returns nil for other errors, after which the command is tried again. It may be nil.
//
// A target that may take the command later, such as an account whose balance is too low now, must
// not be asked this way: the command may be repeated, and succeed after all. Let such a target
// store its refusal as an event, which the feed brings back to the process.
func Do(do func(ctx context.Context, call Call) error, refused func(err error) []any) Command {
	return Command{do: do, refused: refused}
}

// At returns a command that calls [Rules.Wake] once a time has come, or soon if it is over. The
// time is kept in the store, to the millisecond. The zero time is an error, since it is likely a
// field that was not set.
//
// The times of one minute stand in one record, which takes about 80 bytes for each of them. So if
// many instances wait for the same moment, such as midnight, spread them over some minutes.
func At(at time.Time) Command { return Command{at: at, isTime: true} }

// As returns the command with a value that says what it does, such as Give{To: "bob", Amount: 30}.
// Tests compare it, see eventtest.Processing. It has no other effect.
func (c Command) As(what any) Command {
	c.what = what
	return c
}

// Parts returns what a command is made of: the value of [Command.As] and refused, or a time. It is
// for the packages of this module.
func (c Command) Parts(permit.Permit) (what any, refused func(error) []any, at time.Time, isTime bool) {
	return c.what, c.refused, c.at, c.isTime
}

// Check returns an error if the command cannot do anything. It is for the packages of this module.
func (c Command) Check(permit.Permit) error {
	switch {
	case c.isTime && c.at.IsZero():
		return bad("At", "it got the zero time")
	case !c.isTime && c.do == nil:
		return bad("Do", "it got no function to call")
	}
	return nil
}

// Call is one call of a command.
type Call struct {
	ID      string // the same whenever the command is repeated
	Context eventstore.ContextMetadata
}

// Options returns options for the update of an aggregate, so that it takes effect once and tells
// what caused it.
func (c Call) Options() []aggregate.UpdateOption {
	return []aggregate.UpdateOption{
		aggregate.WithIdempotencyID(c.ID),
		aggregate.WithMetadata(eventstore.Metadata{Context: c.Context}),
	}
}

// Process follows a feed and keeps its instances going. It is a [subscription.Subscription], so its
// parked streams can be listed, retried and skipped. It is safe for concurrent use.
type Process[S any] struct {
	*subscription.Subscription
	rules     Rules[S]
	name      string
	provider  *eventstore.Provider
	instances *aggregate.Repository[S]
	wheel     wheel
}

// New returns a process. Its name is the aggregate type of its instances, and the name of its
// subscription. The options are those of the subscription, such as [subscription.OfType] and
// [subscription.WithParking]. New sends nothing.
func New[S any](f *feed.Feed, name string, rules Rules[S], options ...subscription.Option) (*Process[S], error) {
	switch {
	case f == nil:
		return nil, bad("feed", "it is nil: make one with feed.Open")
	case rules.Fold == nil || rules.Route == nil || rules.Decide == nil || rules.Act == nil:
		return nil, bad("rules", "Fold, Route, Decide and Act are needed")
	}
	p := &Process[S]{rules: rules, name: name, provider: f.Provider()}
	var err error
	if p.Subscription, err = subscription.New(f, name, p.handle, options...); err != nil {
		return nil, err
	}
	p.Subscription.Patient(permit.Permit{})
	p.Subscription.Kind(permit.Permit{}, "process")
	if p.instances, err = aggregate.NewRepository(p.provider, name, rules.Fold); err != nil {
		return nil, err
	}
	p.wheel = newWheel(p.provider.Inside(permit.Permit{}).State(), f.Name(), name)
	return p, nil
}

// Load returns the state of an instance.
func (p *Process[S]) Load(ctx context.Context, id string) (aggregate.Aggregate[S], error) {
	return p.instances.Load(ctx, id)
}

// Run keeps the process going until ctx ends. Run it in every instance of the service. It returns
// what [subscription.Subscription.Run] returns.
func (p *Process[S]) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.wheel.run(ctx, p.provider.Logger().With("process", p.name), p.wake)
	}()
	defer func() { cancel(); <-done }()
	return p.Subscription.Run(ctx)
}

// handle decides on an item and does what follows.
func (p *Process[S]) handle(ctx context.Context, item feed.Item) error {
	id := p.rules.Route(item)
	if id == "" {
		return nil
	}
	cause := causedBy(item.Event)
	if cause.CausationID == "" {
		cause.CausationID = item.ID()
	}
	return p.step(ctx, id, item.ID(), cause, func(state S) ([]any, error) { return p.rules.Decide(state, item) })
}

// step stores what an instance decides, once, and does what follows from it. A repeat finds what
// was decided and does what follows again.
func (p *Process[S]) step(ctx context.Context, id, once string, cause eventstore.ContextMetadata, decide func(S) ([]any, error)) error {
	var before S
	a, err := p.instances.Update(ctx, id, func(state S) ([]any, error) {
		before = state
		return decide(state)
	}, aggregate.WithIdempotencyID(once), aggregate.WithMetadata(eventstore.Metadata{Context: cause}))
	if err != nil {
		return err
	}
	events, repeat := a.Appended, a.RepeatOf > 0
	if repeat {
		if before, events, err = p.decided(ctx, id, a.RepeatOf); err != nil {
			return err
		}
	}
	for _, event := range events {
		if before, err = p.rules.Fold(before, event); err != nil {
			return err
		}
		if err := p.act(ctx, id, before, event, repeat); err != nil {
			return err
		}
	}
	return nil
}

// decided returns the events that an earlier call stored from a version on, and the state before
// them.
func (p *Process[S]) decided(ctx context.Context, id string, first int64) (before S, events []eventstore.Event, err error) {
	if first > 1 {
		a, err := p.instances.Load(ctx, id, eventstore.ToVersion(first-1))
		if err != nil {
			return before, nil, err
		}
		before = a.State
	}
	cause := ""
	for event, err := range p.provider.Reader(p.provider.Stream(p.name, id)).Read(ctx, eventstore.FromVersion(first)) {
		if err != nil {
			return before, nil, err
		}
		if len(events) > 0 && (event.Metadata.Context.CausationID != cause || event.Metadata.Context.IdempotencyID != "") {
			break
		}
		cause = event.Metadata.Context.CausationID
		events = append(events, event)
	}
	return before, events, nil
}

// act does what follows from an event of an instance. repeat says that some of it may have been
// done before.
func (p *Process[S]) act(ctx context.Context, id string, state S, event eventstore.Event, repeat bool) error {
	cause := causedBy(event)
	for n, command := range p.rules.Act(state, event) {
		if err := command.Check(permit.Permit{}); err != nil {
			return p.failed(command, n, id, event, err)
		}
		if command.isTime {
			if err := p.wheel.add(ctx, due{at: command.at, id: id, version: event.Version}); err != nil {
				return err
			}
			continue
		}
		refusal := fmt.Sprintf("refused/%d/%d", event.Version, n)
		if repeat && command.refused != nil {
			_, err := p.provider.Reader(p.provider.Stream(p.name, id)).VersionOf(ctx, refusal)
			if err == nil {
				return p.step(ctx, id, refusal, cause, func(S) ([]any, error) { return nil, nil })
			}
			if _, unused := errors.AsType[*eventstore.IdempotencyIDNotFoundError](err); !unused {
				return err
			}
		}
		err := command.do(ctx, Call{ID: fmt.Sprintf("%s:%s/%d/%d", p.name, id, event.Version, n), Context: cause})
		if err == nil {
			continue
		}
		var events []any
		if command.refused != nil && ctx.Err() == nil {
			events = command.refused(err)
		}
		if len(events) == 0 {
			return p.failed(command, n, id, event, err)
		}
		return p.step(ctx, id, refusal, cause, func(S) ([]any, error) { return events, nil })
	}
	return nil
}

// failed returns the error of a command. It names the type of what [Command.As] was given, and not
// the value, which may have personal data.
func (p *Process[S]) failed(command Command, n int, id string, event eventstore.Event, err error) error {
	what := ""
	if command.what != nil {
		what = fmt.Sprintf(" (%T)", command.what)
	}
	return fmt.Errorf("process: command %d%s of %s %q after version %d: %w", n+1, what, p.name, id, event.Version, err)
}

// causedBy returns the context of what follows from an event.
func causedBy(event eventstore.Event) eventstore.ContextMetadata {
	return eventstore.ContextMetadata{
		CorrelationID: event.Metadata.Context.CorrelationID, UserID: event.Metadata.Context.UserID,
		CausationID: event.Metadata.Message.ID,
	}
}

// wakeLimit is how long an instance may take when it wakes up.
const wakeLimit = 30 * time.Second

// wake tells an instance that its time has come.
func (p *Process[S]) wake(ctx context.Context, d due) (err error) {
	ctx, cancel := context.WithTimeout(ctx, wakeLimit)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = &subscription.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if p.rules.Wake == nil {
		return errors.New("process: the rules have no Wake")
	}
	event, err := p.provider.Reader(p.provider.Stream(p.name, d.id)).Event(ctx, d.version)
	if err != nil {
		return err
	}
	once := fmt.Sprintf("wake/%d/%d", d.version, d.at.UnixMilli())
	return p.step(ctx, d.id, once, causedBy(event), func(state S) ([]any, error) { return p.rules.Wake(state, event) })
}

func bad(argument, format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
}
