package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// publishingRules holds what publications and inboxes promise.
var publishingRules = []rule[Target]{
	{"publishing: each event is published in the order of its stream, also after a crash", "another service must not miss an event", testPublishing},
	{"publishing: an inbox handles a message once, in any process, and a failed one again", "brokers deliver messages twice", testInbox},
}

// post is a broker that keeps what it got.
type post struct {
	mu    sync.Mutex
	got   []string
	after func(id string)
}

func (p *post) Publish(_ context.Context, _ string, m publishing.Message) error {
	p.mu.Lock()
	p.got = append(p.got, m.ID)
	p.mu.Unlock()
	if p.after != nil {
		p.after(m.ID)
	}
	return nil
}

func (p *post) Subscribe(context.Context, string, func(context.Context, publishing.Message) error) error {
	return errors.New("nobody subscribes")
}

// has reports whether the ids came in this order. They may come again.
func (p *post) has(ids ...string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.got {
		if len(ids) > 0 && id == ids[0] {
			ids = ids[1:]
		}
	}
	return len(ids) == 0
}

// publish runs a publication. stop ends it.
func (p *process) publish(broker publishing.Broker) (stop func() error) {
	p.t.Helper()
	publication, err := publishing.New(p.feed, "a.n|n {}: %ä", broker, "accounts",
		publishing.With(subscription.WithPartitions(2), subscription.WithLease(2*time.Second), subscription.WithSaving(2, time.Hour)))
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- publication.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	p.t.Cleanup(func() { _ = stop() })
	return stop
}

// testPublishing cuts off an instance that has published more than it has saved.
func testPublishing(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, dying := w.indexer(), w.process()
	id := func(stream string, version int) string {
		return fmt.Sprintf("%s/%d", p.Stream("account", stream), version)
	}
	for range 3 {
		p.add("a", deposited{})
	}
	p.take(3)
	before := &post{after: func(published string) {
		if published == id("a", 3) {
			dying.die()
		}
	}}
	stop := dying.publish(before)
	eventually(t, "version 3 is published", func() bool { return before.has(id("a", 1), id("a", 2), id("a", 3)) })
	_ = stop()
	p.add("a", closed{})
	p.add("b", opened{})
	after := &post{}
	_ = w.process().publish(after)
	eventually(t, "all is published", func() bool { return after.has(id("a", 3), id("a", 4)) && after.has(id("b", 1)) })
	if after.has(id("a", 1)) {
		t.Error("what was saved is published again")
	}
}

func testInbox(t *testing.T, target Target) {
	w := newWorld(t, target)
	handled := map[string]int{}
	errBusy := errors.New("busy")
	for n := range 30 {
		inbox, err := publishing.NewInbox(w.process().link, "i.n|b {}: %ä", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		m := publishing.Message{ID: fmt.Sprintf("%d}:ids", n%10), Source: "storetest"}
		err = inbox.Handle(contextOf(t), m, func(context.Context) error {
			if n < 5 {
				return errBusy
			}
			handled[m.ID]++
			return nil
		})
		if n < 5 != errors.Is(err, errBusy) || n >= 5 && err != nil {
			t.Errorf("Handle: %v", err)
		}
	}
	for id, n := range handled {
		if n != 1 {
			t.Errorf("message %s was handled %d times", id, n)
		}
	}
	if len(handled) != 10 {
		t.Errorf("%d messages were handled, want 10", len(handled))
	}
}
