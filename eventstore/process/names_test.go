package process_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

type runs interface{ Run(context.Context) error }

// TestANameIsOfOneKindOfFollower runs two followers of one name, in all pairs. If both ran, each
// would handle only a part of the events.
func TestANameIsOfOneKindOfFollower(t *testing.T) {
	kinds := map[string]func(*feed.Feed) (runs, error){
		"projection": func(f *feed.Feed) (runs, error) {
			return projection.New(f, "orders", func(context.Context, *projection.Documents[int], feed.Item) error { return nil })
		},
		"process": func(f *feed.Feed) (runs, error) {
			return process.New(f, "orders", process.Rules[question]{
				Fold:   question.apply,
				Route:  func(feed.Item) string { return "" },
				Decide: func(question, feed.Item) ([]any, error) { return nil, nil },
				Act:    func(question, eventstore.Event) []process.Command { return nil },
			})
		},
		"publication": func(f *feed.Feed) (runs, error) {
			return publishing.New(f, "orders", publishing.NewLocal(), "topic")
		},
		"handler": func(f *feed.Feed) (runs, error) {
			return subscription.New(f, "orders", func(context.Context, feed.Item) error { return nil })
		},
	}
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		_, f, _ := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		for first, make := range kinds {
			one, err := make(f)
			if err != nil {
				t.Fatal(err)
			}
			stop := memstate.Start(t, one.Run)
			<-time.After(time.Second)
			for second, make := range kinds {
				other, err := make(f)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				err = other.Run(ctx)
				cancel()
				if first == second {
					if err != nil {
						t.Errorf("a second instance of the %s ended with %v", first, err)
					}
					continue
				}
				bad, ok := errors.AsType[*eventstore.ArgumentError](err)
				if !ok || bad.Argument != "name" || !strings.Contains(bad.Reason, "of a "+first) || !strings.Contains(bad.Reason, "the "+second) {
					t.Errorf("a %s with the name of a %s ended with %v", second, first, err)
				}
			}
			stop()
			s, err := subscription.New(f, "orders", func(context.Context, feed.Item) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if positions, err := s.Positions(t.Context()); err != nil || len(positions) == 0 { // whose kind does not matter
				t.Errorf("the positions of a %s are %v, and the error is %v", first, positions, err)
			}
			if err := s.Drop(t.Context()); err != nil {
				t.Error(err)
			}
			<-time.After(time.Minute)
		}
		stopIndex()
	})
}
