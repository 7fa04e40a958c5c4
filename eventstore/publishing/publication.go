package publishing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Message is what is published: a CloudEvent.
type Message = driver.Message

// Broker takes messages and delivers them.
type Broker = driver.Broker

// ErrLeaveOut is what a [Mapping] returns for an item of which other services learn nothing.
var ErrLeaveOut = errors.New("publishing: the item is left out")

// Mapping makes an integration event of an item: its type, and its data, which becomes JSON. Data
// that is a []byte or a json.RawMessage is taken as it is. The mapping must return the same for an
// item at each call. An error other than [ErrLeaveOut] says that the item cannot be handled.
type Mapping func(ctx context.Context, item feed.Item) (eventType string, data any, err error)

// Option configures a [Publication].
type Option func(*config) error

type config struct {
	mapping Mapping
	source  string
	options []subscription.Option
}

// WithMapping sets what is published of an item. By default, events are published with the type
// under which they are registered, and their data as JSON. That includes sealed data, in the clear:
// map events that have some. What tells of a closed or deleted stream has the type of the
// aggregate, a dot, and "closed" or "deleted".
func WithMapping(mapping Mapping) Option {
	return func(c *config) error {
		if mapping == nil {
			return bad("WithMapping", "it is nil")
		}
		c.mapping = mapping
		return nil
	}
}

// WithSource sets the source of the messages, a URI reference that names the service. The default
// is "eventstores/" and the name of the feed.
func WithSource(source string) Option {
	return func(c *config) error {
		if _, err := url.Parse(source); err != nil || source == "" {
			return bad("WithSource", "%q is not a URI reference", source)
		}
		c.source = source
		return nil
	}
}

// With sets options of the subscription that reads the feed, such as [subscription.OfType],
// [subscription.WithParking] and [subscription.WithPartitions]. As many messages are on their way
// at the same time as the subscription has partitions. If the broker is a [driver.ManyPublisher],
// they go there together: while it has a request, messages wait, and the next request takes up to
// 100 of them and 1 MiB.
func With(options ...subscription.Option) Option {
	return func(c *config) error { c.options = append(c.options, options...); return nil }
}

func bad(argument, format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
}

// Publication publishes what a feed tells to a topic. It is a [subscription.Subscription] whose
// handler publishes, so it can be run, listed, retried and dropped like one.
type Publication struct {
	*subscription.Subscription
	config
	gatherer *gatherer
}

// New returns a publication. Its name is the same in all instances of a service, and different from
// those of other subscriptions of the feed. New sends nothing. It returns an
// [eventstore.ArgumentError] for a nil feed or broker, an empty topic, a name that
// [subscription.New] refuses, and a wrong option.
func New(f *feed.Feed, name string, broker Broker, topic string, options ...Option) (*Publication, error) {
	switch {
	case f == nil:
		return nil, bad("feed", "it is nil: make one with feed.Open")
	case broker == nil:
		return nil, bad("broker", "it is nil")
	case topic == "":
		return nil, bad("topic", "it is empty")
	}
	p := &Publication{config: config{mapping: asStored, source: "eventstores/" + url.PathEscape(f.Name())}, gatherer: newGatherer(broker, topic)}
	for _, option := range options {
		if option == nil {
			return nil, bad("option", "it is nil")
		}
		if err := option(&p.config); err != nil {
			return nil, err
		}
	}
	var err error
	if p.Subscription, err = subscription.New(f, name, p.publish, p.options...); err != nil {
		return nil, err
	}
	p.Subscription.Kind(permit.Permit{}, "publication")
	return p, nil
}

// publish publishes one item. The subscription calls it for one item of a stream at a time.
func (p *Publication) publish(ctx context.Context, item feed.Item) error {
	m, err := p.message(ctx, item)
	if errors.Is(err, ErrLeaveOut) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.gatherer.publish(ctx, m); err != nil {
		return fmt.Errorf("publishing: %s to topic %q: %w", item.ID(), p.gatherer.topic, err)
	}
	return nil
}

// message makes the message of an item.
func (p *Publication) message(ctx context.Context, item feed.Item) (m Message, err error) {
	kind, data, err := p.mapping(ctx, item)
	if err != nil {
		return m, err
	}
	if kind == "" {
		return m, fmt.Errorf("publishing: the mapping of %s returned no type", item.ID())
	}
	stream, custom := item.Stream.String(), item.Event.Metadata.Custom
	m = Message{
		ID: item.ID(), Source: p.source, Type: kind, Subject: stream, Time: item.Time, Key: stream,
		TraceParent: custom["traceparent"], TraceState: custom["tracestate"], ContentType: "application/json",
	}
	switch data := data.(type) {
	case eventstore.Raw:
		m.ContentType, m.Data = data.ContentType, data.Payload
	case json.RawMessage:
		m.Data = data
	case []byte:
		m.Data = data
	case nil:
	default:
		if m.Data, err = json.Marshal(data); err != nil {
			return m, fmt.Errorf("publishing: %s: %w", item.ID(), err)
		}
	}
	return m, nil
}

// asStored publishes items as they are.
func asStored(_ context.Context, item feed.Item) (string, any, error) {
	if item.What != feed.Appended {
		return item.Stream.Type + "." + item.What.String(), nil, nil
	}
	return item.Event.Metadata.Message.Type, item.Event.Data, nil
}
