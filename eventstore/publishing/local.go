package publishing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// Local is a broker within this process, for tests and for services that run together. It keeps
// nothing: a message is published when it was handled. Each subscriber handles one message at a
// time. It is safe for concurrent use.
type Local struct {
	mu          sync.Mutex
	subscribers map[string]map[*subscriber]bool
}

var _ Broker = (*Local)(nil)

// subscriber takes messages from those who publish them.
type subscriber struct {
	offers chan offer
	gone   chan struct{} // closed when Subscribe has returned
}

// offer is a message that somebody publishes.
type offer struct {
	ctx     context.Context // of Publish
	message Message
	handled chan struct{} // closed when it was handled
}

var errGone = errors.New("publishing: a subscriber ended before it handled the message")

// NewLocal returns a broker without subscribers.
func NewLocal() *Local { return &Local{subscribers: map[string]map[*subscriber]bool{}} }

// Publish gives the message to all who are subscribed to the topic, and returns nil when all of
// them have handled it. It waits as long as ctx lives. So a handler must not publish to its own
// topic.
//
// Publish returns an error if there is no subscriber, because the message would be lost. It
// also does so if a subscriber ends before it has handled the message. A [Publication] tries both
// again.
func (l *Local) Publish(ctx context.Context, topic string, message Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	subscribers := slices.Collect(maps.Keys(l.subscribers[topic]))
	l.mu.Unlock()
	if len(subscribers) == 0 {
		return fmt.Errorf("publishing: topic %q has no subscriber in this process", topic)
	}
	errs := make([]error, len(subscribers))
	var all sync.WaitGroup
	for i, s := range subscribers {
		all.Go(func() { errs[i] = s.give(ctx, message) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// give waits until the message was handled.
func (s *subscriber) give(ctx context.Context, message Message) error {
	o := offer{ctx, message, make(chan struct{})}
	select {
	case s.offers <- o:
	case <-s.gone:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.handled:
		return nil
	case <-s.gone:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Subscribe calls handle with each message, one after the other. After an error of handle it tries
// the same message again, at first after 10 ms and then up to every second, until the message is no
// longer being published.
func (l *Local) Subscribe(ctx context.Context, topic string, handle func(context.Context, Message) error) error {
	s := &subscriber{offers: make(chan offer), gone: make(chan struct{})}
	l.mu.Lock()
	if l.subscribers[topic] == nil {
		l.subscribers[topic] = map[*subscriber]bool{}
	}
	l.subscribers[topic][s] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.subscribers[topic], s)
		l.mu.Unlock()
		close(s.gone)
	}()
	for {
		select {
		case o := <-s.offers:
			o.handle(ctx, handle)
		case <-ctx.Done():
			return nil
		}
	}
}

// handle tries until the message is handled, or until ctx ends or that of Publish.
func (o offer) handle(ctx context.Context, handle func(context.Context, Message) error) {
	trying, cancel := context.WithCancel(o.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for n := 0; trying.Err() == nil; n++ {
		if handle(ctx, o.message) == nil {
			close(o.handled)
			return
		}
		pause.For(trying, min(10*time.Millisecond<<min(n, 7), time.Second))
	}
}
