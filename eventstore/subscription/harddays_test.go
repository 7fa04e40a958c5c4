package subscription_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// The lease is renewed while the handler works. So an item that takes several leases is delivered
// once, and no other instance takes its partition.
func TestAHandlerMayTakeLongerThanTheLease(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		a, b := l.process("a"), l.process("b")
		slow := func(p *process) subscription.Handler {
			return func(ctx context.Context, item feed.Item) error {
				select {
				case <-time.After(2 * time.Minute):
				case <-ctx.Done():
					return ctx.Err()
				}
				return p.note(ctx, item)
			}
		}
		options := []subscription.Option{subscription.WithLease(5 * time.Second), subscription.WithHandlerTimeout(10 * time.Minute)}
		first, second := a.run(slow(a), options...), b.run(slow(b), options...)
		l.append("x", "1", "2")
		pass(10 * time.Minute)
		if got := l.got("x"); !slices.Equal(got, []string{"1a", "2a"}) {
			l.t.Errorf("it was delivered %q", got)
		}
		first.end()
		second.end()
	})
}

func TestASubscriptionOfAnotherFeedIsRefusedAndWritesNothing(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		l.append("x", "1")
		l.logged(1)
		provider, err := eventstore.NewProvider(l.store, eventstore.WithFeed("other"), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		l.must(err)
		other, err := feed.Open(provider)
		l.must(err)
		s, err := subscription.New(other, "mails", none)
		l.must(err)
		var argument *eventstore.ArgumentError
		if err := s.Run(l.t.Context()); !errors.As(err, &argument) || !strings.Contains(err.Error(), `"all"`) {
			l.t.Errorf("Run returned %v", err)
		}
		for key := range l.store.Values() {
			if strings.Contains(key, "other") {
				l.t.Errorf("the store holds %s", key)
			}
		}
	})
}

func TestARecordOfANewerVersionIsNotOverwritten(t *testing.T) {
	t.Parallel()
	eachRecord(t, func(l *lab, key string) {
		value, _ := l.store.Value(key)
		newer := bytes.Replace(value, []byte("eventstore/1 "), []byte("eventstore/2 "), 1)
		l.store.Set(key, newer)
		var damaged *eventstore.DamagedError
		if err := l.main.subscribe(none).Run(l.t.Context()); !errors.As(err, &damaged) || damaged.Key != key || !strings.Contains(err.Error(), "update the library") {
			l.t.Errorf("%s is of a newer version: %v", key, err)
		}
		if now, _ := l.store.Value(key); !bytes.Equal(now, newer) {
			l.t.Errorf("%s was overwritten", key)
		}
	})
}
