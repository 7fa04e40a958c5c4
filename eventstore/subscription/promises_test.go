package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// TestPartitionsMoveInTime holds how long it takes until instances share the partitions again. An
// instance looks once in a beat, and more often while it has less than its share. So a new instance
// waits until the other one has looked, and then until it looks itself. One that crashes may have
// told that it lives just before. The other one sees that a beat later at most, waits for its lease
// to be over, and looks again a beat later at most.
func TestPartitionsMoveInTime(t *testing.T) {
	t.Parallel()
	const hungry, beat, lease = time.Second, 5 * time.Second, 15 * time.Second
	for offset := range 6 {
		synctest.Test(t, func(t *testing.T) {
			on(t, memstate.Transactional(), func(l *lab) {
				within := func(what string, most time.Duration, shares ...int) {
					t.Helper()
					began := time.Now()
					for !slices.Equal(slices.Sorted(maps.Values(l.owners())), shares) {
						if <-time.After(50 * time.Millisecond); time.Since(began) > most+500*time.Millisecond {
							t.Fatalf("%s: after %s the shares are %v", what, most, l.owners())
						}
					}
					<-time.After(time.Minute)
				}
				a, b := l.process("a"), l.process("b")
				first := a.run(a.note)
				<-time.After(time.Minute + time.Duration(offset)*731*time.Millisecond)
				second := b.run(b.note)
				within("an instance began", beat+hungry, 8, 8)
				second.end()
				within("an instance ended", beat, 16)
				second = b.run(b.note)
				within("an instance began again", beat+hungry, 8, 8)
				second.kill()
				within("an instance crashed", beat+lease+beat, 16)
				first.end()
			})
		})
	}
}

// TestAnInstanceThatIsKilledIsReplacedWithin30Seconds kills an instance of a service that handles
// and indexes.
func TestAnInstanceThatIsKilledIsReplacedWithin30Seconds(t *testing.T) {
	t.Parallel()
	for offset := range 6 {
		synctest.Test(t, func(t *testing.T) {
			l := &lab{t: t, store: memstate.Transactional()}
			l.main = l.process("writer")
			ctx, stop := context.WithCancel(t.Context())
			indexed := make(chan error, 2)
			var instances []*running
			for _, name := range []string{"killed", "left"} {
				p := l.process(name)
				go func() { indexed <- p.feed.Index(ctx) }()
				instances = append(instances, p.run(p.note))
				<-time.After(time.Minute)
			}
			for i := range 100 {
				l.append(fmt.Sprint(i), "before")
			}
			<-time.After(time.Duration(offset) * 1313 * time.Millisecond)
			instances[0].p.cut.Store(true) // it is the one that indexes
			for i := range 100 {
				l.append(fmt.Sprint(i), "after")
			}
			<-time.After(30 * time.Second)
			l.mu.Lock()
			reached := map[string]bool{}
			for _, d := range l.delivered {
				reached[d.item.ID()] = true
			}
			l.mu.Unlock()
			if len(reached) != 200 {
				t.Errorf("after 30 s, %d of 200 items were delivered", len(reached))
			}
			stop()
			instances[0].stop()
			<-instances[0].done
			instances[1].end()
			for range instances {
				if err := <-indexed; err != nil {
					t.Error(err)
				}
			}
			l.must(l.main.provider.Close(t.Context()))
		})
	}
}

func TestThePanicOfAHandlerIsLoggedWithItsStack(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		r := l.main.run(func(context.Context, feed.Item) error { panic("the handler fails") }, subscription.WithRetries(0))
		l.append("x", "1")
		if err := <-r.done; !errors.As(err, new(*subscription.HandlerError)) || !errors.As(err, new(*subscription.PanicError)) {
			l.t.Errorf("Run returned %v", err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if text := l.logs.String(); !strings.Contains(text, "the handler panicked") || !strings.Contains(text, "promises_test.go:") {
			l.t.Errorf("the log says %s", text)
		}
	})
}
