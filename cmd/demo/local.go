package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// localBroker is the broker within this process, without a sidecar. Its Publish returns when the
// message was handled. A [publishing.Local] alone would forget what was not handled when the
// process is killed, and the publication would believe that it had arrived.
type localBroker struct {
	*publishing.Local

	mu      sync.Mutex
	waiting map[string]chan struct{} // by the id of the message; closed when it was handled
}

// handledWithin is how long Publish waits. After that the publication publishes the message again.
const handledWithin = 5 * time.Second

var errNotHandled = errors.New("the message was not handled in time")

func newLocalBroker() *localBroker {
	return &localBroker{Local: publishing.NewLocal(), waiting: map[string]chan struct{}{}}
}

func (b *localBroker) Publish(ctx context.Context, topic string, m publishing.Message) error {
	handled := make(chan struct{})
	b.mu.Lock()
	b.waiting[m.ID] = handled
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.waiting[m.ID] == handled {
			delete(b.waiting, m.ID)
		}
	}()
	if err := b.Local.Publish(ctx, topic, m); err != nil {
		return err
	}
	timer := time.NewTimer(handledWithin)
	defer timer.Stop()
	select {
	case <-handled:
		return nil
	case <-timer.C:
		return errNotHandled // there may be no subscriber yet
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *localBroker) Subscribe(ctx context.Context, topic string, handle func(context.Context, publishing.Message) error) error {
	return b.Local.Subscribe(ctx, topic, func(ctx context.Context, m publishing.Message) error {
		if err := handle(ctx, m); err != nil {
			return err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if handled, ok := b.waiting[m.ID]; ok {
			close(handled)
			delete(b.waiting, m.ID)
		}
		return nil
	})
}
