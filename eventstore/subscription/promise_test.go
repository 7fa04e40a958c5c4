package subscription_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

func TestWhatIsHeldBackUnderAnAliasIsDelivered(t *testing.T) {
	bench(t, func(l *lab) {
		writer := l.process("writer", eventstore.Type[noted]("former"))
		reader := l.process("reader", eventstore.Type[noted]("noted", eventstore.WithAliases("former")))
		var mended atomic.Bool
		r := reader.run(func(ctx context.Context, item feed.Item) error {
			if !mended.Load() {
				return errors.New("not yet")
			}
			return reader.note(ctx, item)
		}, subscription.OfEventType("noted"), subscription.WithParking(), subscription.WithRetries(0))
		_, err := writer.provider.Append(l.t.Context(), l.stream("1"), eventstore.ExpectAny(), noted{"a"}, noted{"b"})
		l.must(err)
		l.wait("the parked stream", func() bool {
			parked, _ := r.Parked(l.t.Context())
			return len(parked) == 1 && parked[0].To == 2
		})
		mended.Store(true)
		l.must(r.Retry(l.t.Context(), l.stream("1")))
		pass(time.Minute)
		if got := l.got("1"); !slices.Equal(got, []string{"1a", "2a"}) {
			l.t.Errorf("%q was delivered", got)
		}
		r.end()
		l.must(writer.provider.Close(l.t.Context()))
	})
}

var beatOf = regexp.MustCompile(`instance=\S+ (beat=\d+)`)

// TestASignOfLifeIsNewEachTime: other instances count from when they saw a new one. An instance
// that repeated a sign of life would trust its lease for longer than they do.
func TestASignOfLifeIsNewEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.Transactional()
		var (
			p     *process
			mu    sync.Mutex
			beats []string
		)
		store.Intervene(func(_ context.Context, q *memstate.Request, next func() error) error {
			err := next()
			if found := beatOf.FindSubmatch(q.Swap.Value); found != nil && err == nil {
				mu.Lock()
				defer mu.Unlock()
				if beats = append(beats, string(found[1])); len(beats) == 4 { // its answer is lost, and so are those after it
					p.cut.Store(true)
					time.AfterFunc(time.Second, func() { p.cut.Store(false) })
				}
			}
			return err
		})
		on(t, store, func(l *lab) {
			p = l.process("p")
			r := p.run(p.note)
			pass(time.Minute)
			r.end()
		})
		if n := len(beats); n < 6 || len(slices.Compact(slices.Clone(beats))) != n {
			t.Errorf("the signs of life were %q", beats)
		}
	})
}

// TestLargeItemsThatWaitTakeLittleMemory: a handler that is slow holds up the reader of its
// partition before it has read much, and what is read is not read much more often than once.
func TestLargeItemsThatWaitTakeLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 100
		store := memstate.Transactional()
		var mu sync.Mutex
		read, reads := map[string]bool{}, 0
		store.Intervene(func(_ context.Context, q *memstate.Request, next func() error) error {
			err := next()
			mu.Lock()
			defer mu.Unlock()
			for _, item := range q.Items {
				if len(item.Value) > 100<<10 {
					read[item.Key] = true
					reads++
				}
			}
			return err
		})
		on(t, store, func(l *lab) {
			for range events {
				l.append("1", strings.Repeat("x", 128<<10))
			}
			l.logged(events)
			p := l.process("p")
			mu.Lock()
			clear(read)
			reads = 0
			mu.Unlock()
			release := make(chan struct{})
			r := p.run(func(ctx context.Context, item feed.Item) error {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return p.note(ctx, item)
			})
			pass(20 * time.Second)
			mu.Lock()
			if n := len(read); n == 0 || n > 40 {
				t.Errorf("%d events were read while the handler held up the first", n)
			}
			mu.Unlock()
			close(release)
			l.wait("the rest", func() bool { return l.count() >= events })
			l.complete(map[string]int64{"1": events})
			r.end()
			if reads > 4*events {
				t.Errorf("%d events were read %d times", events, reads)
			}
		})
	})
}
