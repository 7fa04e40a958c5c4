package driver_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// counting is a broker that wraps another one.
type counting struct {
	driver.Broker
	published int
}

func (c *counting) Publish(ctx context.Context, topic string, m driver.Message) error {
	return c.PublishMany(ctx, topic, []driver.Message{m})[0]
}

// PublishMany passes messages on together, if the other broker takes them so.
func (c *counting) PublishMany(ctx context.Context, topic string, messages []driver.Message) []error {
	errs := driver.PublishMany(ctx, c.Broker, topic, messages)
	for _, err := range errs {
		if err == nil {
			c.published++
		}
	}
	return errs
}

func ExamplePublishMany() {
	broker := &counting{Broker: publishing.NewLocal()} // to which no one is subscribed
	for _, err := range broker.PublishMany(context.Background(), "accounts", []driver.Message{{ID: "1"}, {ID: "2"}}) {
		fmt.Println(err)
	}
	fmt.Println(broker.published, "published")
	// Output:
	// publishing: topic "accounts" has no subscriber in this process
	// publishing: topic "accounts" has no subscriber in this process
	// 0 published
}
