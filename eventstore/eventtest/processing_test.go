package eventtest_test

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/process"
)

// A table is booked: it is laid, and the guest is told. If it cannot be laid, the booking is called
// off. A guest who has not come within a minute is reminded, twice.
type (
	booked struct{ Guest string }
	came   struct{ Guest string }

	taken     struct{ Table string }
	calledOff struct{ Why string }
	reminded  struct{ Times int }
	seated    struct{}

	lay  struct{ Table string }
	tell struct{ Guest, What string }

	booking struct {
		Table string
		Here  bool
		Times int
	}
)

func (b booking) apply(event eventstore.Event) (booking, error) {
	switch data := event.Data.(type) {
	case taken:
		b.Table = data.Table
	case reminded:
		b.Times = data.Times
	case seated:
		b.Here = true
	}
	return b, nil
}

var errNoTable = errors.New("the table is broken")

// bookings returns rules whose commands are not called.
func bookings() process.Rules[booking] {
	return bookingsWith(func(any) error { panic("a command is called") })
}

func bookingsWith(do func(what any) error) process.Rules[booking] {
	send := func(what any, refused func(error) []any) process.Command {
		return process.Do(func(context.Context, process.Call) error { return do(what) }, refused).As(what)
	}
	return process.Rules[booking]{
		Fold: booking.apply,
		Route: func(item feed.Item) string {
			switch data := item.Event.Data.(type) {
			case booked:
				return data.Guest
			case came:
				return data.Guest
			}
			return ""
		},
		Decide: func(b booking, item feed.Item) ([]any, error) {
			switch item.Event.Data.(type) {
			case booked:
				return []any{taken{item.Stream.ID}}, nil
			case came:
				if b.Table == "" {
					return nil, fs.ErrNotExist
				}
				return []any{seated{}}, nil
			}
			return nil, nil
		},
		Act: func(b booking, event eventstore.Event) []process.Command {
			guest := event.Metadata.Message.AggregateID
			remind := process.At(event.Metadata.Message.Created.Add(time.Minute))
			switch data := event.Data.(type) {
			case taken:
				refused := func(err error) []any {
					if errors.Is(err, errNoTable) {
						return []any{calledOff{err.Error()}}
					}
					return nil
				}
				return []process.Command{send(lay{b.Table}, refused), send(tell{guest, "welcome"}, nil), remind}
			case calledOff:
				return []process.Command{send(tell{guest, data.Why}, nil)}
			case reminded:
				if b.Times < 2 {
					return []process.Command{send(tell{guest, "hurry"}, nil), remind}
				}
			}
			return nil
		},
		Wake: func(b booking, cause eventstore.Event) ([]any, error) {
			if b.Here {
				return nil, nil
			}
			return []any{reminded{b.Times + 1}}, nil
		},
	}
}

func at(minute int) eventtest.WakesAt {
	return eventtest.WakesAt{Time: time.Date(2000, 1, 1, 0, minute, 0, 0, time.UTC)}
}

var book = eventtest.On("Table", "5", booked{"Ada"})

