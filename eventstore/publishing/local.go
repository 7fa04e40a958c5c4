package publishing

import (
	"context"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// Local is a broker within this process, for tests and for services that run together. Each
// subscriber of a topic gets each message that is published while it is subscribed, in order. What
// was not handled is lost when the process ends. It is safe for concurrent use.
type Local struct {
	mu     sync.Mutex
	queues map[string]map[*queue]bool
}

var _ Broker = (*Local)(nil)

// queue is what one subscriber has not handled yet.
type queue struct {
	mu       sync.Mutex
	messages []Message
	filled   chan struct{}
}

// NewLocal returns a broker without messages.
func NewLocal() *Local { return &Local{queues: map[string]map[*queue]bool{}} }

// Publish gives the message to all who are subscribed to the topic.
func (l *Local) Publish(ctx context.Context, topic string, message Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for q := range l.queues[topic] {
		q.mu.Lock()
		q.messages = append(q.messages, message)
		q.mu.Unlock()
		select {
		case q.filled <- struct{}{}:
		default:
		}
	}
	return nil
}

// Subscribe calls handle with each message, one after the other. After an error of handle it tries
// the same message again.
func (l *Local) Subscribe(ctx context.Context, topic string, handle func(context.Context, Message) error) error {
	q := &queue{filled: make(chan struct{}, 1)}
	l.mu.Lock()
	if l.queues[topic] == nil {
		l.queues[topic] = map[*queue]bool{}
	}
	l.queues[topic][q] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.queues[topic], q)
	}()
	for {
		m, ok := q.next(ctx)
		if !ok {
			return nil
		}
		for n := 0; handle(ctx, m) != nil; n++ {
			if !pause.For(ctx, min(10*time.Millisecond<<min(n, 7), time.Second)) {
				return nil
			}
		}
	}
}

// next takes the next message. It reports false when ctx has ended.
func (q *queue) next(ctx context.Context) (m Message, ok bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.messages) > 0 {
			m, q.messages = q.messages[0], q.messages[1:]
			q.mu.Unlock()
			return m, true
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-q.filled:
		}
	}
	return m, false
}
