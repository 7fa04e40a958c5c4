package eventtest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

type (
	added   struct{ N int }
	removed struct{ N int }
	hidden  struct{ n int }
)

// total adds up events.
func total(sum int, event eventstore.Event) (int, error) {
	switch e := event.Data.(type) {
	case added:
		return sum + e.N, nil
	case *added:
		return sum + e.N, nil
	case removed:
		return sum - e.N, nil
	case hidden:
		return sum, nil
	}
	return sum, fmt.Errorf("%T is unknown", event.Data)
}

// named is an event with a text.
type named struct{ Name string }

// noting returns a fold that counts events in a map. It calls prepare before it writes to the map.
func noting(prepare func(map[string]int) map[string]int) func(map[string]int, eventstore.Event) (map[string]int, error) {
	return func(notes map[string]int, event eventstore.Event) (map[string]int, error) {
		if notes = prepare(notes); notes == nil {
			notes = map[string]int{}
		}
		notes["sum"] += event.Data.(added).N
		return notes, nil
	}
}

// deciding returns a decision that returns these events, or an error.
func deciding(err error, events ...any) func(int) ([]any, error) {
	return func(int) ([]any, error) { return events, err }
}

// told returns an event with metadata.
func told(user string, data any) eventstore.Event {
	return eventstore.Event{Data: data, Metadata: eventstore.Metadata{Context: eventstore.ContextMetadata{UserID: user}}}
}

func TestScenariosThatHold(t *testing.T) {
	t.Parallel()
	asTold := told("Ada", added{1})
	var target *fs.PathError
	for name, scenario := range map[string]func(t testing.TB){
		"events": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1}, removed{2})).Then(added{1}, removed{2})
		},
		"no events": func(t testing.TB) { eventtest.Given(t, total).When(deciding(nil)).Then() },
		"nothing":   func(t testing.TB) { eventtest.Given(t, total).When(deciding(nil)).ThenNothing() },
		"fields that are left out": func(t testing.TB) {
			registry := mustRegistry(eventstore.Type[hidden]("hidden", eventstore.WithoutFields("n")))
			eventtest.Given(t, total, hidden{1}).Using(registry).When(deciding(nil, hidden{1})).Then(hidden{1})
		},
		"a state that is never in a snapshot": func(t testing.TB) {
			fold := func(_ hidden, _ eventstore.Event) (hidden, error) { return hidden{7}, nil }
			eventtest.Given(t, fold, added{1}).Using(mustRegistry(eventstore.Type[added]("added"))).
				When(func(h hidden) ([]any, error) { return []any{added{h.n}}, nil }).Then(added{7})
		},
		"a state without a value": func(t testing.TB) {
			fold := func(state *added, _ eventstore.Event) (*added, error) { return state, nil }
			eventtest.Given(t, fold, added{1}).When(func(state *added) ([]any, error) { return nil, nil }).ThenNothing()
		},
		"a fold that copies what it changes": func(t testing.TB) {
			eventtest.Given(t, noting(maps.Clone[map[string]int]), added{1}, added{2}).
				When(func(notes map[string]int) ([]any, error) { return []any{added{notes["sum"]}}, nil }).Then(added{3})
		},
		"metadata does not count where none is wanted": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, told("Ada", added{1}), &asTold)).Then(added{1}, added{1})
		},
		"metadata counts where it is wanted": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, told("Ada", added{1}), &asTold)).Then(told("Ada", added{1}), told("Ada", added{1}))
		},
		"options of cmp": func(t testing.TB) {
			eventtest.Given(t, total).Comparing(cmpopts.IgnoreFields(added{}, "N")).When(deciding(nil, added{1})).Then(added{2})
		},
		"an error by errors.Is": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fmt.Errorf("no: %w", fs.ErrExist))).ThenError(fs.ErrExist)
		},
		"a kind of the event store's errors": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(&eventstore.ArgumentError{Argument: "a"})).ThenError(new(*eventstore.ArgumentError))
		},
		"an error that is compared": func(t testing.TB) {
			eventtest.Given(t, Account.Apply).When(func(a Account) ([]any, error) { return a.Withdraw(5) }).ThenError(InsufficientFundsError{Missing: 5})
		},
		"an error by errors.As": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fmt.Errorf("no: %w", &fs.PathError{Path: "found"}))).ThenError(&target)
		},
		"an error by an interface": func(t testing.TB) {
			var timeout interface{ Timeout() bool }
			eventtest.Given(t, total).When(deciding(&fs.PathError{})).ThenError(&timeout)
		},
		"what is said of the events of a refused decision is not looked at": func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fs.ErrExist, added{1})).ThenError(fs.ErrExist)
		},
	} {
		if r := record(scenario); r.Failed() {
			t.Errorf("%s: %s", name, r.failures)
		}
	}
	if target == nil || target.Path != "found" {
		t.Errorf("errors.As has set %v", target)
	}
}

