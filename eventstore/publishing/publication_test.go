package publishing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

type moved struct{ Amount int }

func open(t *testing.T, state driver.State) (*eventstore.Provider, *feed.Feed) {
	t.Helper()
	registry, err := eventstore.NewRegistry(eventstore.Type[moved]("moved"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(registry))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, f
}

// post is a broker that keeps what it got. It loses messages and answers by chance.
type post struct {
	takes  time.Duration
	mu     sync.Mutex
	chance *rand.Rand
	away   bool
	got    map[string][]publishing.Message // by subject
	flying map[string]bool
	wrong  []string
}

func newPost(seed uint64) *post {
	return &post{takes: time.Millisecond, chance: rand.New(rand.NewPCG(seed, 2)), got: map[string][]publishing.Message{}, flying: map[string]bool{}}
}

var errAway = errors.New("the broker is away")

func (p *post) Publish(_ context.Context, _ string, m publishing.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flying[m.Subject] {
		p.wrong = append(p.wrong, "two messages of "+m.Subject+" are on their way")
	}
	p.flying[m.Subject] = true
	away, fate := p.away, p.chance.IntN(20)
	p.mu.Unlock()
	<-time.After(p.takes)
	p.mu.Lock()
	p.flying[m.Subject] = false
	if away || fate == 0 {
		return errAway
	}
	p.got[m.Subject] = append(p.got[m.Subject], m)
	if fate == 1 {
		return errAway
	}
	return nil
}

func (p *post) Subscribe(context.Context, string, func(context.Context, publishing.Message) error) error {
	return errors.New("nobody subscribes")
}

// bulk is a slow post that takes messages together. Each of them has its own fate.
type bulk struct {
	*post
	most int
}

func (b *bulk) PublishMany(ctx context.Context, topic string, messages []publishing.Message) []error {
	b.most = max(b.most, len(messages))
	return driver.PublishEach(ctx, b.post, topic, messages)
}

// Whatever the broker loses or repeats, it gets each event, in order, and nothing else.
func TestEachEventIsPublishedInTheOrderOfItsStream(t *testing.T) {
	for seed := range uint64(6) {
		memstate.Each(t, func(t *testing.T, store *memstate.Store) {
			memstate.GoOn(t)
			p, f := open(t, store)
			stopIndex := memstate.Start(t, f.Index)
			broker := newPost(seed)
			together := &bulk{post: broker}
			var to publishing.Broker = broker
			if seed%2 == 1 {
				to, broker.takes = together, 30*time.Millisecond
			}
			publication, err := publishing.New(f, "announcements", to, "moves", publishing.With(subscription.WithRetries(1000)))
			if err != nil {
				t.Fatal(err)
			}
			stop := memstate.Start(t, publication.Run)
			random := rand.New(rand.NewPCG(seed, 1))
			want := map[string]int64{}
			for i := range 200 {
				s := p.Stream("account", fmt.Sprint(random.IntN(7)))
				if want[s.String()], err = p.Append(t.Context(), s, eventstore.ExpectAny(), moved{i}); err != nil {
					t.Fatal(err)
				}
				broker.mu.Lock()
				broker.away = i/50%2 == 1
				broker.mu.Unlock()
				<-time.After(10 * time.Millisecond)
			}
			broker.mu.Lock()
			broker.away = false
			broker.mu.Unlock()
			<-time.After(time.Minute)
			stop()
			stopIndex()
			for stream, version := range want {
				last := int64(0)
				for _, m := range broker.got[stream] {
					var n int64
					if _, err := fmt.Sscanf(m.ID, stream+"/%d", &n); err != nil {
						t.Fatal(m.ID, err)
					}
					if n > last+1 {
						t.Errorf("%s: %d came after %d", stream, n, last)
					}
					last = max(last, n)
				}
				if last != version {
					t.Errorf("%s: %d of %d were published", stream, last, version)
				}
			}
			if len(broker.got) != len(want) || len(broker.wrong) > 0 {
				t.Error(len(broker.got), broker.wrong)
			}
			if seed%2 == 1 && together.most < 2 {
				t.Error("no messages were published together")
			}
		})
	}
}

func TestAMessageIsACloudEvent(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		stopIndex := memstate.Start(t, f.Index)
		broker := publishing.NewLocal()
		messages := make(chan publishing.Message, 9)
		stopReading := memstate.Start(t, func(ctx context.Context) error {
			return broker.Subscribe(ctx, "moves", func(_ context.Context, m publishing.Message) error { messages <- m; return nil })
		})
		publication, err := publishing.New(f, "announcements", broker, "moves", publishing.WithSource("bank"),
			publishing.WithMapping(func(_ context.Context, item feed.Item) (string, any, error) {
				e, ok := item.Event.Data.(moved)
				if !ok || e.Amount < 0 {
					return "", nil, publishing.ErrLeaveOut
				}
				return "MoneyMoved", map[string]int{"amount": e.Amount}, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		stop := memstate.Start(t, publication.Run)
		event := eventstore.Event{Data: moved{5}}
		event.Metadata.Custom = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
		s := p.Stream("account", "1")
		if _, err := p.Append(t.Context(), s, eventstore.ExpectAny(), moved{-1}, event); err != nil {
			t.Fatal(err)
		}
		m := <-messages
		stop()
		stopReading()
		stopIndex()
		m.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		data, err := json.Marshal(m)
		want := `{"specversion":"1.0","id":"EventStores:account:1/2","source":"bank","type":"MoneyMoved","subject":"EventStores:account:1",` +
			`"time":"2026-01-02T03:04:05Z","partitionkey":"EventStores:account:1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",` +
			`"datacontenttype":"application/json","data":{"amount":5}}`
		if err != nil || string(data) != want {
			t.Errorf("%s, %v\nwant %s", data, err, want)
		}
		var again publishing.Message
		if err := json.Unmarshal(data, &again); err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Errorf("%v, %v, want %v", again, err, m)
		}
	})
}

func TestAnInboxHandlesAMessageOnce(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		var handled []string
		errBusy := errors.New("busy")
		for i := range 300 {
			inbox, err := publishing.NewInbox(store, "notify", time.Hour) // another instance each time
			if err != nil {
				t.Fatal(err)
			}
			m := publishing.Message{ID: fmt.Sprint(i / 3), Source: "bank"}
			err = inbox.Handle(t.Context(), m, func(context.Context) error {
				if i%3 == 0 {
					return errBusy
				}
				handled = append(handled, m.ID)
				return nil
			})
			if want := i%3 == 0; errors.Is(err, errBusy) != want || err != nil && !want {
				t.Fatal(i, err)
			}
		}
		if len(handled) != 100 {
			t.Errorf("%d messages were handled, want 100", len(handled))
		}
		<-time.After(2 * time.Hour)
		inbox, err := publishing.NewInbox(store, "notify", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := inbox.Handle(t.Context(), publishing.Message{ID: "7", Source: "bank"}, func(context.Context) error { handled = append(handled, "7"); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if len(handled) != 101 {
			t.Error("an id is kept for longer than its time")
		}
	})
}
