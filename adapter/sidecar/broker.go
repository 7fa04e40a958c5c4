package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Broker publishes and receives messages by a pub/sub component of a Dapr sidecar, for package
// publishing. It is safe for concurrent use.
type Broker struct {
	client dapr.Client
	pubsub string
	apart  atomic.Bool // messages cannot be published together
}

var (
	_ driver.Broker        = (*Broker)(nil)
	_ driver.ManyPublisher = (*Broker)(nil)
)

// NewBroker connects to the pub/sub component of that name. If the sidecar does not have it, the
// error lists the pub/sub components that it has.
//
// The caller keeps the client, and closes it after the last use of the Broker.
func NewBroker(ctx context.Context, client dapr.Client, pubsub string) (*Broker, error) {
	c, err := find(ctx, client, "pubsub", pubsub)
	if err != nil {
		return nil, err
	}
	b := &Broker{client: client, pubsub: pubsub}
	// Event Hubs refuses a request whose messages have different partition keys.
	b.apart.Store(c.kind == "pubsub.azure.eventhubs")
	return b, nil
}

// Publish implements [driver.Broker]. The sidecar passes the message on as the CloudEvent that it
// is. It adds fields of its own, such as the topic. Components that keep the order of a partition
// key get the key of the message.
func (b *Broker) Publish(ctx context.Context, topic string, m driver.Message) error {
	e, err := entry(m)
	if err != nil {
		return err
	}
	return failure(ctx, "publishing to "+topic, b.client.PublishEvent(ctx, b.pubsub, topic, e.Data,
		dapr.PublishEventWithContentType(e.ContentType), dapr.PublishEventWithMetadata(e.Metadata)))
}

// entry returns a message as the sidecar takes it.
func entry(m driver.Message) (e dapr.PublishEventsEvent, err error) {
	e.ContentType, e.Metadata = "application/cloudevents+json", map[string]string{}
	if m.Key != "" {
		e.Metadata["partitionKey"] = m.Key
	}
	if e.Data, err = json.Marshal(m); err != nil || m.TraceParent == "" {
		return e, err
	}
	// The sidecar replaces a traceparent by its own, unless there is a traceid, the older name for
	// it. It adds a tracestate of its own if there is none.
	id, err := json.Marshal(m.TraceParent)
	e.Data = fmt.Appendf(e.Data[:len(e.Data)-1], `,"traceid":%s`, id)
	if m.TraceState == "" {
		e.Data = append(e.Data, `,"tracestate":""`...)
	}
	e.Data = append(e.Data, '}')
	return e, err
}

// Subscribe implements [driver.Broker]. It calls handle again until it returns nil, and only then
// tells the sidecar that the message was handled. A component may forget a message that it is asked
// to deliver again: Redis does.
//
// Messages come over the streaming API of the sidecar, which is alpha, and needs no server in the
// app. It passes on the id, source, type and data of a message, and no other field. A service that
// needs the others, or that must not depend on an alpha API, subscribes as Dapr's documentation
// says and decodes the body of each request as a [driver.Message].
func (b *Broker) Subscribe(ctx context.Context, topic string, handle func(context.Context, driver.Message) error) error {
	return receive(ctx, b.client, b.pubsub, topic, func(m *dapr.SubscriptionMessage) error {
		message := driver.Message{ID: m.ID, Source: m.Source, Type: m.Type, ContentType: m.DataContentType, Data: m.RawData}
		for n := 0; handle(ctx, message) != nil; n++ {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(min(10*time.Millisecond<<min(n, 7), time.Second)):
			}
		}
		return m.Success()
	})
}

// receive calls handle with the messages of a topic until ctx ends.
func receive(ctx context.Context, client dapr.Client, pubsub, topic string, handle func(*dapr.SubscriptionMessage) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // which ends the stream
	s, err := client.Subscribe(ctx, dapr.SubscriptionOptions{PubsubName: pubsub, Topic: topic})
	if err != nil {
		return failure(ctx, "subscribing to "+topic, err)
	}
	for {
		m, err := s.Receive()
		if err == nil {
			err = handle(m)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("sidecar: listening to %s: %w", topic, err)
		}
	}
}
