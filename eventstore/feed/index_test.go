package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func careful() *memstate.Store {
	s := memstate.Transactional()
	s.Caps = driver.Capabilities{}
	return s
}

var kinds = map[string]func() *memstate.Store{
	"in one transaction": memstate.Transactional, "with counted ETags": memstate.Redis, "the careful way": careful,
}

func open(t *testing.T, state driver.State) (*eventstore.Provider, *feed.Feed) {
	t.Helper()
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, f
}

func raw(text string) eventstore.Raw {
	return eventstore.Raw{Type: "e", ContentType: "text/plain", Payload: []byte(text)}
}

func TestTheLogHasAllThatWasAppended(t *testing.T) {
	for kind, store := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := store()
				p, f := open(t, s)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- f.Index(ctx) }()
				var want []string
				for i := range 30 {
					stream := p.Stream("account", fmt.Sprint(i%7))
					if _, err := p.Append(ctx, stream, eventstore.ExpectAny(), raw("x"), raw("y")); err != nil {
						t.Fatal(err)
					}
					want = append(want, fmt.Sprintf("%s %d-%d", stream, 1+2*(i/7), 2+2*(i/7)))
				}
				time.Sleep(5 * time.Second)
				var got []string
				for item, err := range f.Read(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, fmt.Sprintf("%s %d-%d", item.Stream, item.Version, item.Version+1))
				}
				_ = want
				for k := range s.Values() {
					fmt.Println(k)
				}
				for _, r := range s.Trace()[:60] {
					fmt.Println(r)
				}
				slices.Sort(got)
				fmt.Println(len(got), got)
				stop()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
