package subscription_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
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
		time.Sleep(time.Minute)
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
		store.Around = func(_ context.Context, q *memstate.Request, next func() error) error {
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
		}
		on(t, store, func(l *lab) {
			p = l.process("p")
			r := p.run(p.note)
			time.Sleep(time.Minute)
			r.end()
		})
		if n := len(beats); n < 6 || len(slices.Compact(slices.Clone(beats))) != n {
			t.Errorf("the signs of life were %q", beats)
		}
	})
}
