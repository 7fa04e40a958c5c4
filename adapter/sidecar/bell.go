package sidecar

import (
	"context"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// ringSeconds is how long a message of a bell is of use. A process that looked by itself meanwhile
// does not need it.
const ringSeconds = "5"

// Bell is a topic of a pub/sub component of a Dapr sidecar, for [driver.Bell]. It is safe for
// concurrent use.
type Bell struct {
	client        dapr.Client
	pubsub, topic string
}

var _ driver.Bell = (*Bell)(nil)

// NewBell connects to a topic of the pub/sub component of that name, for [eventstore.WithBell]. All
// services that share a store use the same topic, and the topic is for nothing else. If the sidecar
// does not have the component, the error lists the pub/sub components that it has.
//
// Dapr delivers each message to one of the sidecars that have the same consumer ID, which is the
// app id by default. Instances of one service then share the messages, and those that miss one look
// by themselves. To have all of them hear it, give each its own consumer ID in the component's
// file: consumerID: "{uuid}". The project's docs/following.md has an example.
//
// Messages come over the streaming API of the sidecar, which is alpha. It needs no server in the
// app. A message expires after 5 s.
//
// The caller keeps the client, and closes it after the last use of the Bell.
func NewBell(ctx context.Context, client dapr.Client, pubsub, topic string) (*Bell, error) {
	if topic == "" {
		return nil, &eventstore.ArgumentError{Argument: "topic", Reason: "it is blank"}
	}
	if _, err := find(ctx, client, "pubsub", pubsub); err != nil {
		return nil, err
	}
	return &Bell{client: client, pubsub: pubsub, topic: topic}, nil
}

// Ring implements [driver.Bell]. It publishes the message.
func (b *Bell) Ring(ctx context.Context, message string) error {
	err := b.client.PublishEvent(ctx, b.pubsub, b.topic, message,
		dapr.PublishEventWithContentType("text/plain"), dapr.PublishEventWithMetadata(map[string]string{"ttlInSeconds": ringSeconds}))
	if err != nil {
		return failure(ctx, "publishing to "+b.topic, err)
	}
	return nil
}

// Listen implements [driver.Bell]. It subscribes to the topic.
func (b *Bell) Listen(ctx context.Context, heard func(message string)) error {
	return receive(ctx, b.client, b.pubsub, b.topic, func(m *dapr.SubscriptionMessage) error {
		heard(string(m.RawData))
		return m.Success()
	})
}
