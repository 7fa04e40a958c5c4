package publishing

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const (
	// A request takes at most so many messages, and bytes of data unless it is one message.
	gatheredMessages = 100
	gatheredBytes    = 1 << 20
)

// gatherer publishes the messages of several callers. While a request is under way, messages wait,
// and the next request takes them together. So it needs no timer, and a message does not wait for
// others that may not come.
//
// Each partition has one message here, so no two of them are of one stream. Since there is one
// request at a time, a message that is published again also follows its first try.
type gatherer struct {
	broker Broker
	topic  string
	apart  atomic.Bool // the broker cannot take messages together

	mu      sync.Mutex
	waiting []*gathered
	busy    bool
}

// gathered is a message that a caller wants to be published.
type gathered struct {
	ctx       context.Context
	message   Message
	published chan error
}

func newGatherer(broker Broker, topic string) *gatherer {
	g := &gatherer{broker: broker, topic: topic}
	_, can := broker.(driver.ManyPublisher)
	g.apart.Store(!can)
	return g
}

// publish publishes a message. It returns when ctx ends, although the request may go on.
func (g *gatherer) publish(ctx context.Context, m Message) error {
	if g.apart.Load() {
		return g.broker.Publish(ctx, g.topic, m)
	}
	one := &gathered{ctx, m, make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, one)
	if !g.busy {
		g.busy = true
		go g.send()
	}
	g.mu.Unlock()
	select {
	case err := <-one.published:
		if errors.Is(err, errors.ErrUnsupported) {
			g.apart.Store(true)
			return g.broker.Publish(ctx, g.topic, m)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send publishes until no message waits.
func (g *gatherer) send() {
	for {
		together := g.next()
		if len(together) == 0 {
			return
		}
		errs := g.request(together)
		for i, one := range together {
			one.published <- errs[i]
		}
	}
}

// next takes messages that wait. If there is none, the gatherer is no longer busy.
func (g *gatherer) next() (together []*gathered) {
	g.mu.Lock()
	defer g.mu.Unlock()
	bytes := 0
	for len(g.waiting) > 0 && len(together) < gatheredMessages {
		one := g.waiting[0]
		if one.ctx.Err() == nil {
			if bytes += len(one.message.Data); bytes > gatheredBytes && len(together) > 0 {
				break
			}
			together = append(together, one)
		}
		g.waiting = g.waiting[1:]
	}
	g.busy = len(together) > 0
	return together
}

// request sends messages. Its context ends when no caller waits any more. A panic of the broker is
// an error of the messages, as it is where the subscription calls the broker.
func (g *gatherer) request(together []*gathered) (errs []error) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("publishing: the broker panicked: %v\n%s", p, debug.Stack())
			errs = slices.Repeat([]error{err}, len(together))
		}
	}()
	ctx, cancel := context.WithCancel(context.WithoutCancel(together[0].ctx))
	defer cancel()
	var callers atomic.Int64
	callers.Store(int64(len(together)))
	messages := make([]Message, len(together))
	for i, one := range together {
		messages[i] = one.message
		defer context.AfterFunc(one.ctx, func() {
			if callers.Add(-1) == 0 {
				cancel()
			}
		})()
	}
	if len(messages) == 1 {
		return []error{g.broker.Publish(ctx, g.topic, messages[0])}
	}
	errs = g.broker.(driver.ManyPublisher).PublishMany(ctx, g.topic, messages)
	if len(errs) != len(messages) {
		err := fmt.Errorf("publishing: the broker returned %d errors for %d messages", len(errs), len(messages))
		return slices.Repeat([]error{err}, len(messages))
	}
	return errs
}