func TestProcessesThatHold(t *testing.T) {
	t.Parallel()
	began := []any{taken{"5"}, eventtest.Sends{lay{"5"}}, eventtest.Sends{tell{"Ada", "welcome"}}, at(1)}
	for name, test := range map[string]func(t testing.TB){
		"events and commands": func(t testing.TB) { eventtest.Processing(t, bookings()).When(book).Then("Ada", began...) },
		"a refusal ends the commands": func(t testing.TB) {
			eventtest.Processing(t, bookings()).Answering(lay{"5"}, errNoTable).When(book).
				Then("Ada", taken{"5"}, eventtest.Sends{lay{"5"}}, calledOff{"the table is broken"}, eventtest.Sends{tell{"Ada", "the table is broken"}})
		},
		"what fails is tried again, and what was done is not": func(t testing.TB) {
			eventtest.Processing(t, bookings()).Answering(tell{"Ada", "welcome"}, fs.ErrClosed, fs.ErrClosed).When(book).Then("Ada", began...)
		},
		"what follows a refusal is tried again": func(t testing.TB) {
			eventtest.Processing(t, bookings()).Answering(lay{"5"}, fs.ErrClosed, errNoTable).Answering(tell{"Ada", "the table is broken"}, nil, fs.ErrClosed).
				Answering(tell{"Ada", "the table is broken"}, fs.ErrClosed).When(book).
				Then("Ada", taken{"5"}, eventtest.Sends{lay{"5"}}, calledOff{"the table is broken"}, eventtest.Sends{tell{"Ada", "the table is broken"}})
		},
		"what fails for long": func(t testing.TB) {
			eventtest.Processing(t, bookings()).Answering(lay{"5"}, slices.Repeat([]error{fs.ErrClosed}, 6)...).When(book).ThenError(fs.ErrClosed)
		},
		"times": func(t testing.TB) {
			eventtest.Processing(t, bookings(), book).
				When(eventtest.Later(59*time.Second)).Then("Ada").
				When(eventtest.Later(time.Second)).Then("Ada", reminded{1}, eventtest.Sends{tell{"Ada", "hurry"}}, at(2)).
				When(eventtest.Later(24*time.Hour)).Then("Ada", reminded{2})
		},
		"a time that has no effect": func(t testing.TB) {
			eventtest.Processing(t, bookings(), book, eventtest.On("Door", "1", came{"Ada"})).When(eventtest.Later(time.Minute)).Then("Ada")
		},
		"two instances in the order of their times": func(t testing.TB) {
			eventtest.Processing(t, bookings(), book, eventtest.Later(30*time.Second), eventtest.On("Table", "6", booked{"Bob"})).
				When(eventtest.Later(45*time.Second)).Then("Ada", reminded{1}, eventtest.Sends{tell{"Ada", "hurry"}}, at(2)).Then("Bob")
		},
		"what was given is not looked at": func(t testing.TB) {
			eventtest.Processing(t, bookings(), book).When(eventtest.On("Door", "1", came{"Ada"})).Then("Ada", seated{})
		},
		"what concerns no instance": func(t testing.TB) {
			eventtest.Processing(t, bookings()).When(eventtest.On("Door", "1", added{1})).Then("Ada")
		},
		"a decision that fails": func(t testing.TB) {
			eventtest.Processing(t, bookings()).When(eventtest.On("Door", "1", came{"Eve"})).ThenError(fs.ErrNotExist)
		},
		"a registry, options, and events with metadata": func(t testing.TB) {
			eventtest.Processing(t, bookings()).Using(mustRegistry(eventstore.Type[booked]("booked"), eventstore.Type[taken]("taken"))).
				Comparing(cmpopts.IgnoreFields(lay{}, "Table")).Answering(lay{"any"}, errNoTable).When().Then("Ada")
			eventtest.Processing(t, bookings(), book).When(eventtest.On("Door", "1", came{"Ada"})).Then("Ada", told("Eve", seated{}))
		},
	} {
		if r := record(test); r.Failed() {
			t.Errorf("%s: %s", name, r.failures)
		}
	}
}

