package process_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/process"
)

// reminders wakes each instance once, after some time. It then calls remind, if there is one.
func reminders(t *testing.T, store *memstate.Store, after time.Duration, remind func(ctx context.Context, name string) error) *process.Process[question] {
	t.Helper()
	_, f, _ := open(t, store)
	p, err := process.New(f, "Question", process.Rules[question]{
		Fold: question.apply,
		Route: func(item feed.Item) string {
			if item.Stream.Type == "Mail" {
				return item.Stream.ID
			}
			return ""
		},
		Decide: func(_ question, item feed.Item) ([]any, error) { return []any{item.Event.Data}, nil },
		Act: func(q question, event eventstore.Event) []process.Command {
			if _, ok := event.Data.(asked); ok {
				return []process.Command{process.At(event.Metadata.Message.Created.Add(after))}
			}
			if remind != nil {
				return []process.Command{process.Do(func(ctx context.Context, _ process.Call) error { return remind(ctx, q.Name) }, nil)}
			}
			return nil
		},
		Wake: func(question, eventstore.Event) ([]any, error) { return []any{reminded{}}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnIdleProcessSeldomLooksAtItsTimes(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		stop := memstate.Start(t, reminders(t, store, time.Hour, nil).Run)
		<-time.After(time.Minute)
		var requests atomic.Int64
		store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
			if strings.HasPrefix(r.Partition, ":process:") {
				requests.Add(1)
			}
			return next()
		})
		<-time.After(10 * time.Minute)
		stop()
		if n := requests.Load(); n < 60 || n > 200 {
			t.Errorf("in ten minutes it sent %d requests, want one every ten seconds at most, and some more each minute", n)
		}
	})
}

// An instance that cannot wake up holds up no other one, however long that lasts.
func TestATimeThatFailsHoldsUpNoOther(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f, _ := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		var mu sync.Mutex
		mended := false
		calls, reminded := map[string]int{}, map[string]bool{}
		stop := memstate.Start(t, reminders(t, store, time.Minute, func(ctx context.Context, name string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls[name]++; !mended {
				switch name {
				case "fails":
					return memstate.ErrLost
				case "panics":
					panic("no")
				case "hangs":
					mu.Unlock()
					<-ctx.Done()
					mu.Lock()
					return ctx.Err()
				}
			}
			reminded[name] = true
			return nil
		}).Run)
		ask := func(name string) {
			if _, err := p.Append(t.Context(), p.Stream("Mail", name), eventstore.ExpectVersion(0), asked{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(names ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if got := slices.Sorted(maps.Keys(reminded)); !slices.Equal(got, names) {
				t.Errorf("after %v, it was reminded of %q, want %q", calls, got, names)
			}
		}
		ask("fails")
		ask("panics")
		ask("hangs")
		<-time.After(time.Minute)
		stopIndex() // it has nothing to do
		<-time.After(70 * time.Minute)
		stopIndex = memstate.Start(t, f.Index)
		ask("good")
		<-time.After(3 * time.Minute)
		want("good")
		mu.Lock()
		mended = true
		if calls["fails"] > 10*73 {
			t.Errorf("it was tried %d times in 73 minutes, want once in some ten seconds", calls["fails"])
		}
		mu.Unlock()
		<-time.After(time.Minute)
		want("fails", "good", "hangs", "panics")
		<-time.After(2 * time.Minute)
		stop()
		stopIndex()
		for key := range store.Values() { // what is done leaves nothing
			if strings.Contains(key, ":minute:") {
				t.Errorf("%s is left", key)
			}
		}
	})
}

// The instance that added a time sees to it. If it dies, another one does so soon afterwards.
func TestATimeWhoseInstanceDiedIsSeenByAnother(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f, _ := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		dying := reminders(t, store, 5*time.Second, nil)
		stopDying := memstate.Start(t, dying.Run)
		<-time.After(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute + 12*time.Second)))
		if _, err := p.Append(t.Context(), p.Stream("Mail", "1"), eventstore.ExpectVersion(0), asked{}); err != nil {
			t.Fatal(err)
		}
		if err := dying.WaitFor(t.Context(), p.Stream("Mail", "1"), 1); err != nil {
			t.Fatal(err)
		}
		stopDying()
		other := reminders(t, store, 5*time.Second, nil)
		stop := memstate.Start(t, other.Run)
		<-time.After(20 * time.Second)
		if q, err := other.Load(t.Context(), "1"); q.State.Times != 1 || err != nil {
			t.Errorf("it was reminded of %d times, %v", q.State.Times, err)
		}
		stop()
		stopIndex()
	})
}