func TestTheStateIsThatOfTheEventsGiven(t *testing.T) {
	t.Parallel()
	var versions []int64
	counting := func(sum int, event eventstore.Event) (int, error) {
		versions = append(versions, event.Version)
		if event.Metadata.Context.SequenceNumber != event.Version {
			t.Errorf("%+v", event)
		}
		return total(sum, event)
	}
	eventtest.Given(t, counting, added{5}, told("Ada", &added{3}), eventstore.Event{Version: 3, Data: removed{1}}).
		When(func(sum int) ([]any, error) { return []any{added{sum}}, nil }).
		Then(added{7})
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, versions); diff != "" {
		t.Error(diff)
	}
}

func TestScenariosThatDoNotHoldSayWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says     string
		scenario func(t testing.TB)
	}{
		"another field": {"the decided events differ (-want +got): []any{ - eventtest_test.added{N: 1}, + eventtest_test.added{N: 2}, }", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{2})).Then(added{1})
		}},
		"another type": {"- eventtest_test.added{N: 1}, + eventtest_test.removed{N: 1}", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, removed{1})).Then(added{1})
		}},
		"a pointer": {"+ &eventtest_test.added{N: 1}", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, &added{1})).Then(added{1})
		}},
		"one too many": {"eventtest_test.added{N: 1}, + eventtest_test.removed{N: 2},", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1}, told("Ada", removed{2}))).Then(added{1})
		}},
		"one too few": {"- eventtest_test.removed{N: 2},", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1})).Then(added{1}, removed{2})
		}},
		"another order": {"-want +got", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1}, removed{2})).Then(removed{2}, added{1})
		}},
		"other metadata": {`- UserID: "Eve", + UserID: "Ada",`, func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, told("Ada", added{1}))).Then(told("Eve", added{1}))
		}},
		"no metadata": {`- UserID: "Eve", + UserID: "",`, func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1})).Then(told("Eve", added{1}))
		}},
		"something for nothing": {"+ eventtest_test.added{N: 1}", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1})).ThenNothing()
		}},
		"an error for events": {"got the error file already exists, want 2 events: eventtest_test.added {N:1} eventtest_test.removed {N:2}", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fs.ErrExist)).Then(added{1}, told("Ada", removed{2}))
		}},
		"an error for nothing": {"got the error file already exists, want 0 events", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fs.ErrExist)).ThenNothing()
		}},
		"events for an error": {"got 1 events and no error, want the error file already exists (*errors.errorString): eventtest_test.added {N:1}", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, added{1})).ThenError(fs.ErrExist)
		}},
		"another error": {"got the error file does not exist (*errors.errorString), want file already exists (*errors.errorString)", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fs.ErrNotExist)).ThenError(fs.ErrExist)
		}},
		"an error of another kind": {"got the error file does not exist (*errors.errorString), want one of type *fs.PathError", func(t testing.TB) {
			var target *fs.PathError
			eventtest.Given(t, total).When(deciding(fs.ErrNotExist)).ThenError(&target)
		}},
		"an error that is nil": {"ThenError takes an error or a pointer to an error type, not <nil>", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fs.ErrNotExist)).ThenError(nil)
		}},
		"an error that is none": {"ThenError takes an error or a pointer to an error type, not *int", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(fs.ErrNotExist)).ThenError(new(int))
		}},
		"what can't be folded is given": {"Given: event 2 can't be folded: string is unknown string text", func(t testing.TB) {
			eventtest.Given(t, total, added{1}, "text", added{2}).When(deciding(nil)).ThenNothing()
		}},
		"nil is given": {"Given: event 1 can't be folded: it is nil", func(t testing.TB) {
			eventtest.Given(t, total, nil).When(deciding(nil)).ThenNothing()
		}},
		"another version is given": {"Given: event 1 can't be folded: its version is 3, but it is event number 1 eventtest_test.added {N:1}", func(t testing.TB) {
			eventtest.Given(t, total, eventstore.Event{Version: 3, Data: added{1}}).When(deciding(nil)).ThenNothing()
		}},
		"what can't be folded is decided": {"When: decided event 1 can't be folded, so the aggregate could not be loaded again: string is unknown string text", func(t testing.TB) {
			eventtest.Given(t, total, added{1}).When(deciding(nil, "text")).Then("text")
		}},
		"an event that can't be stored": {"When: decided event 1 can't be folded, so the aggregate could not be loaded again: it can't be stored: eventstore: bad argument type: JSON can't carry all of type", func(t testing.TB) {
			eventtest.Given(t, total).When(deciding(nil, hidden{1})).Then(hidden{1})
		}},
		"an event that can't be stored is given": {"Given: event 2 can't be folded: it can't be stored: eventstore: bad argument value: field Name of eventtest_test.named is a string that is not valid UTF-8", func(t testing.TB) {
			fold := func(_ int, _ eventstore.Event) (int, error) { return 0, nil }
			eventtest.Given(t, fold, named{"Ada"}, named{"\xff"}).When(deciding(nil)).ThenNothing()
		}},
		"a type that is not registered": {`Given: event 1 can't be folded: it can't be stored: eventstore: type "eventtest_test.added" is not registered`, func(t testing.TB) {
			eventtest.Given(t, total, added{1}).Using(mustRegistry()).When(deciding(nil)).ThenNothing()
		}},
		"a state that can't be in a snapshot": {"Given: event 1 can't be folded: the state after it can't be stored in a snapshot (if it never is, pass Using a registry without its type): eventstore: bad argument type", func(t testing.TB) {
			fold := func(_ hidden, _ eventstore.Event) (hidden, error) { return hidden{7}, nil }
			eventtest.Given(t, fold, added{1}).When(func(hidden) ([]any, error) { return nil, nil }).ThenNothing()
		}},
		"a fold that writes into a map": {"Given: event 2 can't be folded: the fold changes the state that it was given: copy what it writes to", func(t testing.TB) {
			same := func(notes map[string]int) map[string]int { return notes }
			eventtest.Given(t, noting(same), added{1}, added{2}).When(func(map[string]int) ([]any, error) { return nil, nil }).ThenNothing()
		}},
		"a fold that writes into a slice behind a pointer": {"Given: event 2 can't be folded: the fold changes the state", func(t testing.TB) {
			type state struct{ Last *[]int }
			fold := func(s state, e eventstore.Event) (state, error) {
				if s.Last == nil {
					s.Last = &[]int{0}
				}
				(*s.Last)[0] = e.Data.(added).N
				return s, nil
			}
			eventtest.Given(t, fold, added{1}, added{2}).When(func(state) ([]any, error) { return nil, nil }).ThenNothing()
		}},
		"a fold that writes into its pointer": {"When: decided event 1 can't be folded, so the aggregate could not be loaded again: the fold changes the state", func(t testing.TB) {
			fold := func(s *added, e eventstore.Event) (*added, error) {
				if s == nil {
					return &added{}, nil
				}
				s.N++
				return s, nil
			}
			eventtest.Given(t, fold, added{1}).When(func(*added) ([]any, error) { return []any{added{1}}, nil }).Then(added{1})
		}},
		"a decision that writes into the state": {"When: the decision changes the state that it was given", func(t testing.TB) {
			eventtest.Given(t, noting(maps.Clone[map[string]int]), added{1}).When(func(notes map[string]int) ([]any, error) { notes["x"] = 1; return nil, nil }).ThenNothing()
		}},
		"no registry": {"Using needs a registry", func(t testing.TB) { eventtest.Given(t, total).Using(nil).When(deciding(nil)).ThenNothing() }},
		"no fold":     {"Given needs a fold", func(t testing.TB) { eventtest.Given[int](t, nil).When(deciding(nil)).ThenNothing() }},
		"no decision": {"When needs a decision", func(t testing.TB) { eventtest.Given(t, total).When(nil).ThenNothing() }},
		"no When":     {"the scenario with 1 given events tests nothing: end it with When and Then", func(t testing.TB) { eventtest.Given(t, total, added{1}) }},
		"no Then":     {"the scenario with 0 given events tests nothing", func(t testing.TB) { eventtest.Given(t, total).When(deciding(errors.New("no"))) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record(c.scenario).wantFailures(t, c.says)
		})
	}
}