func TestProcessesThatDoNotHoldSayWhy(t *testing.T) {
	t.Parallel()
	with := func(change func(*process.Rules[booking])) process.Rules[booking] {
		rules := bookings()
		change(&rules)
		return rules
	}
	for name, c := range map[string]struct {
		says string
		test func(t testing.TB)
	}{
		"another event": {`instance "Ada" did something else (-want +got): []any{ - eventtest_test.came{}, + eventtest_test.seated{}, }`, func(t testing.TB) {
			eventtest.Processing(t, bookings(), book).When(eventtest.On("Door", "1", came{"Ada"})).Then("Ada", came{})
		}},
		"another command": {`- eventtest.Sends{Command: eventtest_test.lay{Table: "6"}}, + eventtest.Sends{Command: eventtest_test.lay{Table: "5"}},`, func(t testing.TB) {
			eventtest.Processing(t, bookings()).When(book).Then("Ada", taken{"5"}, eventtest.Sends{lay{"6"}}, eventtest.Sends{tell{"Ada", "welcome"}}, at(1))
		}},
		"another time": {`+ eventtest.WakesAt{Time: s"2000-01-01 00:01:00 +0000 UTC"}`, func(t testing.TB) {
			eventtest.Processing(t, bookings()).When(book).Then("Ada", taken{"5"}, eventtest.Sends{lay{"5"}}, eventtest.Sends{tell{"Ada", "welcome"}}, at(2))
		}},
		"another instance": {`instance "Ada" did what no Then has looked at: eventtest_test.seated {}`, func(t testing.TB) {
			eventtest.Processing(t, bookings(), book).When(eventtest.On("Door", "1", came{"Ada"})).Then("Bob")
		}},
		"an error for events": {"the item EventStores:Door:1/1, eventtest_test.came {Guest:Eve} can't be handled: file does not exist", func(t testing.TB) {
			eventtest.Processing(t, bookings()).When(eventtest.On("Door", "1", came{"Eve"})).Then("Eve", seated{})
		}},
		"events for an error": {"got 1 events and commands and no error, want the error file does not exist (*errors.errorString): eventtest_test.seated {}", func(t testing.TB) {
			eventtest.Processing(t, bookings(), book).When(eventtest.On("Door", "1", came{"Ada"})).ThenError(fs.ErrNotExist)
		}},
		"a command that fails for ever": {`the command {Table:5} of instance "Ada": file already closed`, func(t testing.TB) {
			eventtest.Processing(t, bookings()).Answering(lay{"5"}, slices.Repeat([]error{fs.ErrClosed}, 6)...).When(book).Then("Ada")
		}},
		"what was given fails": {"what was given can't be handled: the item EventStores:Door:1/1", func(t testing.TB) {
			eventtest.Processing(t, bookings(), eventtest.On("Door", "1", came{"Eve"})).When(book).Then("Ada")
		}},
		"times without Wake": {`the time of instance "Ada" can't be handled: the rules have no Wake`, func(t testing.TB) {
			rules := with(func(r *process.Rules[booking]) { r.Wake = nil })
			eventtest.Processing(t, rules, book).When(eventtest.Later(time.Minute)).Then("Ada")
		}},
		"times without end": {`instance "Ada" wakes up again and again`, func(t testing.TB) {
			rules := with(func(r *process.Rules[booking]) {
				r.Act = func(_ booking, e eventstore.Event) []process.Command {
					return []process.Command{process.At(e.Metadata.Message.Created)}
				}
			})
			eventtest.Processing(t, rules).When(book).Then("Ada")
		}},
		"a command that does nothing": {`command 1 of instance "Ada" after version 1: eventstore: bad argument Do: it got no function to call`, func(t testing.TB) {
			rules := with(func(r *process.Rules[booking]) {
				r.Act = func(booking, eventstore.Event) []process.Command { return []process.Command{process.Do(nil, nil)} }
			})
			eventtest.Processing(t, rules).When(book).Then("Ada")
		}},
		"another route": {`Route returns "a" and then "aa" for the item EventStores:Table:5/1`, func(t testing.TB) {
			id := ""
			rules := with(func(r *process.Rules[booking]) { r.Route = func(feed.Item) string { id += "a"; return id } })
			eventtest.Processing(t, rules).When(book).Then("a")
		}},
		"other commands": {`Act returns different commands when it is called again for event 1 of instance "Ada" (-first +second): []any{ - eventtest.Sends{Command: int(1)}, + eventtest.Sends{Command: int(2)}, }`, func(t testing.TB) {
			n := 0
			rules := with(func(r *process.Rules[booking]) {
				r.Act = func(booking, eventstore.Event) []process.Command {
					n++
					return []process.Command{process.Do(func(context.Context, process.Call) error { return nil }, nil).As(n)}
				}
			})
			eventtest.Processing(t, rules).When(book).Then("Ada")
		}},
		"an event that can't be folded": {`an event of instance "Ada" can't be folded, so the instance could not be loaded again: file is invalid`, func(t testing.TB) {
			rules := with(func(r *process.Rules[booking]) {
				r.Fold = func(b booking, _ eventstore.Event) (booking, error) { return b, errors.New("file is invalid") }
			})
			eventtest.Processing(t, rules).When(book).Then("Ada")
		}},
		"a decision that changes the state": {`a decision changes the state of instance "Ada"`, func(t testing.TB) {
			rules := process.Rules[map[string]int]{
				Fold:  func(map[string]int, eventstore.Event) (map[string]int, error) { return map[string]int{}, nil },
				Route: func(feed.Item) string { return "Ada" },
				Decide: func(s map[string]int, item feed.Item) ([]any, error) {
					if s != nil {
						s["x"] = 1
					}
					return []any{seated{}}, nil
				},
				Act: func(map[string]int, eventstore.Event) []process.Command { return nil },
			}
			eventtest.Processing(t, rules).When(book, book).Then("Ada")
		}},
		"what cannot happen": {`Table "5" can't have this event: it is nil`, func(t testing.TB) {
			eventtest.Processing(t, bookings()).When(eventtest.On("Table", "5", nil)).Then("Ada")
		}},
		"no rules":    {"Processing needs rules", func(t testing.TB) { eventtest.Processing(t, process.Rules[int]{}) }},
		"no registry": {"Using needs a registry", func(t testing.TB) { eventtest.Processing(t, bookings()).Using(nil) }},
		"no Then":     {"the process tests nothing", func(t testing.TB) { eventtest.Processing(t, bookings()).When() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record(c.test).wantFailures(t, c.says)
		})
	}
}

