package driver

import (
	"context"
	"errors"
	"sync"
)

// ManyPublisher is what some brokers can do beyond [Broker]: take several messages together.
// Package publishing works without it. A Broker that wraps another one implements it by calling
// [PublishMany] with that one.
type ManyPublisher interface {
	// PublishMany does with each of messages what Publish does, in as few requests as the broker
	// allows. It returns an error for each message, in their order, or nil where the broker has the
	// message. What is wrong with one message is not an error of another. No two of messages have
	// the same key, and they may arrive in any order.
	//
	// The error [errors.ErrUnsupported] says that the message was not sent, because the broker
	// turns out not to take several. The caller then publishes it by itself.
	PublishMany(ctx context.Context, topic string, messages []Message) []error
}

// PublishMany publishes several messages, together if the broker is a [ManyPublisher] and can do
// so. It returns an error for each message, or nil where the broker has it.
func PublishMany(ctx context.Context, b Broker, topic string, messages []Message) []error {
	many, ok := b.(ManyPublisher)
	if !ok {
		return PublishEach(ctx, b, topic, messages)
	}
	errs := many.PublishMany(ctx, topic, messages)
	var left []Message
	var places []int
	for i, err := range errs {
		if errors.Is(err, errors.ErrUnsupported) {
			left, places = append(left, messages[i]), append(places, i)
		}
	}
	for i, err := range PublishEach(ctx, b, topic, left) {
		errs[places[i]] = err
	}
	return errs
}

// PublishEach publishes several messages by a request each, 16 at a time. It returns an error for
// each message.
func PublishEach(ctx context.Context, b Broker, topic string, messages []Message) []error {
	const atOnce = 16
	errs := make([]error, len(messages))
	room := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i, m := range messages {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			errs[i] = b.Publish(ctx, topic, m)
		})
	}
	running.Wait()
	return errs
}
