package publishing_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

type Opened struct{ Owner, Email string }

// printer is a broker that prints what it gets.
type printer struct{ publishing.Broker }

func (printer) Publish(_ context.Context, topic string, m publishing.Message) error {
	m.Time = time.Time{}
	text, err := json.MarshalIndent(m, "", "  ")
	fmt.Println(topic, string(text))
	return err
}

// Other services learn who has opened an account, and not the email address.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry, err := eventstore.NewRegistry(eventstore.Type[Opened]("Opened"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memstate.Transactional(), // or sidecar.NewState, sqlite.Open, …
		eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = all.Index(ctx) }()

	announcements, err := publishing.New(all, "announcements", printer{}, "accounts", // or sidecar.NewBroker
		publishing.WithMapping(func(_ context.Context, item feed.Item) (string, any, error) {
			if opened, ok := item.Event.Data.(Opened); ok {
				return "AccountOpened", map[string]string{"owner": opened.Owner}, nil
			}
			return "", nil, publishing.ErrLeaveOut
		}),
		publishing.With(subscription.OfType("Account"), subscription.WithParking()))
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = announcements.Run(ctx) }() // in every instance of the service

	account := provider.Stream("Account", "1")
	if _, err := provider.Append(ctx, account, eventstore.ExpectVersion(0), Opened{"Ada", "ada@example.com"}); err != nil {
		log.Fatal(err)
	}
	if err := announcements.WaitFor(ctx, account, 1); err != nil {
		log.Fatal(err)
	}
	// Output:
	// accounts {
	//   "specversion": "1.0",
	//   "id": "EventStores:Account:1/1",
	//   "source": "eventstores/all",
	//   "type": "AccountOpened",
	//   "subject": "EventStores:Account:1",
	//   "partitionkey": "EventStores:Account:1",
	//   "datacontenttype": "application/json",
	//   "data": {
	//     "owner": "Ada"
	//   }
	// }
}

// A message that comes twice is handled once.
func ExampleInbox() {
	inbox, err := publishing.NewInbox(memstate.Transactional(), "mails", 24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	receive := func(ctx context.Context, m publishing.Message) error { // for Subscribe of a broker
		return inbox.Handle(ctx, m, func(context.Context) error {
			fmt.Println("a mail about", m.ID)
			return nil
		})
	}
	for _, id := range []string{"EventStores:Account:1/1", "EventStores:Account:1/1", "EventStores:Account:2/1"} {
		if err := receive(context.Background(), publishing.Message{ID: id, Source: "bank"}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// a mail about EventStores:Account:1/1
	// a mail about EventStores:Account:2/1
}