// A process on a store does what Processing says.
func TestARunningProcessDoesTheSame(t *testing.T) {
	for _, c := range []struct {
		answers map[any][]error
		did     []any
	}{
		{nil, []any{taken{"5"}, eventtest.Sends{lay{"5"}}, eventtest.Sends{tell{"Ada", "welcome"}}, at(1), reminded{1}, eventtest.Sends{tell{"Ada", "hurry"}}, at(2), reminded{2}}},
		{
			map[any][]error{lay{"5"}: {fs.ErrClosed, errNoTable}, tell{"Ada", "the table is broken"}: {fs.ErrClosed}},
			[]any{taken{"5"}, eventtest.Sends{lay{"5"}}, calledOff{"the table is broken"}, eventtest.Sends{tell{"Ada", "the table is broken"}}},
		},
	} {
		memstate.Each(t, func(t *testing.T, store *memstate.Store) {
			memstate.GoOn(t)
			scenario := eventtest.Processing(t, bookings())
			for command, errs := range c.answers {
				scenario.Answering(command, errs...)
			}
			scenario.When(book, eventtest.Later(3*time.Minute)).Then("Ada", c.did...)

			p, err := eventstore.NewProvider(store, eventstore.WithFeed("all"), eventstore.WithLogger(slog.New(slog.DiscardHandler)), eventstore.WithRegistry(mustRegistry(
				eventstore.Type[booked]("booked"), eventstore.Type[taken]("taken"), eventstore.Type[calledOff]("calledOff"), eventstore.Type[reminded]("reminded"))))
			if err != nil {
				t.Fatal(err)
			}
			f, err := feed.Open(p)
			if err != nil {
				t.Fatal(err)
			}
			var sent []any
			left := maps.Clone(c.answers)
			running, err := process.New(f, "Booking", bookingsWith(func(what any) error {
				if errs := left[what]; len(errs) > 0 {
					left[what] = errs[1:]
					if !errors.Is(errs[0], errNoTable) {
						return errs[0]
					}
					sent = append(sent, eventtest.Sends{what})
					return errs[0]
				}
				sent = append(sent, eventtest.Sends{what})
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			stopIndex, stop := memstate.Start(t, f.Index), memstate.Start(t, running.Run)
			if _, err := p.Append(t.Context(), p.Stream("Table", "5"), eventstore.ExpectVersion(0), booked{"Ada"}); err != nil {
				t.Fatal(err)
			}
			<-time.After(3 * time.Minute)
			stop()
			stopIndex()
			var did []any
			for event, err := range p.Reader(p.Stream("Booking", "Ada")).Read(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				did = append(did, event.Data)
			}
			want := slices.DeleteFunc(slices.Clone(c.did), func(v any) bool { _, wakes := v.(eventtest.WakesAt); return wakes })
			slices.SortStableFunc(want, func(a, b any) int { return cmp.Compare(kindOf(a), kindOf(b)) })
			if diff := gocmp.Diff(want, append(did, sent...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// kindOf sorts events before commands.
func kindOf(did any) int {
	if _, sends := did.(eventtest.Sends); sends {
		return 1
	}
	return 0
}
