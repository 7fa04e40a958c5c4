package bank

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Announced is what other services learn of a completed transfer. Its type is "TransferCompleted",
// like that of the event from which it is made. It is a type of its own, so that the event may
// change and what was promised to others does not.
type Announced struct {
	ID     string `json:"id"` // of the transfer
	From   string `json:"from"`
	To     string `json:"to"`
	Amount Money  `json:"amount"` // in minor units
}

// Announcements returns the publication of completed transfers to the topic "transfers". Run it in
// every instance.
//
// A broker that does not answer ends its Run after some tries, and the next Run goes on from there.
// It does not park transfers, because then a person would have to look after each one that was
// completed while the broker was away.
func (a *Accounts) Announcements(broker driver.Broker) (*publishing.Publication, error) {
	return publishing.New(a.feed, "announcements", broker, "transfers",
		publishing.WithSource("bank"), publishing.WithMapping(announce), publishing.With(subscription.OfType(TransferType)))
}

// announce makes the message of a completed transfer.
func announce(_ context.Context, item feed.Item) (string, any, error) {
	if completed, ok := item.Event.Data.(TransferCompleted); ok {
		return "TransferCompleted", Announced{item.Stream.ID, completed.From, completed.To, completed.Amount}, nil
	}
	return "", nil, publishing.ErrLeaveOut
}
